"""Rows that lie in a file as bytes: .npy, members of .npz, .safetensors."""

from __future__ import annotations

from typing import IO, Iterator, Tuple

import numpy as np

from numpack.io._sizes import estimate_chunk_rows, ranges

_SLAB = 8 << 20
# Two parts for the threads of the engine.
_WINDOW = 8 << 20
#: Bytes to copy at once: what stays in the processor's caches between being read and being written.
COPY = 2 << 20


def row_blocks(file: IO[bytes], dtype: np.dtype, shape: Tuple[int, ...], limit: int) -> Iterator[np.ndarray]:
    """Rows in C order from where the file stands, in blocks of at most `limit` bytes; two buffers take turns.

    Raises ValueError when the file ends before the last row.
    """
    if not shape:
        yield _filled(file, np.empty((), dtype))
        return
    rows = min(estimate_chunk_rows(shape, dtype, min(limit, COPY)), max(1, shape[0]))
    buffers = [np.empty((rows, *shape[1:]), dtype) for _ in range(2 if rows < shape[0] else 1)]
    for start in range(0, shape[0], rows):
        buffers.reverse()
        yield _filled(file, buffers[0][: min(rows, shape[0] - start)])


def mapped_blocks(
    file: IO[bytes], offset: int, dtype: np.dtype, shape: Tuple[int, ...], limit: int
) -> Iterator[np.ndarray]:
    """Rows in C order from `offset` on, in blocks over the mapped file: whoever copies them reads them.

    That saves a pass over memory, and each window is given back with its block. As with every map, a file that
    another program makes shorter meanwhile ends the process. Raises ValueError when it was shorter before.
    """
    if not shape or 0 in shape:
        file.seek(offset)
        yield from row_blocks(file, dtype, shape, limit)
        return
    row = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
    for start, stop in ranges(shape[0], max(1, min(limit, _WINDOW) // row)):
        window = np.memmap(file, dtype, "r", offset + start * row, (stop - start, *shape[1:]))
        yield _native(np.asarray(window))


def _native(block: np.ndarray) -> np.ndarray:
    return block if block.dtype.isnative else block.astype(block.dtype.newbyteorder("="))


def _filled(file: IO[bytes], block: np.ndarray) -> np.ndarray:
    view = block.reshape(-1).view(np.uint8).data if block.size else memoryview(b"")
    done = 0
    while done < len(view):
        count = file.readinto(view[done:])  # type: ignore[attr-defined]
        if not count:
            raise ValueError(f"the file ends {len(view) - done} bytes before the last row of this block")
        done += count
    return _native(block)


def column_blocks(
    file: IO[bytes], offset: int, dtype: np.dtype, shape: Tuple[int, ...], limit: int
) -> Iterator[np.ndarray]:
    """Rows of an array in Fortran order, which lies in the file column by column from `offset` on.

    The file is mapped, and pages are given back after every slab, so that they do not count as memory.
    """
    native = dtype.newbyteorder("=")
    rows = estimate_chunk_rows(shape, dtype, limit)
    count = int(np.prod(shape[1:], dtype=np.int64))
    for start in range(0, shape[0], rows):
        stop = min(start + rows, shape[0])
        block = np.empty((stop - start, count), native)
        slab = max(1, _SLAB // (shape[0] * dtype.itemsize))
        for first in range(0, count, slab):
            last = min(first + slab, count)
            place = offset + first * shape[0] * dtype.itemsize
            columns = np.memmap(file, dtype, "r", place, (last - first, shape[0]))
            block[:, first:last] = columns[:, start:stop].T
            del columns
        yield _in_c_order(block, shape[1:])


def _in_c_order(block: np.ndarray, row_shape: Tuple[int, ...]) -> np.ndarray:
    """Rows whose elements are in Fortran order, in C order."""
    if len(row_shape) < 2:
        return block.reshape(-1, *row_shape)
    reversed_rows = block.reshape(-1, *reversed(row_shape))
    axes = (0, *range(reversed_rows.ndim - 1, 0, -1))
    return np.ascontiguousarray(reversed_rows.transpose(axes))


def write_rows(file: IO[bytes], block: np.ndarray) -> None:
    """Writes the bytes of a block in C order."""
    if block.size:
        file.write(np.ascontiguousarray(block).reshape(-1).view(np.uint8).data)
