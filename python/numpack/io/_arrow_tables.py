"""Tables of Arrow: columns of numbers to blocks of rows and back.

A column of numbers is a column of the array. A single column of tensors, or of lists of one length, is an array of
more dimensions, a row in each cell. Nothing else fits.
"""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Callable, Generator, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
import numpy.typing as npt

from numpack.io._casts import converted, number_dtype
from numpack.io._columns import Columns, Rows, split
from numpack.io._export import Stored
from numpack.io._import import Source
from numpack.io._inputs import name_list
from numpack.io._prefetch import ended
from numpack.io._sizes import estimate_chunk_rows, ranges
from numpack.io._spill import Room, joined_rows
from numpack.io._tensors import as_meant, is_tensor, storage_of, tensor_column, tensor_shape, tensor_type

_KEY = b"numpack"
# Bytes of rows that are put together at once: they stay in the processor's caches until they are written.
_BLOCK = 2 << 20
# Arrow's names for floats; those of bools and integers are NumPy's.
_FLOATS = {"halffloat": "float16", "float": "float32", "double": "float64"}


class Section(NamedTuple):
    """Consecutive rows of a table."""

    read: Callable[[range], Iterator[Any]]
    """Record batches of these rows with some columns, by their places in the schema."""
    together: int
    """How many columns may be read at once."""


#: The sections of a table; takes the bytes that record batches should have at most.
Sections = Callable[[int], Iterable[Section]]


def table_source(
    pa: Any,
    name: str,
    schema: Any,
    sections: Sections,
    rows: Optional[int],
    dtype: Optional[npt.DTypeLike],
    fill_null: Optional[float],
    room: Room,
) -> Source:
    """A source over the sections of a table of this schema.

    Raises TypeError that names the first column which the store cannot hold, and for a dtype of no numbers. Reading
    it raises ValueError for a value that `dtype` does not have.
    """
    asked = number_dtype(dtype)
    if not len(schema):
        raise ValueError("the table has no columns")
    if _depth(pa, storage_of(pa, schema[0].type)):
        return _list_source(pa, name, schema, sections, rows, asked, fill_null)
    columns = _columns(pa, schema, asked)
    wanted = columns.common()
    nulls = _Nulls(fill_null, asked is not None and wanted.kind == "f")

    def numbers(section: Section, places: range, limit: int) -> Iterator[np.ndarray]:
        names = [schema.field(at).name for at in places]
        size = estimate_chunk_rows((0, len(names)), wanted, min(limit, _BLOCK))
        rows = Rows(names, wanted)
        with ended(section.read(places)) as batches:
            for batch in batches:
                whole = [_plain(pa, cells) for cells in batch.columns]
                for start, stop in ranges(len(batch), size):
                    parts = [
                        part[start:stop]
                        if isinstance(part, np.ndarray)
                        else _numbers(pa, name, part.slice(start, stop - start), nulls)
                        for name, part in zip(names, whole)
                    ]
                    if asked is not None:
                        parts = [converted(name, part, wanted) for name, part in zip(names, parts)]
                    yield parts[0].astype(wanted) if columns.ndim == 1 else rows.of(parts)

    def blocks(limit: int) -> Iterator[np.ndarray]:
        for section in sections(limit):
            if section.together >= len(schema):
                yield from numbers(section, range(len(schema)), limit)
                continue
            places = (range(*one) for one in ranges(len(schema), section.together))
            yield from joined_rows((numbers(section, some, limit) for some in places), room.folder)

    shape = (rows,) if columns.ndim == 1 else (rows, len(schema))
    return Source(name, wanted, shape, blocks, columns)


def _columns(pa: Any, schema: Any, dtype: Optional[np.dtype]) -> Columns:
    """Names and dtypes of the columns; one dtype for all if a program asks for it."""
    own = [_dtype(pa, field) for field in schema]
    dtypes = [one.name for one in own] if dtype is None else [dtype.name] * len(own)
    return Columns(tuple(schema.names), tuple(dtypes), _kept_ndim(schema) or 2)


def _kept_ndim(schema: Any) -> Optional[int]:
    """Dimensions of the array that a table was made of by NumPack: 1, or None."""
    kept = (schema.metadata or {}).get(_KEY)
    try:
        one = kept is not None and json.loads(kept).get("ndim") == 1
    except (ValueError, AttributeError):
        return None
    return 1 if one and len(schema) == 1 else None


def _dtype(pa: Any, field: Any) -> np.dtype:
    """NumPy's dtype for a column. Raises TypeError for columns that hold no numbers."""
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _numpy_dtype(kind)
    raise TypeError(f"column {field.name!r} holds {field.type}: name the columns of numbers with columns=")


def _numpy_dtype(kind: Any) -> np.dtype:
    """NumPy's dtype for an Arrow type of numbers or bools."""
    return np.dtype(_FLOATS.get(str(kind), str(kind)))


def _depth(pa: Any, kind: Any) -> int:
    """Levels of lists in a type."""
    is_list = pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return 1 + _depth(pa, kind.value_type) if is_list else 0


class _Nulls(NamedTuple):
    """What stands for a null: a value, or NaN; in columns of integers only where a program asked for floats."""

    value: Optional[float]
    in_integers: bool


def _plain(pa: Any, cells: Any) -> Any:
    """A column as an ndarray, if that takes no more memory; itself if it has nulls or a dictionary."""
    if cells.null_count or pa.types.is_dictionary(cells.type):
        return cells
    return np.asarray(cells.to_numpy(zero_copy_only=False))


def _numbers(pa: Any, name: str, cells: Any, nulls: _Nulls) -> np.ndarray:
    """A column as an ndarray of shape (rows,)."""
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    missing = cells.null_count
    if not missing:
        return np.asarray(cells.to_numpy(zero_copy_only=False))
    if nulls.value is not None:
        return _filled(pa, name, cells, nulls.value)
    if not pa.types.is_floating(cells.type):
        if not nulls.in_integers:
            raise TypeError(
                f"column {name!r} ({cells.type}) has {missing} nulls and no value for them: "
                "pass fill_null=, or dtype='float64' for NaN"
            )
        cells = cells.cast(pa.float64(), safe=False)
    return _filled(pa, name, cells, np.nan)


def _filled(pa: Any, name: str, cells: Any, value: float) -> np.ndarray:
    """The cells with a value for every null. Raises TypeError for a value that their type does not have."""
    with np.errstate(invalid="ignore", over="ignore"):
        own = np.array([value]).astype(_numpy_dtype(cells.type))
    if own[0] != value and (value == value or own.dtype.kind != "f"):
        raise TypeError(f"column {name!r} ({cells.type}) cannot hold fill_null={value}")
    # The same memory without the bits that say what is null.
    plain = pa.Array.from_buffers(cells.type, len(cells), [None, cells.buffers()[1]], 0, cells.offset)
    numbers = np.array(plain.to_numpy(zero_copy_only=False))
    numbers[cells.is_null().to_numpy(zero_copy_only=False)] = own[0]
    return numbers


def _list_source(
    pa: Any,
    name: str,
    schema: Any,
    sections: Sections,
    rows: Optional[int],
    dtype: Optional[np.dtype],
    fill_null: Optional[float],
) -> Source:
    field, tensor = schema[0], is_tensor(pa, schema[0].type)
    if len(schema) > 1:
        what = "tensors" if tensor else "lists"
        raise TypeError(f"column {field.name!r} holds {what} and is not alone: name one column with columns=")
    lists = storage_of(pa, field.type)
    kind = lists
    while _depth(pa, kind):
        kind = kind.value_type
    own = _dtype(pa, pa.field(field.name, kind))
    wanted = own if dtype is None else dtype
    nulls = _Nulls(fill_null, dtype is not None and wanted.kind == "f")
    shape = _cell_shape(pa, lists) or _shape_of_first(pa, field, sections)

    def blocks(limit: int) -> Iterator[np.ndarray]:
        for batch in _only_column(sections, limit):
            column = batch.column(0).storage if tensor else batch.column(0)
            cells = _cells(pa, field.name, column, shape, nulls)
            cells = as_meant(field.type, cells) if tensor else cells
            yield cells if dtype is None else converted(field.name, cells, dtype)

    columns = Columns((field.name,), (wanted.name,), None, tensor)
    row_shape = tensor_shape(field.type) if tensor else shape
    return Source(name, wanted, (rows, *row_shape), blocks, columns)


def _cell_shape(pa: Any, kind: Any) -> Optional[Tuple[int, ...]]:
    """Shape that the type of a column of lists tells; None if their length varies by type."""
    shape: List[int] = []
    while _depth(pa, kind):
        if not pa.types.is_fixed_size_list(kind):
            return None
        shape.append(kind.list_size)
        kind = kind.value_type
    return tuple(shape)


def _only_column(sections: Sections, limit: int) -> Iterator[Any]:
    """Record batches of a table of one column."""
    return (batch for section in sections(limit) for batch in section.read(range(1)))


def _shape_of_first(pa: Any, field: Any, sections: Sections) -> Tuple[int, ...]:
    """Shape of the first cell, by the first list on each level: all others must have the same."""
    first = next((batch for batch in _only_column(sections, 1) if len(batch)), None)
    cell = None if first is None else first.column(0)[0].as_py()
    shape: List[int] = []
    for _ in range(_depth(pa, field.type)):
        if cell is None:
            raise TypeError(
                f"column {field.name!r} of lists without a first list does not tell the shape of its rows"
            )
        shape.append(len(cell))
        cell = cell[0] if len(cell) else []
    return tuple(shape)


def _cells(pa: Any, name: str, cells: Any, shape: Tuple[int, ...], nulls: _Nulls) -> np.ndarray:
    """Lists of lists as an array of shape (rows, *shape)."""
    rows, count = len(cells), len(cells)
    for length in shape:
        if cells.null_count:
            raise TypeError(f"column {name!r} has {cells.null_count} nulls in place of lists")
        if not pa.types.is_fixed_size_list(cells.type):
            lengths = np.diff(cells.offsets.to_numpy())
            if (lengths != length).any():
                found = lengths[lengths != length][0]
                raise TypeError(
                    f"column {name!r} has lists of {length} and of {found}: rows must have one shape"
                )
        cells, count = cells.flatten(), count * length
    if len(cells) != count:
        raise TypeError(f"column {name!r} has lists of several lengths: rows must have one shape")
    return _numbers(pa, name, cells, nulls).reshape(rows, *shape)


def table_schema(pa: Any, stored: Stored, columns: Columns) -> Any:
    """The schema of a table of this array. Raises TypeError for arrays that make no table."""
    if stored.dtype.kind == "c":
        raise TypeError(f"array {stored.name!r}: Arrow has no {stored.dtype}: store real and imaginary parts")
    if not stored.shape:
        raise TypeError(f"array {stored.name!r}: a table has rows, and a 0-d array has none")
    if columns.ndim == 2 and not columns.names:
        raise TypeError(f"array {stored.name!r}: a table without columns cannot keep {stored.shape[0]} rows")
    if columns.ndim is None and 0 in stored.shape[1:]:
        raise TypeError(f"array {stored.name!r}: a table cannot keep rows of shape {stored.shape[1:]}")
    fields = []
    for name, dtype in zip(columns.names, columns.dtypes):
        kind = pa.from_numpy_dtype(np.dtype(dtype))
        if columns.tensors:
            kind = tensor_type(pa, kind, stored.shape[1:])
        for length in reversed(stored.shape[1:] if columns.ndim is None and not columns.tensors else ()):
            kind = pa.list_(kind, length)
        fields.append(pa.field(name, kind))
    return pa.schema(fields, {_KEY: json.dumps({"array": stored.name, "ndim": len(stored.shape)})})


def table_batch(pa: Any, schema: Any, columns: Columns, block: np.ndarray) -> Any:
    """A record batch of a block of rows."""
    if columns.tensors:
        return pa.record_batch([tensor_column(pa, schema.field(0).type, block)], schema=schema)
    if columns.ndim is None:
        return pa.record_batch([nested(pa, block)], schema=schema)
    return pa.record_batch([pa.array(part) for part in split(columns, block)], schema=schema)


def nested(pa: Any, block: np.ndarray) -> Any:
    """An Arrow array of rows: each further dimension is a level of fixed-size lists."""
    result = pa.array(block.reshape(-1))
    for length in reversed(block.shape[1:]):
        result = pa.FixedSizeListArray.from_arrays(result, length)
    return result


def table_columns(
    stored: Stored, names: Optional[Sequence[str]], own_dtypes: bool, tensors: Optional[bool] = None
) -> Columns:
    """The columns to write: those stored with the array, under other names or all of its dtype if asked for.

    tensors: whether rows are the cells of one column of tensors; None if they came so. Raises TypeError for an array
    whose rows are numbers, ValueError for another number of names.
    """
    kept = stored.columns
    if tensors is not None:
        kept = _of_tensors(stored, kept) if tensors else replace(kept, tensors=False)
    if names is not None:
        chosen = name_list(names)
        if len(chosen) != len(kept.names):
            raise ValueError(f"{len(chosen)} column names for {len(kept.names)} columns")
        kept = replace(kept, names=tuple(chosen))
    if not own_dtypes:
        kept = replace(kept, dtypes=(stored.dtype.name,) * len(kept.names))
    return kept


def _of_tensors(stored: Stored, kept: Columns) -> Columns:
    """One column of tensors."""
    if len(stored.shape) < 2:
        raise TypeError(
            f"array {stored.name!r} of shape {stored.shape} has no rows for one column of tensors"
        )
    names = kept.names if kept.ndim is None else (stored.name,)
    return Columns(names, (stored.dtype.name,), None, True)


def picked(pa: Any, schema: Any, columns: Optional[Sequence[str]]) -> Any:
    """The schema of the columns to take. Raises KeyError for names that no column has, or several."""
    if columns is None:
        return schema
    chosen = name_list(columns)
    unknown = [name for name in chosen if schema.names.count(name) != 1]
    if unknown:
        raise KeyError(f"no column, or several, of name {unknown[0]!r}: there are {', '.join(schema.names)}")
    return pa.schema([schema.field(name) for name in chosen], schema.metadata)


def pieces(batches: Iterable[Any], rows: int) -> Iterator[Any]:
    """Batches cut to at most `rows` rows."""
    with ended(batches):
        for batch in batches:
            if len(batch) <= rows:
                yield batch
                continue
            for start in range(0, len(batch), rows):
                yield batch.slice(start, rows)


def share(names: Sequence[str], most: int) -> List[List[str]]:
    """The names in at most so many parts of about one length, in their order."""
    step = -(-len(names) // most)
    return [list(names[start:stop]) for start, stop in ranges(len(names), step)]


def side_by_side(pa: Any, streams: Sequence[Iterator[Any]]) -> Generator[Any, None, None]:
    """Record batches with the columns of all streams, which have the same rows, in batches of any lengths.

    Raises ValueError for streams that do not.
    """
    schema = None
    with ExitStack() as stack:
        for stream in streams:
            stack.enter_context(ended(stream))
        full = [filter(len, stream) for stream in streams]
        heads: List[Any] = [next(stream, None) for stream in full]
        while all(head is not None for head in heads):
            rows = min(len(head) for head in heads)
            parts = [head if len(head) == rows else head.slice(0, rows) for head in heads]
            schema = schema or pa.schema([field for part in parts for field in part.schema])
            yield pa.RecordBatch.from_arrays(
                [cells for part in parts for cells in part.columns], schema=schema
            )
            left = zip(heads, full)
            heads = [head.slice(rows) if len(head) > rows else next(stream, None) for head, stream in left]
        if any(head is not None for head in heads):
            raise ValueError("the columns have different numbers of rows")


def rows_for(fields: Iterable[Any], limit: int) -> int:
    """Rows of columns that fit into `limit` bytes, by the widths of their types; at least one."""
    return max(1, limit // row_width(fields))


def row_width(fields: Iterable[Any]) -> int:
    """Bytes of a row of these columns, at least one."""
    return max(1, sum(_width(field.type) for field in fields))


def _width(kind: Any) -> int:
    kind = getattr(kind, "storage_type", kind)
    if hasattr(kind, "list_size"):
        return int(kind.list_size) * _width(kind.value_type)
    try:
        return max(1, int(kind.bit_width) // 8)
    except ValueError:
        # Lists of any length: a guess that keeps embeddings within the limit.
        return 8192
