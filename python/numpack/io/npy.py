"""NumPy's own files: .npy (one array) and .npz (several).

The engine reads and writes what is in a .npy; here are names, archives and the way to `numpack.io`'s other parts.
"""

from __future__ import annotations

import ast
import lzma
import os
import shutil
import tempfile
import zipfile
import zlib
from contextlib import ExitStack, contextmanager
from typing import IO, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from numpack import NumPack
from numpack._numpack import _NpyHeader
from numpack.io._bytes import COPY, FilePart, row_blocks, write_rows
from numpack.io._export import Stored, metered, only, stored_arrays
from numpack.io._import import (
    Names,
    Options,
    Source,
    block_size,
    one_name,
    only_members,
    picked_members,
    stem,
    store_arrays,
)
from numpack.io._partial import new_file
from numpack.io._progress import Meter, Progress
from numpack.io._sizes import DEFAULT_CHUNK_SIZE, FilePath, PathLike, estimate_chunk_rows, ranges

# How a .npz begins, with members and without; what comes at the end of a file does not make it one.
_ARCHIVES = (b"PK\x03\x04", b"PK\x05\x06")
# What zipfile and its decompressors raise for members that are damaged, encrypted or of an unknown method.
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError)


def from_npy(
    input_path: FilePath,
    output_path: PathLike,
    array_name: Optional[str] = None,
    drop_if_exists: bool = False,
    *,
    array_names: Names = None,
    chunk_size: int = DEFAULT_CHUNK_SIZE,
    max_bytes: Optional[int] = None,
    progress: Progress = None,
    return_npk_obj: bool = False,
) -> Optional[NumPack]:
    """Stores the array of a .npy file, or the arrays of a .npz, in one commit.

    `array_names` picks members of a .npz; `array_name` names a single array, otherwise the name of the member
    or the file's name without suffix. Memory: `chunk_size` bytes. Raises TypeError for dtypes that the store
    does not have, ValueError for damaged files, KeyError for unknown members.
    max_bytes: how many bytes the arrays may have; None: a thousand times the file's, or 1 GiB.
    """
    input_path = os.fsdecode(input_path)
    options = Options(drop_if_exists, chunk_size, progress, return_npk_obj, max_bytes, input_path)
    with ExitStack() as stack:
        file = stack.enter_context(open(input_path, "rb"))
        if file.read(4) in _ARCHIVES:
            with _sound(input_path):
                archive = stack.enter_context(zipfile.ZipFile(file))
            sources = _members(archive, array_names, input_path)
        else:
            sources = [_from_file(file, input_path)]
            picked_members({sources[0].name: None}, array_names, input_path)
        return store_arrays(one_name(sources, array_name, input_path), output_path, options)


def to_npy(
    input_path: PathLike,
    output_path: FilePath,
    array_names: Names = None,
    compressed: bool = True,
    *,
    array_name: Optional[str] = None,
    chunk_size: int = DEFAULT_CHUNK_SIZE,
    progress: Progress = None,
) -> None:
    """Writes arrays of a store to a .npz file, or one array to a .npy file; the suffix decides.

    array_names: None for all. compressed: deflate, for .npz alone. Memory: `chunk_size` bytes. Raises KeyError
    for unknown names, ValueError for another suffix or several arrays in a .npy.
    """
    suffix = os.path.splitext(os.fsdecode(output_path))[1].lower()
    if suffix not in (".npy", ".npz"):
        raise ValueError(f"the file name must end in .npy or .npz, got {os.fsdecode(output_path)!r}")
    size = min(block_size(chunk_size), COPY)
    with stored_arrays(input_path, array_names, array_name) as found, metered(found, progress) as meter:
        if suffix == ".npy":
            only(found)
        with new_file(output_path) as partial:
            if suffix == ".npy":
                with open(partial, "wb", buffering=0) as file:
                    found[0].lazy._write_npy(file.fileno(), partial, size, meter.add)
            else:
                _write_archive(os.fspath(partial), found, compressed, size, meter)


def _from_file(file: IO[bytes], path: str) -> Source:
    file.seek(0)
    header, dtype = _header(file, path)
    _check_size(header, dtype, os.fstat(file.fileno()).st_size, f"{path}: the file")
    raw = None if header.fortran else FilePart(file, header.offset).native(dtype)
    native = dtype.newbyteorder("=")

    def blocks(limit: int) -> Iterator[np.ndarray]:
        return _blocks(header, native, file, path, limit)

    return Source(stem(path), native, header.shape, blocks, raw=raw)


def _blocks(
    header: _NpyHeader, dtype: np.dtype, file: IO[bytes], origin: str, limit: int
) -> Iterator[np.ndarray]:
    """Rows of a .npy that is open, in blocks; larger ones of columns, which saves passes over the file."""
    shape = header.shape
    if 0 in shape:
        return
    limit = 2 * limit if header.fortran else min(limit, COPY)
    if not shape:
        block = np.empty((), dtype)
        header.fill(file.fileno(), origin, 0, 1, block.reshape(-1).view(np.uint8))
        yield block
        return
    rows = min(estimate_chunk_rows(shape, dtype, limit), shape[0])
    buffers = [np.empty((rows, *shape[1:]), dtype) for _ in range(2 if rows < shape[0] else 1)]
    for start, stop in ranges(shape[0], rows):
        buffers.reverse()
        block = buffers[0][: stop - start]
        header.fill(file.fileno(), origin, start, stop - start, block.reshape(-1).view(np.uint8))
        yield block


def _members(archive: zipfile.ZipFile, names: Names, origin: FilePath) -> List[Source]:
    members = [
        (info.filename[:-4], f"member {at} {info.filename!r}", info)
        for at, info in enumerate(archive.infolist(), 1)
        if info.filename.endswith(".npy")
    ]
    picked = only_members(members, names, origin)
    return [_from_member(archive, info, name) for name, info in picked.items()]


def _from_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> Source:
    origin = f"{archive.filename}: member {info.filename!r}"
    with _sound(origin), archive.open(info) as member:
        header, dtype = _header(member, origin)
    _check_size(header, dtype, info.file_size, origin)
    native = dtype.newbyteorder("=")

    def read(limit: int) -> Iterator[np.ndarray]:
        # Open as long as its rows are read: a member takes a descriptor, or two.
        with archive.open(info) as member:
            if not header.fortran or 0 in header.shape:
                member.read(header.offset)
                yield from row_blocks(member, dtype, header.shape, limit)
                return
            # Columns are needed in any order, and a compressed member can be read in one only.
            with tempfile.TemporaryFile() as spooled:
                shutil.copyfileobj(member, spooled, 1 << 20)
                spooled.flush()
                yield from _blocks(header, native, spooled, origin, limit)

    def blocks(limit: int) -> Iterator[np.ndarray]:
        with _sound(origin):
            yield from read(limit)

    return Source(name, native, header.shape, blocks)


@contextmanager
def _sound(origin: object) -> Iterator[None]:
    """Raises ValueError where the block finds an archive or a member damaged."""
    try:
        yield
    except _DAMAGE as error:
        raise ValueError(f"{origin} is damaged: {error}") from None


def _header(file: IO[bytes], origin: str) -> Tuple[_NpyHeader, np.dtype]:
    """What stands before the data, and its dtype, which may be one that no store has."""
    header = _NpyHeader(file, origin)
    try:
        return header, np.lib.format.descr_to_dtype(ast.literal_eval(header.descr))
    except (SyntaxError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{origin}: the header cannot be read: {error}") from None


def _check_size(header: _NpyHeader, dtype: np.dtype, size: int, what: str) -> None:
    """Raises ValueError where there are fewer bytes than the shape asks for."""
    wanted = dtype.itemsize
    for length in header.shape:
        wanted *= length
    found = size - header.offset
    if found < wanted:
        raise ValueError(f"{what} is cut off: {found} bytes of data where {wanted} should be")


def _write_archive(path: str, found: Sequence[Stored], compressed: bool, size: int, meter: Meter) -> None:
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", method) as archive:
        for stored in found:
            with archive.open(f"{stored.name}.npy", "w", force_zip64=True) as member:
                member.write(_NpyHeader.of(stored.dtype, stored.shape))
                for block in meter.count(stored.blocks(stored.rows_in(size))):
                    write_rows(member, block)
