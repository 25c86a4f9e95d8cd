"""Tables of Arrow in memory, by pyarrow, and arrays that NumPy and Arrow share without a copy."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

import numpy as np
import numpy.typing as npt

from numpack import LazyArray, NumPack
from numpack._aliases import also_named
from numpack.io._arrow_tables import (
    Section,
    nested,
    picked,
    pieces,
    rows_for,
    table_batch,
    table_columns,
    table_schema,
    table_source,
)
from numpack.io._errors import need
from numpack.io._export import metered, stored_array
from numpack.io._import import Options, block_size, store_arrays
from numpack.io._inputs import contiguous, name_list, plain_array
from numpack.io._progress import Progress
from numpack.io._sizes import DEFAULT_CHUNK_SIZE, PathLike
from numpack.io._tensors import as_meant, is_tensor


@also_named(column="columns", column_names="columns")
def from_table(
    table: Any,
    output_path: PathLike,
    array_name: str = "data",
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
    """Stores the columns of a pyarrow.Table as one array of shape (rows, columns).

    Arguments and errors as for `from_parquet`. Raises TypeError for something other than a table.
    max_bytes: how many bytes the arrays may have; None for any.
    """
    options = Options(drop_if_exists, chunk_size, progress, return_npk_obj, max_bytes)
    pa = need("pyarrow")
    if isinstance(table, pa.RecordBatch):
        table = pa.Table.from_batches([table])
    if not isinstance(table, pa.Table):
        raise TypeError(f"table must be a pyarrow.Table, got {type(table).__name__}")
    schema = picked(pa, table.schema, columns)

    table = table if columns is None else table.select(name_list(columns))

    def sections(limit: int) -> List[Section]:
        rows = rows_for(schema, limit)
        return [Section(lambda _all: pieces(table.to_batches(rows), rows), len(schema))]

    room = options.room(output_path)
    source = table_source(pa, array_name, schema, sections, table.num_rows, dtype, fill_null, room)
    return store_arrays([source], output_path, options)


@also_named(column="columns", column_names="columns")
def to_table(
    input_path: PathLike,
    array_name: Optional[str] = None,
    *,
    columns: Optional[Sequence[str]] = None,
    column_dtypes: bool = True,
    tensors: Optional[bool] = None,
    progress: Progress = None,
) -> Any:
    """An array as a pyarrow.Table; arguments and errors as for `to_parquet`."""
    pa = need("pyarrow")
    with stored_array(input_path, array_name) as stored, metered([stored], progress) as meter:
        kept = table_columns(stored, columns, column_dtypes, tensors)
        schema = table_schema(pa, stored, kept)
        blocks = meter.count(stored.blocks(stored.rows_in(block_size(DEFAULT_CHUNK_SIZE))))
        batches = [table_batch(pa, schema, kept, block) for block in blocks]
        return pa.Table.from_batches(batches, schema)


def numpy_to_arrow_zero_copy(array: Any) -> Any:
    """A pyarrow.Array over the memory of an ndarray; further dimensions are levels of fixed-size lists.

    What is not C-contiguous must be copied, which a UserWarning says. Raises TypeError for complex and bool (Arrow
    packs bits) and for masked arrays, ValueError for scalars, for other byte orders and for rows without elements.
    """
    pa = need("pyarrow")
    # Consumers of Arrow do not know that memory is read-only: they get a private map.
    array = array._private() if isinstance(array, LazyArray) else plain_array(array)
    if array.dtype.kind not in "iuf":
        raise TypeError(f"Arrow cannot share {array.dtype} without a copy")
    if array.ndim == 0 or not array.dtype.isnative:
        raise ValueError(
            f"only arrays of native byte order with a dimension can be shared, got {array.dtype} {array.shape}"
        )
    if 0 in array.shape[1:]:
        raise ValueError(f"Arrow cannot share an array of shape {array.shape}: its rows have no elements")
    return nested(pa, contiguous(array))


def arrow_to_numpy_zero_copy(array: Any) -> np.ndarray:
    """A read-only ndarray over the memory of a pyarrow.Array of numbers, or of fixed-size lists or tensors of them.

    Raises ValueError where a copy would be needed (nulls, bool, a chunked array of several chunks), TypeError for
    other types.
    """
    pa = need("pyarrow")
    if isinstance(array, pa.ChunkedArray):
        if array.num_chunks > 1:
            raise ValueError(
                f"{array.num_chunks} chunks lie in different places: call combine_chunks() first"
            )
        array = array.chunk(0) if array.num_chunks else array.combine_chunks()
    if not isinstance(array, pa.Array):
        raise TypeError(f"expected a pyarrow.Array, got {type(array).__name__}")
    tensor = array.type if is_tensor(pa, array.type) else None
    array = array if tensor is None else array.storage
    shape = [len(array)]
    while pa.types.is_fixed_size_list(array.type):
        if array.null_count:
            raise ValueError(f"{array.null_count} nulls have no place in an ndarray")
        shape.append(array.type.list_size)
        array = array.flatten()
    try:
        found = np.asarray(array.to_numpy(zero_copy_only=True).reshape(shape))
        return found if tensor is None else as_meant(tensor, found)
    except pa.ArrowInvalid as error:
        raise ValueError(f"a {array.type} array cannot be shared without a copy: {error}") from None


@also_named(column="columns", column_names="columns")
def table_to_numpy_zero_copy(table: Any, columns: Optional[Sequence[str]] = None) -> Dict[str, np.ndarray]:
    """Name to ndarray for the columns of a pyarrow.Table, each over Arrow's own memory.

    Raises ValueError and TypeError as `arrow_to_numpy_zero_copy`, KeyError for unknown columns.
    """
    names = table.schema.names if columns is None else name_list(columns)
    return {name: arrow_to_numpy_zero_copy(table.column(name)) for name in names}
