"""The one way into the store: arrays come as blocks of rows and appear all at once, in one commit.

The engine's ingest takes the blocks. Until its commit nobody sees a change, a failure leaves none, and others write
to the store meanwhile; a store that is not there yet appears with the commit.
"""

from __future__ import annotations

import operator
import os
from contextlib import closing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import (
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
from numpack._numpack import _Ingest
from numpack.io._bytes import COPY, FilePart
from numpack.io._columns import HIDDEN, Columns, columns_name
from numpack.io._inputs import check_flag
from numpack.io._max_bytes import Bound
from numpack.io._prefetch import read_ahead
from numpack.io._progress import Meter, Progress
from numpack.io._sizes import DEFAULT_CHUNK_SIZE, FilePath, PathLike, ranges
from numpack.io._spill import Room

#: None for all arrays, one name, or several.
Names = Union[None, str, Sequence[str]]

_Member = TypeVar("_Member")


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
    with Meter(options.progress, known) as meter, _ingest(path) as ingest:
        for source in sources:
            _bring(ingest, source, options.block_size(), meter)
        ingest.commit(options.drop_if_exists)
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


@contextmanager
def _ingest(path: PathLike) -> Iterator[_Ingest]:
    """What takes arrays for the store at `path`; unless they are committed in the block, none is left."""
    ingest = _Ingest(path)
    try:
        yield ingest
    finally:
        ingest.discard()


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


def _bring(ingest: _Ingest, source: Source, block: int, meter: Meter) -> None:
    ingest.begin(source.name, source.dtype, source.shape)
    if source.raw is not None and source.nbytes is not None and source.nbytes > COPY and source.shape:
        _copy(ingest, source, source.raw, block, meter)
    else:
        with closing(_blocks(source, block)) as blocks:
            for rows in meter.count(blocks):
                ingest.write(np.asarray(rows, source.dtype))
    ingest.end()
    if source.columns is not None:
        columns = source.columns.to_array()
        ingest.begin(columns_name(source.name), columns.dtype, columns.shape)
        ingest.write(columns)
        ingest.end()


def _copy(ingest: _Ingest, source: Source, raw: FilePart, block: int, meter: Meter) -> None:
    """Has the engine copy the rows from the file: they pass through the processor's caches once."""
    row = (source.nbytes or 0) // (source.shape[0] or 1)
    for start, stop in ranges(source.shape[0] or 0, max(1, block // row)):
        file, size = raw.file, (stop - start) * row
        ingest.copy(file.fileno(), os.fsdecode(file.name), raw.offset + start * row, size)
        meter.add(size)


def _blocks(source: Source, block: int) -> Generator[np.ndarray, None, None]:
    """The blocks of a source; those of a large one are read ahead where that is work."""
    blocks = source.blocks(block)
    if not source.ahead or (source.nbytes is not None and source.nbytes <= COPY):
        yield from blocks
    else:
        yield from read_ahead(blocks)


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
