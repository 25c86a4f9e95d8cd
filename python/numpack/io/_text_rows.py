"""Lines of text to rows of numbers, and the dtype of a file that does not say it.

NumPy's reader does what it can; what it refuses or would change is read field by field, and there every number is
exact or an error that names its line and column.
"""

from __future__ import annotations

import csv as _csv
import warnings
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, Iterable, Iterator, List, NoReturn, Optional, Tuple

import numpy as np

from numpack.io._columns import Columns
from numpack.io._fields import InexactError, Values, whole_range
from numpack.io._form import Form
from numpack.io._head import Head
from numpack.io._import import Source
from numpack.io._lines import Lines

# Characters of a field that an error shows.
_SHOWN = 60
# The first of them that holds every number of a file is its dtype, if all numbers are whole.
_INTEGERS = (np.dtype(np.int64), np.dtype(np.uint64))
_FLOATS = np.dtype(np.float64)


class _LineError(Exception):
    """What is wrong with a line."""


@dataclass
class _Block:
    """Consecutive lines."""

    before: int
    """The number of the line before them."""
    text: str
    form: Form
    most: Optional[int]
    """How many rows are wanted of them at most."""

    @cached_property
    def rows(self) -> List[str]:
        """The lines with rows, without comments."""
        lines: Iterable[str] = self.text.split("\n")
        if self.form.mark is not None and self.form.mark in self.text:
            lines = map(self.form.bare, lines)
        return [line for line in lines if line and not line.isspace()][: self.most]


@dataclass(frozen=True)
class Text:
    """A file of lines, and how they are read."""

    lines: Lines
    form: Form
    head: Head
    max_rows: Optional[int]

    def common_dtype(self, size: int) -> np.dtype:
        """int64 if all numbers are whole, uint64 if they need it, otherwise float64; reads the file once."""
        least, most, rows = 0, 0, False
        for block in self._blocks(size):
            # Where nothing has to be left out, no line has to be looked at alone.
            found = self._whole_range(block.text) if block.most is None else None
            if found is None and block.rows:
                found = self._whole_range("\n".join(block.rows))
                if found is None:
                    return _FLOATS
            if found is not None:
                least, most, rows = min(least, found[0]), max(most, found[1]), True
        fitting = [one for one in _INTEGERS if np.iinfo(one).min <= least and most <= np.iinfo(one).max]
        return fitting[0] if rows and fitting else _FLOATS

    def _whole_range(self, text: str) -> Optional[Tuple[int, int]]:
        delimiter = self.form.delimiter
        if isinstance(self.head.taken, range):
            return whole_range(text, delimiter)
        try:
            rows = [[fields[at] for at in self.head.taken] for fields in self.form.split(text.split("\n"))]
        except (IndexError, _csv.Error):
            return None
        return whole_range("\n".join((delimiter or " ").join(fields) for fields in rows), delimiter)

    def source(self, name: str, dtype: np.dtype, asked: bool) -> Source:
        """The array. asked: whether a program asked for this dtype."""
        values, width = Values(dtype, self.form.decimal, asked), len(self.head.taken)
        columns = None
        if self.head.names:
            names = tuple(self.head.names[at] for at in self.head.taken)
            columns = Columns(names, (dtype.name,) * width, 1 if width == 1 else 2)

        def blocks(limit: int) -> Iterator[np.ndarray]:
            for block in self._blocks(limit // 4):
                if block.rows:
                    found = self._loaded(values, block.rows)
                    rows = self._parsed(values, block) if found is None else found
                    yield rows[:, 0] if width == 1 else rows

        return Source(name, dtype, (None,) if width == 1 else (None, width), blocks, columns)

    def _blocks(self, size: int) -> Iterator[_Block]:
        """The lines after the head, some at a time."""
        self.lines.back_to(self.head.start)
        left = self.max_rows
        while left is None or left > 0:
            before = self.lines.number
            try:
                block = _Block(before, self.lines.some(size), self.form, left)
            except EOFError:
                return
            yield block
            left = None if left is None else left - len(block.rows)

    def _loaded(self, values: Values, data: List[str]) -> Optional[np.ndarray]:
        """What NumPy's reader makes of lines; None where it refuses or would change something."""
        decimal, quote = self.form.decimal, None if self.form.delimiter is None else '"'
        if decimal != ".":
            if any("." in line for line in data):
                return None
            data = [line.replace(decimal, ".") for line in data]
        usecols = None if isinstance(self.head.taken, range) else self.head.taken
        # Of lines from which it takes some fields it does not count the others.
        if usecols is not None and not self._have_width(data):
            return None
        # Some NumPys let narrow integers wrap around, and cut off what stands behind a point.
        dtype, integers = values.dtype, values.dtype.kind in "iub"
        wide = np.dtype(np.int64) if integers and dtype.itemsize < 8 else dtype
        try:
            with warnings.catch_warnings() if integers else nullcontext():
                if integers:
                    warnings.simplefilter("error", DeprecationWarning)
                found = np.loadtxt(
                    data,
                    wide,
                    comments=None,
                    delimiter=self.form.delimiter,
                    usecols=usecols,
                    quotechar=quote,
                    ndmin=2,
                )
        except (ValueError, OverflowError, DeprecationWarning):
            return None
        if found.shape != (len(data), len(self.head.taken)) or values.has_suspects(data, found):
            return None
        if wide != dtype and not _are_within(found, dtype):
            return None
        return found.astype(dtype, copy=False)

    def _have_width(self, data: List[str]) -> bool:
        delimiter = self.form.delimiter
        if delimiter is None:
            return all(len(line.split()) == self.head.width for line in data)
        return all(line.count(delimiter) == self.head.width - 1 and '"' not in line for line in data)

    def _parsed(self, values: Values, block: _Block) -> np.ndarray:
        """The rows of a block, field by field."""
        number, wanted = block.before, len(block.rows)

        def bare_lines() -> Iterator[str]:
            nonlocal number
            for at, line in enumerate(block.text.split("\n"), block.before + 1):
                number, bare = at, self.form.bare(line)
                if bare and not bare.isspace():
                    yield bare

        rows, read = np.empty((wanted, len(self.head.taken)), values.dtype), 0
        try:
            for fields in islice(self.form.split(bare_lines()), wanted):
                if len(fields) != self.head.width:
                    found = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
                    raise _LineError(f"{found} where {self.head.width} should be")
                rows[read] = [self._value(values, fields[at], number, at) for at in self.head.taken]
                read += 1
            if read < wanted:
                raise _LineError("a quoted number goes on in another line")
        except (_csv.Error, _LineError) as error:
            raise ValueError(f"{self.lines.path}: line {number}: {error}") from None
        return rows

    def _value(self, values: Values, field: str, number: int, place: int) -> Any:
        try:
            return values.of(field)
        except InexactError:
            self._refuse(
                field,
                number,
                place,
                "fits no integer dtype that holds the whole file, and float64 does not have it: pass "
                "dtype='float64' to take the nearest",
            )
        except (ValueError, OverflowError):
            kind = "number" if not values.asked else values.dtype.name
            way = ""
            if self.form.mark is not None and self.form.mark in field:
                way = f": pass comments={self.form.mark!r} if this begins a comment"
            elif values.asked is False and not any(map(str.isalpha, field)):
                way = ": delimiter= and decimal= say how numbers are written"
            self._refuse(field, number, place, f"is not {'an' if kind[0] == 'i' else 'a'} {kind}{way}")

    def _refuse(self, field: str, number: int, place: int, why: str) -> NoReturn:
        shown = repr(field if len(field) <= _SHOWN else field[:_SHOWN] + "...")
        column = f"column {place + 1}"
        if self.head.names and self.head.names[place]:
            column += f" ({self.head.names[place]!r})"
        raise ValueError(f"{self.lines.path}: line {number}, {column}: {shown} {why}") from None


def _are_within(found: np.ndarray, dtype: np.dtype) -> bool:
    """Whether integers are within what a dtype has; a bool has 0 and 1."""
    if not found.size:
        return True
    least, most = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return bool(found.min() >= least and found.max() <= most)
