"""Numbers as text: CSV (with header, quotes, missing values) and text with other delimiters.

Text keeps values and names of columns, not dtype, shape or NaN payloads: an array of one dimension is one column,
of two the lines, and more do not fit. Lines pass through in blocks.
"""

from __future__ import annotations

import csv as _csv
import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any, Iterator, List, Optional, Sequence, TextIO, Tuple, Union

import numpy as np
import numpy.typing as npt

from numpack import NumPack
from numpack.io._columns import Columns
from numpack.io._partial import new_file
from numpack.io._progress import Progress
from numpack.io._sizes import DEFAULT_BATCH_ROWS, DEFAULT_CHUNK_SIZE, PathLike
from numpack.io._stored import Stored, metered, stored_array
from numpack.io._stream import Options, Source, block_size, stem, store_arrays

_MISSING = {"", "na", "n/a", "nan", "null", "none"}
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}
_FLOATS = "%.18e"


def from_csv(
    input_path: PathLike,
    output_path: PathLike,
    array_name: Optional[str] = None,
    drop_if_exists: bool = False,
    *,
    dtype: Optional[npt.DTypeLike] = None,
    delimiter: Optional[str] = ",",
    skiprows: int = 0,
    max_rows: Optional[int] = None,
    header: Optional[bool] = None,
    encoding: str = "utf-8-sig",
    chunk_size: int = DEFAULT_CHUNK_SIZE,
    progress: Progress = None,
    return_npk_obj: bool = False,
) -> Optional[NumPack]:
    """Stores a table of numbers: shape (rows,) for one column, otherwise (rows, columns).

    dtype: float64 unless given. skiprows: lines to skip. max_rows: rows to take. header: whether the next line
    has names of columns; None: it has if one of its fields is no number. The names are stored with the array.
    A missing value (empty, NA, N/A, null, none) is NaN in floating point and a ValueError in other dtypes,
    as is text that is no number or a line of another length. Memory: `chunk_size` bytes.
    """
    wanted = np.dtype(np.float64 if dtype is None else dtype)
    options = Options(drop_if_exists, chunk_size, progress, return_npk_obj)
    with open(input_path, encoding=encoding, newline="") as file:
        for _ in islice(file, skiprows):
            pass
        text = _Text(file, wanted, delimiter, max_rows, skiprows)
        source = text.source(stem(input_path) if array_name is None else array_name, header)
        return store_arrays([source], output_path, options)


def from_txt(
    input_path: PathLike,
    output_path: PathLike,
    array_name: Optional[str] = None,
    drop_if_exists: bool = False,
    *,
    delimiter: Optional[str] = None,
    **options: Any,
) -> Optional[NumPack]:
    """As `from_csv`, with fields between runs of white space (delimiter=None) or another delimiter."""
    return from_csv(input_path, output_path, array_name, drop_if_exists, delimiter=delimiter, **options)


def to_csv(
    input_path: PathLike,
    output_path: PathLike,
    array_name: Optional[str] = None,
    *,
    delimiter: str = ",",
    header: Union[bool, Sequence[str]] = False,
    fmt: str = _FLOATS,
    chunk_size: int = DEFAULT_CHUNK_SIZE,
    progress: Progress = None,
) -> None:
    """Writes an array of shape (rows,) or (rows, columns) as lines of text, in UTF-8.

    header: True for the names stored with the array (or col0, col1, ...), or the names. fmt: how a number is
    written, as for numpy.savetxt; the default gives every float back exactly, and writes integers and bools
    as integers. Raises TypeError for other shapes. Memory: `chunk_size` bytes.
    """
    size = block_size(chunk_size)
    with stored_array(input_path, array_name) as stored, metered([stored], progress) as meter:
        if len(stored.shape) not in (1, 2):
            raise TypeError(
                f"text holds arrays of 1 or 2 dimensions, and {stored.name!r} has {len(stored.shape)}"
            )
        rows = min(DEFAULT_BATCH_ROWS, stored.rows_in(max(1, size // 8)))
        chosen = "%d" if stored.dtype.kind in "iub" and fmt == _FLOATS else fmt
        with new_file(output_path) as partial, open(partial, "w", encoding="utf-8", newline="") as file:
            _write_header(file, stored, header, delimiter)
            for block in meter.count(stored.blocks(rows)):
                np.savetxt(file, block, chosen, delimiter)


def to_txt(
    input_path: PathLike,
    output_path: PathLike,
    array_name: Optional[str] = None,
    *,
    delimiter: str = " ",
    **options: Any,
) -> None:
    """As `to_csv`, with fields between spaces."""
    to_csv(input_path, output_path, array_name, delimiter=delimiter, **options)


def _write_header(file: TextIO, stored: Stored, header: Union[bool, Sequence[str]], delimiter: str) -> None:
    if header is False:
        return
    names = stored.columns.names if header is True else tuple(header)
    width = stored.shape[1] if len(stored.shape) == 2 else 1
    if len(names) != width:
        raise ValueError(f"header has {len(names)} names for {width} columns")
    _csv.writer(file, delimiter=delimiter, lineterminator="\n").writerow(names)


@dataclass
class _Text:
    """A file of lines, and how they are read."""

    file: TextIO
    dtype: np.dtype
    delimiter: Optional[str]
    max_rows: Optional[int]
    line: int

    def source(self, name: str, header: Optional[bool]) -> Source:
        """The array, after its first line has been looked at."""
        names, first = self._head(header)
        width = len(names or first or [""])
        columns = None
        if names:
            columns = Columns(tuple(names), (self.dtype.name,) * width, 1 if width == 1 else 2)
        shape: Tuple[Optional[int], ...] = (None,) if width == 1 else (None, width)
        return Source(name, self.dtype, shape, lambda limit: self._blocks(first, width, limit), columns)

    def _head(self, header: Optional[bool]) -> Tuple[List[str], List[str]]:
        """Names of columns, and the fields of the first row where it had to be read."""
        fields = next(self._split(self.file), [])
        self.line += 1
        if fields and fields[0].startswith("#"):
            # numpy.savetxt writes its header as a comment.
            fields = [name for name in (fields[0][1:].strip(), *fields[1:]) if name]
            header = True
        if header is None:
            header = not all(self._is_number(field) for field in fields)
        return (fields, []) if header else ([], fields)

    def _split(self, lines: Any) -> Iterator[List[str]]:
        """Fields of lines that are not empty."""
        if self.delimiter is None:
            return (fields for fields in map(str.split, lines) if fields)
        return (fields for fields in _csv.reader(lines, delimiter=self.delimiter) if fields)

    def _is_number(self, field: str) -> bool:
        return field.strip().lower() in _TRUTHS or _is_missing(field) or _is_float(field)

    def _blocks(self, first: List[str], width: int, limit: int) -> Iterator[np.ndarray]:
        left = self.max_rows
        if first and left != 0:
            yield self._parsed([first], width)
            left = None if left is None else left - 1
        while left is None or left > 0:
            lines = self.file.readlines(max(1, limit // 4))
            if not lines:
                return
            full = [line for line in lines if not line.isspace()]
            if full:
                rows = self._rows(full if left is None else full[:left], width)
                left = None if left is None else left - len(rows)
                yield rows
            self.line += len(lines)

    def _rows(self, lines: List[str], width: int) -> np.ndarray:
        """Rows of lines: by NumPy's reader if it can, field by field if something is missing."""
        try:
            found = self._loaded(lines)
        except (ValueError, OverflowError, DeprecationWarning):
            return self._parsed(list(self._split(lines)), width)
        if found.shape[1] != width:
            raise ValueError(f"after line {self.line}: {found.shape[1]} fields where {width} should be")
        return self._shaped(found)

    def _loaded(self, lines: List[str]) -> np.ndarray:
        """What NumPy's reader makes of lines. Raises ValueError, or a warning, for what it would have to change."""
        quote = None if self.delimiter is None else '"'
        # Some NumPys let narrow integers wrap around, and cut off what stands behind a point.
        integers = self.dtype.kind in "iu"
        narrow = integers and self.dtype.itemsize < 8
        wide = np.dtype(np.int64) if narrow else self.dtype
        with warnings.catch_warnings() if integers else nullcontext():
            if integers:
                warnings.simplefilter("error", DeprecationWarning)
            found = np.loadtxt(lines, wide, comments=None, delimiter=self.delimiter, quotechar=quote, ndmin=2)
        if narrow and found.size:
            limits = np.iinfo(self.dtype)
            if found.min() < limits.min or found.max() > limits.max:
                raise ValueError(f"integers beyond {self.dtype}")
        return found.astype(self.dtype, copy=False)

    def _parsed(self, rows: List[List[str]], width: int) -> np.ndarray:
        result = np.empty((len(rows), width), self.dtype)
        for at, fields in enumerate(rows):
            if len(fields) != width:
                raise ValueError(
                    f"row {at} after line {self.line}: {len(fields)} fields where {width} should be"
                )
            result[at] = [self._value(field, at) for field in fields]
        return self._shaped(result)

    def _value(self, field: str, row: int) -> Any:
        if _is_missing(field) and self.dtype.kind in "fc":
            return np.nan
        try:
            if self.dtype.kind == "b":
                return _TRUTHS[field.strip().lower()]
            if self.dtype.kind in "iu":
                return _integer(field, np.iinfo(self.dtype))
            return self.dtype.type(field.strip())
        except (ValueError, OverflowError, KeyError):
            raise ValueError(f"row {row} after line {self.line}: {field!r} is no {self.dtype}") from None

    def _shaped(self, rows: np.ndarray) -> np.ndarray:
        return rows[:, 0] if rows.shape[1] == 1 else rows


def _integer(field: str, limits: Any) -> int:
    """A whole number, however it is written. Raises ValueError for one that the dtype does not have."""
    try:
        value = int(field)
    except ValueError:
        value = int(float(field))
        if value != float(field):
            raise
    if not limits.min <= value <= limits.max:
        raise ValueError(f"{value} is not between {limits.min} and {limits.max}")
    return value


def _is_missing(field: str) -> bool:
    return field.strip().lower() in _MISSING


def _is_float(field: str) -> bool:
    try:
        complex(field.strip())
    except ValueError:
        return False
    return True
