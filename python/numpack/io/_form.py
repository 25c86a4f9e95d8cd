"""How lines of text are cut into fields: what stands between them, what begins a comment."""

from __future__ import annotations

import csv as _csv
import re
from typing import Iterable, Iterator, List, NamedTuple, Optional, Pattern


class Form(NamedTuple):
    """How lines are cut; `form_of` makes one."""

    delimiter: Optional[str]
    """What stands between fields; None for runs of white space."""
    decimal: str
    """What stands before a fraction."""
    mark: Optional[str]
    """What a comment begins with, if there are comments."""
    comment: Pattern[str]
    """Finds where a comment begins."""

    def bare(self, line: str) -> str:
        """A line without its comment; a mark behind a quote begins none."""
        if self.mark is None or self.mark not in line:
            return line
        found = self.comment.search(line)
        if found is None or (self.delimiter is not None and '"' in line[: found.start()]):
            return line
        return line[: found.start()]

    def split(self, lines: Iterable[str]) -> Iterator[List[str]]:
        """Fields of lines; a quoted field may go on in the next line. Raises csv.Error for one without end."""
        if self.delimiter is None:
            return map(str.split, lines)
        # Only with its end is a line break part of a quoted field.
        return _csv.reader((line + "\n" for line in lines), delimiter=self.delimiter)

    def fields(self, line: str) -> List[str]:
        """Fields of one line."""
        return next(self.split([line]), [])


def form_of(delimiter: Optional[str], decimal: str, comments: Optional[str]) -> Form:
    """How lines are cut. Raises TypeError and ValueError for what they cannot be cut by.

    comments: what begins a comment. With white space at its end, only what is followed by white space, or stands at
    the end of the line, does.
    """
    _check_character("delimiter", "None or one character", delimiter or "", delimiter is None)
    _check_character("decimal", "one character", decimal, False)
    if delimiter == decimal:
        raise ValueError(f"delimiter and decimal are both {decimal!r}: numbers could not be told apart")
    if not isinstance(comments, (str, type(None))):
        raise TypeError(f"comments must be None or text, got {comments!r}")
    if comments is None:
        return Form(delimiter, decimal, None, re.compile(""))
    mark = comments.strip()
    if not mark:
        raise ValueError(f"comments must be None or text that is not blank, got {comments!r}")
    pattern = re.escape(mark)
    if mark != comments:
        pattern = rf"(?:{pattern})+(?=\s|$)"
    return Form(delimiter, decimal, None if mark == delimiter else mark, re.compile(pattern))


def _check_character(name: str, wanted: str, given: str, absent: bool) -> None:
    if not isinstance(given, str):
        raise TypeError(f"{name} must be {wanted}, got {given!r}")
    if not absent and (len(given) != 1 or given.isdigit() or given in '\n\r"+-'):
        raise ValueError(f"{name} must be {wanted} of no number, quote or line end, got {given!r}")
