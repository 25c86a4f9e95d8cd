"""`numpack import` and `numpack export` for every format: what the program calls in its own process.

The program has checked before that file and store are there or not there. What goes wrong here becomes an exit
status and a text, never a traceback.
"""

from __future__ import annotations

import json
import os
from typing import Any, Callable, Dict, List, Optional, Tuple

from numpack import NumPack
from numpack.io._errors import DependencyError
from numpack.io._formats import FORMATS, options_of
from numpack.io._import import SeveralArraysError, before_storing
from numpack.io.s3 import from_s3, object_exists, to_s3

#: Exit status, what to tell the user, names of the arrays that were stored.
Result = Tuple[int, str, List[str]]


class _RefusedError(Exception):
    """What other arguments would change."""


# Other arguments, or an installation, would help.
_USAGE = (
    _RefusedError,
    SeveralArraysError,
    DependencyError,
    KeyError,
    TypeError,
    FileNotFoundError,
    FileExistsError,
    IsADirectoryError,
    NotADirectoryError,
)


def import_file(
    file: str,
    store: str,
    format: str,
    arrays: List[str],
    name: Optional[str],
    overwrite: bool,
    chunk_size: Optional[int],
    progress: Callable[[int, Optional[int]], None],
) -> Result:
    """Stores the arrays of a file, in one commit. Arrays of the same names are replaced with `overwrite` alone."""
    stored: List[str] = []

    def check(names: List[str]) -> None:
        if not overwrite:
            _check_absent(store, names)
        stored.extend(names)

    def convert() -> None:
        token = before_storing.set(check)
        try:
            options = _options(file, format, arrays, chunk_size)
            if file.startswith("s3://"):
                from_s3(file, store, format, array_name=name, progress=progress, format_options=options)
            else:
                FORMATS[format].read(file, store, array_name=name, progress=progress, **options)
        finally:
            before_storing.reset(token)

    return (*_ended(convert), stored)


def export_file(
    file: str,
    store: str,
    format: str,
    arrays: List[str],
    name: Optional[str],
    overwrite: bool,
    chunk_size: Optional[int],
    progress: Callable[[int, Optional[int]], None],
) -> Result:
    """Writes arrays of a store to a file; `name` is not used."""

    def convert() -> None:
        options = _options(file, format, arrays, chunk_size)
        if not FORMATS[format].several:
            options["array_name"] = arrays[0]
        if format == "pt":
            # PyTorch writes tensors from where they are mapped.
            options.pop("chunk_size", None)
        if not file.startswith("s3://"):
            FORMATS[format].write(store, file, progress=progress, **options)
            return
        if not overwrite and object_exists(file):
            raise _RefusedError(f"{file} already exists: --overwrite replaces it")
        one = options.pop("array_name", None)
        to_s3(store, file, format, one, progress=progress, format_options=options)

    return (*_ended(convert), [])


def _options(file: str, format: str, arrays: List[str], chunk_size: Optional[int]) -> Dict[str, Any]:
    """Arguments for the function of a format."""
    options = options_of(file) if format == "txt" else {}
    if FORMATS[format].several and arrays:
        options["array_names"] = arrays
    if chunk_size is not None:
        options["chunk_size"] = chunk_size
    return options


def _check_absent(path: str, names: List[str]) -> None:
    if not os.path.isdir(path) or not os.listdir(path):
        return
    with NumPack(path, mode="r") as store:
        for name in names:
            if store.has_array(name):
                shown = json.dumps(name, ensure_ascii=False)
                raise _RefusedError(f"array {shown} already exists in {path}: --overwrite replaces it")


def _ended(convert: Callable[[], None]) -> Tuple[int, str]:
    """Runs a conversion; exit status and text of what ended it."""
    try:
        convert()
    except KeyboardInterrupt:
        return 130, "interrupted"
    except Exception as error:
        # KeyError would show its message in quotes, as if it were the key.
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        lines = str(text).strip().splitlines() or [type(error).__name__]
        return (2 if isinstance(error, _USAGE) else 1), "; ".join(line.strip() for line in lines)
    return 0, ""
