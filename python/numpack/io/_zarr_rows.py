"""Chunks of Zarr that are files of whole rows, plain or compressed by one codec.

Half of the time that zarr takes for such a chunk passes between its reading and its decoding. Here chunks are read
and written as the files they are; where they lie and what they hold zarr says, and its codecs decode them.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import Any, Iterator, NamedTuple, Optional, Tuple

import numpy as np

from numpack.io._bytes import COPY, fill, write_rows
from numpack.io._chunks import whole_chunks
from numpack.io._errors import need
from numpack.io._prefetch import in_order
from numpack.io._sizes import estimate_chunk_rows, ranges

# Codecs of format 3 whose bytes say how they are to be decoded; numcodecs has them under the same names.
_CODECS = ("blosc", "gzip", "zstd")
_THREADS = min(4, os.cpu_count() or 1)


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
    codec: Any
    """What decodes a chunk; None where it is plain."""

    def can_read(self, limit: int) -> bool:
        """Whether blocks of `limit` bytes are enough: chunks are decoded whole, some at a time."""
        return self.codec is None or 4 * self._nbytes() <= limit

    def blocks(self, limit: int) -> Iterator[np.ndarray]:
        """All rows, in blocks of at most `limit` bytes, the next ones read meanwhile; buffers take turns.

        Raises ValueError for a chunk that is damaged or of another size.
        """
        size = min(limit // 4, COPY)
        rows = estimate_chunk_rows(self.shape, self.dtype, size)
        if self.codec is not None:
            rows = whole_chunks(self.shape, self.dtype, size, self.rows)
        rows = min(rows, self.shape[0])
        threads = 1 if self.codec is None else _THREADS
        # One is in use, and one is done while as many as there are threads are not.
        buffers = [np.empty((rows, *self.shape[1:]), self.dtype) for _ in range(threads + 2)]
        tasks = (
            partial(self._block, start, buffers[at % len(buffers)][: stop - start])
            for at, (start, stop) in enumerate(ranges(self.shape[0], rows))
        )
        return in_order(tasks, threads)

    def _block(self, start: int, block: np.ndarray) -> np.ndarray:
        """The block, filled with the rows from `start` on."""
        for first, last in self._cuts(start, start + len(block)):
            self._read(first, block[first - start : last - start])
        return block

    def write(self, start: int, block: np.ndarray) -> None:
        """Writes the files of the chunks from row `start` on, where one begins; the last one may be short of rows.

        For arrays that are new. As zarr does, it leaves chunks away that a reader takes for the same without a file.
        """
        sparse = _is_zero(np.asarray([self.fill], self.dtype))
        for first, last in self._cuts(start, start + len(block)):
            rows = block[first - start : last - start]
            if sparse and _is_zero(rows):
                continue
            path = self._path(first)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "xb", buffering=0) as file:
                write_rows(file, rows)
                file.truncate(self._nbytes())

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

    def _nbytes(self) -> int:
        return self.rows * self._row_bytes()

    def _read(self, row: int, rows: np.ndarray) -> None:
        """Reads consecutive rows of one chunk, the first ones if it has to be decoded."""
        path = self._path(row)
        try:
            file = open(path, "rb", buffering=0)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            # To zarr each of them is a chunk that is not there.
            rows[...] = self.fill
            return
        with file:
            if self.codec is not None:
                rows[...] = self._decoded(path, file.read())[: len(rows)]
                return
            self._check(path, os.fstat(file.fileno()).st_size)
            file.seek(row % self.rows * self._row_bytes())
            fill(file, rows)

    def _decoded(self, path: str, data: bytes) -> np.ndarray:
        """The rows of a compressed chunk."""
        try:
            found = memoryview(self.codec.decode(data)).cast("B")
        except MemoryError:
            raise
        except Exception as error:  # of a class that the codec chooses
            raise ValueError(f"{path}: a damaged chunk: {error}") from error
        self._check(path, len(found))
        return np.frombuffer(found, self.dtype).reshape(self.rows, *self.shape[1:])

    def _check(self, path: str, found: int) -> None:
        if found != self._nbytes():
            raise ValueError(f"{path}: {found} bytes where a chunk has {self._nbytes()}")


def row_chunks(zarr: Any, array: Any) -> Optional[RowChunks]:
    """The chunks of an array; None if they are no files of whole rows."""
    dtype, shape, store = np.dtype(array.dtype), tuple(array.shape), array.store_path.store
    if not shape or 0 in shape or dtype.kind not in "biufc" or not isinstance(store, zarr.storage.LocalStore):
        return None
    if sys.byteorder != "little" or not dtype.isnative or not _is_plain(zarr, array.metadata, dtype):
        return None
    if array.shards is not None or tuple(array.chunks[1:]) != shape[1:]:
        return None
    known, codec = _codec(array.metadata)
    if not known:
        return None
    folder = os.path.join(os.fspath(store.root), *array.store_path.path.split("/"))
    fill = 0 if array.fill_value is None else array.fill_value
    return RowChunks(folder, array.metadata, shape, dtype, array.chunks[0], fill, codec)


def _is_plain(zarr: Any, metadata: Any, dtype: np.dtype) -> bool:
    """Whether a chunk, once decompressed, is its elements in C order and native byte order."""
    if metadata.zarr_format == 2:
        return not metadata.filters and metadata.order == "C"
    first = metadata.codecs[0]
    if not isinstance(first, zarr.codecs.BytesCodec):
        return False
    return dtype.itemsize == 1 or (first.endian is not None and first.endian.value == "little")


def _codec(metadata: Any) -> Tuple[bool, Any]:
    """Whether it is known here what decompresses a chunk, and that, or None."""
    if metadata.zarr_format == 2:
        return True, metadata.compressor
    codecs = metadata.codecs[1:]
    if not codecs:
        return True, None
    name = codecs[0].to_dict()["name"]
    if len(codecs) > 1 or name not in _CODECS:
        return False, None
    return True, need("numcodecs").get_codec({"id": name})


def _is_zero(rows: np.ndarray) -> bool:
    """Whether all bytes are zero; in rows that are not, the first ones tell soon."""
    data = np.ascontiguousarray(rows).reshape(-1).view(np.uint8)
    head = data[:4096]
    return not head.any() and not data.any()
