"""How large files and blocks of rows are; every size is in bytes."""

from __future__ import annotations

import operator
import os
from pathlib import Path
from typing import Any, Iterator, Sequence, Tuple, Union

import numpy as np
import numpy.typing as npt

from numpack._aliases import also_named

#: The path of a store.
PathLike = Union[str, "os.PathLike[str]"]
#: The path of a file of another format; as bytes, or as text from os.fsdecode, it may be of any bytes.
FilePath = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]

#: Files from this size on count as large: 1 GiB.
LARGE_FILE_THRESHOLD = 1 << 30
#: Memory that a conversion may use for data: 100 MiB.
DEFAULT_CHUNK_SIZE = 100 << 20
#: Rows in a row group of Parquet, and in a record batch of Feather, at most.
DEFAULT_BATCH_ROWS = 100_000


def get_file_size(path: FilePath) -> int:
    """Bytes of a file, or of all files in a folder (a store, a Zarr group). Raises FileNotFoundError."""
    place = Path(os.fsdecode(path))
    if not place.is_dir():
        return place.stat().st_size
    return sum(part.stat().st_size for part in place.rglob("*") if part.is_file())


def is_large_file(path: FilePath, threshold: int = LARGE_FILE_THRESHOLD) -> bool:
    """Whether a file or folder has at least `threshold` bytes. Raises FileNotFoundError."""
    return get_file_size(path) >= threshold


@also_named(target_chunk_bytes="chunk_size")
def estimate_chunk_rows(
    shape: Sequence[int], dtype: npt.DTypeLike, chunk_size: int = DEFAULT_CHUNK_SIZE
) -> int:
    """Rows of an array of this shape and dtype that fit into `chunk_size` bytes; at least one.

    >>> estimate_chunk_rows((1_000_000, 128), "float32", 1 << 20)
    2048
    """
    row = int(np.prod(shape[1:], dtype=np.int64)) * np.dtype(dtype).itemsize
    return max(1, chunk_size // row if row else int(shape[0]))


def ranges(length: int, step: int) -> Iterator[Tuple[int, int]]:
    """Start and stop of pieces of `step` that together are `length`."""
    return ((start, min(start + step, length)) for start in range(0, length, step))


def check_count(name: str, value: Any, least: int = 0) -> None:
    """Raises ValueError for a number below `least`, TypeError for another type; both name the argument."""
    try:
        count = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, got {value!r}") from None
    if count < least:
        raise ValueError(f"{name} must be at least {least}, got {count}")
