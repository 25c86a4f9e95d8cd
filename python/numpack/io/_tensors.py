"""Columns of Arrow's fixed-shape tensors, which are lists of one length that say the shape of what is in them.

A type tells the shape of the elements as they lie in memory, and may name another order of the dimensions, in which
the tensors are meant: dimension i of an array is dimension permutation[i] in memory, as the specification says.
(PyArrow's own conversions hold to it where a permutation is its own inverse, and are not used.)
"""

from __future__ import annotations

from typing import Any, List, Tuple

import numpy as np


def is_tensor(pa: Any, kind: Any) -> bool:
    """Whether a type is one of tensors."""
    return isinstance(kind, pa.FixedShapeTensorType)


def storage_of(pa: Any, kind: Any) -> Any:
    """The type of lists behind one of tensors; any other type itself."""
    return kind.storage_type if is_tensor(pa, kind) else kind


def tensor_shape(kind: Any) -> Tuple[int, ...]:
    """The shape of a tensor, its dimensions in the order that is meant."""
    return tuple(kind.shape[at] for at in _order(kind))


def as_meant(kind: Any, cells: np.ndarray) -> np.ndarray:
    """Elements of shape (rows, elements of a tensor) as an array of shape (rows, *tensor_shape)."""
    there = cells.reshape(len(cells), *kind.shape)
    return there.transpose(0, *(at + 1 for at in _order(kind)))


def _order(kind: Any) -> List[int]:
    return list(range(len(kind.shape)) if kind.permutation is None else kind.permutation)


def tensor_type(pa: Any, numbers: Any, shape: Tuple[int, ...]) -> Any:
    """The type of tensors of this shape."""
    return pa.fixed_shape_tensor(numbers, shape)


def tensor_column(pa: Any, kind: Any, block: np.ndarray) -> Any:
    """Rows of an array as a column of this type."""
    numbers = pa.array(block.reshape(-1))
    return pa.ExtensionArray.from_storage(
        kind, pa.FixedSizeListArray.from_arrays(numbers, kind.storage_type.list_size)
    )
