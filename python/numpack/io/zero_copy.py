"""Arrays that libraries share without a copy: by DLPack, and between NumPy, Arrow and PyTorch.

Whoever takes part holds the memory alive. Lazy arrays of a store are shared over their mapped file: read-only with
NumPy, and with others as a private map, whose pages are copied when they are written: no write reaches the file.
"""

from __future__ import annotations

import warnings
from typing import Any, Optional, Tuple

import numpy as np

from numpack import LazyArray
from numpack.io._errors import need
from numpack.io._inputs import check_unmasked, contiguous, plain_array
from numpack.io.arrow import arrow_to_numpy_zero_copy, numpy_to_arrow_zero_copy, table_to_numpy_zero_copy

__all__ = [
    "DLPackBuffer",
    "ZeroCopyArray",
    "arrow_to_numpy_zero_copy",
    "from_dlpack",
    "numpy_to_arrow_zero_copy",
    "numpy_to_torch_zero_copy",
    "table_to_numpy_zero_copy",
    "to_dlpack",
    "torch_to_numpy_zero_copy",
    "wrap_for_zero_copy",
]


class DLPackBuffer:
    """An array that any library can take by DLPack, as often as it wants; `to_dlpack` makes one.

    Warns (UserWarning) of an ndarray that is not C-contiguous. It is shared with its strides, which consumers that
    want rows in order must copy; one whose strides are not multiples of its elements is copied here.
    """

    def __init__(self, array: Any) -> None:
        check_unmasked(array)
        found = array if hasattr(array, "__dlpack__") else np.asarray(array)
        if isinstance(found, np.ndarray) and not found.flags.c_contiguous:
            found = _strided(found)
        self._array = found

    @property
    def array(self) -> Any:
        """What is shared: the ndarray, LazyArray or tensor that was given, or the ndarray that was made of it."""
        return self._array

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> Tuple[int, int]:
        return _device(self._array)

    def to_numpy(self) -> np.ndarray:
        """As an ndarray over the same memory. Raises BufferError for memory of other devices."""
        return from_dlpack(self)


def _strided(array: np.ndarray) -> np.ndarray:
    """The array, or a copy where DLPack has no words for its strides; warns in either case."""
    if any(stride % array.itemsize for stride in array.strides):
        warnings.warn(
            "the array is not C-contiguous, and its strides are not multiples of its elements: a copy is shared",
            stacklevel=3,
        )
        return array.copy()
    warnings.warn(
        "the array is not C-contiguous: it is shared with its strides, and numpy.ascontiguousarray() makes a copy",
        stacklevel=3,
    )
    return array


def _device(array: Any) -> Tuple[int, int]:
    kind, number = array.__dlpack_device__()
    return int(kind), int(number)


def to_dlpack(array: Any) -> DLPackBuffer:
    """An ndarray, LazyArray or tensor for consumers of DLPack, for example torch.from_dlpack.

    Raises TypeError for masked arrays, and warns as `DLPackBuffer` does.
    """
    return DLPackBuffer(array)


def from_dlpack(source: Any) -> np.ndarray:
    """An ndarray over the memory of anything with `__dlpack__`, on the CPU.

    Raises BufferError for other devices and for dtypes that NumPy does not have, TypeError for other objects and
    for masked arrays.
    """
    check_unmasked(source)
    if not hasattr(source, "__dlpack__"):
        raise TypeError(f"{type(source).__name__} has no __dlpack__")
    return np.from_dlpack(source)


def numpy_to_torch_zero_copy(array: Any) -> Any:
    """A torch.Tensor over the memory of an ndarray, or over a LazyArray's file.

    What is written to the tensor of a LazyArray changes a private copy, never the file. Warns (UserWarning) of other
    read-only memory, which PyTorch cannot respect: writing to that ends the process where it is a map; and of arrays
    that are not C-contiguous and must be copied, because PyTorch has no words for their strides (negative ones, or
    such as are not multiples of the elements). Raises TypeError for dtypes that PyTorch does not have and for masked
    arrays.
    """
    from numpack.io.torch import array_tensor

    plain = array._private() if isinstance(array, LazyArray) else plain_array(array)
    if any(stride < 0 or stride % plain.itemsize for stride in plain.strides):
        plain = contiguous(plain)
    if plain.flags.writeable:
        return array_tensor("array", plain)
    warnings.warn(
        "the array is read-only, which PyTorch cannot respect: share a copy, or load it with mmap_mode='c'",
        stacklevel=2,
    )
    with warnings.catch_warnings():
        # PyTorch says the same, once in a process.
        warnings.filterwarnings("ignore", "The given NumPy array is not writ")
        return array_tensor("array", plain)


def torch_to_numpy_zero_copy(tensor: Any) -> np.ndarray:
    """An ndarray over the memory of a tensor on the CPU.

    Raises ValueError for other devices and for tensors that would be copied (conjugate or negative views), TypeError
    for dtypes that NumPy does not have.
    """
    from numpack.io.torch import tensor_array

    need("torch")
    if tensor.device.type != "cpu":
        raise ValueError(f"the tensor is on {tensor.device}: only memory of the CPU can be shared")
    if tensor.is_conj() or tensor.is_neg():
        raise ValueError("a conjugate or negative view has no memory of its own to share")
    return tensor_array("tensor", tensor)


class ZeroCopyArray:
    """One array seen by NumPy, DLPack, Arrow and PyTorch over the same memory; `wrap_for_zero_copy` makes one."""

    def __init__(self, array: Any) -> None:
        self._array = plain_array(array)
        self._lazy = array if isinstance(array, LazyArray) else None

    @property
    def array(self) -> np.ndarray:
        """The ndarray."""
        return self._array

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return int(self._array.nbytes)

    @property
    def shape(self) -> Tuple[int, ...]:
        """Dimensions."""
        return self._array.shape

    @property
    def dtype(self) -> np.dtype:
        """dtype of the elements."""
        return self._array.dtype

    def __array__(self, dtype: Any = None, copy: Optional[bool] = None) -> np.ndarray:
        same = dtype is None or np.dtype(dtype) == self._array.dtype
        if same:
            return self._array.copy() if copy else self._array
        if copy is False:
            raise ValueError(f"{self._array.dtype} cannot be seen as {np.dtype(dtype)} without a copy")
        return self._array.astype(dtype)

    def __dlpack__(self, **options: Any) -> Any:
        return self._source().__dlpack__(**options)

    def __dlpack_device__(self) -> Tuple[int, int]:
        return _device(self._array)

    def _source(self) -> Any:
        """What goes to libraries that may not respect read-only memory: a LazyArray gives them a private map."""
        return self._array if self._lazy is None else self._lazy

    def __arrow_c_array__(self, requested_schema: Any = None) -> Any:
        return self.to_arrow().__arrow_c_array__(requested_schema)

    def __repr__(self) -> str:
        return f"<ZeroCopyArray shape={self.shape} dtype={self.dtype}>"

    def to_numpy(self) -> np.ndarray:
        """The ndarray."""
        return self._array

    def to_arrow(self) -> Any:
        """As a pyarrow.Array; errors as `numpy_to_arrow_zero_copy`."""
        return numpy_to_arrow_zero_copy(self._source())

    def to_torch(self) -> Any:
        """As a torch.Tensor; errors as `numpy_to_torch_zero_copy`."""
        return numpy_to_torch_zero_copy(self._source())

    def to_dlpack(self) -> DLPackBuffer:
        """For consumers of DLPack."""
        return DLPackBuffer(self._source())


def wrap_for_zero_copy(source: Any) -> ZeroCopyArray:
    """Wraps an ndarray, LazyArray, pyarrow.Array, tensor on the CPU, or anything with DLPack, without a copy.

    Raises what the conversion to NumPy raises where a copy would be needed, TypeError for masked arrays.
    """
    if hasattr(source, "detach"):
        return ZeroCopyArray(torch_to_numpy_zero_copy(source))
    # What other ways make of Arrow's lists and tensors are objects.
    of_arrow = type(source).__module__.partition(".")[0] == "pyarrow"
    if of_arrow or (hasattr(source, "__arrow_c_array__") and not hasattr(source, "__dlpack__")):
        return ZeroCopyArray(arrow_to_numpy_zero_copy(source))
    if hasattr(source, "__array__") or not hasattr(source, "__dlpack__"):
        return ZeroCopyArray(source)
    return ZeroCopyArray(from_dlpack(source))
