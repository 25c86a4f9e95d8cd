"""Files and folders that appear whole or not at all: written under a hidden name beside their own, then renamed.

A process that is killed leaves its hidden name behind. The name tells whose it is, and whoever next writes to
the same place removes what belongs to a process that is gone.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import shutil
import socket
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Iterator, Optional

from numpack.io._sizes import FilePath

_counter = itertools.count()
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def new_token() -> str:
    """A name that no other call has: host, process, its start time and a number."""
    return f"{_host()}-{os.getpid()}-{_start_of(os.getpid())}-{next(_counter)}"


def is_abandoned(token: str) -> bool:
    """Whether the process that made the token is known to be gone; never so for other hosts."""
    parts = token.split("-")
    if len(parts) != 4 or parts[0] != _host() or not parts[1].isdigit():
        return False
    pid, start = int(parts[1]), parts[2]
    found = _start_of(pid)
    return not _is_running(pid) if found is None else found != start


def _host() -> str:
    """What process numbers are unique in: a host, and on Linux the container there."""
    try:
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return "".join(letter if letter.isalnum() else "_" for letter in socket.gethostname() + space)


def _start_of(pid: int) -> Optional[str]:
    """When a process started, in ticks since the system did; None where there is no /proc to tell."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return stat.rpartition(")")[2].split()[19]


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


@contextmanager
def new_file(path: FilePath) -> Iterator[Path]:
    """The name to write a file under; it takes the place of `path` when the block ends without an error."""
    target = Path(os.path.realpath(os.fsdecode(path)))
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder")
    partial = _hidden(target)
    try:
        yield partial
        os.replace(partial, target)
    except Exception as error:
        name_instead(error, os.fspath(partial), os.fspath(target))
        raise
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def new_folder(path: FilePath, replace: bool = False) -> Iterator[Path]:
    """The name to make a folder under; it becomes `path` when the block ends without an error.

    `path` must be missing or an empty folder, or any folder with `replace`.
    """
    target = Path(os.path.realpath(os.fsdecode(path)))
    with hidden_folder(target) as partial:
        yield partial
        if replace and target.is_dir():
            _exchange(partial, target)
        else:
            os.rename(partial, target)


@contextmanager
def hidden_folder(target: Path) -> Iterator[Path]:
    """The name to make a folder under beside `target`; what has that name when the block ends is removed."""
    partial = _hidden(target)
    try:
        yield partial
    except Exception as error:
        name_instead(error, os.fspath(partial), os.fspath(target))
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def parents_of(target: Path) -> Iterator[None]:
    """Makes the folders above `target`; when the block fails, those that were made go again if they are empty."""
    missing = [folder for folder in target.parents if not folder.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        with suppress(OSError):
            for folder in missing:
                folder.rmdir()
        raise


def name_instead(error: Exception, hidden: str, shown: str) -> None:
    """Lets an error name what the user knows in place of a hidden name, which nobody knows and which is gone."""
    if any(isinstance(part, str) and hidden in part for part in error.args):
        error.args = tuple(
            part.replace(hidden, shown) if isinstance(part, str) else part for part in error.args
        )
    if isinstance(error, OSError) and isinstance(error.filename, (str, bytes, os.PathLike)):
        error.filename = os.fsdecode(error.filename).replace(hidden, shown)


def _hidden(target: Path) -> Path:
    """A hidden name beside the target; removes those that killed processes left for it."""
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{target.parent} is not a folder to write into")
    start, end = f".{target.name[:100]}.", ".partial"
    for old in list(target.parent.iterdir()):
        if old.name.startswith(start) and old.name.endswith(end):
            if is_abandoned(old.name[len(start) : -len(end)]):
                _remove(old)
    return target.parent / f"{start}{new_token()}{end}"


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _exchange(partial: Path, target: Path) -> None:
    """Swaps two folders; in one step where the system has a call for it."""
    swap = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if swap is not None:
        names = os.fsencode(partial), os.fsencode(target)
        if swap(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
            return
    aside = _hidden(target)
    os.rename(target, aside)
    try:
        os.rename(partial, target)
    except OSError:
        os.rename(aside, target)
        raise
    shutil.rmtree(aside, ignore_errors=True)
