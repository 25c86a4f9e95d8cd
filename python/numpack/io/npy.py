"""NumPy's own files: .npy (one array) and .npz (several).

Versions 1 to 3, both orders and byte orders are read. Pickled objects never are. Rows pass through in blocks.
"""

from __future__ import annotations

import ast
import lzma
import operator
import os
import struct
import tempfile
import zipfile
import zlib
from contextlib import ExitStack, contextmanager
from typing import IO, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from numpack import NumPack
from numpack.io._bytes import COPY, FilePart, column_blocks, file_blocks, row_blocks, write_rows
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
from numpack.io._sizes import DEFAULT_CHUNK_SIZE, FilePath, PathLike

_MAGIC = b"\x93NUMPY"
# How a .npz begins, with members and without; what comes at the end of a file does not make it one.
_ARCHIVES = (b"PK\x03\x04", b"PK\x05\x06")
# What zipfile and its decompressors raise for members that are damaged, encrypted or of an unknown method.
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError)
# A header that describes a plain dtype and any shape is far below this.
_LONGEST_HEADER = 1 << 16


class _Header(NamedTuple):
    dtype: np.dtype
    fortran: bool
    shape: Tuple[int, ...]
    offset: int

    def nbytes(self) -> int:
        size = self.dtype.itemsize
        for length in self.shape:
            size *= length
        return size


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
            sources = _members(archive, array_names, input_path, stack)
        else:
            sources = [_from_file(file, stem(input_path))]
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
                    _write(file, found[0], size, meter)
            else:
                _write_archive(os.fspath(partial), found, compressed, size, meter)


def _from_file(file: IO[bytes], name: str) -> Source:
    file.seek(0)
    header = _read_header(file, name)
    found = os.fstat(file.fileno()).st_size - header.offset
    if found < header.nbytes():
        raise ValueError(
            f"{name}: the file is cut off: {found} bytes of data where {header.nbytes()} should be"
        )

    def blocks(limit: int) -> Iterator[np.ndarray]:
        if header.fortran and header.nbytes():
            return column_blocks(file, header.offset, header.dtype, header.shape, 2 * limit)
        return file_blocks(file, header.offset, header.dtype, header.shape, limit)

    raw = None if header.fortran else FilePart(file, header.offset).native(header.dtype)
    # Two blocks of columns at once would take memory, in which larger blocks save passes over the file.
    ahead = not header.fortran
    return Source(name, header.dtype.newbyteorder("="), header.shape, blocks, raw=raw, ahead=ahead)


def _members(archive: zipfile.ZipFile, names: Names, origin: FilePath, stack: ExitStack) -> List[Source]:
    members = [
        (info.filename[:-4], f"member {at} {info.filename!r}", info)
        for at, info in enumerate(archive.infolist(), 1)
        if info.filename.endswith(".npy")
    ]
    picked = only_members(members, names, origin)
    return [_from_member(archive, info, name, stack) for name, info in picked.items()]


def _from_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, stack: ExitStack) -> Source:
    origin = f"{archive.filename}: member {info.filename!r}"
    with _sound(origin), archive.open(info) as member:
        header = _read_header(member, origin)
    found = info.file_size - header.offset
    if found < header.nbytes():
        raise ValueError(f"{origin} is cut off: {found} bytes of data where {header.nbytes()} should be")

    def read(limit: int) -> Iterator[np.ndarray]:
        member = stack.enter_context(archive.open(info))
        if header.fortran and header.nbytes():
            # Columns are needed in any order, and a compressed member can be read in one only.
            spooled = stack.enter_context(tempfile.TemporaryFile())
            for part in iter(lambda: member.read(1 << 20), b""):
                spooled.write(part)
            spooled.flush()
            return column_blocks(spooled, header.offset, header.dtype, header.shape, 2 * limit)
        member.read(header.offset)
        return row_blocks(member, header.dtype, header.shape, limit)

    def blocks(limit: int) -> Iterator[np.ndarray]:
        with _sound(origin):
            yield from read(limit)

    return Source(name, header.dtype.newbyteorder("="), header.shape, blocks, ahead=not header.fortran)


@contextmanager
def _sound(origin: object) -> Iterator[None]:
    """Raises ValueError where the block finds an archive or a member damaged."""
    try:
        yield
    except _DAMAGE as error:
        raise ValueError(f"{origin} is damaged: {error}") from None


def _read_header(file: IO[bytes], name: str) -> _Header:
    """What stands before the data, in versions 1.0, 2.0 and 3.0 of the format."""
    start = file.read(8)
    if start[:6] != _MAGIC or len(start) < 8:
        raise ValueError(f"{name}: this is no .npy file")
    if start[6] not in (1, 2, 3):
        raise ValueError(f"{name}: version {start[6]} of the .npy format is not known")
    sized, width = ("<H", 2) if start[6] == 1 else ("<I", 4)
    prefix = file.read(width)
    length = struct.unpack(sized, prefix)[0] if len(prefix) == width else _LONGEST_HEADER + 1
    if length > _LONGEST_HEADER:
        raise ValueError(f"{name}: the header has no sound length")
    text = file.read(length)
    try:
        found = ast.literal_eval(text.decode("utf-8" if start[6] == 3 else "latin-1").strip())
        dtype = np.lib.format.descr_to_dtype(found["descr"])
        fortran, shape = bool(found["fortran_order"]), tuple(map(operator.index, found["shape"]))
    except (SyntaxError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{name}: the header cannot be read: {error}") from None
    if any(length < 0 for length in shape):
        raise ValueError(f"{name}: the header has a negative shape: {shape}")
    return _Header(dtype, fortran and len(shape) > 1, shape, 8 + width + length)


def _write(file: IO[bytes], stored: Stored, size: int, meter: Meter) -> None:
    header = {"descr": stored.dtype.str, "fortran_order": False, "shape": stored.shape}
    np.lib.format.write_array_header_1_0(file, header)
    for block in meter.count(stored.blocks(stored.rows_in(size))):
        write_rows(file, block)


def _write_archive(path: str, found: Sequence[Stored], compressed: bool, size: int, meter: Meter) -> None:
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", method) as archive:
        for stored in found:
            with archive.open(f"{stored.name}.npy", "w", force_zip64=True) as member:
                _write(member, stored, size, meter)
