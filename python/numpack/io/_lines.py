"""The lines of a text file: many at a time, with their numbers, and none without end.

Lines are cut here and never by Python's own iteration, which would read a line of any length into memory. Their
numbers count what a text editor counts, from 1, so that an error can name one.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from contextlib import ExitStack, contextmanager
from typing import IO, Iterator, NoReturn, TextIO

from numpack.io._sizes import FilePath

# Characters of a line that are always read, and the part of the memory for data that one may be: cut into fields, a
# line takes some twenty times its length.
_LONGEST = 4 << 20
_PART = 16


class Lines:
    """The lines of a file; `number` is that of the last one given out, 0 at first."""

    def __init__(self, file: TextIO, path: str, chunk_size: int) -> None:
        self.path = path
        self.number = 0
        self._file = file
        self._rest = ""
        self._longest = max(_LONGEST, chunk_size // _PART)

    def some(self, size: int) -> str:
        """The next lines without the last one's end, of about `size` characters together; "" may be one empty line.

        Raises ValueError for a line that is too long and for bytes that are no text, EOFError at the end.
        """
        text, size = self._rest, max(1, size)
        while "\n" not in text or len(text) < size:
            more = self._read(size)
            text += more
            if not more or "\n" in text:
                break
            if len(text) > self._longest:
                self._refuse(self.number + 1)
            size = min(2 * size, _LONGEST)
        if not text:
            raise EOFError
        end = text.rfind("\n")
        lines, self._rest = (text, "") if end < 0 else (text[:end], text[end + 1 :])
        if len(lines) > self._longest:
            for at, line in enumerate(lines.split("\n"), self.number + 1):
                if len(line) > self._longest:
                    self._refuse(at)
        self.number += lines.count("\n") + 1
        return lines

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """The next line without its end."""
        if "\n" not in self._rest:
            try:
                found = self.some(len(self._rest) + 8192)
            except EOFError:
                raise StopIteration from None
            line, end, others = found.partition("\n")
            if end:
                self.number -= others.count("\n") + 1
                self._rest = f"{others}\n{self._rest}"
            return line
        self.number += 1
        line, _, self._rest = self._rest.partition("\n")
        return line

    def back_to(self, number: int) -> None:
        """Goes on behind the line of this number. Reads a file anew only if that is behind."""
        if number < self.number:
            self._file.seek(0)
            self._rest, self.number = "", 0
        while self.number < number:
            next(self)

    def again(self, line: str) -> None:
        """Takes back the line that was given out last."""
        self._rest = f"{line}\n{self._rest}"
        self.number -= 1

    def _read(self, size: int) -> str:
        try:
            return self._file.read(size)
        except UnicodeError as error:
            raise ValueError(
                f"{self.path} is not text in {self._file.encoding}: {error}: pass encoding="
            ) from None

    def _refuse(self, number: int) -> NoReturn:
        raise ValueError(
            f"{self.path}: line {number} has more than {self._longest:,} characters: pass a larger chunk_size= "
            f"({_PART} times the length of a line) if it is meant to"
        )


@contextmanager
def opened_lines(path: FilePath, encoding: str, chunk_size: int, twice: bool) -> Iterator[Lines]:
    """The lines of a file.

    twice: whether they are to be read more than once; what cannot be, such as a pipe, is copied to a temporary file.
    """
    with ExitStack() as stack:
        raw: IO[bytes] = stack.enter_context(open(path, "rb"))
        if twice and not raw.seekable():
            copy = stack.enter_context(tempfile.TemporaryFile())
            shutil.copyfileobj(raw, copy)
            copy.seek(0)
            raw = copy
        yield Lines(stack.enter_context(io.TextIOWrapper(raw, encoding)), os.fsdecode(path), chunk_size)
