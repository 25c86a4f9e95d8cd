"""Columns in the dtype that a program asks for: an integer or bool that the dtype does not have is an error.

Floats may be rounded, as in NumPy: that is what a program asks for with a float of fewer bits.
"""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
import numpy.typing as npt


def number_dtype(dtype: Optional[npt.DTypeLike]) -> Optional[np.dtype]:
    """The dtype that was asked for, if any. Raises TypeError for one that holds no numbers."""
    if dtype is None:
        return None
    found = np.dtype(dtype)
    if found.kind not in "biufc":
        raise TypeError(f"dtype must be one of numbers, got {found}")
    return found.newbyteorder("=")


def converted(name: object, values: np.ndarray, wanted: np.dtype) -> np.ndarray:
    """The values of a column as `wanted`. Raises ValueError that names the column and a value it does not have."""
    if values.dtype != wanted and values.size:
        wrong = _not_in(values, wanted)
        if wrong is not None:
            raise ValueError(f"column {name!r} holds {wrong}, which is not {a_or_an(wanted)}")
        values = values.real if values.dtype.kind == "c" and wanted.kind != "c" else values
    # Floats beyond the range of a smaller one become infinite.
    with np.errstate(over="ignore"):
        return values.astype(wanted, copy=False)


def a_or_an(dtype: np.dtype) -> str:
    """The dtype's name with its article."""
    return f"{'an' if dtype.kind == 'i' else 'a'} {dtype}"


def _not_in(values: np.ndarray, wanted: np.dtype) -> Any:
    """A value that the dtype does not have, or None."""
    if values.dtype.kind == "c" and wanted.kind != "c":
        return _first(values, values.imag != 0) or _not_in(values.real, wanted)
    if wanted.kind == "b":
        return _first(values, (values != 0) & (values != 1))
    if wanted.kind not in "iu" or values.dtype.kind == "b":
        return None
    limits = np.iinfo(wanted)
    if values.dtype.kind == "f":
        wide = values.astype(np.float64, copy=False)
        # The largest integer may have no float of its own; the next power of two has.
        inside = (wide >= float(limits.min)) & (wide < 2.0 ** (limits.bits - (wanted.kind == "i")))
        return _first(values, ~inside | (wide != np.trunc(wide)))
    # Python's integers have no limits of their own.
    for end in (int(values.min()), int(values.max())):
        if not limits.min <= end <= limits.max:
            return end
    return None


def _first(values: np.ndarray, wrong: np.ndarray) -> Any:
    return values[wrong][0] if wrong.any() else None
