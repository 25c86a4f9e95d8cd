"""What the fields of text mean: numbers, missing values, names of columns.

A number is what NumPy and pandas take for one: ASCII figures without underscores. What is neither a number nor
missing is never taken for one of them.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple, Optional, Sequence, Tuple

import numpy as np

_MISSING = {"", "na", "n/a", "nan", "null", "none", "<na>", "#n/a", "#na"}
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}
# No integer of the store has more digits.
_DIGITS = 20
# Figures, with whatever else stands in dates, times and numbers of other countries.
_LOOKS_LIKE_FIGURES = re.compile(r"[+-]?[.,]?\d[\d.,;:_+\-/ eEdDxX]*")
# What spreadsheets write in place of a number.
_ERROR_VALUE = re.compile(r"#(?:N/?A|[A-Z0-9/_]+[!?])", re.IGNORECASE)
_WHOLE = re.compile(r"[+-]?[0-9]+")
_LONG_WHOLE = re.compile(r"(?<![0-9.eE])[0-9]{16,}(?![0-9.eE])")
# Floats below this have every whole number.
_EXACT = float(1 << 53)
# Every integer of so many characters, its sign counted, is an int64.
_SHORT = 18


class InexactError(ValueError):
    """A number that float64 does not have, where nothing else could hold its column."""


class Values(NamedTuple):
    """How a field becomes a value."""

    dtype: np.dtype
    decimal: str
    """What stands before the fraction."""
    asked: bool
    """Whether a program asked for the dtype; floats that it did not ask for must hold what stands in the file."""

    def of(self, field: str) -> Any:
        """The value. Raises ValueError for what is not a number of the dtype."""
        text = field.strip()
        if self.dtype.kind in "fc" and is_missing(text):
            return np.nan
        if self.dtype.kind == "b":
            if text.lower() not in _TRUTHS:
                raise ValueError
            return _TRUTHS[text.lower()]
        text = _with_point(text, self.decimal)
        if self.dtype.kind in "iu":
            return _integer(text, np.iinfo(self.dtype))
        value = self.dtype.type(text)
        if not self.asked and not _is_exact(text, float(value)):
            raise InexactError
        return value

    def has_suspects(self, lines: Sequence[str], found: np.ndarray) -> bool:
        """Whether some of these values may not be what stands in the lines, which is to be looked at one by one."""
        if self.asked or self.dtype.kind != "f":
            return False
        large = np.abs(found) >= _EXACT
        if not large.any():
            return False
        return bool(np.isinf(found).any()) or any(map(_LONG_WHOLE.search, lines))


def _with_point(text: str, decimal: str) -> str:
    """The text of a number as Python and NumPy read it. Raises ValueError for what only Python takes for one."""
    if "_" in text or not text.isascii():
        raise ValueError
    if decimal == ".":
        return text
    if "." in text:
        raise ValueError
    return text.replace(decimal, ".")


def _is_exact(text: str, value: float) -> bool:
    """Whether a float is the number that was written: whole numbers exactly, others within its range."""
    if abs(value) < _EXACT:
        return True
    if np.isinf(value):
        return "inf" in text.lower()
    return _WHOLE.fullmatch(text) is None or int(text) == int(value)


def _integer(text: str, limits: np.iinfo) -> int:
    """A whole number, however it is written. Raises ValueError for one beyond the limits."""
    try:
        value = int(text)
    except ValueError:
        value = _whole(text)
    if not limits.min <= value <= limits.max:
        raise ValueError
    return value


def _whole(text: str) -> int:
    """A whole number with a point or an exponent, exactly. Raises ValueError for anything else."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError from None
    # An exponent may ask for more digits than there is memory.
    if not number.is_finite() or number.adjusted() > _DIGITS or number != number.to_integral_value():
        raise ValueError
    return int(number)


def is_missing(field: str) -> bool:
    """Whether a field stands for a value that is not there."""
    return field.strip().lower() in _MISSING


def are_names(fields: Sequence[str]) -> bool:
    """Whether a first line has names of columns: a name has a letter, and figures alone are none.

    A line with an error value of a spreadsheet has none.
    """
    bare = [field.strip() for field in fields]
    return any(map(_is_name, bare)) and not any(map(_ERROR_VALUE.fullmatch, bare))


def _is_name(field: str) -> bool:
    if is_missing(field) or field.lower() in _TRUTHS or _LOOKS_LIKE_FIGURES.fullmatch(field):
        return False
    return any(map(str.isalpha, field)) and not _is_number(field)


def _is_number(field: str) -> bool:
    try:
        complex(field)
    except ValueError:
        return False
    return True


def is_marked(field: str) -> bool:
    """Whether a field that begins with # is data: an error value of a spreadsheet, or figures."""
    text = field.strip()
    return bool(_ERROR_VALUE.fullmatch(text) or _LOOKS_LIKE_FIGURES.fullmatch(text.lstrip("#")))


def whole_range(text: str, delimiter: Optional[str]) -> Optional[Tuple[int, int]]:
    """Integers between which all fields of some lines are; None if a field is not an integer or a line is empty.

    What only looks like one, such as 1-2, may count: reading it says so.
    """
    data = text.encode("utf-8", "surrogatepass")
    if delimiter is None:
        data = data.translate(bytes.maketrans(b" \t\v\f", b"\n\n\n\n"))
    else:
        data = data.replace(delimiter.encode(), b"\n")
        if b" " in data or b"\t" in data or b'"' in data:
            data = data.translate(None, b' \t"')
        if data.startswith(b"\n") or data.endswith(b"\n") or b"\n\n" in data:
            return None
    if data.isspace() or not data or data.translate(None, b"0123456789+-\n"):
        return None
    ends = np.flatnonzero(np.frombuffer(b"\n" + data + b"\n", np.uint8) == ord("\n"))
    lengths = np.diff(ends) - 1
    try:
        long = [int(data[ends[at] : ends[at] + lengths[at]]) for at in np.flatnonzero(lengths > _SHORT)]
    except ValueError:
        return None
    return min([-1 if b"-" in data else 0, *long]), max([0, *long])
