"""The one way out of the store: arrays of one commit, read in blocks of rows.

All arrays of a call are those of one commit. What is appended, deleted, saved again or dropped afterwards changes
nothing; only rows that are replaced in place do, which would take a copy to undo: every block is of one commit, and
a later block may have rows that were replaced after an earlier one was read.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Iterator, List, Mapping, Optional, Sequence, Tuple, Union

import numpy as np

from numpack import LazyArray, NumPack
from numpack.exceptions import ArrayNotFoundError
from numpack.io._columns import HIDDEN, Columns, columns_name, default_columns
from numpack.io._import import Names, SeveralArraysError, listed
from numpack.io._prefetch import read_ahead
from numpack.io._progress import Meter
from numpack.io._sizes import PathLike, estimate_chunk_rows


@dataclass(frozen=True)
class Stored:
    """An array of a store as of one commit, but for rows that are replaced in place later."""

    name: str
    lazy: LazyArray
    kept: Optional[Columns]

    @property
    def shape(self) -> Tuple[int, ...]:
        """Dimensions; deleted rows do not count."""
        return tuple(self.lazy.shape)

    @property
    def dtype(self) -> np.dtype:
        """dtype of the elements."""
        dtype: np.dtype = self.lazy.dtype
        return dtype

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return int(self.lazy.nbytes)

    @property
    def columns(self) -> Columns:
        """The columns that were stored with the array, or default ones."""
        return self.kept or default_columns(self.name, self.shape, self.dtype)

    def blocks(self, rows: int) -> Iterator[np.ndarray]:
        """Copies of `rows` rows each, in order, the next one made meanwhile; a 0-d array is one block."""
        if not self.shape:
            return iter([self.lazy.copy()])
        copies = self.lazy._blocks(rows)
        return read_ahead(copies) if self.shape[0] > rows else copies

    def rows_in(self, size: int) -> int:
        """Rows that fit into `size` bytes, at least one."""
        return estimate_chunk_rows(self.shape, self.dtype, size)

    def mapped(self) -> np.ndarray:
        """All rows over the mapped file; writing to them changes a private copy. A copy if rows are deleted."""
        return np.asarray(self.lazy._private())

    def load(self, meter: Meter) -> np.ndarray:
        """All rows in memory of their own, read at once."""
        array = np.asarray(self.lazy.copy())
        meter.add(array.nbytes)
        return array


@contextmanager
def stored_arrays(path: PathLike, names: Names = None, name: Optional[str] = None) -> Iterator[List[Stored]]:
    """The named arrays of a store, or all of them, as of one commit. Raises KeyError for unknown names."""
    if name is not None:
        if names is not None:
            raise TypeError("give array_name or array_names, not both")
        names = name
    with NumPack(path, mode="r") as store:
        chosen = None if names is None else _chosen(names)
        views = store._views(None if chosen is None else {*chosen, *map(columns_name, chosen)})
        for one in chosen or ():
            if one not in views:
                raise ArrayNotFoundError(f"array {one!r} not found")
        if chosen is None:
            chosen = [one for one in views if not one.startswith(HIDDEN)]
        yield [Stored(one, views[one], _kept(views, one)) for one in chosen]


@contextmanager
def stored_array(path: PathLike, name: Optional[str]) -> Iterator[Stored]:
    """The named array, or the only one. Raises KeyError; ValueError when there are several or none."""
    with stored_arrays(path, name) as found:
        yield only(found)


def only(found: Sequence[Stored]) -> Stored:
    """The one array of a list. Raises SeveralArraysError, a ValueError, for another number."""
    if len(found) != 1:
        names = ", ".join(repr(stored.name) for stored in found) or "none"
        raise SeveralArraysError(f"this takes one array, and there are {len(found)}: name one of {names}")
    return found[0]


def _chosen(names: Union[str, Sequence[str]]) -> List[str]:
    chosen = listed(names)
    if len(set(chosen)) != len(chosen):
        raise ValueError(f"an array is named twice: {chosen}")
    return chosen


def _kept(views: Mapping[str, LazyArray], name: str) -> Optional[Columns]:
    """The columns stored with an array, if they fit it."""
    kept = views.get(columns_name(name))
    if kept is None:
        return None
    try:
        columns = Columns.from_array(kept.copy())
    except (ValueError, KeyError, TypeError):
        return None
    return columns if columns.fits(views[name].shape, views[name].dtype) else None


def metered(found: Sequence[Stored], progress: Any) -> Meter:
    """A meter over the bytes of these arrays."""
    return Meter(progress, sum(stored.nbytes for stored in found))


def check_tree(found: Sequence[Stored], format_name: str) -> None:
    """Raises TypeError for names that are not path of groups and a member, or lie inside another array."""
    names = {stored.name for stored in found}
    for name in sorted(names):
        parts = name.split("/")
        if any(part in ("", ".", "..") for part in parts):
            raise TypeError(
                f"{format_name} cannot hold the name {name!r}: a part between slashes is empty or dots"
            )
        for end in range(1, len(parts)):
            group = "/".join(parts[:end])
            if group in names:
                raise TypeError(
                    f"{format_name} cannot hold {name!r} beside {group!r}, which would be its group"
                )
