"""What is raised when a format's library is missing, and when a file is cut off, damaged or of another format.

Whatever a library raises for such a file, the caller gets a ValueError that names the file. Errors of the system,
which have a number (no such file, no space left), stay what they are.
"""

from __future__ import annotations

import importlib
import os
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Iterator, Type

import numpy as np

from numpack.io._import import Source
from numpack.io._sizes import FilePath


class DependencyError(ImportError):
    """A library that this format needs is not installed; the message names it."""


def need(module: str) -> Any:
    """The module of this name. Raises DependencyError that names the library to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        library = module.partition(".")[0]
        raise DependencyError(
            f"{library} cannot be imported ({error}): pip install {library}", name=module
        ) from error


@contextmanager
def sound(path: FilePath, kind: str, *errors: Type[Exception]) -> Iterator[None]:
    """Turns these errors of a library into a ValueError: `path` is no sound `kind`."""
    try:
        yield
    except errors as error:
        if getattr(error, "errno", None) is not None or isinstance(error, MemoryError):
            raise
        raise ValueError(f"{os.fsdecode(path)} is no sound {kind}: {error}") from None


def sound_source(source: Source, path: FilePath, kind: str, *errors: Type[Exception]) -> Source:
    """The source, whose blocks raise as in `sound`."""

    def blocks(limit: int) -> Iterator[np.ndarray]:
        with sound(path, kind, *errors):
            yield from source.blocks(limit)

    return replace(source, blocks=blocks)


def check_readable(path: FilePath) -> None:
    """Raises what opening the file raises: FileNotFoundError, IsADirectoryError, PermissionError."""
    with open(path, "rb"):
        pass
