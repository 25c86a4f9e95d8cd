"""DataFrames of pandas in memory: columns of numbers to an array of shape (rows, columns) and back."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Sequence

import numpy as np
import numpy.typing as npt

from numpack import NumPack
from numpack._aliases import also_named
from numpack.io._arrow_tables import table_columns
from numpack.io._casts import converted, number_dtype
from numpack.io._columns import Columns, Rows, split
from numpack.io._errors import need
from numpack.io._export import metered, stored_array
from numpack.io._import import Options, Source, store_arrays
from numpack.io._inputs import name_list
from numpack.io._progress import Progress
from numpack.io._sizes import DEFAULT_CHUNK_SIZE, PathLike, estimate_chunk_rows


@also_named(column="columns", column_names="columns")
def from_dataframe(
    df: Any,
    output_path: PathLike,
    array_name: str = "data",
    columns: Optional[Sequence[Any]] = None,
    *,
    drop_if_exists: bool = False,
    dtype: Optional[npt.DTypeLike] = None,
    fill_null: Optional[float] = None,
    chunk_size: int = DEFAULT_CHUNK_SIZE,
    max_bytes: Optional[int] = None,
    progress: Progress = None,
    return_npk_obj: bool = False,
) -> Optional[NumPack]:
    """Stores the columns of a pandas.DataFrame as one array of shape (rows, columns).

    The index is not stored: call reset_index() to make it a column. Names (as text) and dtypes of the columns are
    stored with the array. Missing values are NaN in columns of floats, `fill_null` where it is given, and
    otherwise a TypeError, as are columns that hold no numbers. Raises ValueError for values that `dtype` does not
    have, KeyError for unknown columns.
    max_bytes: how many bytes the arrays may have; None for any.
    """
    options = Options(drop_if_exists, chunk_size, progress, return_npk_obj, max_bytes)
    pd = need("pandas")
    if not isinstance(df, pd.DataFrame):
        raise TypeError(f"df must be a pandas.DataFrame, got {type(df).__name__}")
    asked = number_dtype(dtype)
    chosen = df if columns is None else df[name_list(columns)]
    if not len(chosen.columns):
        raise ValueError("the table has no columns")
    kept = _columns(chosen, asked)
    series = [chosen.iloc[:, at] for at in range(len(chosen.columns))]

    def blocks(limit: int) -> Any:
        size = estimate_chunk_rows(chosen.shape, kept.common(), limit)
        rows = Rows(kept.names, kept.common())
        for start in range(0, len(chosen), size):
            cut = slice(start, start + size)
            parts = [_numbers(one.iloc[cut], asked, fill_null) for one in series]
            yield rows.of(parts)

    source = Source(array_name, kept.common(), chosen.shape, blocks, kept)
    return store_arrays([source], output_path, options)


@also_named(column="columns", column_names="columns")
def to_dataframe(
    input_path: PathLike,
    array_name: Optional[str] = None,
    *,
    columns: Optional[Sequence[str]] = None,
    column_dtypes: bool = True,
    progress: Progress = None,
) -> Any:
    """An array of shape (rows,) or (rows, columns) as a pandas.DataFrame with a new index.

    columns: names for the columns; None for those stored with the array, otherwise col0, col1, ... column_dtypes:
    whether columns get back the dtypes they came with. Raises TypeError for other shapes.
    """
    pd = need("pandas")
    with stored_array(input_path, array_name) as stored, metered([stored], progress) as meter:
        if len(stored.shape) not in (1, 2):
            raise TypeError(f"a DataFrame has rows and columns, and {stored.name!r} has shape {stored.shape}")
        kept = table_columns(stored, columns, column_dtypes)
        array = stored.load(meter)
    if set(kept.dtypes) == {array.dtype.name}:
        return pd.DataFrame(array[:, None] if kept.ndim == 1 else array, columns=list(kept.names))
    parts = split(kept, array)
    frame = pd.DataFrame(dict(enumerate(parts)), copy=False)
    frame.columns = list(kept.names)
    return frame


def _columns(frame: Any, dtype: Optional[np.dtype]) -> Columns:
    names, dtypes = tuple(str(name) for name in frame.columns), []
    labels: Dict[str, Any] = {}
    for name, label in zip(names, frame.columns):
        if repr(labels.setdefault(name, label)) != repr(label):
            raise ValueError(f"columns {labels[name]!r} and {label!r} would both be named {name!r}")
    for name, kind in zip(names, frame.dtypes):
        own = _number_dtype(kind)
        if own is None:
            raise TypeError(f"column {name!r} holds {kind}: name the columns of numbers with columns=")
        dtypes.append(own.name if dtype is None else dtype.name)
    return Columns(names, tuple(dtypes))


def _number_dtype(kind: Any) -> Optional[np.dtype]:
    """NumPy's dtype for a column's, also for pandas' nullable and categorical ones; None for no numbers."""
    if hasattr(kind, "categories"):
        kind = kind.categories.dtype
    found = getattr(kind, "numpy_dtype", kind)
    return found if isinstance(found, np.dtype) and found.kind in "biufc" else None


def _numbers(series: Any, dtype: Optional[np.dtype], fill_null: Optional[float]) -> np.ndarray:
    """A column as an ndarray of its own dtype, or of `dtype`."""
    own = _number_dtype(series.dtype)
    assert own is not None
    missing: List[bool] = series.isna().to_numpy()
    wanted = own if dtype is None else dtype
    if not np.any(missing) or (
        isinstance(series.dtype, np.dtype) and fill_null is None and wanted.kind in "fc"
    ):
        return converted(series.name, np.asarray(series.to_numpy(own)), wanted)
    if fill_null is None and wanted.kind not in "fc":
        raise TypeError(
            f"column {series.name!r} ({series.dtype}) has {np.sum(missing)} missing values and {wanted} none: "
            "pass fill_null=, or dtype='float64' for NaN"
        )
    value = np.nan if fill_null is None else fill_null
    try:
        filling = converted(series.name, np.array([value]), wanted)
    except ValueError:
        raise TypeError(f"column {series.name!r} ({wanted}) cannot hold fill_null={value}") from None
    numbers = np.array(converted(series.name, series.to_numpy(own, na_value=own.type(0)), wanted))
    numbers[missing] = filling
    return numbers
