"""What callers give in memory: arrays without a mask, and names of columns."""

from __future__ import annotations

import warnings
from typing import Any, Iterable, List, Sequence

import numpy as np


def plain_array(given: Any) -> np.ndarray:
    """What numpy.asarray makes of it. Raises TypeError for a masked array, which would lose its mask."""
    check_unmasked(given)
    return np.asarray(given)


def contiguous(array: np.ndarray) -> np.ndarray:
    """The array, or a C-contiguous copy of it, of which the caller of the public function is warned."""
    if array.flags.c_contiguous:
        return array
    warnings.warn("the array is not C-contiguous: a copy of it is shared", stacklevel=3)
    return np.ascontiguousarray(array)


def check_unmasked(given: Any) -> None:
    """Raises TypeError for a masked array."""
    if isinstance(given, np.ma.MaskedArray):
        raise TypeError("a masked array would lose its mask: pass a.filled(value), or a.data and a.mask")


def check_flag(name: str, value: Any) -> None:
    """Raises TypeError for anything but a bool: what happens to be true must not destroy data."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {value!r}")


def name_list(names: Sequence[Any]) -> List[Any]:
    """The names of columns; a single text is the name of one. Raises TypeError for what holds no names."""
    if isinstance(names, str):
        return [names]
    if not isinstance(names, Iterable):
        raise TypeError(f"columns are given by their names, got {names!r}")
    return list(names)
