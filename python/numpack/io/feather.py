"""Feather files (version 2, which is Arrow's file format), by pyarrow; record batches pass through one by one."""

from __future__ import annotations

import os
from typing import Any, Callable, Dict, Iterator, Optional, Sequence

import numpy.typing as npt

from numpack import NumPack
from numpack._aliases import also_named
from numpack.io._arrow_tables import (
    Section,
    picked,
    pieces,
    row_width,
    rows_for,
    table_batch,
    table_columns,
    table_schema,
    table_source,
)
from numpack.io._errors import check_readable, need, sound, sound_source
from numpack.io._export import metered, stored_array
from numpack.io._import import Options, block_size, stem, store_arrays
from numpack.io._partial import new_file
from numpack.io._progress import Progress
from numpack.io._sizes import DEFAULT_BATCH_ROWS, DEFAULT_CHUNK_SIZE, FilePath, PathLike
from numpack.io._spill import Room

_KIND = "Feather file of version 2"


@also_named(column="columns", column_names="columns")
def from_feather(
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
    """Stores the columns of a Feather file as one array of shape (rows, columns), named after the file.

    Arguments and errors as for `from_parquet`. Memory: `chunk_size` bytes, or one column of a record
    batch where that is more. Raises ValueError for Feather version 1 and anything that is no Arrow file.
    """
    options = Options(drop_if_exists, chunk_size, progress, return_npk_obj, max_bytes, input_path)
    pa, ipc = need("pyarrow"), need("pyarrow.ipc")
    damage = (pa.ArrowException, OSError)
    check_readable(input_path)
    with pa.OSFile(os.fsencode(input_path)) as file:
        with sound(input_path, _KIND, *damage):
            found = ipc.open_file(file).schema
        schema, room = picked(pa, found, columns), options.room(output_path)
        places = (
            range(len(found)) if columns is None else [found.get_field_index(name) for name in schema.names]
        )
        batches = _Batches(pa, ipc, file, schema, places)

        def sections(limit: int) -> Iterator[Section]:
            return batches.sections(limit, room)

        name = stem(input_path) if array_name is None else array_name
        with sound(input_path, _KIND, *damage):
            source = table_source(pa, name, schema, sections, None, dtype, fill_null, room)
        return store_arrays([sound_source(source, input_path, _KIND, *damage)], output_path, options)


class _Batches:
    """The record batches of a Feather file; `places` says where the columns of `schema` stand in it."""

    def __init__(self, pa: Any, ipc: Any, file: Any, schema: Any, places: Sequence[int]) -> None:
        self._pa, self._ipc, self._file = pa, ipc, file
        self._schema, self._places = schema, places
        self._readers: Dict[range, Any] = {}

    def sections(self, limit: int, room: Room) -> Iterator[Section]:
        """Each batch at once, or some columns of it at a time where it does not fit into memory."""
        count, width = len(self._schema), row_width(self._schema)
        for at in range(self._reader(range(count)).num_record_batches):
            read = self._read_of(at, limit)
            size = len(self._batch(at, self._narrowest())) * width if count > 1 else 0
            whole = room.fits(size)
            yield Section(read, count if whole else max(1, count * room.chunk_size // (4 * size)))

    def _read_of(self, at: int, limit: int) -> Callable[[range], Iterator[Any]]:
        def read(places: range) -> Iterator[Any]:
            return pieces(
                [self._batch(at, places)], rows_for([self._schema.field(one) for one in places], limit)
            )

        return read

    def _narrowest(self) -> range:
        """A column that tells at least cost how many rows a batch has."""
        at = min(range(len(self._schema)), key=lambda at: row_width([self._schema.field(at)]))
        return range(at, at + 1)

    def _batch(self, at: int, places: range) -> Any:
        """Some columns of a batch; others are not read."""
        if len(places) < len(self._schema):
            # Arrow allocates as much as all columns take, of which reading touches some pages: it gives them back.
            self._pa.default_memory_pool().release_unused()
        wanted = [self._places[place] for place in places]
        read = sorted(wanted)
        return self._reader(places).get_batch(at).select([read.index(place) for place in wanted])

    def _reader(self, places: range) -> Any:
        if places not in self._readers:
            some = self._ipc.IpcReadOptions(included_fields=sorted(self._places[place] for place in places))
            self._readers[places] = self._ipc.open_file(self._file, options=some)
        return self._readers[places]


@also_named(column="columns", column_names="columns")
def to_feather(
    input_path: PathLike,
    output_path: FilePath,
    array_name: Optional[str] = None,
    *,
    columns: Optional[Sequence[str]] = None,
    column_dtypes: bool = True,
    tensors: Optional[bool] = None,
    compression: Optional[str] = "zstd",
    chunk_size: int = DEFAULT_CHUNK_SIZE,
    progress: Progress = None,
) -> None:
    """Writes an array to a Feather file of version 2, in record batches of at most 100,000 rows.

    compression: "zstd", "lz4" or None. Other arguments and errors as for `to_parquet`. Memory: `chunk_size` bytes.
    """
    size = block_size(chunk_size)
    pa, ipc = need("pyarrow"), need("pyarrow.ipc")
    with stored_array(input_path, array_name) as stored, metered([stored], progress) as meter:
        kept = table_columns(stored, columns, column_dtypes, tensors)
        schema = table_schema(pa, stored, kept)
        rows = min(DEFAULT_BATCH_ROWS, stored.rows_in(size))
        options = ipc.IpcWriteOptions(compression=compression)
        with new_file(output_path) as partial, pa.OSFile(os.fsencode(partial), "wb") as file:
            with ipc.new_file(file, schema, options=options) as writer:
                for block in meter.count(stored.blocks(rows)):
                    writer.write_batch(table_batch(pa, schema, kept, block))


from_feather_file = from_feather
to_feather_file = to_feather
