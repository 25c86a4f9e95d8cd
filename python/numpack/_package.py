"""Packages: a store in one compressed file `.npkg`, to keep, move and share."""

import errno
import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Optional, Union

from numpack import _numpack
from numpack.exceptions import MissingPathError

_Path = Union[str, "os.PathLike[str]"]
_Report = Callable[[int, int], Any]
_Progress = Union[bool, None, _Report]


def pack(
    source: _Path,
    target: Optional[_Path] = None,
    compression: Union[bool, int] = True,
    overwrite: bool = False,
    *,
    keep_deleted: bool = False,
    lock_timeout: Optional[float] = None,
    progress: _Progress = None,
) -> Path:
    """Puts the store at `source` into one file and returns its path.

    target: the file to make, with its missing folders; None: `data.npkg` for `data.npk`. compression: True,
    False, or a level of zstd. overwrite: take the place of a file that is there. keep_deleted: keep deleted
    rows, so that the unpacked store has them too. progress: True for a bar (tqdm where it is installed), or
    called with the bytes that are done and those there are in all. lock_timeout: seconds to wait for writers, where
    they must be kept out (beside a steady replace, or with more than 256 arrays), before LockedError; None waits
    without end, until Ctrl-C.

    The package holds one commit, also while others write, and gets its name when it is whole. Equal arrays
    give equal bytes. Costs the memory of some megabytes, however large the store is.

    Raises ValueError when `source` is not a store, an error that is FileNotFoundError and ValueError when nothing is
    there, FileExistsError; CorruptedError when an
    array is not what was committed.
    """
    with _missing(), _reported(progress, "pack") as report:
        return Path(
            _numpack._pack(source, target, compression, keep_deleted, overwrite, lock_timeout, report)
        )


def unpack(
    source: _Path,
    target: Optional[_Path] = None,
    overwrite: bool = False,
    verify: bool = True,
    *,
    max_bytes: Optional[int] = None,
    progress: _Progress = None,
) -> Path:
    """Makes a store from the package at `source` and returns its path.

    target: the store's folder, made with its missing parents; None: `data.npk` for `data.npkg`. overwrite:
    take the place of all arrays of a store that is there, in one commit. verify: compare the checksum of each
    array too, and not only that of every block. max_bytes: how many bytes all arrays may have; None: a thousand times
    the package's, or 1 GiB. progress: as for `pack`.

    A new store gets its name when it is whole; a call that fails leaves nothing, and over a store that is
    there it leaves that store as it was.

    Raises ValueError when `source` is not a package, its arrays have more bytes, or the target holds other files; an
    error that is FileNotFoundError and ValueError when nothing is there; FileExistsError; CorruptedError when a byte
    of the package is not what was packed.
    """
    from numpack.io._max_bytes import Bound

    bound = Bound(max_bytes, source)
    with _missing():
        bound.check(_numpack._package_info(source)["total_original_size"])
    with _missing(), _reported(progress, "unpack") as report:
        return Path(_numpack._unpack(source, target, overwrite, verify, report))


def get_package_info(source: _Path) -> Dict[str, Any]:
    """Describes a package, reading only its end.

    Returns a dict: `file_count` arrays in `files` (dicts of name, dtype, shape, deleted_rows, original_size,
    compressed_size), `compression` ("zstd", or None when no block is compressed), `compression_name` (the same, with
    "none" for None), `total_original_size`, `total_compressed_size`, `compression_ratio` (compressed to original,
    1.0 for nothing), `package_size` and the format's `version`. Raises ValueError for a file that is not a package,
    which is FileNotFoundError too where there is none; CorruptedError.
    """
    with _missing():
        info = _numpack._package_info(source)
    return {**info, "compression_name": info["compression"] or "none"}


@contextmanager
def _missing() -> Iterator[None]:
    """Turns FileNotFoundError into one that is a ValueError too, as a path without a store or package is.

    FileExistsError says how to go on.
    """
    try:
        yield
    except FileExistsError as error:
        text = f"{error.strerror or error}: overwrite=True takes its place"
        place = None if error.filename is None else os.fspath(error.filename)
        raise FileExistsError(error.errno or errno.EEXIST, text, place) from None
    except FileNotFoundError as error:
        place = None if error.filename is None else os.fspath(error.filename)
        raise MissingPathError(error.errno, error.strerror, place) from None


@contextmanager
def _reported(progress: _Progress, what: str) -> Iterator[Optional[_Report]]:
    """What the engine calls as the work goes on."""
    if progress is not True:
        yield progress or None
        return
    try:
        from tqdm.auto import tqdm
    except ImportError:
        yield None
        return
    with tqdm(desc=what, unit="B", unit_scale=True, unit_divisor=1024) as bar:

        def report(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield report
