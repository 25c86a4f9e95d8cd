"""NumPack: named NumPy arrays in a folder, for data that keeps changing.

>>> import numpy as np, tempfile
>>> from numpack import NumPack
>>> with NumPack(tempfile.mkdtemp() + "/data.npk") as npk:
...     npk.save({"embeddings": np.ones((1000, 128), np.float32)})
...     npk.append({"embeddings": np.zeros((50, 128), np.float32)})
...     npk.replace({"embeddings": np.full((2, 128), 7, np.float32)}, [0, -1])
...     npk.get_shape("embeddings"), npk.load("embeddings", lazy=True)[0, :2]
((1050, 128), array([7., 7.], dtype=float32))
"""

import platform as _platform
from collections.abc import Mapping as _Mapping
from typing import Dict as _Dict

from numpack._numpack import LazyArray, NumPack, __version__
from numpack._package import get_package_info, pack, unpack
from numpack._repair import repair
from numpack.batch import BatchModeContext, WritableBatchMode
from numpack.exceptions import (
    ArrayNotFoundError,
    ClosedError,
    CorruptedError,
    LockedError,
    NumPackError,
)

__all__ = [
    "ArrayNotFoundError",
    "BatchModeContext",
    "ClosedError",
    "CorruptedError",
    "LazyArray",
    "LockedError",
    "NumPack",
    "NumPackError",
    "WritableBatchMode",
    "__version__",
    "force_cleanup_windows_handles",
    "get_backend_info",
    "get_package_info",
    "pack",
    "repair",
    "unpack",
]

_Mapping.register(NumPack)


def get_backend_info() -> _Dict[str, str]:
    """The name of the engine's language, its version, and the system's name (`platform.system()`)."""
    return {"backend_type": "rust", "version": __version__, "platform": _platform.system()}


def force_cleanup_windows_handles() -> bool:
    """Kept for programs that call it; files are closed when the last object that uses them goes.

    Runs the garbage collector, so that objects in cycles go now. Returns True.
    """
    import gc

    gc.collect()
    return True
