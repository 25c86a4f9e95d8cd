"""Rows in the chunks of HDF5 and Zarr, and blocks that cut no chunk in two."""

from __future__ import annotations

from typing import Callable, Iterator, Tuple

import numpy as np

from numpack.io._sizes import estimate_chunk_rows, ranges
from numpack.io._spill import Room, joined_rows

# A chunk of this size fits the caches of the libraries and of the processor.
_CHUNK = 1 << 20


def chunk_rows(shape: Tuple[int, ...], dtype: np.dtype) -> int:
    """Rows of a chunk of about 1 MiB that holds whole rows."""
    return max(1, min(shape[0], estimate_chunk_rows(shape, dtype, _CHUNK)))


def whole_chunks(shape: Tuple[int, ...], dtype: np.dtype, limit: int, inner: int) -> int:
    """Rows of a block of about `limit` bytes that ends with a chunk of `inner` rows; at least one chunk."""
    rows = estimate_chunk_rows(shape, dtype, limit)
    return max(inner, rows - rows % inner)


def chunked_blocks(
    read: Callable[[Tuple[slice, ...]], np.ndarray],
    shape: Tuple[int, ...],
    dtype: np.dtype,
    chunks: Tuple[int, ...],
    limit: int,
    room: Room,
) -> Iterator[np.ndarray]:
    """Blocks of rows of an array with a dimension that is stored in chunks; `read` gives a part of it.

    No chunk is decoded twice: blocks are rows of chunks, and where one is more than fits into memory, some of its
    chunks are read at a time.
    """
    row = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
    if room.fits(chunks[0] * row) or len(shape) == 1 or chunks[1] >= shape[1]:
        for start, stop in ranges(shape[0], whole_chunks(shape, dtype, limit, chunks[0])):
            yield read((slice(start, stop),))
        return
    wide = max(1, limit // (chunks[0] * row // shape[1]))
    wide = max(chunks[1], wide - wide % chunks[1])
    for start, stop in ranges(shape[0], chunks[0]):
        rows = slice(start, stop)
        parts = ([read((rows, slice(first, last)))] for first, last in ranges(shape[1], wide))
        yield from joined_rows(parts, room.folder)
