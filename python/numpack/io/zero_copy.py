"""Arrays that libraries share without a copy: by DLPack, and between NumPy, Arrow and PyTorch.

Whoever takes part holds the memory alive. Lazy arrays of a store are shared over their mapped file, read-only.
"""

from __future__ import annotations

from typing import Any, Optional, Tuple

import numpy as np

from numpack.io._errors import need
from numpack.io._inputs import check_unmasked, plain_array
from numpack.io.arrow import arrow_to_numpy_zero_copy, numpy_to_arrow_zero_copy


class DLPackBuffer:
    """An array that any library can take by DLPack, as often as it wants; `to_dlpack` makes one."""

    def __init__(self, array: Any) -> None:
        check_unmasked(array)
        self._array = array if hasattr(array, "__dlpack__") else np.asarray(array)

    def __dlpack__(self, **options: Any) -> Any:
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> Tuple[int, int]:
        kind, number = self._array.__dlpack_device__()
        return int(kind), int(number)

    def to_numpy(self) -> np.ndarray:
        """As an ndarray over the same memory. Raises BufferError for memory of other devices."""
        return from_dlpack(self)


def to_dlpack(array: Any) -> DLPackBuffer:
    """An ndarray, LazyArray or tensor for consumers of DLPack, for example torch.from_dlpack.

    Raises TypeError for masked arrays.
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
    """A torch.Tensor over the memory of an ndarray.

    Raises ValueError for read-only memory, which PyTorch cannot respect, and for negative strides; TypeError for
    dtypes that PyTorch does not have and for masked arrays.
    """
    from numpack.io.torch import array_tensor

    array = plain_array(array)
    if not array.flags.writeable:
        raise ValueError("PyTorch cannot keep memory read-only: share a copy, or load with mmap_mode='c'")
    return array_tensor("array", array)


def torch_to_numpy_zero_copy(tensor: Any) -> np.ndarray:
    """An ndarray over the memory of a tensor on the CPU.

    Raises ValueError for other devices and for tensors that would be copied (conjugate or negative views), TypeError
    for dtypes that NumPy does not have.
    """
    from numpack.io.torch import tensor_array

    need("torch", "torch")
    if tensor.device.type != "cpu":
        raise ValueError(f"the tensor is on {tensor.device}: only memory of the CPU can be shared")
    if tensor.is_conj() or tensor.is_neg():
        raise ValueError("a conjugate or negative view has no memory of its own to share")
    return tensor_array("tensor", tensor)


class ZeroCopyArray:
    """One array seen by NumPy, DLPack, Arrow and PyTorch over the same memory; `wrap_for_zero_copy` makes one."""

    def __init__(self, array: Any) -> None:
        self._array = plain_array(array)

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
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self) -> Tuple[int, int]:
        return DLPackBuffer(self._array).__dlpack_device__()

    def __arrow_c_array__(self, requested_schema: Any = None) -> Any:
        return self.to_arrow().__arrow_c_array__(requested_schema)

    def __repr__(self) -> str:
        return f"<ZeroCopyArray shape={self.shape} dtype={self.dtype}>"

    def to_numpy(self) -> np.ndarray:
        """The ndarray."""
        return self._array

    def to_arrow(self) -> Any:
        """As a pyarrow.Array; errors as `numpy_to_arrow_zero_copy`."""
        return numpy_to_arrow_zero_copy(self._array)

    def to_torch(self) -> Any:
        """As a torch.Tensor; errors as `numpy_to_torch_zero_copy`."""
        return numpy_to_torch_zero_copy(self._array)

    def to_dlpack(self) -> DLPackBuffer:
        """For consumers of DLPack."""
        return DLPackBuffer(self._array)


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
