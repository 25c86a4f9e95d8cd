"""Rows in the chunks of HDF5 and Zarr, and blocks that cut no chunk in two."""

from __future__ import annotations

from typing import Tuple

import numpy as np

from numpack.io._sizes import estimate_chunk_rows

# A chunk of this size fits the caches of the libraries and of the processor.
_CHUNK = 1 << 20


def chunk_rows(shape: Tuple[int, ...], dtype: np.dtype) -> int:
    """Rows of a chunk of about 1 MiB that holds whole rows."""
    return max(1, min(shape[0], estimate_chunk_rows(shape, dtype, _CHUNK)))


def whole_chunks(shape: Tuple[int, ...], dtype: np.dtype, limit: int, inner: int) -> int:
    """Rows of a block of about `limit` bytes that ends with a chunk of `inner` rows; at least one chunk."""
    rows = estimate_chunk_rows(shape, dtype, limit)
    return max(inner, rows - rows % inner)
