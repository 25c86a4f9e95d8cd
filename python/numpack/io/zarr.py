"""Zarr groups and arrays on disk, formats 2 and 3, by zarr: groups are the parts of names before a slash."""

from __future__ import annotations

import os
from typing import Any, Iterator, Optional, Sequence, Tuple

import numpy as np

from numpack import NumPack
from numpack._aliases import also_named
from numpack.io._chunks import chunk_rows, chunked_blocks, whole_chunks
from numpack.io._errors import need, valid, valid_source
from numpack.io._export import Stored, check_tree, metered, stored_arrays
from numpack.io._import import (
    Names,
    Options,
    Source,
    block_size,
    one_name,
    picked_members,
    stem,
    store_arrays,
)
from numpack.io._partial import new_folder
from numpack.io._progress import Meter, Progress
from numpack.io._sizes import DEFAULT_CHUNK_SIZE, FilePath, PathLike
from numpack.io._spill import Room
from numpack.io._zarr_blosc import with_checks
from numpack.io._zarr_rows import row_chunks

_KIND = "Zarr group or array"
_MARKS = ("zarr.json", ".zgroup", ".zarray")
# Files that Zarr itself puts into the folders of groups and arrays, by format.
_RESERVED = {2: {".zarray", ".zgroup", ".zattrs", ".zmetadata"}, 3: {"zarr.json"}}
# Zarr works on several chunks at once, and at the end of every block has ever fewer: blocks are large.
_PIPELINED = 2
# Bytes of a file name on the file systems of today.
_LONGEST_PART = 255


def from_zarr(
    input_path: FilePath,
    output_path: PathLike,
    array_names: Names = None,
    group: str = "/",
    *,
    array_name: Optional[str] = None,
    drop_if_exists: bool = False,
    chunk_size: int = DEFAULT_CHUNK_SIZE,
    max_bytes: Optional[int] = None,
    progress: Progress = None,
    return_npk_obj: bool = False,
) -> Optional[NumPack]:
    """Stores a Zarr array, or the arrays of a group and the groups in it, in one commit.

    Names are paths from `group` on; an array at the top has the folder's name without suffix. array_names: the
    arrays to take, None for all; array_name: another name for a single one. Memory: `chunk_size` bytes, or
    one compressed chunk where that is more. Raises TypeError for dtypes that the store does not have,
    KeyError for unknown names, FileNotFoundError, ValueError for whatever else zarr raises for damaged files.
    max_bytes: how many bytes the arrays may have; None: a thousand times the file's, or 1 GiB.
    """
    input_path = os.fsdecode(input_path)
    options = Options(drop_if_exists, chunk_size, progress, return_npk_obj, max_bytes, input_path)
    zarr = need("zarr")
    # Chunks are opened one by one, and the program may be in another folder by then.
    with valid(input_path, _KIND, Exception):
        top = _opened(zarr, os.path.abspath(input_path), group.strip("/"))
        if isinstance(top, zarr.Array):
            found = {stem(group.rstrip("/")) or stem(input_path): top}
        else:
            found = dict(_arrays(zarr, os.path.abspath(input_path), top, ""))
    picked, room = picked_members(found, array_names, input_path), options.room(output_path)
    with valid(input_path, _KIND, Exception):
        sources = [_source(zarr, name, with_checks(zarr, array), room) for name, array in picked.items()]
    named = one_name(sources, array_name, input_path)
    checked = [valid_source(source, input_path, _KIND, Exception) for source in named]
    return store_arrays(checked, output_path, options)


@also_named(compressor="compressors")
def to_zarr(
    input_path: PathLike,
    output_path: FilePath,
    array_names: Names = None,
    *,
    array_name: Optional[str] = None,
    group: str = "/",
    compressors: Any = "auto",
    zarr_format: int = 3,
    chunk_size: int = DEFAULT_CHUNK_SIZE,
    progress: Progress = None,
) -> None:
    """Writes arrays of a store to a Zarr group on disk, in chunks of whole rows of about 1 MiB.

    zarr_format: 3 or 2. compressors: as for zarr.create_array ("auto": Zstandard), None for none. Takes the
    place of a Zarr group or array that is there. Every dtype and shape is kept. Memory: `chunk_size` bytes.
    Raises TypeError for names that are not paths or that Zarr keeps for itself (zarr.json), ValueError for such a
    group and another format, FileExistsError for a folder that holds something else.
    """
    size = block_size(chunk_size)
    if zarr_format not in _RESERVED:
        raise ValueError(f"zarr_format must be 2 or 3, got {zarr_format!r}")
    reason = _refusal(group.strip("/"), zarr_format)
    if reason is not None:
        raise ValueError(f"Zarr cannot hold the group {group!r}: {reason}")
    zarr = need("zarr")
    _check_folder(output_path)
    with stored_arrays(input_path, array_names, array_name) as found, metered(found, progress) as meter:
        _check_names(found, zarr_format)
        with new_folder(output_path, replace=True) as partial:
            root = zarr.open_group(os.fspath(partial), mode="w", zarr_format=zarr_format)
            top = root.require_group(group.strip("/")) if group.strip("/") else root
            for stored in found:
                _write(zarr, top, stored, compressors, size, meter)


def _check_names(found: Sequence[Stored], zarr_format: int) -> None:
    """Raises TypeError that names an array which Zarr cannot hold under its name."""
    check_tree(found, "Zarr")
    for stored in found:
        reason = _refusal(stored.name, zarr_format)
        if reason is not None:
            raise TypeError(f"Zarr cannot hold the name {stored.name!r}: {reason}")


def _refusal(path: str, zarr_format: int) -> Optional[str]:
    """Why a path of groups cannot be one of Zarr, which makes it a path of folders; None if it can."""
    if "\\" in path:
        return "a backslash is a slash there"
    for part in path.split("/"):
        if part in _RESERVED[zarr_format]:
            return f"format {zarr_format} keeps {part!r} for itself"
        if part in (".", ".."):
            return "a part between slashes is dots"
        if len(os.fsencode(part)) > _LONGEST_PART:
            return f"a part between slashes has more than {_LONGEST_PART} bytes"
    return None


def _check_folder(path: FilePath) -> None:
    """Raises FileExistsError for what must not be replaced."""
    if not os.path.exists(path):
        return
    if not os.path.isdir(path):
        raise FileExistsError(f"{os.fsdecode(path)} is a file: Zarr makes a folder")
    # What a file system makes of itself is nobody's.
    inside = [name for name in os.listdir(os.fsdecode(path)) if name != "lost+found"]
    if inside and not any(mark in inside for mark in _MARKS):
        raise FileExistsError(f"{os.fsdecode(path)} is a folder that holds something other than Zarr")


def _opened(zarr: Any, folder: str, path: str) -> Any:
    """The group or array as its own files say: consolidated metadata may be older than what is there."""
    return zarr.open(folder, path=path or None, mode="r", use_consolidated=False)


def _arrays(zarr: Any, folder: str, group: Any, prefix: str) -> Iterator[Tuple[str, Any]]:
    for name, member in sorted(group.members()):
        if isinstance(member, zarr.Array):
            yield prefix + name, member
        else:
            # A group in a group may have consolidated metadata of its own.
            yield from _arrays(zarr, folder, _opened(zarr, folder, member.path), f"{prefix}{name}/")


def _check_shards(zarr: Any, array: Any) -> None:
    """Raises ValueError for a shard that is cut off before its first byte, which zarr takes for none."""
    store = array.store_path.store
    if array.shards is None or not isinstance(store, zarr.storage.LocalStore):
        return
    for folder, _, files in os.walk(os.path.join(os.fspath(store.root), array.store_path.path)):
        for path in (os.path.join(folder, file) for file in files):
            if not os.path.getsize(path):
                raise ValueError(f"{path}: a shard without bytes")


def _source(zarr: Any, name: str, array: Any, room: Room) -> Source:
    dtype = np.dtype(array.dtype)
    dtype = dtype.newbyteorder("=") if dtype.kind in "biufc" else dtype
    shape = tuple(array.shape)
    if 0 in array.chunks and 0 not in shape:
        raise ValueError(f"array {name!r} of shape {shape} has chunks without elements: {array.chunks}")
    _check_shards(zarr, array)
    chunks = tuple(max(1, length) for length in array.chunks)
    plain = row_chunks(zarr, array)

    def blocks(limit: int) -> Iterator[np.ndarray]:
        if plain is not None:
            yield from plain.blocks(limit)
            return
        if not shape:
            yield np.asarray(array[()], dtype)
            return
        # Of a shard single chunks can be read.
        for part in chunked_blocks(array.__getitem__, shape, dtype, chunks, _PIPELINED * limit, room):
            yield np.asarray(part, dtype)

    return Source(name, dtype, shape, blocks)


def _write(zarr: Any, top: Any, stored: Stored, compressors: Any, size: int, meter: Meter) -> None:
    inner = chunk_rows(stored.shape, stored.dtype) if stored.shape else 1
    chunks = tuple(max(1, length) for length in (inner, *stored.shape[1:])) if stored.shape else ()
    # Of a chunk of zeros zarr writes no file, also when some of them are negative.
    config = {"write_empty_chunks": stored.dtype.kind in "fc"}
    array = top.create_array(
        stored.name,
        shape=stored.shape,
        dtype=stored.dtype,
        chunks=chunks,
        compressors=compressors,
        config=config,
    )
    start = 0
    for block in meter.count(
        stored.blocks(whole_chunks(stored.shape, stored.dtype, _PIPELINED * size, inner))
    ):
        if not stored.shape:
            array[()] = block
        elif block.size:
            array[start : start + len(block)] = block
            start += len(block)
