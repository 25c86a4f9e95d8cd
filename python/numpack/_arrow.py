"""Arrow arrays from stored ones, by way of pyarrow."""

from typing import Any


def arrow_array(lazy: Any) -> Any:
    """A pyarrow array of the rows; each further dimension is a level of fixed-size lists."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise ImportError("the Arrow interface needs pyarrow: pip install 'numpack[arrow]'") from error
    data = lazy.__array__()
    if data.ndim == 0:
        raise TypeError("a scalar array has no Arrow form: use lazy[()]")
    if data.dtype.kind == "c":
        raise TypeError(f"Arrow has no {data.dtype}: save the real and imaginary parts, or view as float")
    result = pa.array(data.reshape(-1))
    for size in reversed(data.shape[1:]):
        result = pa.FixedSizeListArray.from_arrays(result, size)
    return result
