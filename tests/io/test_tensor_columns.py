"""Columns of Arrow's fixed-shape tensors: an array of more dimensions, and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from io_arrays import REALS, assert_same, load, names, sample, save

from numpack.io import (
    arrow_to_numpy_zero_copy,
    from_feather,
    from_parquet,
    from_table,
    table_to_numpy_zero_copy,
    to_feather,
    to_parquet,
    to_table,
    wrap_for_zero_copy,
)

pa = pytest.importorskip("pyarrow")
feather = pytest.importorskip("pyarrow.feather")
pq = pytest.importorskip("pyarrow.parquet")

CUBE = np.arange(24, dtype=np.float32).reshape(4, 2, 3)


def tensors(array, **options):
    """A column of tensors; the elements of `array` are those in memory, before a permutation."""
    kind = pa.fixed_shape_tensor(pa.from_numpy_dtype(array.dtype), array.shape[1:], **options)
    cells = pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), int(np.prod(array.shape[1:])))
    return pa.ExtensionArray.from_storage(kind, cells)


def in_every_format(tmp_path, table):
    """What reads the table from memory and from files, with what it reads."""
    pq.write_table(table, tmp_path / "t.parquet", row_group_size=3)
    feather.write_feather(table, tmp_path / "t.feather", chunksize=3)
    return [
        (from_table, table),
        (from_parquet, tmp_path / "t.parquet"),
        (from_feather, tmp_path / "t.feather"),
    ]


@pytest.mark.parametrize("dtype", REALS)
@pytest.mark.parametrize("shape", [(7, 2, 3), (7, 5), (7, 1), (7, 2, 1, 2), (0, 2, 3)])
def test_in_and_out(tmp_path, npk, dtype, shape):
    array = sample(dtype, shape)
    for at, (read, source) in enumerate(in_every_format(tmp_path, pa.table({"t": tensors(array)}))):
        read(source, npk, f"a{at}", chunk_size=200)
        assert_same(load(npk, f"a{at}"), array)
        found = to_table(npk, f"a{at}")
        assert found.column_names == ["t"]
        assert found.schema.types == [pa.fixed_shape_tensor(pa.from_numpy_dtype(array.dtype), shape[1:])]
    to_parquet(npk, tmp_path / "b.parquet", "a0", chunk_size=200)
    to_feather(npk, tmp_path / "b.feather", "a0", chunk_size=200)
    for table in (
        to_table(npk, "a0"),
        pq.read_table(tmp_path / "b.parquet"),
        feather.read_table(tmp_path / "b.feather"),
    ):
        assert isinstance(table.schema.types[0], pa.FixedShapeTensorType)
        from_table(table, npk, "again")
        assert_same(load(npk, "again"), array)


def test_lists_or_tensors_as_asked(tmp_path, npk):
    save(npk, x=CUBE)
    lists = pa.list_(pa.list_(pa.float32(), 3), 2)
    kind = pa.fixed_shape_tensor(pa.float32(), (2, 3))
    assert to_table(npk).schema.types == [lists]
    assert to_table(npk, tensors=True).schema.types == [kind]
    to_parquet(npk, tmp_path / "a.parquet", tensors=True)
    to_feather(npk, tmp_path / "a.feather", tensors=True)
    assert pq.read_schema(tmp_path / "a.parquet").types == [kind]
    assert feather.read_table(tmp_path / "a.feather").schema.types == [kind]
    assert_same(feather.read_table(tmp_path / "a.feather")["x"].chunk(0).to_numpy_ndarray(), CUBE)
    from_table(to_table(npk, tensors=True), npk, "x")
    assert to_table(npk).schema.types == [kind]
    assert to_table(npk, tensors=False).schema.types == [lists]
    save(npk, x=np.zeros((3, 2)), y=np.zeros(3))
    assert to_table(npk, "x", tensors=True, columns=["e"]).schema == pa.schema(
        {"e": pa.fixed_shape_tensor(pa.float64(), (2,))}
    )
    with pytest.raises(TypeError, match="array 'y' of shape .3,. has no rows for one column of tensors"):
        to_table(npk, "y", tensors=True)


PERMUTED = [((2, 3), [1, 0]), ((2, 3, 4), [2, 0, 1]), ((2, 3, 4), [0, 2, 1]), ((5,), [0])]


@pytest.mark.parametrize(("shape", "permutation"), PERMUTED, ids=str)
def test_permuted_dimensions(tmp_path, npk, shape, permutation):
    """Dimension i of the array is dimension permutation[i] in memory, as the format says.

    PyArrow's own conversion is right where the permutation is its own inverse: for others its strides overlap.
    """
    stored = np.arange(7 * int(np.prod(shape)), dtype="int32").reshape(7, *shape)
    column = tensors(stored, permutation=permutation, dim_names=list("xyz")[: len(shape)])
    wanted = stored.transpose(0, *(at + 1 for at in permutation))
    if [permutation[at] for at in permutation] == sorted(permutation):
        assert_same(column.to_numpy_ndarray(), wanted)
    for read, source in in_every_format(tmp_path, pa.table({"t": column})):
        read(source, npk, "a", chunk_size=100)
        assert_same(load(npk, "a"), wanted)
    assert_same(arrow_to_numpy_zero_copy(column), wanted)


@given(rows=st.integers(0, 9), shape=st.lists(st.integers(1, 4), min_size=1, max_size=3), data=st.data())
def test_slices_and_chunks(tmp_path_factory, rows, shape, data):
    array = np.arange(rows * int(np.prod(shape)), dtype="int16").reshape(rows, *shape)
    permutation = data.draw(st.permutations(range(len(shape))))
    whole = tensors(array, permutation=permutation)
    cuts = sorted(data.draw(st.lists(st.integers(0, rows), max_size=3)))
    parts = [whole[start:stop] for start, stop in zip([0, *cuts], [*cuts, rows])]
    folder = tmp_path_factory.mktemp("tensors")
    from_table(
        pa.table({"t": pa.chunked_array(parts, whole.type)}),
        folder / "a.npk",
        chunk_size=data.draw(st.integers(1, 99)),
    )
    assert_same(load(folder / "a.npk", "data"), array.transpose(0, *(at + 1 for at in permutation)))


def test_dtype_nulls_and_columns(tmp_path, old):
    cells = pa.array([[1.0, np.nan], None, [3.0, 4.0]], pa.list_(pa.float64(), 2))
    missing = pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.float64(), (2,)), cells)
    inner = pa.array([[1, None], [3, 4]], pa.list_(pa.int64(), 2))
    holes = pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.int64(), (2,)), inner)
    for read, source in in_every_format(tmp_path, pa.table({"t": missing})):
        with pytest.raises(TypeError, match="column 't' has 1 nulls in place of lists"):
            read(source, old)
    for read, source in in_every_format(tmp_path, pa.table({"t": holes})):
        with pytest.raises(TypeError, match="column 't' .int64. has 1 nulls"):
            read(source, old)
        read(source, old, "filled", fill_null=-1)
        assert_same(load(old, "filled"), np.array([[1, -1], [3, 4]]))
    both = pa.table({"t": tensors(CUBE), "id": np.arange(4)})
    for read, source in in_every_format(tmp_path, both):
        with pytest.raises(
            TypeError, match="column 't' holds tensors and is not alone: name one column with columns="
        ):
            read(source, old)
        with pytest.raises(TypeError, match="column 't' holds .*tensor"):
            read(source, old, columns=["id", "t"])
        read(source, old, "t", ["t"], dtype="int8")
        assert_same(load(old, "t"), CUBE.astype("int8"))
        assert to_table(old, "t").schema.types == [pa.fixed_shape_tensor(pa.int8(), (2, 3))]
    assert names(old) == [".numpack/columns/filled", ".numpack/columns/t", "filled", "old", "t"]


def test_other_extensions_are_named(old):
    if hasattr(pa, "bool8"):
        column = pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0], pa.int8()))
        with pytest.raises(TypeError, match="column 'b' holds .*bool8"):
            from_table(pa.table({"b": column}), old)
    if hasattr(pa, "uuid"):
        column = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16], pa.binary(16)))
        with pytest.raises(TypeError, match="column 'u' holds .*uuid"):
            from_table(pa.table({"u": column}), old)
    assert names(old) == ["old"]


def test_memory_that_is_shared():
    column = tensors(CUBE)
    shared = arrow_to_numpy_zero_copy(column)
    assert_same(shared, CUBE)
    assert np.shares_memory(shared, column.storage.flatten().to_numpy())
    assert_same(arrow_to_numpy_zero_copy(pa.chunked_array([column[1:]])), CUBE[1:])
    assert_same(table_to_numpy_zero_copy(pa.table({"t": column}))["t"], CUBE)
    assert_same(wrap_for_zero_copy(column).to_numpy(), CUBE)
    lists = pa.FixedSizeListArray.from_arrays(pa.array([1, 2, 3, 4]), 2)
    assert_same(wrap_for_zero_copy(lists).to_numpy(), np.array([[1, 2], [3, 4]]))
    assert_same(wrap_for_zero_copy(pa.chunked_array([lists])).to_numpy(), np.array([[1, 2], [3, 4]]))
    with pytest.raises(ValueError, match="2 chunks"):
        wrap_for_zero_copy(pa.chunked_array([lists, lists]))
    with pytest.raises(ValueError, match="without a copy"):
        arrow_to_numpy_zero_copy(tensors(np.ones((2, 3), bool)))
    cells = pa.array([[1.0, 2.0], None], pa.list_(pa.float64(), 2))
    with pytest.raises(ValueError, match="1 nulls"):
        arrow_to_numpy_zero_copy(
            pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.float64(), (2,)), cells)
        )
