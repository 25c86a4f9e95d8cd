"""NumPy's indexing over rows that must be gathered first.

Every key has at most one part that is about the first axis. That part is answered by gathering rows; in the
key it is replaced by one that means the same on the gathered rows, and NumPy does the rest.
"""

import operator
from typing import Any, Iterator, List, Tuple

import numpy as np

# Bytes that iteration reads at once.
_BATCH = 1 << 20


def take(lazy: Any, key: Any) -> Any:
    """``lazy[key]`` as NumPy would answer it on the loaded array."""
    try:
        return _taken(lazy, key)
    except (IndexError, TypeError, ValueError):
        # NumPy has the last word: on an array of this shape, which takes no memory, it raises its own error.
        np.broadcast_to(np.empty((), bool), lazy.shape)[key]
        return lazy.copy()[key]


def _taken(lazy: Any, key: Any) -> Any:
    shape = lazy.shape
    if not shape:
        return lazy.copy()[key]
    parts = list(key) if isinstance(key, tuple) else [key]
    at = _place_of_first_axis(parts, len(shape))
    if at is None:
        # No part is about rows: None, ..., numpy.True_. All rows are wanted.
        return lazy.copy()[key]
    rows, replaced = _rows_for(lazy, parts[at])
    return rows[tuple(parts[:at] + replaced + parts[at + 1 :])]


def _place_of_first_axis(parts: List[Any], ndim: int) -> Any:
    """Position of the part that indexes axis 0, or None when rows are taken as they are."""
    for at, part in enumerate(parts):
        if part is None or _is_bool_scalar(part):
            continue
        if part is Ellipsis:
            used = sum(_axes_of(rest) for rest in parts[at + 1 :])
            if used < ndim:
                return None
            continue
        return at
    return None


def _is_bool_scalar(part: Any) -> bool:
    return isinstance(part, (bool, np.bool_)) or (
        isinstance(part, np.ndarray) and part.ndim == 0 and part.dtype == bool
    )


def _axes_of(part: Any) -> int:
    """Axes that a part of a key uses up."""
    if part is None or part is Ellipsis or _is_bool_scalar(part):
        return 0
    if isinstance(part, (slice, int)):
        return 1
    array = np.asarray(part)
    return array.ndim if array.dtype == bool else 1


def _rows_for(lazy: Any, part: Any) -> Tuple[np.ndarray, List[Any]]:
    """Gathered rows, and the parts that mean on them what `part` means on all rows."""
    count = lazy.shape[0]
    if isinstance(part, slice):
        start, stop, step = part.indices(count)
        if step == 1:
            return lazy._rows(start, max(start, stop)), [slice(None)]
        return lazy._gather(part), [slice(None)]
    number = None if isinstance(part, np.ndarray) else _integer(part)
    if number is not None:
        return lazy._gather([number]), [0]
    array = np.asarray(part)
    if array.size == 0 and not isinstance(part, np.ndarray):
        array = array.astype(np.intp)
    if array.dtype == bool:
        # An axis of the mask without places fits any axis.
        if array.ndim > lazy.ndim or any(size not in (0, own) for size, own in zip(array.shape, lazy.shape)):
            raise IndexError("boolean index did not match indexed array")
        if array.shape == (count,):
            rows = lazy._gather(array)
            return rows, [np.arange(len(rows))]
        places = array.nonzero()
        return lazy._gather(places[0]), [np.arange(places[0].size), *places[1:]]
    if array.dtype.kind not in "iu":
        raise IndexError("arrays used as indices must be of integer (or boolean) type")
    index = array.reshape(-1).astype(np.intp)
    return lazy._gather(index), [np.arange(index.size).reshape(array.shape)]


def _integer(part: Any) -> Any:
    """The part as an int, if it is one; like NumPy, before it is looked at as an array."""
    try:
        return operator.index(part)
    except TypeError:
        return None


def rows(lazy: Any) -> Iterator[Any]:
    """Iterates over rows, reading many at once."""
    shape = lazy.shape
    if not shape:
        raise TypeError("iteration over a 0-d array")
    size = max(1, _BATCH // max(1, lazy.nbytes // max(1, shape[0])))
    return (row for start in range(0, shape[0], size) for row in lazy._rows(start, start + size))
