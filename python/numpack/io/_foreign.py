"""Files that are cut off, damaged or of another format: whatever a library raises for them, the caller gets a
ValueError that names the file.

Errors of the system, which have a number (no such file, no space left), stay what they are.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from typing import Iterator, Type

import numpy as np

from numpack.io._sizes import PathLike
from numpack.io._stream import Source


@contextmanager
def sound(path: PathLike, kind: str, *errors: Type[Exception]) -> Iterator[None]:
    """Turns these errors of a library into a ValueError: `path` is no sound `kind`."""
    try:
        yield
    except errors as error:
        if getattr(error, "errno", None) is not None or isinstance(error, MemoryError):
            raise
        raise ValueError(f"{os.fsdecode(path)} is no sound {kind}: {error}") from None


def sound_source(source: Source, path: PathLike, kind: str, *errors: Type[Exception]) -> Source:
    """The source, whose blocks raise as in `sound`."""

    def blocks(limit: int) -> Iterator[np.ndarray]:
        with sound(path, kind, *errors):
            yield from source.blocks(limit)

    return replace(source, blocks=blocks)


def check_readable(path: PathLike) -> None:
    """Raises what opening the file raises: FileNotFoundError, IsADirectoryError, PermissionError."""
    with open(path, "rb"):
        pass
