"""HDF5 files, by h5py: datasets become arrays, groups the parts of their names before a slash."""

from __future__ import annotations

import os
from typing import IO, Any, Dict, FrozenSet, Iterator, Optional, Tuple

import numpy as np

from numpack import NumPack
from numpack._aliases import also_named
from numpack.io._bytes import COPY, FilePart, file_blocks
from numpack.io._chunks import chunk_rows, chunked_blocks, whole_chunks
from numpack.io._errors import need, sound, sound_source
from numpack.io._export import Stored, check_tree, metered, stored_arrays
from numpack.io._import import Names, Options, Source, block_size, one_name, picked_members, store_arrays
from numpack.io._partial import new_file
from numpack.io._progress import Meter, Progress
from numpack.io._sizes import DEFAULT_CHUNK_SIZE, FilePath, PathLike, check_count
from numpack.io._spill import Room

_KIND = "HDF5 file"
# What h5py raises for what lies in a file.
_DAMAGE = (OSError, RuntimeError, KeyError, UnicodeDecodeError)


@also_named(dataset_names="array_names")
def from_hdf5(
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
    """Stores the datasets of a group and the groups in it, in one commit.

    Names are paths from `group` on. array_names: the datasets to take, None for all; array_name: another name
    for a single one. Links to other places and files are not followed, and a dataset whose values lie in other files
    (external storage, virtual datasets) is refused. Memory: `chunk_size` bytes, or one compressed chunk where that is
    more. Raises TypeError for strings, compounds and other dtypes that the store does not have, KeyError for unknown
    names, ValueError for a file that is cut off or no HDF5.
    max_bytes: how many bytes the arrays may have; None: a thousand times the file's, or 1 GiB.
    """
    input_path = os.fsdecode(input_path)
    options = Options(drop_if_exists, chunk_size, progress, return_npk_obj, max_bytes, input_path)
    h5py = need("h5py")
    with _opened(h5py, input_path) as file, open(input_path, "rb", buffering=0) as raw:
        with sound(input_path, _KIND, OSError, RuntimeError):
            top = _member(h5py, file, group, input_path)
        if isinstance(top, h5py.Dataset):
            found = {top.name.rpartition("/")[2]: top}
        else:
            with sound(input_path, _KIND, *_DAMAGE):
                found = dict(_datasets(h5py, top, "", frozenset({top.id})))
        picked, room = picked_members(found, array_names, input_path), options.room(output_path)
        for name, dataset in picked.items():
            _check_own(dataset, name, input_path)
        with sound(input_path, _KIND, *_DAMAGE):
            sources = [_source(h5py, raw, name, dataset, room) for name, dataset in picked.items()]
        named = one_name(sources, array_name, input_path)
        checked = [sound_source(source, input_path, _KIND, *_DAMAGE) for source in named]
        return store_arrays(checked, output_path, options)


@also_named(dataset_names="array_names")
def to_hdf5(
    input_path: PathLike,
    output_path: FilePath,
    array_names: Names = None,
    *,
    array_name: Optional[str] = None,
    group: str = "/",
    compression: Optional[str] = "gzip",
    compression_opts: Optional[int] = 4,
    chunk_size: int = DEFAULT_CHUNK_SIZE,
    progress: Progress = None,
) -> None:
    """Writes arrays of a store to a new HDF5 file, as datasets below `group`.

    compression: a filter of h5py ("gzip", "lzf", None) for arrays that are not empty; compression_opts: its
    level from 0 to 9, for gzip alone. Every dtype and shape is kept. Memory: `chunk_size` bytes. Raises
    TypeError for names that are no paths, KeyError for unknown ones, ValueError for another compression.
    """
    size = min(block_size(chunk_size), 4 * COPY)
    h5py = need("h5py")
    filters = _filters(compression, compression_opts)
    with stored_arrays(input_path, array_names, array_name) as found, metered(found, progress) as meter:
        check_tree(found, "HDF5")
        with new_file(output_path) as partial, h5py.File(partial, "w") as file:
            top = file.require_group(group)
            for stored in found:
                _write(top, stored, filters, size, meter)


def _opened(h5py: Any, path: FilePath) -> Any:
    """The file. Raises ValueError for one that is cut off or no HDF5."""
    with sound(path, _KIND, OSError):
        return h5py.File(path, "r")


def _filters(compression: Optional[str], level: Optional[int]) -> Dict[str, Any]:
    """Arguments for a dataset. Raises ValueError for a level of gzip that there is not."""
    if compression != "gzip":
        return {"compression": compression}
    if level is not None:
        check_count("compression_opts", level)
        if level > 9:
            raise ValueError(f"compression_opts must be at most 9, got {level}")
    return {"compression": compression, "compression_opts": level}


def _member(h5py: Any, file: Any, path: str, origin: str) -> Any:
    """The group or dataset at a path. Raises KeyError for none, ValueError for a link, which may lead elsewhere."""
    member = file
    for part in path.split("/"):
        if part in ("", "."):
            continue
        link = member.get(part, getlink=True) if isinstance(member, h5py.Group) else None
        if link is None:
            raise KeyError(f"no group or dataset {path!r} in {origin}")
        if not isinstance(link, h5py.HardLink):
            raise ValueError(f"{origin}: {part!r} is a link, and links are not followed")
        member = member[part]
    return member


def _check_own(dataset: Any, name: str, origin: str) -> None:
    """Raises ValueError for a dataset whose values lie in files that it names, which may be any of the machine."""
    if dataset.is_virtual:
        raise ValueError(
            f"{origin}: dataset {name!r} is virtual, made of values of other datasets: store those, or a copy of it"
        )
    if dataset.external:
        files = ", ".join(repr(part[0]) for part in dataset.external)
        raise ValueError(
            f"{origin}: dataset {name!r} keeps its values in other files ({files}): store a copy of it"
        )


def _datasets(h5py: Any, group: Any, prefix: str, around: FrozenSet[Any]) -> Iterator[Tuple[str, Any]]:
    """Names and datasets below a group. `around` are itself and the groups around it, which a link may lead to."""
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        member = group[name]
        if isinstance(member, h5py.Dataset):
            yield prefix + name, member
        elif isinstance(member, h5py.Group) and member.id not in around:
            yield from _datasets(h5py, member, f"{prefix}{name}/", around | {member.id})


def _source(h5py: Any, file: IO[bytes], name: str, dataset: Any, room: Room) -> Source:
    if dataset.shape is None:
        raise TypeError(f"array {name!r}: an empty dataset (without a shape) cannot be stored")
    dtype = dataset.dtype.newbyteorder("=") if dataset.dtype.kind in "biufc" else dataset.dtype

    place = _place(h5py, dataset)

    def blocks(limit: int) -> Iterator[np.ndarray]:
        if place is not None:
            yield from file_blocks(file, place, dataset.dtype, tuple(dataset.shape), limit)
            return
        if not dataset.shape:
            yield np.asarray(dataset[()], dtype)
            return
        chunks = dataset.chunks or (1, *dataset.shape[1:])
        parts = chunked_blocks(dataset.__getitem__, dataset.shape, dtype, chunks, min(limit, COPY), room)
        for part in parts:
            yield part.astype(dtype, copy=False)

    raw = None if place is None else FilePart(file, place).native(dataset.dtype)
    return Source(name, dtype, tuple(dataset.shape), blocks, raw=raw)


def _place(h5py: Any, dataset: Any) -> Optional[int]:
    """Where in the file the elements lie one behind the other as NumPy has them; None if they do not."""
    inner = dataset.id
    contiguous = inner.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS
    # What was never written has no place yet.
    if not contiguous or not dataset.nbytes or inner.get_storage_size() != dataset.nbytes:
        return None
    same = inner.get_type() == h5py.h5t.py_create(dataset.dtype, logical=True)
    place: Optional[int] = inner.get_offset() if same else None
    return place


def _write(top: Any, stored: Stored, filters: Dict[str, Any], size: int, meter: Meter) -> None:
    if not stored.nbytes or not stored.shape or filters["compression"] is None:
        dataset = top.create_dataset(stored.name, stored.shape, stored.dtype)
        inner = 1
    else:
        inner = chunk_rows(stored.shape, stored.dtype)
        chunks = (inner, *stored.shape[1:])
        dataset = top.create_dataset(stored.name, stored.shape, stored.dtype, chunks=chunks, **filters)
    start = 0
    for block in meter.count(stored.blocks(whole_chunks(stored.shape, stored.dtype, size, inner))):
        if not stored.shape:
            dataset[()] = block
        elif block.size:
            dataset[start : start + len(block)] = block
            start += len(block)
