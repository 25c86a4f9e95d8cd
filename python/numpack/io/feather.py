"""Feather files (version 2, which is Arrow's file format), by pyarrow; record batches pass through one by one."""

from __future__ import annotations

from typing import Any, Iterator, Optional, Sequence

import numpy.typing as npt

from numpack import NumPack
from numpack.io._deps import need
from numpack.io._partial import new_file
from numpack.io._progress import Progress
from numpack.io._sizes import DEFAULT_BATCH_ROWS, DEFAULT_CHUNK_SIZE, PathLike
from numpack.io._stored import metered, stored_array
from numpack.io._stream import Options, block_size, stem, store_arrays
from numpack.io._tables import (
    picked,
    pieces,
    rows_for,
    selected,
    table_batch,
    table_columns,
    table_schema,
    table_source,
)


def from_feather(
    input_path: PathLike,
    output_path: PathLike,
    array_name: Optional[str] = None,
    drop_if_exists: bool = False,
    *,
    columns: Optional[Sequence[str]] = None,
    dtype: Optional[npt.DTypeLike] = None,
    fill_null: Optional[float] = None,
    chunk_size: int = DEFAULT_CHUNK_SIZE,
    progress: Progress = None,
    return_npk_obj: bool = False,
) -> Optional[NumPack]:
    """Stores the columns of a Feather file as one array of shape (rows, columns), named after the file.

    Arguments and errors as for `from_parquet`. Memory: `chunk_size` bytes, or one record batch where that is
    more. Raises ValueError for Feather version 1 and anything that is no Arrow file.
    """
    options = Options(drop_if_exists, chunk_size, progress, return_npk_obj)
    pa, ipc = need("pyarrow", "feather"), need("pyarrow.ipc", "feather")
    with pa.OSFile(str(input_path)) as file:
        try:
            reader = ipc.open_file(file)
        except pa.ArrowInvalid as error:
            raise ValueError(f"{input_path} is no Feather file of version 2: {error}") from None
        schema = picked(pa, reader.schema, columns)

        def batches(limit: int) -> Iterator[Any]:
            found = (reader.get_batch(at) for at in range(reader.num_record_batches))
            return pieces(selected(found, columns), rows_for(schema, limit))

        source = table_source(pa, array_name or stem(input_path), schema, batches, None, dtype, fill_null)
        return store_arrays([source], output_path, options)


def to_feather(
    input_path: PathLike,
    output_path: PathLike,
    array_name: Optional[str] = None,
    *,
    columns: Optional[Sequence[str]] = None,
    column_dtypes: bool = True,
    compression: Optional[str] = "zstd",
    chunk_size: int = DEFAULT_CHUNK_SIZE,
    progress: Progress = None,
) -> None:
    """Writes an array to a Feather file of version 2, in record batches of at most 100,000 rows.

    compression: "zstd", "lz4" or None. Other arguments and errors as for `to_parquet`. Memory: `chunk_size` bytes.
    """
    size = block_size(chunk_size)
    pa, ipc = need("pyarrow", "feather"), need("pyarrow.ipc", "feather")
    with stored_array(input_path, array_name) as stored, metered([stored], progress) as meter:
        kept = table_columns(stored, columns, column_dtypes)
        schema = table_schema(pa, stored, kept)
        rows = min(DEFAULT_BATCH_ROWS, stored.rows_in(size))
        options = ipc.IpcWriteOptions(compression=compression)
        with new_file(output_path) as partial, pa.OSFile(str(partial), "wb") as file:
            with ipc.new_file(file, schema, options=options) as writer:
                for block in meter.count(stored.blocks(rows)):
                    writer.write_batch(table_batch(pa, schema, kept, block))


from_feather_file = from_feather
to_feather_file = to_feather
