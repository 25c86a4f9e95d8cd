"""The one way into the store: arrays come as blocks of rows and appear all at once, in one commit.

A new store is filled in a hidden folder and renamed. In a store that is there, arrays larger than a block are
gathered under hidden names first. Until the last step nobody sees a change, and a failure leaves none.
"""

from __future__ import annotations

import errno
import operator
import os
from contextlib import closing, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import (
    Any,
    Callable,
    Dict,
    Generator,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Set,
    Tuple,
    TypeVar,
    Union,
)

import numpy as np

from numpack import NumPack
from numpack.io._bytes import COPY, FilePart
from numpack.io._columns import HIDDEN, Columns, columns_name
from numpack.io._inputs import check_flag
from numpack.io._max_bytes import Bound
from numpack.io._partial import hidden_folder, is_abandoned, new_token, parents_of
from numpack.io._prefetch import read_ahead
from numpack.io._progress import Meter, Progress
from numpack.io._sizes import DEFAULT_CHUNK_SIZE, FilePath, PathLike, estimate_chunk_rows, ranges
from numpack.io._spill import Room

#: None for all arrays, one name, or several.
Names = Union[None, str, Sequence[str]]

_Member = TypeVar("_Member")
_STAGED = f"{HIDDEN}partial/"


#: Told the names that a call is about to store, before anything is written; what it raises ends the call.
before_storing: ContextVar[Optional[Callable[[List[str]], None]]] = ContextVar("before_storing", default=None)


class SeveralArraysError(ValueError):
    """One array was asked for, and there are several or none."""


@dataclass(frozen=True)
class Source:
    """An array to be stored: `blocks(limit)` gives its rows in order, in blocks of about `limit` bytes.

    The number of rows, shape[0], may be None when only reading tells it. A block belongs to its source: it may be
    overwritten when the one after the next is asked for.
    """

    name: str
    dtype: np.dtype
    shape: Tuple[Optional[int], ...]
    blocks: Callable[[int], Iterator[np.ndarray]]
    columns: Optional[Columns] = None
    array: Optional[np.ndarray] = None
    """The whole array, where it is in memory already."""
    raw: Optional[FilePart] = None
    """The rows one behind the other, where they lie in a file as the store keeps them."""
    ahead: bool = True
    """Whether making a block is work that another thread can do while the last one is written."""

    @property
    def nbytes(self) -> Optional[int]:
        """Bytes of all rows, if their number is known."""
        size = self.dtype.itemsize
        for length in self.shape:
            if length is None:
                return None
            size *= length
        return size


@dataclass(frozen=True)
class Options:
    """What every conversion into a store takes."""

    drop_if_exists: bool = False
    chunk_size: int = DEFAULT_CHUNK_SIZE
    progress: Progress = None
    return_npk_obj: bool = False
    max_bytes: Optional[int] = None
    source: Optional[FilePath] = None

    def __post_init__(self) -> None:
        check_flag("drop_if_exists", self.drop_if_exists)
        self.block_size()
        self.bound()

    def bound(self) -> Bound:
        """How many bytes the arrays may have."""
        return Bound(self.max_bytes, self.source)

    def block_size(self) -> int:
        """Bytes of a block: a quarter of the chunk, which leaves room for what is made of it."""
        return block_size(self.chunk_size)

    def room(self, path: PathLike) -> Room:
        """What reading may use on the way into the store at `path`."""
        return Room(Path(os.path.realpath(path)).parent, self.chunk_size)


def block_size(chunk_size: int) -> int:
    """Bytes of a block of rows, at most 16 MiB.

    Raises TypeError for a chunk that is not an int, ValueError for one of zero or less.
    """
    try:
        size = operator.index(chunk_size)
    except TypeError:
        raise TypeError(f"chunk_size must be an int, a number of bytes, got {chunk_size!r}") from None
    if size <= 0:
        raise ValueError(f"chunk_size must be greater than 0 bytes, got {size}")
    return min(max(1, size // 4), 16 << 20)


def in_memory(name: str, array: np.ndarray, columns: Optional[Columns] = None) -> Source:
    """A source over an array that is there already; it is one block."""
    return Source(name, array.dtype, array.shape, lambda _limit: iter([array]), columns, array, ahead=False)


def one_name(sources: Sequence[Source], name: Optional[str], origin: object) -> List[Source]:
    """The sources, the only one under another name. Raises TypeError for no name, ValueError for several."""
    if name is None:
        return list(sources)
    listed(name)
    if len(sources) != 1:
        found = ", ".join(repr(source.name) for source in sources)
        raise SeveralArraysError(
            f"array_name={name!r} names one array, and {origin} holds {len(sources)}: {found}"
        )
    return [replace(sources[0], name=name)]


def picked_members(found: Mapping[str, _Member], names: Names, origin: object) -> Dict[str, _Member]:
    """The named members, in that order, or all of them. Raises KeyError for unknown names."""
    if names is None:
        return dict(found)
    wanted = listed(names)
    for name in wanted:
        if name not in found:
            raise KeyError(f"no array {name!r} in {origin}: it holds {', '.join(found) or 'none'}")
    return {name: found[name] for name in wanted}


def only_members(
    found: Iterable[Tuple[str, str, _Member]], names: Names, origin: object
) -> Dict[str, _Member]:
    """As `picked_members`, of triples of a name, the entry that has it, and a member.

    Raises ValueError that says which two entries have one name.
    """
    together: Dict[str, List[Tuple[str, _Member]]] = {}
    for name, entry, member in found:
        together.setdefault(name, []).append((entry, member))
    picked = picked_members(together, names, origin)
    for name, entries in picked.items():
        if len(entries) > 1:
            both = f"{entries[0][0]} and {entries[1][0]}"
            raise ValueError(f"{origin}: {both} would both be the array {name!r}")
    return {name: entries[0][1] for name, entries in picked.items()}


def listed(names: Union[str, Sequence[str]]) -> List[str]:
    """One name or several, as a list. Raises TypeError for what is not a name."""
    wanted = [names] if isinstance(names, str) or not isinstance(names, Iterable) else list(names)
    for name in wanted:
        if not isinstance(name, str):
            raise TypeError(f"array names are str, got {name!r}")
    return wanted


def stem(path: FilePath) -> str:
    """The name of an array that came in a file without one: the file's, without its suffix.

    Bytes that are not UTF-8, which no name of an array has, are written as \\xNN.
    """
    return os.fsencode(Path(os.fsdecode(path)).stem).decode(errors="backslashreplace")


def store_arrays(sources: Sequence[Source], path: PathLike, options: Options) -> Optional[NumPack]:
    """Stores all sources in one commit, replacing arrays of the same names.

    With drop_if_exists every other array goes in that commit. Returns an opened store if asked to.
    """
    _check(sources)
    told = before_storing.get()
    if told is not None:
        told([source.name for source in sources])
    total = [source.nbytes for source in sources]
    known = None if None in total else sum(size or 0 for size in total)
    sources = _bounded(sources, options.bound())
    target = Path(os.path.realpath(path))
    with Meter(options.progress, known) as meter:
        if not target.exists() or (target.is_dir() and not any(target.iterdir())):
            with parents_of(target):
                _make(target, sources, options, meter)
        else:
            with NumPack(target, mode="r+") as store:
                _fill(store, sources, options.block_size(), meter, options.drop_if_exists)
    return _opened(path) if options.return_npk_obj else None


def _bounded(sources: Sequence[Source], bound: Bound) -> List[Source]:
    """The sources, which end with ValueError for more bytes; what is known before is refused now."""
    so_far = [sum(source.nbytes or 0 for source in sources)]
    bound.check(so_far[0])

    def bounded(blocks: Callable[[int], Iterator[np.ndarray]]) -> Callable[[int], Iterator[np.ndarray]]:
        return lambda limit: bound.checked(blocks(limit), so_far)

    return [
        source if source.nbytes is not None else replace(source, blocks=bounded(source.blocks))
        for source in sources
    ]


def _make(target: Path, sources: Sequence[Source], options: Options, meter: Meter) -> None:
    """A new store; where another has come in between, the arrays go there."""
    block = options.block_size()
    with hidden_folder(target) as folder:
        with NumPack(folder, mode="x") as store:
            _fill_new(store, sources, block, meter)
        try:
            os.rename(folder, target)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            with NumPack(folder, mode="r") as made, NumPack(target, mode="r+") as store:
                stored = [replace(source, **_again(made, source.name)) for source in sources]
                _fill(store, stored, block, Meter(None, None), options.drop_if_exists)


def _again(made: NumPack, name: str) -> Dict[str, Any]:
    """What a source has to say when its array is in a store already."""
    lazy = made.load(name, lazy=True)

    def blocks(limit: int) -> Iterator[np.ndarray]:
        if not lazy.shape:
            return iter([lazy.copy()])
        rows = estimate_chunk_rows(lazy.shape, lazy.dtype, limit)
        return lazy._blocks(rows)

    return {"shape": lazy.shape, "blocks": blocks, "raw": None}


def _opened(path: PathLike) -> NumPack:
    store = NumPack(path)
    store.open()
    return store


def _check(sources: Sequence[Source]) -> None:
    """Raises what storing would raise for names and dtypes, before anything is written."""
    seen: Set[str] = set()
    for source in sources:
        listed([source.name])
        if source.name in seen:
            raise ValueError(f"two arrays would be named {source.name!r}")
        if source.name.startswith(HIDDEN):
            raise ValueError(f"array names do not begin with {HIDDEN!r}: {source.name!r}")
        seen.add(source.name)
        try:
            NumPack._check_saved(source.name, np.empty(0, source.dtype))
        except TypeError as error:
            raise TypeError(f"array {source.name!r}: {error}") from None


def _fill_new(store: NumPack, sources: Sequence[Source], block: int, meter: Meter) -> None:
    for source in sources:
        _write(store, source.name, source, block, meter)
        if source.columns is not None:
            store.save({columns_name(source.name): source.columns.to_array()})


def _write(store: NumPack, name: str, source: Source, block: int, meter: Meter) -> None:
    """Saves the first block and appends the others."""
    if source.raw is not None and source.nbytes is not None and source.nbytes > COPY and source.shape:
        _copy(store, name, source, source.raw, block, meter)
        return
    with closing(_blocks(source, block)) as made:
        blocks = meter.count(made)
        first = next(blocks, None)
        if first is None:
            first = np.empty((0, *_row_shape(source)), source.dtype)
        store.save({name: np.asarray(first, source.dtype)})
        for rows in blocks:
            store.append({name: np.asarray(rows, source.dtype)})


def _copy(store: NumPack, name: str, source: Source, raw: FilePart, block: int, meter: Meter) -> None:
    """Has the engine copy the rows from the file: they pass through the processor's caches once."""
    store.save({name: np.empty((0, *_row_shape(source)), source.dtype)})
    row = int(np.prod(_row_shape(source), dtype=np.int64)) * source.dtype.itemsize
    for start, stop in ranges(source.shape[0] or 0, max(1, block // row)):
        file, place = raw.file, raw.offset + start * row
        store._append_file(name, file.fileno(), os.fsdecode(file.name), place, stop - start)
        meter.add((stop - start) * row)


def _blocks(source: Source, block: int) -> Generator[np.ndarray, None, None]:
    """The blocks of a source; those of a large one are read ahead where that is work."""
    blocks = source.blocks(block)
    if not source.ahead or (source.nbytes is not None and source.nbytes <= COPY):
        yield from blocks
    else:
        yield from read_ahead(blocks)


def _row_shape(source: Source) -> List[int]:
    return [length or 0 for length in source.shape[1:]]


def _fill(store: NumPack, sources: Sequence[Source], block: int, meter: Meter, drop_others: bool) -> None:
    """Into a store that is there: small arrays wait in memory, large ones under hidden names."""
    _drop_abandoned(store)
    prefix = f"{_STAGED}{new_token()}/"
    whole: Dict[str, np.ndarray] = {}
    staged: Dict[str, str] = {}
    try:
        for at, source in enumerate(sources):
            held = sum(array.nbytes for array in whole.values())
            if source.array is not None:
                whole[source.name] = source.array
                meter.add(source.array.nbytes)
            elif source.nbytes is not None and held + source.nbytes <= block:
                whole[source.name] = read_whole(source, block, meter)
            else:
                staged[source.name] = f"{prefix}{at}"
                _write(store, staged[source.name], source, block, meter)
            if source.columns is not None:
                whole[columns_name(source.name)] = source.columns.to_array()
        _publish(store, whole, staged, _outdated(store, whole, staged, drop_others))
    except BaseException:
        left = [name for name in store.get_member_list(hidden=True) if name.startswith(prefix)]
        store.drop(left)
        raise


def read_whole(source: Source, block: int, meter: Optional[Meter] = None) -> np.ndarray:
    """All rows of a source, whose number is known, in memory of their own."""
    shape = tuple(length or 0 for length in source.shape)
    result = np.empty(shape, source.dtype)
    start = 0
    for rows in source.blocks(block):
        if not shape:
            result[()] = rows
        else:
            result[start : start + len(rows)] = rows
            start += len(rows)
        if meter is not None:
            meter.add(rows.nbytes)
    return result


def _outdated(
    store: NumPack, whole: Dict[str, np.ndarray], staged: Dict[str, str], drop_others: bool
) -> List[str]:
    """What goes in the commit that shows the new arrays: their old columns, or everything else."""
    new = {*whole, *staged}
    if not drop_others:
        old = [columns_name(name) for name in new if columns_name(name) not in new]
        return [name for name in old if store.has_array(name)]
    return [
        name
        for name in store.get_member_list(hidden=True)
        if name not in new and not name.startswith(_STAGED)
    ]


def _publish(
    store: NumPack, whole: Dict[str, np.ndarray], staged: Dict[str, str], dropped: List[str]
) -> None:
    """One commit: saves `whole`, gives the `staged` arrays their names, removes `dropped`."""
    store._exchange(whole, dropped, [(hidden, name) for name, hidden in staged.items()])


def _drop_abandoned(store: NumPack) -> None:
    """Drops what killed processes left under hidden names."""
    names = [name for name in store.get_member_list(hidden=True) if name.startswith(_STAGED)]
    for name in names:
        if is_abandoned(name[len(_STAGED) :].partition("/")[0]):
            # Another process may do the same at the same time.
            with suppress(KeyError):
                store.drop(name)
