"""SafeTensors files: a header of names, dtypes and places, then the bytes of the tensors.

The library checks every header, of files that are read and of those just written; rows then pass through in
blocks. bfloat16 is refused by name unless the caller says what to make of it.
"""

from __future__ import annotations

import json
import os
import struct
from functools import partial
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import numpy as np

from numpack import NumPack
from numpack._aliases import also_named
from numpack.io._bfloat16 import Bfloat16, check_bfloat16, from_bits, stored_dtype
from numpack.io._bytes import COPY, FilePart, file_blocks, write_rows
from numpack.io._errors import need
from numpack.io._export import Stored, metered, stored_arrays
from numpack.io._import import (
    Names,
    Options,
    Source,
    block_size,
    in_memory,
    one_name,
    picked_members,
    read_whole,
    store_arrays,
)
from numpack.io._partial import new_file
from numpack.io._progress import Progress
from numpack.io._sizes import DEFAULT_CHUNK_SIZE, FilePath, PathLike

_DTYPES = {
    "BOOL": "bool",
    "U8": "uint8",
    "U16": "uint16",
    "U32": "uint32",
    "U64": "uint64",
    "I8": "int8",
    "I16": "int16",
    "I32": "int32",
    "I64": "int64",
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


@also_named(keys="array_names")
def from_safetensors_file(
    input_path: FilePath,
    output_path: PathLike,
    array_names: Names = None,
    *,
    array_name: Optional[str] = None,
    drop_if_exists: bool = False,
    bfloat16: Bfloat16 = None,
    chunk_size: int = DEFAULT_CHUNK_SIZE,
    max_bytes: Optional[int] = None,
    progress: Progress = None,
    return_npk_obj: bool = False,
) -> Optional[NumPack]:
    """Stores the tensors of a SafeTensors file, in one commit.

    array_names: the tensors to take, None for all; array_name: another name for a single one. bfloat16: None
    refuses it, "float32" stores the same values, "uint16" the bits. Memory: `chunk_size` bytes. Raises TypeError
    for dtypes that the store does not have, KeyError for unknown names, ValueError for a damaged file.
    max_bytes: how many bytes the arrays may have; None: a thousand times the file's, or 1 GiB.
    """
    input_path = os.fsdecode(input_path)
    options = Options(drop_if_exists, chunk_size, progress, return_npk_obj, max_bytes, input_path)
    check_bfloat16(bfloat16)
    header, start = _read_header(input_path)
    tensors = picked_members(header["tensors"], array_names, input_path)
    with open(input_path, "rb", buffering=0) as file:
        sources = [_source(file, name, entry, start, bfloat16) for name, entry in tensors.items()]
        return store_arrays(one_name(sources, array_name, input_path), output_path, options)


@also_named(keys="array_names")
def to_safetensors_file(
    input_path: PathLike,
    output_path: FilePath,
    array_names: Names = None,
    *,
    array_name: Optional[str] = None,
    metadata: Optional[Mapping[str, str]] = None,
    chunk_size: int = DEFAULT_CHUNK_SIZE,
    progress: Progress = None,
) -> None:
    """Writes arrays of a store to a SafeTensors file. metadata: text to keep beside them.

    Memory: `chunk_size` bytes. Raises TypeError for complex128 and for metadata that is no text, KeyError for
    unknown names.
    """
    size = min(block_size(chunk_size), COPY)
    with stored_arrays(input_path, array_names, array_name) as found, metered(found, progress) as meter:
        # Wide elements first, so that every tensor begins at a multiple of its element's size.
        ordered = sorted(found, key=lambda stored: (-stored.dtype.itemsize, stored.name))
        header = _header(ordered, metadata)
        with new_file(output_path) as partial:
            with open(partial, "wb", buffering=0) as file:
                file.write(header)
                for stored in ordered:
                    for block in meter.count(stored.blocks(stored.rows_in(size))):
                        write_rows(file, block)
            _read_header(partial)


def from_tensor_dict(
    tensors: Mapping[str, Any],
    output_path: PathLike,
    drop_if_exists: bool = False,
    *,
    bfloat16: Bfloat16 = None,
    max_bytes: Optional[int] = None,
    progress: Progress = None,
    return_npk_obj: bool = False,
) -> Optional[NumPack]:
    """Stores a dict of name: ndarray or tensor (of PyTorch, or anything numpy.asarray takes), in one commit.

    Raises TypeError for something other than such a dict, for dtypes that the store does not have, and for masked
    arrays.
    max_bytes: how many bytes the arrays may have; None for any.
    """
    from numpack.io.torch import tensor_array

    options = Options(drop_if_exists, DEFAULT_CHUNK_SIZE, progress, return_npk_obj, max_bytes)
    check_bfloat16(bfloat16)
    if not isinstance(tensors, Mapping):
        raise TypeError(f"tensors must be a dictionary of name: array, got {type(tensors).__name__}")
    for name in tensors:
        if not isinstance(name, str):
            raise TypeError(f"array names are str, got {name!r}")
    sources = [in_memory(name, tensor_array(name, tensor, bfloat16)) for name, tensor in tensors.items()]
    return store_arrays(sources, output_path, options)


@also_named(keys="array_names")
def to_tensor_dict(
    input_path: PathLike,
    array_names: Names = None,
    *,
    array_name: Optional[str] = None,
    framework: str = "numpy",
    progress: Progress = None,
) -> Dict[str, Any]:
    """Arrays of a store in memory: name to ndarray, or to torch.Tensor with framework="torch"."""
    if framework not in ("numpy", "torch"):
        raise ValueError(f"framework must be 'numpy' or 'torch', got {framework!r}")
    with stored_arrays(input_path, array_names, array_name) as found, metered(found, progress) as meter:
        arrays = {stored.name: stored.load(meter) for stored in found}
    if framework == "numpy":
        return arrays
    from numpack.io.torch import array_tensor

    return {name: array_tensor(name, array) for name, array in arrays.items()}


def get_safetensors_metadata(input_path: FilePath) -> Dict[str, Any]:
    """What a SafeTensors file says of itself, without reading tensors.

    Returns {"metadata": {str: str}, "tensors": {name: {"dtype": SafeTensors' name, "shape": tuple}}}.
    """
    header, _ = _read_header(input_path)
    tensors = {
        name: {"dtype": entry["dtype"], "shape": tuple(entry["shape"])}
        for name, entry in header["tensors"].items()
    }
    return {"metadata": header["metadata"], "tensors": tensors}


@also_named(keys="array_names")
def iter_safetensors(
    input_path: FilePath, array_names: Names = None, *, bfloat16: Bfloat16 = None
) -> Iterator[Tuple[str, np.ndarray]]:
    """Names and ndarrays of a SafeTensors file, one tensor in memory at a time; errors as for reading it.

    array_names: the tensors to take, None for all.
    """
    check_bfloat16(bfloat16)
    header, start = _read_header(input_path)
    with open(input_path, "rb", buffering=0) as file:
        for name, entry in picked_members(header["tensors"], array_names, input_path).items():
            source = _source(file, name, entry, start, bfloat16)
            yield name, read_whole(source, DEFAULT_CHUNK_SIZE)


def _read_header(path: FilePath) -> Tuple[Dict[str, Any], int]:
    """Metadata and tensors of a file that the library finds sound, and where the data begins."""
    safetensors = need("safetensors")
    try:
        with safetensors.safe_open(os.fsdecode(path), framework="numpy"):
            pass
    except safetensors.SafetensorError as error:
        raise ValueError(f"{os.fsdecode(path)} is no sound SafeTensors file: {error}") from None
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        tensors = json.loads(file.read(length), object_pairs_hook=partial(_unique, path))
    metadata = tensors.pop("__metadata__", None) or {}
    return {"metadata": metadata, "tensors": tensors}, 8 + length


def _unique(path: FilePath, pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
    """An object of JSON. Raises ValueError for a key that it has twice, of which JSON would keep the last."""
    found: Dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(
                f"{os.fsdecode(path)}: {found[name]} and {value} would both be the array {name!r}"
            )
        found[name] = value
    return found


def _source(file: Any, name: str, entry: Dict[str, Any], start: int, bfloat16: Bfloat16) -> Source:
    shape, brain = tuple(entry["shape"]), entry["dtype"] == "BF16"
    if brain:
        dtype = stored_dtype(name, bfloat16)
    elif entry["dtype"] in _DTYPES:
        dtype = np.dtype(_DTYPES[entry["dtype"]])
    else:
        raise TypeError(f"tensor {name!r} is {entry['dtype']}, which the store does not have")

    kept, offset = np.dtype("<u2") if brain else dtype.newbyteorder("<"), start + entry["data_offsets"][0]

    def blocks(limit: int) -> Iterator[np.ndarray]:
        for block in file_blocks(file, offset, kept, shape, limit // 2 if brain else limit):
            yield from_bits(block, bfloat16) if brain else block

    raw = FilePart(file, offset).native(kept) if kept == dtype else None
    return Source(name, dtype, shape, blocks, raw=raw)


def _header(ordered: Sequence[Stored], metadata: Optional[Mapping[str, str]]) -> bytes:
    """Length and JSON, padded so that the data begins at a multiple of 8."""
    entries: Dict[str, Any] = {}
    if metadata is not None and not isinstance(metadata, Mapping):
        raise TypeError(f"metadata must be a dictionary of str: str, got {type(metadata).__name__}")
    if metadata:
        for pair in metadata.items():
            if not all(isinstance(text, str) for text in pair):
                raise TypeError(f"metadata must be a dictionary of str: str, and holds {pair!r}")
        entries["__metadata__"] = dict(metadata)
    place = 0
    for stored in ordered:
        if stored.dtype.name not in _NAMES:
            raise TypeError(f"array {stored.name!r}: SafeTensors has no {stored.dtype}")
        if stored.name == "__metadata__":
            raise TypeError("SafeTensors keeps the name '__metadata__' for itself")
        offsets = [place, place + stored.nbytes]
        entries[stored.name] = {
            "dtype": _NAMES[stored.dtype.name],
            "shape": stored.shape,
            "data_offsets": offsets,
        }
        place = offsets[1]
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text
