"""Lines of text to rows of numbers: names of columns, comments, missing values.

NumPy's reader does what it can; what it refuses or would change is read field by field, and there every number is
exact or an error that names it.
"""

from __future__ import annotations

import csv as _csv
import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import chain
from typing import Any, Iterable, Iterator, List, Optional, TextIO, Tuple

import numpy as np

from numpack.io._columns import Columns
from numpack.io._import import Source

_MISSING = {"", "na", "n/a", "nan", "null", "none"}
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}
_COMMENT = "#"
# No integer of the store has more digits.
_DIGITS = 20


@dataclass
class Text:
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
        remark, fields, row = self._first_lines()
        numbers = all(self._is_number(field) for field in row)
        # numpy.savetxt writes its header as a comment.
        named = bool(remark) and header is not False and (len(remark) == len(row) or not fields and header)
        if named and numbers:
            return remark, row
        if header or (header is None and not numbers):
            return fields, []
        return [], row

    def _first_lines(self) -> Tuple[List[str], List[str], List[str]]:
        """Fields of the first line if it is a comment; of the first line that is none; of that without comment."""
        remark: Optional[List[str]] = None
        for line in self.file:
            text = line.strip()
            if text and not self._is_comment(text):
                self.line += 1
                fields = next(self._split(chain([line], self.file)), [])
                bare = self._bare(line)
                row = fields if bare == line else next(self._split([bare]), [])
                return remark or [], fields, row
            if text and remark is None:
                remark = [field.strip() for field in next(self._split([text[1:]]), [])]
            self.line += 1
        return remark or [], [], []

    def _is_comment(self, text: str) -> bool:
        return text.startswith(_COMMENT) and self.delimiter != _COMMENT

    def _bare(self, line: str) -> str:
        """A line without a comment at its end; a # behind a quote is none."""
        before, mark, _ = line.partition(_COMMENT)
        quoted = self.delimiter is not None and '"' in before
        return line if quoted or not mark or self.delimiter == _COMMENT else before

    def _split(self, lines: Iterable[str]) -> Iterator[List[str]]:
        """Fields of lines that are not empty. Raises ValueError for a field of more than 131,072 characters."""
        if self.delimiter is None:
            yield from (fields for fields in map(str.split, lines) if fields)
            return
        try:
            yield from (fields for fields in _csv.reader(lines, delimiter=self.delimiter) if fields)
        except _csv.Error as error:
            raise ValueError(f"after line {self.line}: {error}") from None

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
            full = [line for line in lines if not line.isspace() and not self._is_comment(line.lstrip())]
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
            return self._parsed(list(self._split(map(self._bare, lines))), width)
        if found.shape[1] != width:
            raise ValueError(f"after line {self.line}: {found.shape[1]} fields where {width} should be")
        return self._shaped(found)

    def _loaded(self, lines: List[str]) -> np.ndarray:
        """What NumPy's reader makes of lines. Raises ValueError, or a warning, for what it would have to change."""
        quote = None if self.delimiter is None else '"'
        mark = None if self.delimiter == _COMMENT else _COMMENT
        # Some NumPys let narrow integers wrap around, and cut off what stands behind a point.
        integers = self.dtype.kind in "iub"
        narrow = integers and self.dtype.itemsize < 8
        wide = np.dtype(np.int64) if narrow else self.dtype
        with warnings.catch_warnings() if integers else nullcontext():
            if integers:
                warnings.simplefilter("error", DeprecationWarning)
            found = np.loadtxt(lines, wide, comments=mark, delimiter=self.delimiter, quotechar=quote, ndmin=2)
        if narrow and found.size:
            least, most = (0, 1) if self.dtype.kind == "b" else _limits(self.dtype)
            if found.min() < least or found.max() > most:
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
                return _integer(field, *_limits(self.dtype))
            return self.dtype.type(field.strip())
        except (ValueError, OverflowError, KeyError):
            raise ValueError(f"row {row} after line {self.line}: {field!r} is no {self.dtype}") from None

    def _shaped(self, rows: np.ndarray) -> np.ndarray:
        return rows[:, 0] if rows.shape[1] == 1 else rows


def _limits(dtype: np.dtype) -> Tuple[int, int]:
    """The least and the largest integer of a dtype."""
    limits = np.iinfo(dtype)
    return limits.min, limits.max


def _integer(field: str, least: int, most: int) -> int:
    """A whole number, however it is written. Raises ValueError for one that the dtype does not have."""
    try:
        value = int(field)
    except ValueError:
        value = _whole(field.strip())
    if not least <= value <= most:
        raise ValueError(f"{value} is not between {least} and {most}")
    return value


def _whole(text: str) -> int:
    """A whole number with a point or an exponent, exactly. Raises ValueError for anything else."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is no number") from None
    # An exponent may ask for more digits than there is memory.
    if not number.is_finite() or number.adjusted() > _DIGITS or number != number.to_integral_value():
        raise ValueError(f"{text!r} is no whole number of at most {_DIGITS} digits")
    return int(number)


def _is_missing(field: str) -> bool:
    return field.strip().lower() in _MISSING


def _is_float(field: str) -> bool:
    try:
        complex(field.strip())
    except ValueError:
        return False
    return True
