"""Files and folders that appear whole or not at all: made under a hidden name, then renamed.

The engine makes them (`numpack::disk::Partial`). Of a link the file that it names is replaced; what replaces another
file keeps its mode. Pipes, devices, and what cannot be renamed over are written in place.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from numpack._numpack import _Partial
from numpack.io._sizes import FilePath


@contextmanager
def new_file(path: FilePath) -> Iterator[Path]:
    """The name to write a file under; it takes the place of `path` when the block ends without an error."""
    with _made(path, folder=False) as partial:
        yield Path(partial.path)
        partial.publish(True)


@contextmanager
def new_folder(path: FilePath, replace: bool = False) -> Iterator[Path]:
    """An empty folder to be filled; it becomes `path` when the block ends without an error.

    `path` must be missing or an empty folder, or any folder with `replace`.
    """
    with _made(path, folder=True) as partial:
        yield Path(partial.path)
        partial.publish(replace)


@contextmanager
def _made(path: FilePath, folder: bool) -> Iterator[_Partial]:
    parent = Path(os.path.realpath(os.fsdecode(path))).parent
    if not parent.is_dir():
        raise FileNotFoundError(f"{parent} is not a folder to write into")
    partial = _Partial(os.fsdecode(path), folder)
    hidden, target = os.fsdecode(partial.path), os.fsdecode(partial.target)
    try:
        yield partial
    except Exception as error:
        name_instead(error, hidden, target)
        raise
    finally:
        partial.discard()


def name_instead(error: Exception, hidden: str, shown: str) -> None:
    """Lets an error name what the user knows in place of a hidden name, which nobody knows and which is gone."""
    if any(isinstance(part, str) and hidden in part for part in error.args):
        error.args = tuple(
            part.replace(hidden, shown) if isinstance(part, str) else part for part in error.args
        )
    if isinstance(error, OSError) and isinstance(error.filename, (str, bytes, os.PathLike)):
        error.filename = os.fsdecode(error.filename).replace(hidden, shown)
