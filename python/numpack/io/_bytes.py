"""Rows that lie in a file as bytes: .npy, members of .npz, .safetensors, chunks of Zarr."""

from __future__ import annotations

import sys
from typing import IO, Iterator, NamedTuple, Optional, Tuple

import numpy as np

from numpack.io._sizes import estimate_chunk_rows

#: Bytes to copy at once: what stays in the processor's caches between being read and being written.
COPY = 2 << 20


def row_blocks(file: IO[bytes], dtype: np.dtype, shape: Tuple[int, ...], limit: int) -> Iterator[np.ndarray]:
    """Rows in C order from where the file stands, in blocks of at most `limit` bytes; two buffers take turns.

    Raises ValueError when the file ends before the last row.
    """
    if not shape:
        yield _native(fill(file, np.empty((), dtype)))
        return
    rows = min(estimate_chunk_rows(shape, dtype, min(limit, COPY)), max(1, shape[0]))
    buffers = [np.empty((rows, *shape[1:]), dtype) for _ in range(2 if rows < shape[0] else 1)]
    for start in range(0, shape[0], rows):
        buffers.reverse()
        yield _native(fill(file, buffers[0][: min(rows, shape[0] - start)]))


def file_blocks(
    file: IO[bytes], offset: int, dtype: np.dtype, shape: Tuple[int, ...], limit: int
) -> Iterator[np.ndarray]:
    """As `row_blocks`, from `offset` on.

    The file is read and never mapped: one that another program makes shorter meanwhile is a ValueError, where a map
    of it would end the process.
    """
    file.seek(offset)
    return row_blocks(file, dtype, shape, limit)


class FilePart(NamedTuple):
    """Bytes of a file."""

    file: IO[bytes]
    offset: int

    def native(self, dtype: np.dtype) -> Optional[FilePart]:
        """These bytes if the store keeps elements of this dtype as they stand here; None otherwise."""
        return self if dtype.isnative and sys.byteorder == "little" and dtype.kind in "iufc" else None


def _native(block: np.ndarray) -> np.ndarray:
    return block if block.dtype.isnative else block.astype(block.dtype.newbyteorder("="))


def fill(file: IO[bytes], block: np.ndarray) -> np.ndarray:
    """The block, filled with bytes from where the file stands. Raises ValueError when the file ends before."""
    view = _bytes(block)
    done = 0
    while done < len(view):
        count = file.readinto(view[done:])  # type: ignore[attr-defined]
        if not count:
            raise ValueError(
                f"{file.name} is cut off: {len(view) - done} bytes of a block of rows are missing"
            )
        done += count
    return block


def write_rows(file: IO[bytes], block: np.ndarray) -> None:
    """Writes the bytes of a block in C order, all of them: a full disk takes some and says so with the next ones."""
    view = _bytes(np.ascontiguousarray(block))
    done = 0
    while done < len(view):
        done += file.write(view[done:])


def _bytes(block: np.ndarray) -> memoryview:
    """The memory of a block in C order."""
    return block.reshape(-1).view(np.uint8).data if block.size else memoryview(b"")
