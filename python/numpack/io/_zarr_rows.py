"""Chunks of Zarr that are files of whole rows, as they are: neither compressed nor in another order.

zarr takes several times as long for them (docs/decisions/0009-zarr.md). It reads all others and writes all, and says
where chunks lie and what they hold.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Iterator, NamedTuple, Optional, Tuple

import numpy as np

from numpack.io._bytes import COPY, fill
from numpack.io._sizes import estimate_chunk_rows, ranges


class RowChunks(NamedTuple):
    """The chunks of an array."""

    folder: str
    metadata: Any
    shape: Tuple[int, ...]
    dtype: np.dtype
    rows: int
    """Rows of every chunk; the last one holds as many, too."""
    fill: Any
    """The elements of a chunk that has no file."""

    def blocks(self, limit: int) -> Iterator[np.ndarray]:
        """All rows, in blocks of at most `limit` bytes; two buffers take turns.

        Raises ValueError for a chunk of another size.
        """
        rows = min(estimate_chunk_rows(self.shape, self.dtype, min(limit, COPY)), self.shape[0])
        buffers = [np.empty((rows, *self.shape[1:]), self.dtype) for _ in range(2)]
        for start, stop in ranges(self.shape[0], rows):
            buffers.reverse()
            block = buffers[0][: stop - start]
            for first, last in self._cuts(start, stop):
                self._read(first, block[first - start : last - start])
            yield block

    def _cuts(self, start: int, stop: int) -> Iterator[Tuple[int, int]]:
        """The rows start..stop, cut where chunks end."""
        while start < stop:
            end = min(stop, start - start % self.rows + self.rows)
            yield start, end
            start = end

    def _path(self, row: int) -> str:
        """The file of the chunk that has this row."""
        place = (row // self.rows, *(0 for _ in self.shape[1:]))
        return os.path.join(self.folder, *self.metadata.encode_chunk_key(place).split("/"))

    def _row_bytes(self) -> int:
        return int(np.prod(self.shape[1:], dtype=np.int64)) * self.dtype.itemsize

    def _read(self, row: int, rows: np.ndarray) -> None:
        """Reads consecutive rows of one chunk."""
        path = self._path(row)
        try:
            file = open(path, "rb", buffering=0)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            # To zarr each of them is a chunk that is not there.
            rows[...] = self.fill
            return
        with file:
            found = os.fstat(file.fileno()).st_size
            if found != self.rows * self._row_bytes():
                raise ValueError(f"{path}: {found} bytes where a chunk has {self.rows * self._row_bytes()}")
            file.seek(row % self.rows * self._row_bytes())
            fill(file, rows)


def row_chunks(zarr: Any, array: Any) -> Optional[RowChunks]:
    """The chunks of an array; None if they are not files of whole rows."""
    dtype, shape, store = np.dtype(array.dtype), tuple(array.shape), array.store_path.store
    if not shape or 0 in shape or dtype.kind not in "biufc" or not isinstance(store, zarr.storage.LocalStore):
        return None
    if sys.byteorder != "little" or not dtype.isnative or not _is_plain(zarr, array.metadata, dtype):
        return None
    if array.shards is not None or tuple(array.chunks[1:]) != shape[1:]:
        return None
    folder = os.path.join(os.fspath(store.root), *array.store_path.path.split("/"))
    fill = 0 if array.fill_value is None else array.fill_value
    return RowChunks(folder, array.metadata, shape, dtype, array.chunks[0], fill)


def _is_plain(zarr: Any, metadata: Any, dtype: np.dtype) -> bool:
    """Whether a chunk is its elements in C order and native byte order."""
    if metadata.zarr_format == 2:
        return not metadata.filters and metadata.compressor is None and metadata.order == "C"
    first = metadata.codecs[0]
    if len(metadata.codecs) > 1 or not isinstance(first, zarr.codecs.BytesCodec):
        return False
    return dtype.itemsize == 1 or (first.endian is not None and first.endian.value == "little")
