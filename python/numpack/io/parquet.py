"""Parquet files, by pyarrow: columns of numbers, or one column of lists; row groups pass through in blocks."""

from __future__ import annotations

import os
from typing import Any, Callable, Iterator, List, Optional, Sequence, Type

import numpy.typing as npt

from numpack import NumPack
from numpack._aliases import also_named
from numpack.io._arrow_tables import (
    Section,
    picked,
    pieces,
    row_width,
    rows_for,
    share,
    side_by_side,
    table_batch,
    table_columns,
    table_schema,
    table_source,
)
from numpack.io._errors import check_readable, need, sound, sound_source
from numpack.io._export import metered, stored_array
from numpack.io._import import Options, block_size, stem, store_arrays
from numpack.io._partial import new_file
from numpack.io._prefetch import ended, read_ahead
from numpack.io._progress import Progress
from numpack.io._sizes import DEFAULT_BATCH_ROWS, DEFAULT_CHUNK_SIZE, FilePath, PathLike, check_count
from numpack.io._tensors import storage_of
from numpack.io.arrow import from_table as from_parquet_table
from numpack.io.arrow import to_table as to_parquet_table

__all__ = [
    "from_parquet",
    "from_parquet_file",
    "from_parquet_table",
    "to_parquet",
    "to_parquet_file",
    "to_parquet_table",
]

_KIND = "Parquet file"
_CODECS = ("none", "snappy", "gzip", "brotli", "lz4", "zstd")
# What a column keeps while it is read, at most and about: a page and a dictionary, decoded and not.
_PAGE = 1 << 20
# Bytes of a record batch, of which several are on their way from thread to thread.
_BATCH = 4 << 20
# Threads that decode columns; of each Arrow keeps some memory.
_THREADS = min(2, os.cpu_count() or 1)
# Of the memory beyond chunk_size, for what columns keep.
_SPARE = 16 << 20


@also_named(column="columns", column_names="columns")
def from_parquet(
    input_path: FilePath,
    output_path: PathLike,
    array_name: Optional[str] = None,
    columns: Optional[Sequence[str]] = None,
    *,
    drop_if_exists: bool = False,
    dtype: Optional[npt.DTypeLike] = None,
    fill_null: Optional[float] = None,
    chunk_size: int = DEFAULT_CHUNK_SIZE,
    max_bytes: Optional[int] = None,
    progress: Progress = None,
    return_npk_obj: bool = False,
) -> Optional[NumPack]:
    """Stores the columns of a Parquet file as one array of shape (rows, columns), named after the file.

    columns: the columns to take, in this order; None for all. The dtype is the smallest that holds every column
    exactly, or `dtype`. Names and dtypes of the columns are stored with the array. A single column of fixed-shape
    tensors, or of lists of one length, gives shape (rows, *shape). Nulls are NaN in columns of floats, `fill_null`
    where it is given, and otherwise a TypeError. Memory: `chunk_size` bytes; where a page of every column is more,
    columns pass through temporary files beside the store, a row group at a time. Raises TypeError for columns that
    hold no numbers and for integers that the common dtype cannot hold, KeyError for unknown columns, ValueError for
    values that `dtype` does not have and for a file that is cut off or no Parquet.
    max_bytes: how many bytes the arrays may have; None: a thousand times the file's, or 1 GiB.
    """
    options = Options(drop_if_exists, chunk_size, progress, return_npk_obj, max_bytes, input_path)
    pa, pq = need("pyarrow"), need("pyarrow.parquet")
    damage = (pa.ArrowException, OSError)
    check_readable(input_path)
    with pa.OSFile(os.fsencode(input_path)) as raw, _opened(pq, raw, input_path, *damage) as file:
        schema = picked(pa, file.schema_arrow, columns)

        def sections(limit: int) -> Iterator[Section]:
            return _sections(pa, file, schema, limit, chunk_size)

        name, rows, room = (
            stem(input_path) if array_name is None else array_name,
            file.metadata.num_rows,
            options.room(output_path),
        )
        with sound(input_path, _KIND, *damage):
            source = table_source(pa, name, schema, sections, rows, dtype, fill_null, room)
        return store_arrays([sound_source(source, input_path, _KIND, *damage)], output_path, options)


def _opened(pq: Any, raw: Any, path: FilePath, *damage: Type[Exception]) -> Any:
    """The file. Raises ValueError for one that is cut off or no Parquet."""
    with sound(path, _KIND, *damage):
        return pq.ParquetFile(raw, buffer_size=1 << 16, pre_buffer=False)


def _sections(pa: Any, file: Any, schema: Any, limit: int, chunk_size: int) -> Iterator[Section]:
    """The file by row groups, where these are small; by batches, if decoding every column at once takes not too much
    memory; else the row groups, for a few columns at a time."""
    metadata, count = file.metadata, len(schema)
    groups = [metadata.row_group(at) for at in range(metadata.num_row_groups)]
    encoded = max((group.total_byte_size for group in groups), default=0)
    decoded = max((group.num_rows for group in groups), default=0) * row_width(schema)
    room = 2 * chunk_size // 3 + _SPARE
    if 3 * max(encoded, decoded) <= room and not any(
        pa.types.is_nested(storage_of(pa, kind)) for kind in schema.types
    ):
        yield Section(_group_reader(file, schema), count)
        return
    # Columns of one name cannot be asked for one by one.
    if 3 * min(encoded, count * _PAGE) <= room or len(set(schema.names)) < count:
        yield Section(_reader(pa, file, schema, limit, range(len(groups))), count)
        return
    for at, group in enumerate(groups):
        if group.num_rows:
            yield Section(_reader(pa, file, schema, limit, [at]), max(1, room // (3 * _PAGE)))


def _group_reader(file: Any, schema: Any) -> Callable[[range], Iterator[Any]]:
    """What reads all columns of a row group at once, which takes the library least time, as record batches."""
    names = schema.names
    everything = names == file.schema_arrow.names

    def read(_all: range) -> Iterator[Any]:
        wanted = None if everything else names
        tables = (file.read_row_group(at, wanted) for at in range(file.metadata.num_row_groups))
        with ended(read_ahead(tables)) as ahead:
            for table in ahead:
                yield from (table if everything else table.select(names)).to_batches()

    return read


def _reader(
    pa: Any, file: Any, schema: Any, limit: int, groups: Sequence[int]
) -> Callable[[range], Iterator[Any]]:
    """What reads columns of row groups as record batches."""

    def batches(names: Optional[List[str]], rows: int) -> Iterator[Any]:
        # Of threads of its own Arrow would keep memory.
        found = file.iter_batches(min(rows, DEFAULT_BATCH_ROWS), list(groups), names, use_threads=False)
        return (batch if names in (None, batch.schema.names) else batch.select(names) for batch in found)

    def read(places: range) -> Iterator[Any]:
        some = [schema.field(at) for at in places]
        names = [field.name for field in some]
        rows = rows_for(some, min(limit, _BATCH))
        # Columns of one name cannot be asked for one by one.
        everything = names == file.schema_arrow.names and len(set(names)) < len(names)
        shares = [None] if everything else share(names, _THREADS)
        # Decoding takes longest: parts of the columns have threads of their own.
        streams = [read_ahead(batches(part, rows)) for part in shares]
        return pieces(side_by_side(pa, streams), rows)

    return read


@also_named(column="columns", column_names="columns")
def to_parquet(
    input_path: PathLike,
    output_path: FilePath,
    array_name: Optional[str] = None,
    *,
    columns: Optional[Sequence[str]] = None,
    column_dtypes: bool = True,
    tensors: Optional[bool] = None,
    compression: Optional[str] = "snappy",
    row_group_size: int = DEFAULT_BATCH_ROWS,
    chunk_size: int = DEFAULT_CHUNK_SIZE,
    progress: Progress = None,
) -> None:
    """Writes an array to a Parquet file: a column for each column of a table, one of lists for more dimensions.

    columns: names for the columns; None for those stored with the array, otherwise col0, col1, ...
    column_dtypes: whether columns get back the dtypes they came with. tensors: True for one column of Arrow's
    fixed-shape tensors, a row in each; False for columns of numbers or of lists; None for what the array was made of.
    row_group_size: rows at most; fewer where
    they would not fit into memory. Memory: `chunk_size` bytes. Raises TypeError for complex and 0-d arrays,
    ValueError for another compression and a row group without rows.
    """
    size = block_size(chunk_size)
    check_count("row_group_size", row_group_size, 1)
    if compression is not None and compression.lower() not in _CODECS:
        raise ValueError(f"compression must be None or one of {', '.join(_CODECS)}, got {compression!r}")
    pa, pq = need("pyarrow"), need("pyarrow.parquet")
    with stored_array(input_path, array_name) as stored, metered([stored], progress) as meter:
        kept = table_columns(stored, columns, column_dtypes, tensors)
        schema = table_schema(pa, stored, kept)
        rows = min(row_group_size, stored.rows_in(size))
        with (
            new_file(output_path) as partial,
            pa.OSFile(os.fsencode(partial), "wb") as file,
            pq.ParquetWriter(file, schema, compression=compression or "none") as writer,
        ):
            for block in meter.count(stored.blocks(rows)):
                writer.write_batch(table_batch(pa, schema, kept, block), row_group_size=rows)


from_parquet_file = from_parquet
to_parquet_file = to_parquet
