"""What stands before the first row of text: comments, and names of columns."""

from __future__ import annotations

import csv as _csv
import operator
from itertools import chain
from typing import Any, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np

from numpack.io._fields import are_names, is_marked
from numpack.io._form import Form
from numpack.io._lines import Lines


class Head(NamedTuple):
    """What is known of a file before its rows are read; `read_head` makes one."""

    names: List[str]
    """Of all columns; none if the file has none."""
    width: int
    """Fields of a line."""
    taken: Sequence[int]
    """Places of the columns to read, in their order; a range for all of them."""
    start: int
    """The number of the line before the first row."""


def read_head(lines: Lines, form: Form, usecols: Any, header: Optional[bool]) -> Head:
    """Looks for names of columns, and at the first row, before which the lines stand afterwards.

    Raises TypeError, ValueError and KeyError for columns to use that are not there.
    """
    wanted = None if usecols is None else _listed(usecols)
    if header is None and wanted is not None and any(isinstance(one, str) for one in wanted):
        header = True
    before = lines.number
    remark, fields, read = _first_lines(lines, form)
    row = form.fields(form.bare(read[0])) if len(read) == 1 else fields
    looked_at = row if not wanted or header else [row[at] for at in wanted if -len(row) <= at < len(row)]
    figures = not are_names(looked_at)
    names: List[str] = []
    # numpy.savetxt writes its header as a comment.
    named = remark and header is not False and (len(remark) == len(row) or (not fields and header))
    if named and figures:
        names = remark
    elif header or (header is None and not figures):
        names, read = fields, []
    for line in reversed(read):
        lines.again(line)
    width = len(names or row) or 1
    taken = range(width) if wanted is None else _places(wanted, names, width, lines.path)
    return Head(names, width, taken, max(before, lines.number))


def _first_lines(lines: Lines, form: Form) -> Tuple[List[str], List[str], List[str]]:
    """Fields of the first line if it is a comment; of the first that is none; the lines that it takes."""
    remark: Optional[List[str]] = None
    for line in lines:
        text = line.strip()
        if text and not _is_remark(text, form):
            read = [line]
            try:
                fields = next(form.split(chain([line], _kept(lines, read))), [])
            except _csv.Error as error:
                raise ValueError(f"{lines.path}: line {lines.number}: {error}") from None
            return remark or [], fields, read
        if text and remark is None and form.mark is not None:
            found = form.comment.match(text)
            rest = text[found.end() if found else len(form.mark) :]
            remark = [one.strip() for one in form.fields(rest)]
    return remark or [], [], []


def _kept(lines: Lines, read: List[str]) -> Iterator[str]:
    """The next lines, which are put into `read`."""
    for line in lines:
        read.append(line)
        yield line


def _is_remark(text: str, form: Form) -> bool:
    """Whether a line before the first row is a comment: there, words right behind a mark are one too."""
    if form.mark is None or not text.startswith(form.mark):
        return False
    return bool(form.comment.match(text)) or not is_marked((form.fields(text) or [""])[0])


def _places(wanted: Sequence[Any], names: List[str], width: int, path: str) -> List[int]:
    places = []
    for one in wanted:
        if isinstance(one, str):
            if names.count(one) != 1:
                raise KeyError(f"no column, or several, of name {one!r}: there are {', '.join(names)}")
            one = names.index(one)
        if not -width <= one < width:
            raise ValueError(f"usecols has {one}, and {path} has {width} columns")
        places.append(one % width)
    return places


def _listed(usecols: Any) -> List[Any]:
    """Places and names of columns. Raises TypeError for anything else, ValueError for none."""
    several = [usecols] if isinstance(usecols, str) or not np.iterable(usecols) else list(usecols)
    listed: List[Any] = []
    for one in several:
        try:
            if isinstance(one, (bool, np.bool_)):
                raise TypeError
            listed.append(one if isinstance(one, str) else operator.index(one))
        except TypeError:
            raise TypeError(f"usecols holds numbers and names of columns, got {one!r}") from None
    if not listed:
        raise ValueError("usecols is empty: it holds numbers and names of columns")
    return listed
