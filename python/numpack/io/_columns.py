"""Names and types of the columns of a table, kept in the store beside the array.

A table of numbers is stored as one array: (rows, columns) of the smallest dtype that holds every column exactly.
What that loses, the names and each column's own dtype, is JSON in an array of bytes named
`.numpack/columns/NAME`, written and replaced in the same commit. It counts only while it fits the array.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from numpack._numpack import _Stacker

#: Arrays whose names begin so are bookkeeping; no export shows them.
HIDDEN = ".numpack/"

# Rows are turned into columns in panels of this many bytes, which stay in the processor's cache.
_PANEL = 1 << 18
# Integers up to this size have a float64 of their own.
_EXACT = 1 << 53


def columns_name(name: str) -> str:
    """Name of the array that keeps the columns of array `name`."""
    return f"{HIDDEN}columns/{name}"


@dataclass(frozen=True)
class Columns:
    """Names and dtypes of columns, and how many dimensions their array has.

    ndim 1: one column, shape (rows,). 2: one column for each element of a row. None: one column whose cells
    are whole rows of the array, which in Arrow are tensors or lists.
    """

    names: Tuple[str, ...]
    dtypes: Tuple[str, ...]
    ndim: Optional[int] = 2
    tensors: bool = False

    def to_array(self) -> np.ndarray:
        """As bytes for the store: uint8 of shape (length,)."""
        known = {"names": self.names, "dtypes": self.dtypes, "ndim": self.ndim}
        text = json.dumps({**known, "tensors": True} if self.tensors else known)
        return np.frombuffer(text.encode(), np.uint8)

    @classmethod
    def from_array(cls, array: np.ndarray) -> "Columns":
        """Back from bytes. Raises ValueError for anything else."""
        found: Dict[str, Any] = json.loads(array.tobytes())
        return cls(tuple(found["names"]), tuple(found["dtypes"]), found["ndim"], bool(found.get("tensors")))

    def fits(self, shape: Sequence[int], dtype: np.dtype) -> bool:
        """Whether an array of this shape and dtype can be the one these columns were kept for."""
        if self.common() != dtype or not shape:
            return False
        if self.ndim is None:
            return len(shape) > 1 and len(self.names) == 1
        return len(shape) == self.ndim and (shape[1] if self.ndim == 2 else 1) == len(self.names)

    def common(self) -> np.dtype:
        """The dtype of the array."""
        return np.result_type(*(np.dtype(dtype) for dtype in self.dtypes))


def default_columns(name: str, shape: Sequence[int], dtype: np.dtype) -> Columns:
    """Columns of an array that came without: its own name, or col0, col1, ... for shape (rows, columns)."""
    if len(shape) != 2:
        return Columns((name,), (dtype.name,), 1 if len(shape) == 1 else None)
    return Columns(tuple(f"col{at}" for at in range(shape[1])), (dtype.name,) * shape[1])


class Rows:
    """Puts columns of these names side by side, with the dtype `common`."""

    def __init__(self, names: Sequence[str], common: np.dtype) -> None:
        self._names, self._common = names, common
        self._stacker = _Stacker()

    def of(self, parts: Iterable[np.ndarray]) -> np.ndarray:
        """Columns of shape (rows,) as an array of shape (rows, columns).

        Its memory may be that of an array which nobody has any more. Raises TypeError for an integer that the common
        dtype cannot hold.
        """
        return self._stacker.rows([self._cells(name, part) for name, part in zip(self._names, parts)])

    def _cells(self, name: str, part: np.ndarray) -> np.ndarray:
        common = self._common
        if part.dtype.kind in "iu" and part.dtype.itemsize == 8 and common.kind in "fc" and part.size:
            if int(part.max()) > _EXACT or int(part.min()) < -_EXACT:
                raise TypeError(
                    f"column {name!r} ({part.dtype}) has integers that {common} cannot hold exactly: "
                    "pass columns= to leave it out, or dtype= to convert all the same"
                )
        return np.ascontiguousarray(part, common)


def _panels(rows: np.ndarray) -> Iterator[slice]:
    """Slices of rows that together are all of them."""
    step = max(1, _PANEL // max(1, rows.shape[1] * rows.itemsize))
    return (slice(start, start + step) for start in range(0, len(rows), step))


def split(columns: Columns, block: np.ndarray) -> List[np.ndarray]:
    """The columns of a block of rows, each with its own dtype. Raises TypeError if values no longer fit it."""
    if columns.ndim != 2:
        return [block]
    turned = np.empty(block.shape[::-1], block.dtype)
    for panel in _panels(block):
        turned[:, panel] = block[panel].T
    return [
        part if part.dtype == dtype else _narrowed(name, part, np.dtype(dtype))
        for name, dtype, part in zip(columns.names, columns.dtypes, turned)
    ]


def _narrowed(name: str, part: np.ndarray, dtype: np.dtype) -> np.ndarray:
    real = part.real if dtype.kind != "c" else part
    with np.errstate(invalid="ignore", over="ignore"):
        own = real.astype(dtype)
        same = (own.astype(part.dtype) == part) | ((part != part) & (dtype.kind in "fc"))
    if not same.all():
        value = part[~same][0]
        raise TypeError(
            f"column {name!r} came as {dtype} and now holds {value}: pass column_dtypes=False to write "
            f"every column as {part.dtype}"
        )
    return own
