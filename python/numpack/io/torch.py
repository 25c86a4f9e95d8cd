"""PyTorch: .pt files of tensors, and tensors in memory.

Files are read with weights only: no code in them runs. What is no tensor of plain numbers is refused by name.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Iterator, Mapping, Optional, Tuple

import numpy as np

from numpack import NumPack
from numpack.io._bfloat16 import Bfloat16, check_bfloat16, from_bits, stored_dtype
from numpack.io._errors import need
from numpack.io._export import metered, only, stored_array, stored_arrays
from numpack.io._import import (
    Names,
    Options,
    Source,
    block_size,
    in_memory,
    one_name,
    only_members,
    stem,
    store_arrays,
)
from numpack.io._inputs import plain_array
from numpack.io._partial import new_file
from numpack.io._progress import Progress
from numpack.io._sizes import DEFAULT_CHUNK_SIZE, FilePath, PathLike, estimate_chunk_rows


def from_pt(
    input_path: FilePath,
    output_path: PathLike,
    key: Optional[str] = None,
    *,
    array_name: Optional[str] = None,
    drop_if_exists: bool = False,
    array_names: Names = None,
    bfloat16: Bfloat16 = None,
    chunk_size: int = DEFAULT_CHUNK_SIZE,
    max_bytes: Optional[int] = None,
    progress: Progress = None,
    return_npk_obj: bool = False,
) -> Optional[NumPack]:
    """Stores the tensor of a .pt file, or the tensors of a dict (a state dict) in it, in one commit.

    Dicts in dicts become names with a slash. key: the entry to take, "a/b" for one in a dict; array_names: the
    tensors to take, None for all; array_name: another name for a single one, otherwise the file's without suffix.
    bfloat16: None refuses it, "float32" stores the same values, "uint16" the bits. The file is mapped, so memory is
    `chunk_size` bytes (PyTorch before 2.1, files of before 1.6 and names that are not UTF-8: all of it). Raises
    TypeError for what is no tensor of a dtype that the store has, KeyError for unknown names, ValueError for files
    that weights-only reading refuses.
    max_bytes: how many bytes the arrays may have; None: a thousand times the file's, or 1 GiB.
    """
    input_path = os.fsdecode(input_path)
    options = Options(drop_if_exists, chunk_size, progress, return_npk_obj, max_bytes, input_path)
    check_bfloat16(bfloat16)
    torch = need("torch")
    own = (key or "").rpartition("/")[2] or stem(input_path)
    entries = _flat(_picked(_load(torch, input_path), key), ())
    flat = (
        ("/".join(map(str, path)) or own, "".join(f"[{part!r}]" for part in path), one)
        for path, one in entries
    )
    found = only_members(flat, array_names, input_path)
    sources = [_source(torch, name, tensor, bfloat16) for name, tensor in found.items()]
    return store_arrays(one_name(sources, array_name, input_path), output_path, options)


def to_pt(
    input_path: PathLike,
    output_path: FilePath,
    array_names: Names = None,
    as_dict: bool = True,
    *,
    array_name: Optional[str] = None,
    chunk_size: int = DEFAULT_CHUNK_SIZE,
    progress: Progress = None,
) -> None:
    """Writes arrays of a store to a .pt file: a dict of name: tensor, or one tensor with as_dict=False.

    The stored files are mapped, not read into memory; arrays with deleted rows are (update() them before), whatever
    `chunk_size` is: programs that convert to any format may pass it, and PyTorch takes tensors whole. Raises
    TypeError for dtypes that this PyTorch does not have, KeyError for unknown names, ValueError for several
    arrays with as_dict=False.
    """
    block_size(chunk_size)
    torch = need("torch")
    with stored_arrays(input_path, array_names, array_name) as found, metered(found, progress) as meter:
        tensors = {stored.name: array_tensor(stored.name, stored.mapped()) for stored in found}
        content = tensors if as_dict else tensors[only(found).name]
        with new_file(output_path) as partial:
            _save(torch, content, partial)
        for stored in found:
            meter.add(stored.nbytes)


def from_tensor(
    tensor: Any,
    output_path: PathLike,
    array_name: str = "data",
    drop_if_exists: bool = False,
    *,
    bfloat16: Bfloat16 = None,
    max_bytes: Optional[int] = None,
    progress: Progress = None,
    return_npk_obj: bool = False,
) -> Optional[NumPack]:
    """Stores a tensor from any device, or anything numpy.asarray takes. bfloat16: as for `from_pt`.

    Raises TypeError for dtypes that the store does not have, and for masked arrays.
    max_bytes: how many bytes the arrays may have; None for any.
    """
    check_bfloat16(bfloat16)
    options = Options(drop_if_exists, DEFAULT_CHUNK_SIZE, progress, return_npk_obj, max_bytes)
    return store_arrays(
        [in_memory(array_name, tensor_array(array_name, tensor, bfloat16))], output_path, options
    )


def to_tensor(
    input_path: PathLike,
    array_name: Optional[str] = None,
    device: Any = None,
    dtype: Any = None,
    *,
    progress: Progress = None,
) -> Any:
    """An array as a torch.Tensor of its own memory, on `device` and as `dtype` if they are given.

    array_name may be left out when the store has one array. Raises KeyError, ValueError, and TypeError for dtypes
    that this PyTorch does not have.
    """
    need("torch")
    with stored_array(input_path, array_name) as stored, metered([stored], progress) as meter:
        tensor = array_tensor(stored.name, stored.load(meter))
    return tensor if device is None and dtype is None else tensor.to(device=device, dtype=dtype)


def tensor_array(name: str, tensor: Any, bfloat16: Bfloat16 = None) -> np.ndarray:
    """A tensor or array-like as an ndarray, over the same memory where that can be.

    Raises TypeError that names a masked array or a tensor which the store does not have.
    """
    if not hasattr(tensor, "detach"):
        try:
            return plain_array(tensor)
        except TypeError as error:
            raise TypeError(f"array {name!r}: {error}") from None
    torch = need("torch")
    _check_plain(torch, name, tensor)
    plain = tensor.detach().cpu().resolve_conj().resolve_neg()
    if plain.dtype == torch.bfloat16:
        stored_dtype(name, bfloat16)
        return from_bits(plain.contiguous().view(torch.int16).numpy().view(np.uint16), bfloat16)
    try:
        return np.asarray(plain.numpy())
    except TypeError:
        raise TypeError(f"tensor {name!r} is {tensor.dtype}, which the store does not have") from None


def array_tensor(name: str, array: np.ndarray) -> Any:
    """An ndarray as a torch.Tensor over the same memory. Raises TypeError for dtypes PyTorch does not have."""
    torch = need("torch")
    try:
        return torch.from_numpy(array)
    except TypeError:
        raise TypeError(f"array {name!r}: this PyTorch has no {array.dtype}") from None


def _save(torch: Any, content: Any, path: Path) -> None:
    if _is_utf8(os.fspath(path)):
        torch.save(content, os.fspath(path))
        return
    with open(path, "wb") as file:
        torch.save(content, file)


def _load(torch: Any, path: str) -> Any:
    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    mapped = {"mmap": True} if version >= (2, 1) and _is_zip(path) and _is_utf8(path) else {}
    try:
        if _is_utf8(path):
            return torch.load(path, map_location="cpu", weights_only=True, **mapped)
        with open(path, "rb") as file:
            return torch.load(file, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:
        # The reader of weights raises whatever a damaged file makes it stumble over, also IndexError and KeyError.
        raise ValueError(f"{path} is no .pt file of weights only: {error}") from None


def _is_utf8(path: str) -> bool:
    """Whether PyTorch can open the file by its name, which it must for mapping it."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_zip(path: FilePath) -> bool:
    with open(path, "rb") as file:
        return file.read(4) == b"PK\x03\x04"


def _picked(content: Any, key: Optional[str]) -> Any:
    if key is None:
        return content
    if isinstance(content, Mapping) and key in content:
        return content[key]
    for part in key.split("/"):
        if not isinstance(content, Mapping) or part not in content:
            raise KeyError(f"no entry {key!r} in the file")
        content = content[part]
    return content


def _flat(content: Any, path: Tuple[Any, ...]) -> Iterator[Tuple[Tuple[Any, ...], Any]]:
    """Whatever is in dicts in dicts, each with its keys; content that is no dict has none."""
    if not isinstance(content, Mapping):
        yield path, content
        return
    for key, member in content.items():
        yield from _flat(member, (*path, key))


def _check_plain(torch: Any, name: str, tensor: Any) -> None:
    if not isinstance(tensor, torch.Tensor):
        raise TypeError(
            f"entry {name!r} holds {type(tensor).__name__}, not a tensor: take others with key= or array_names="
        )
    if tensor.layout != torch.strided or tensor.is_quantized:
        raise TypeError(
            f"tensor {name!r} is sparse or quantized: make it dense with to_dense() or dequantize()"
        )


def _source(torch: Any, name: str, tensor: Any, bfloat16: Bfloat16) -> Source:
    _check_plain(torch, name, tensor)
    if tensor.dtype == torch.bfloat16:
        dtype = stored_dtype(name, bfloat16)
    else:
        dtype = tensor_array(name, torch.empty(0, dtype=tensor.dtype)).dtype
    shape = tuple(tensor.shape)

    def blocks(limit: int) -> Iterator[np.ndarray]:
        if not shape:
            yield tensor_array(name, tensor, bfloat16)
            return
        rows = estimate_chunk_rows(shape, dtype, limit)
        for start in range(0, shape[0], rows):
            yield tensor_array(name, tensor[start : start + rows], bfloat16)

    return Source(name, dtype, shape, blocks)
