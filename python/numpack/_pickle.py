"""Restores pickled handles, which are pickled by reference: the folder and the options, never the data."""

import os
from typing import Any, Dict, Type

from numpack._numpack import LazyArray, NumPack


def restore_store(
    cls: Type[NumPack], path: "os.PathLike[str]", options: Dict[str, Any], opened: bool
) -> NumPack:
    """The handle on the store at `path`, open when the pickled one was.

    An open handle had a store: where none is any more, no empty one takes its place (FileNotFoundError).
    """
    store = cls(path, **options)
    if opened:
        there = "r" if options["mode"] == "r" else "r+"
        with cls(path, **{**options, "mode": there}):
            store.open()
    return store


def restore_array(path: "os.PathLike[str]", name: str) -> LazyArray:
    """The array of this name as it is now."""
    with NumPack(path, mode="r") as store:
        return store.load(name, lazy=True)
