"""Exact vector search: over arrays in memory, and over stored arrays straight from the mapped file.

>>> import numpy as np
>>> from numpack.vector_engine import VectorEngine
>>> rows = np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)
>>> VectorEngine().top_k_search(np.array([0, 2], np.float32), rows, "cosine", k=2)[0].tolist()
[2, 1]
"""

import os
from typing import Any, Dict, Optional, Tuple, Union

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from numpack._numpack import NumPack, VectorEngine

__all__ = ["StreamingVectorEngine", "VectorEngine"]

_Path = Union[str, "os.PathLike[str]"]


class StreamingVectorEngine:
    """Search over stored arrays: nothing is loaded, deleted rows are not there, row numbers are logical.

    The store is opened for reading at each call; `NumPack.search` does the same on an open store.
    `batch_size` is the number of rows of a batch where rows are read in batches; searches need none, because
    they read the mapped file, and take it for programs that pass it.
    """

    def __init__(self) -> None:
        self._engine = VectorEngine()

    def capabilities(self) -> Dict[str, Any]:
        """As `VectorEngine.capabilities`."""
        return {**self._engine.capabilities()}

    def streaming_top_k_from_file(
        self,
        query: ArrayLike,
        npk_dir: _Path,
        array_name: str,
        metric: str,
        k: int = 10,
        batch_size: int = 10000,
        *,
        index_dtype: Optional[DTypeLike] = None,
    ) -> Tuple[NDArray[np.uint64], NDArray[np.float64]]:
        """The best k rows for one query (d,): indices (k,) and scores (k,), the best first.

        uint64 and float64; index_dtype="int64" for row numbers to compute with, see `NumPack.search`.
        """
        _check_batch(batch_size)
        query = np.asanyarray(query)
        if query.ndim != 1:
            raise ValueError(f"query must be one vector, got shape {query.shape}")
        with NumPack(npk_dir, mode="r") as store:
            indices, scores = store.search(array_name, query, k, metric, index_dtype=index_dtype)
        return indices[0], scores[0]

    def streaming_multi_query_top_k(
        self,
        queries: ArrayLike,
        npk_dir: _Path,
        array_name: str,
        metric: str,
        k: int = 10,
        batch_size: int = 10000,
        *,
        index_dtype: Optional[DTypeLike] = None,
    ) -> Tuple[NDArray[np.uint64], NDArray[np.float64]]:
        """The best k rows for every query of (n, d): indices and scores of shape (n*k,).

        uint64 and float64; index_dtype="int64" for row numbers to compute with, see `NumPack.search`.
        """
        _check_batch(batch_size)
        with NumPack(npk_dir, mode="r") as store:
            indices, scores = store.search(array_name, queries, k, metric, index_dtype=index_dtype)
        return indices.reshape(-1), scores.reshape(-1)

    def streaming_batch_compute(
        self,
        query: ArrayLike,
        npk_dir: _Path,
        array_name: str,
        metric: str,
        batch_size: int = 10000,
    ) -> NDArray[np.float64]:
        """Every score: (rows,) for one query (d,), (n, rows) for several. Memory: one batch and the scores."""
        _check_batch(batch_size)
        query = np.asanyarray(query)
        with NumPack(npk_dir, mode="r") as store:
            batches = store.stream_load(array_name, batch_size)
            scores = [self._engine.batch_compute(query, rows, metric) for rows in batches]
            if not scores:
                empty = np.empty(
                    (0, *store.get_shape(array_name)[1:]), store.load(array_name, lazy=True).dtype
                )
                return self._engine.batch_compute(query, empty, metric)
        return np.concatenate(scores, axis=-1)


def _check_batch(batch_size: int) -> None:
    if batch_size <= 0:
        raise ValueError(f"batch_size must be greater than 0, got {batch_size}")
