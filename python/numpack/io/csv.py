"""Numbers as text: CSV (with header, quotes, missing values) and text with other delimiters.

Text keeps values and names of columns, not dtype, shape or NaN payloads: an array of one dimension is one column,
of two the lines, and more do not fit. Lines pass through in blocks.
"""

from __future__ import annotations

import csv as _csv
from itertools import islice
from typing import Any, Optional, Sequence, TextIO, Union

import numpy as np
import numpy.typing as npt

from numpack import NumPack
from numpack.io._casts import number_dtype
from numpack.io._export import Stored, metered, stored_array
from numpack.io._form import form_of
from numpack.io._head import read_head
from numpack.io._import import Options, block_size, stem, store_arrays
from numpack.io._inputs import name_list
from numpack.io._lines import opened_lines
from numpack.io._partial import new_file
from numpack.io._progress import Progress
from numpack.io._sizes import DEFAULT_BATCH_ROWS, DEFAULT_CHUNK_SIZE, FilePath, PathLike, check_count
from numpack.io._text_rows import Text

_FLOATS = "%.18e"


def from_csv(
    input_path: FilePath,
    output_path: PathLike,
    array_name: Optional[str] = None,
    drop_if_exists: bool = False,
    *,
    dtype: Optional[npt.DTypeLike] = None,
    delimiter: Optional[str] = ",",
    decimal: str = ".",
    comments: Optional[str] = "# ",
    usecols: Union[None, int, str, Sequence[Union[int, str]]] = None,
    skiprows: int = 0,
    max_rows: Optional[int] = None,
    header: Optional[bool] = None,
    encoding: str = "utf-8-sig",
    chunk_size: int = DEFAULT_CHUNK_SIZE,
    max_bytes: Optional[int] = None,
    progress: Progress = None,
    return_npk_obj: bool = False,
) -> Optional[NumPack]:
    """Stores a table of numbers: shape (rows,) for one column, otherwise (rows, columns).

    dtype: None for int64 if the file has integers alone (uint64 if they need it), otherwise float64; a number that
    neither holds exactly is a ValueError. decimal: what stands before a fraction. usecols: the columns to take, by
    number or name, in this order. skiprows: lines to skip. max_rows: rows to take. header: whether the next line has
    names of columns; None: it has if one of its fields is a name, with a letter. The names are stored with the array.
    comments: what begins a comment; "# " is a # that is followed by white space or the line's end, "#" every one, and
    None stands for no comments. Before the first row a line of # and words is a comment too, and if it is the first
    and has as many fields as there are columns, it names them.
    A missing value (empty, NA, #N/A, null, none) is NaN in floating point and a ValueError in other dtypes,
    as are text that is no number, a number that an integer dtype does not have, a line of another length, and
    negative counts; the message has file, line and column. Memory: `chunk_size` bytes, of which a line may have a
    sixteenth, or 4 MiB.
    max_bytes: how many bytes the arrays may have; None: a thousand times the file's, or 1 GiB.
    """
    check_count("skiprows", skiprows)
    if max_rows is not None:
        check_count("max_rows", max_rows)
    options = Options(drop_if_exists, chunk_size, progress, return_npk_obj, max_bytes, input_path)
    asked, form = number_dtype(dtype), form_of(delimiter, decimal, comments)
    with opened_lines(input_path, encoding, chunk_size, twice=asked is None) as lines:
        for _ in islice(lines, skiprows):
            pass
        text = Text(lines, form, read_head(lines, form, usecols, header), max_rows)
        found = text.common_dtype(options.block_size() // 4) if asked is None else asked
        name = stem(input_path) if array_name is None else array_name
        return store_arrays([text.source(name, found, asked is not None)], output_path, options)


def from_txt(
    input_path: FilePath,
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
    output_path: FilePath,
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
    output_path: FilePath,
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
    names = stored.columns.names if header is True else name_list(header)
    width = stored.shape[1] if len(stored.shape) == 2 else 1
    if len(names) != width:
        raise ValueError(f"header has {len(names)} names for {width} columns")
    # A name that begins with # would be read as a comment.
    quoting: Any = _csv.QUOTE_ALL if names and names[0].startswith("#") else _csv.QUOTE_MINIMAL
    _csv.writer(file, delimiter=delimiter, lineterminator="\n", quoting=quoting).writerow(names)
