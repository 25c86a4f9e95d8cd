"""Arrow arrays from stored ones, by way of pyarrow."""

import math
from typing import Any


def arrow_array(lazy: Any) -> Any:
    """A pyarrow array of the rows; each further dimension is a level of fixed-size lists."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise ImportError("the Arrow interface needs pyarrow: pip install pyarrow") from error
    # A private map: who gets it by C pointers may not know that it is read-only.
    data = lazy._private()
    if data.ndim == 0:
        raise TypeError("a scalar array has no Arrow form: use lazy[()]")
    if data.dtype.kind == "c":
        raise TypeError(f"Arrow has no {data.dtype}: save the real and imaginary parts, or view as float")
    result = pa.array(data.reshape(-1))
    for axis in range(data.ndim - 1, 0, -1):
        # from_arrays would count the lists by their items, and refuses lists that have none.
        count, size = math.prod(data.shape[:axis]), data.shape[axis]
        result = pa.Array.from_buffers(pa.list_(result.type, size), count, [None], children=[result])
    return result
