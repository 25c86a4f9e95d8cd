"""Rows that lie in a file as bytes: .npy, members of .npz, .safetensors, chunks of Zarr."""

from __future__ import annotations

import sys
from typing import IO, Iterator, NamedTuple, Optional, Tuple

import numpy as np

from numpack.io._sizes import estimate_chunk_rows, ranges

_SLAB = 1 << 20
# Bytes that are read to be skipped: another read takes as long.
_SKIP = 32 << 10
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


def column_blocks(
    file: IO[bytes], offset: int, dtype: np.dtype, shape: Tuple[int, ...], limit: int
) -> Iterator[np.ndarray]:
    """Rows of an array in Fortran order, which lies in the file column by column from `offset` on.

    Of each column the rows of a block are read alone, unless reading the others too is faster than another read.
    Raises ValueError when the file ends before the last column.
    """
    length, count = shape[0], int(np.prod(shape[1:], dtype=np.int64))
    rows = min(estimate_chunk_rows(shape, dtype, limit), length)
    alone = (length - rows) * dtype.itemsize > _SKIP
    together = 1 if alone else max(1, _SLAB // (length * dtype.itemsize))
    slab = np.empty((min(together, count), rows if alone else length), dtype)
    for start, stop in ranges(length, rows):
        block = np.empty((stop - start, count), dtype.newbyteorder("="))
        for first, last in ranges(count, together):
            file.seek(offset + (first * length + start) * dtype.itemsize)
            # To the last of these rows in the last column.
            fill(file, slab.reshape(-1)[: (last - first - 1) * length + stop - start])
            block[:, first:last] = slab[: last - first, : stop - start].T
        yield _in_c_order(block, shape[1:])


def _in_c_order(block: np.ndarray, row_shape: Tuple[int, ...]) -> np.ndarray:
    """Rows whose elements are in Fortran order, in C order."""
    if len(row_shape) < 2:
        return block.reshape(-1, *row_shape)
    reversed_rows = block.reshape(-1, *reversed(row_shape))
    axes = (0, *range(reversed_rows.ndim - 1, 0, -1))
    return np.ascontiguousarray(reversed_rows.transpose(axes))


def write_rows(file: IO[bytes], block: np.ndarray) -> None:
    """Writes the bytes of a block in C order, all of them: a full disk takes some and says so with the next ones."""
    view = _bytes(np.ascontiguousarray(block))
    done = 0
    while done < len(view):
        done += file.write(view[done:])


def _bytes(block: np.ndarray) -> memoryview:
    """The memory of a block in C order."""
    return block.reshape(-1).view(np.uint8).data if block.size else memoryview(b"")
