"""Rows of what a format keeps by columns: one part of the columns after the other goes to a temporary file.

A chunk of HDF5 or Zarr, a column chunk of Parquet and a record batch of Feather may each be many rows of few columns,
so that whole rows are more than fits into memory. The parts are read one by one, and rows are put together from
their files. The files have no names and lie beside the store, which will need as much room.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Iterable, Iterator, List, NamedTuple, Sequence, Tuple

import numpy as np

from numpack.io._bytes import COPY, row_blocks, write_rows
from numpack.io._prefetch import ended


class Room(NamedTuple):
    """What reading may use: a folder for temporary files, and bytes of memory."""

    folder: Path
    chunk_size: int

    def fits(self, size: int) -> bool:
        """Whether `size` bytes may be read at once: libraries hold them compressed, decoded and arranged."""
        return 4 * size <= self.chunk_size


def joined_rows(parts: Iterable[Iterable[np.ndarray]], folder: Path) -> Iterator[np.ndarray]:
    """Blocks of rows of about 1 MiB. A part is some columns (axis 1) of all rows, in blocks of any number of rows.

    Parts lie side by side in their order and have the same rows, at least one, of one dtype.
    """
    with ExitStack() as stack:
        kept: List[Tuple[IO[bytes], np.dtype, Tuple[int, ...]]] = []
        for blocks in parts:
            file = stack.enter_context(tempfile.TemporaryFile(dir=folder, buffering=0))
            kept.append((file, *_keep(file, blocks)))
            file.seek(0)
        row = sum(_row_bytes(dtype, shape) for _, dtype, shape in kept)
        rows = max(1, COPY // max(1, row))
        readers = [
            row_blocks(file, dtype, shape, rows * _row_bytes(dtype, shape)) for file, dtype, shape in kept
        ]
        for side_by_side in zip(*readers):
            yield np.concatenate(side_by_side, axis=1)


def _keep(file: IO[bytes], blocks: Iterable[np.ndarray]) -> Tuple[np.dtype, Tuple[int, ...]]:
    """Writes all rows of a part; returns what they are."""
    rows = 0
    with ended(blocks):
        for block in blocks:
            write_rows(file, block)
            rows += len(block)
    return block.dtype, (rows, *block.shape[1:])


def _row_bytes(dtype: np.dtype, shape: Sequence[int]) -> int:
    return int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
