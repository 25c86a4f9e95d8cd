"""Libraries that a format needs, imported when it is first used."""

from __future__ import annotations

import importlib
from typing import Any


class DependencyError(ImportError):
    """A library that this format needs is not installed; the message names the extra that brings it."""


def need(module: str, extra: str) -> Any:
    """The module of this name. Raises DependencyError that names the extra of NumPack to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        library = module.partition(".")[0]
        raise DependencyError(
            f"{library} cannot be imported ({error}): pip install 'numpack[{extra}]'", name=module
        ) from error
