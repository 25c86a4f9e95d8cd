"""The two batch modes: arrays kept in memory and committed at the end, and arrays written where they lie."""

from types import TracebackType
from typing import Any, Dict, Iterator, List, Optional, Set, Tuple, Type

import numpy as np

from numpack._aliases import also_named
from numpack._numpack import NumPack
from numpack.exceptions import ArrayNotFoundError

# What listings leave out.
_HIDDEN = ".numpack/"


class BatchModeContext:
    """Arrays in memory in front of a store; `NumPack.batch_mode` makes one.

    Inside the block `load` returns the same object every time and `save` only marks it. What was marked,
    and what was dropped, is one commit at the end of the block, also when the block raises. Calls about an
    array that was loaded or saved here act on the object in memory and mark it when they change it; calls
    about any other array go straight to the store. An ndarray cannot grow: after `append`, `drop` of rows
    or a `save` of another object, `load` returns a new one.
    """

    def __init__(self, store: NumPack, memory_limit: Optional[float] = None) -> None:
        if memory_limit is not None and not memory_limit > 0:
            raise ValueError(f"memory_limit must be None or a number of MB above 0, got {memory_limit!r}")
        self._store = store
        self._limit = None if memory_limit is None else memory_limit * 1e6
        self._plain: Optional[NumPack] = None
        self._arrays: Dict[str, np.ndarray] = {}
        self._marked: Dict[str, None] = {}
        self._dropped: Dict[str, None] = {}

    def __enter__(self) -> "BatchModeContext":
        if self._plain is not None:
            raise RuntimeError("this batch is under way already")
        plain = self._store._plain()
        before = self._store._set_batch(self)
        if before is not None:
            self._store._set_batch(before)
            raise RuntimeError("the store is in batch mode already: batches do not nest")
        self._plain = plain
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self._store._set_batch(None)
        try:
            self.flush()
        finally:
            self._arrays.clear()
            self._marked.clear()
            self._dropped.clear()
            self._plain = None

    def flush(self) -> None:
        """Commits what is marked, now; the objects stay in memory."""
        store = self._direct()
        if not self._marked and not self._dropped:
            return
        dropped = [name for name in self._dropped if store.has_array(name)]
        store._exchange({name: self._arrays[name] for name in self._marked}, dropped)
        self._marked.clear()
        self._dropped.clear()

    # What NumPack hands over while the batch is under way.

    @also_named(array_name="name")
    def load(self, name: str, lazy: bool = False, mmap_mode: Optional[str] = None) -> Any:
        """The object in memory; read from the store at the first call."""
        if lazy or mmap_mode is not None:
            if name in self._marked:
                self.flush()
            return self._known(name).load(name, lazy, mmap_mode=mmap_mode)
        if name not in self._arrays:
            self._arrays[name] = self._known(name).load(name)
            self._keep_to_limit(name)
        return self._arrays[name]

    def save(self, arrays: Dict[str, Any]) -> None:
        """Marks arrays; a list or other sequence is made an ndarray first."""
        if not isinstance(arrays, dict):
            raise ValueError(f"arrays must be a dictionary of name: array, got {type(arrays).__name__}")
        if arrays:
            self._check(arrays)
        for name, array in arrays.items():
            self._mark(name, np.asanyarray(array))
        self._keep_to_limit(*arrays)

    def append(self, arrays: Dict[str, Any]) -> None:
        """Appends to the objects in memory, or to the store."""
        kept, rest = self._split(arrays)
        longer = {name: np.concatenate([array, _fitting(name, array, rows)]) for name, array, rows in kept}
        if rest:
            self._direct().append(rest)
        for name, array in longer.items():
            self._mark(name, array)

    def replace(self, arrays: Dict[str, Any], indexes: Any) -> None:
        """Replaces rows of the objects in memory, or of the store."""
        kept, rest = self._split(arrays)
        changes = []
        for name, array, rows in kept:
            places = _places(indexes, array)
            changes.append((name, array, places, _fitting(name, array, rows, places.size)))
        if rest:
            self._direct().replace(rest, indexes)
        for name, array, places, rows in changes:
            array = array if array.flags.writeable else array.copy()
            array[places] = rows
            self._mark(name, array)

    def drop(self, names: Any, indexes: Any = None) -> None:
        """Drops arrays at the end of the batch; rows of objects in memory at once."""
        names = [names] if isinstance(names, str) else list(names)
        for name in names:
            if not self.has_array(name):
                raise ArrayNotFoundError(f"array {name!r} not found")
        if indexes is None:
            columns = [one for one in map(_columns_of, names) if one not in names and self.has_array(one)]
            for name in names + columns:
                self._arrays.pop(name, None)
                self._marked.pop(name, None)
                self._dropped[name] = None
            return
        kept = {name: self._arrays[name] for name in names if name in self._arrays}
        shorter = {name: np.delete(array, _places(indexes, array), axis=0) for name, array in kept.items()}
        stored = [name for name in names if name not in kept]
        if stored:
            self._direct().drop(stored, indexes)
        for name, array in shorter.items():
            self._mark(name, array)

    def update(self, name: str) -> None:
        """Compacts the stored array; objects in memory have no deleted rows."""
        if name not in self._arrays:
            self._known(name).update(name)

    def getitem(self, name: str, indexes: Any) -> np.ndarray:
        """Rows of the object in memory, or of the store."""
        if name not in self._arrays:
            return self._known(name).getitem(name, indexes)
        array = self._arrays[name]
        rows: np.ndarray = array[_places(indexes, array)]
        return rows

    def stream_load(self, name: str, buffer_size: int) -> Iterator[np.ndarray]:
        """Batches of copies of the object in memory, or of the store."""
        if name not in self._arrays:
            return self._known(name).stream_load(name, buffer_size)
        array = _with_rows(self._arrays[name])
        return (array[start : start + buffer_size].copy() for start in range(0, len(array), buffer_size))

    def get_shape(self, name: str) -> Tuple[int, ...]:
        """Shape of the object in memory, or in the store."""
        if name in self._arrays:
            return self._arrays[name].shape
        return self._known(name).get_shape(name)

    def get_member_list(self, hidden: bool = False) -> List[str]:
        """Names as they will be after the batch; hidden: those that listings leave out too."""
        there = self._direct().get_member_list(hidden=hidden)
        stored = [name for name in there if name not in self._dropped]
        new = [name for name in self._marked if name not in stored]
        return stored + [name for name in new if hidden or _is_shown(name)]

    def has_array(self, name: str) -> bool:
        """Whether the name will be there after the batch."""
        if name in self._marked:
            return True
        return name not in self._dropped and self._direct().has_array(name)

    def get_metadata(self) -> Dict[str, Any]:
        """As `NumPack.get_metadata`; what is marked shows as it will be, with what is known of it."""
        metadata: Dict[str, Any] = {**self._direct().get_metadata()}
        known = {name: entry for name, entry in metadata["arrays"].items() if name not in self._dropped}
        for name in filter(_is_shown, self._marked):
            array = self._arrays[name]
            entry = known.setdefault(
                name, {"modify_time": None, "deleted_rows": 0, "file_bytes": 0, "data_file": None}
            )
            entry.update(shape=list(array.shape), dtype=array.dtype.name)
            entry.update(size=array.nbytes, size_bytes=array.nbytes)
        size = sum(entry["size"] for entry in known.values())
        times = [entry["modify_time"] for entry in known.values() if entry["modify_time"] is not None]
        metadata.update(arrays=known, total_arrays=len(known), total_size=size)
        metadata.update(last_modified=max(times, default=None))
        return metadata

    def clone(self, source: str, target: str) -> None:
        """Copies the object in memory, or the stored array."""
        if self.has_array(target):
            raise ValueError(f"array {target!r} already exists")
        if source in self._arrays or target in self._dropped:
            array = self.load(source).copy()
            self._check({target: array})
            self._mark(target, array)
        else:
            self._known(source).clone(source, target)

    def search(
        self, name: str, queries: Any, k: int, metric: str, where: Any, index_dtype: Any
    ) -> Tuple[np.ndarray, np.ndarray]:
        """As `NumPack.search`: on the stored array, after a commit of what is marked under its name."""
        if name in self._marked:
            self.flush()
        return self._known(name).search(name, queries, k, metric, where, index_dtype=index_dtype)

    def rename(self, old: str, new: str, overwrite: bool = False) -> None:
        """Moves the object in memory, or renames the stored array."""
        if old == new:
            raise ValueError(f"the old and the new name are the same: {old!r}")
        if self.has_array(new) and not overwrite:
            raise ValueError(f"array {new!r} already exists")
        if old in self._arrays or new in self._arrays or new in self._dropped:
            array = self.load(old)
            if self.has_array(_columns_of(old)):
                self._mark(_columns_of(new), self.load(_columns_of(old)))
            elif self.has_array(_columns_of(new)):
                self.drop(_columns_of(new))
            self._mark(new, array)
            self.drop(old)
        else:
            self._known(old).rename(old, new, overwrite)

    def reset(self) -> None:
        """Drops every array at the end of the batch."""
        self.drop(self.get_member_list(hidden=True))

    # How it is done.

    def _direct(self) -> NumPack:
        if self._plain is None:
            raise RuntimeError("the batch has ended")
        return self._plain

    def _known(self, name: str) -> NumPack:
        """The store, for an array that this batch has not dropped."""
        if name in self._dropped:
            raise ArrayNotFoundError(f"array {name!r} not found")
        return self._direct()

    def _mark(self, name: str, array: np.ndarray) -> None:
        self._arrays[name] = array
        self._marked[name] = None
        self._dropped.pop(name, None)

    def _check(self, arrays: Dict[str, Any]) -> None:
        """Raises now what the commit at the end would raise: a bad name or dtype."""
        for name, array in arrays.items():
            self._direct()._check_saved(name, array)

    def _split(self, arrays: Dict[str, Any]) -> Tuple[List[Tuple[str, np.ndarray, Any]], Dict[str, Any]]:
        """Name, object in memory and rows of the arrays that are here; names and rows of the others."""
        if not isinstance(arrays, dict):
            raise ValueError(f"arrays must be a dictionary of name: array, got {type(arrays).__name__}")
        rest = {name: rows for name, rows in arrays.items() if name not in self._arrays}
        for name in rest:
            self._known(name)
        return [(name, self._arrays[name], rows) for name, rows in arrays.items() if name not in rest], rest

    def _keep_to_limit(self, *kept: str) -> None:
        """Over the limit: commits what is marked and forgets every object but those of the call."""
        if self._limit is None or sum(array.nbytes for array in self._arrays.values()) <= self._limit:
            return
        self.flush()
        keep: Set[str] = set(kept)
        self._arrays = {name: array for name, array in self._arrays.items() if name in keep}


def _is_shown(name: str) -> bool:
    """Whether listings have the array."""
    return not name.startswith(_HIDDEN)


def _columns_of(name: str) -> str:
    """Name of the hidden array with the names of an array's columns, which goes where that array goes."""
    return f"{_HIDDEN}columns/{name}"


def _with_rows(array: np.ndarray) -> np.ndarray:
    if array.ndim == 0:
        raise ValueError("a scalar array has no rows")
    return array


def _places(indexes: Any, array: np.ndarray) -> np.ndarray:
    """Row numbers of `indexes`, as the store takes them, within the bounds of the array."""
    return NumPack._row_numbers(indexes, len(_with_rows(array)))


def _fitting(name: str, array: np.ndarray, given: Any, places: Optional[int] = None) -> np.ndarray:
    """Rows for so many places of the array, or for its end, of its dtype and row shape."""
    rows = NumPack._fitting(name, given, array.dtype)
    if rows.dtype.newbyteorder("=") != array.dtype.newbyteorder("="):
        raise TypeError(f"array {name!r}: dtype is {array.dtype}, got {rows.dtype}")
    if places == 1 and rows.ndim + 1 == array.ndim:
        rows = rows[np.newaxis]
    if rows.ndim == 0 or rows.shape[1:] != array.shape[1:] or rows.ndim != array.ndim:
        raise ValueError(
            f"array {name!r}: the rows do not have the row shape {array.shape[1:]}: {rows.shape}"
        )
    if places is not None and len(rows) != places:
        raise ValueError(f"array {name!r}: {len(rows)} rows for {places} indexes")
    return rows


class WritableBatchMode:
    """Arrays written where they lie; `NumPack.writable_batch_mode` makes one.

    `load` maps the live file for writing and returns the same ndarray every time; it keeps its memory after
    the block, but only what was written inside is flushed.
    """

    def __init__(self, store: NumPack) -> None:
        self._store = store
        self._mapped: Dict[str, Tuple[Any, np.ndarray]] = {}

    def __enter__(self) -> "WritableBatchMode":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        mapped, self._mapped = self._mapped, {}
        errors = []
        for owner, _ in mapped.values():
            try:
                owner.flush()
            except Exception as failed:  # the other arrays are flushed all the same
                errors.append(failed)
        if errors:
            raise errors[0]

    @also_named(name="array_name")
    def load(self, array_name: str) -> np.ndarray:
        """The array, writable, over the live file. Raises KeyError; ValueError when rows are deleted."""
        if array_name not in self._mapped:
            owner = self._store._writable(array_name)
            self._mapped[array_name] = (owner, owner.array())
        return self._mapped[array_name][1]

    def save(self, arrays: Optional[Dict[str, Any]] = None) -> None:
        """Does nothing: what was written to the arrays is in the file already."""
