"""Files that are kept by columns: whole rows of chunks or batches that are more than fits into memory."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from io_arrays import any_array, assert_same, load, sample

from numpack import NumPack
from numpack.io import from_feather, from_hdf5, from_parquet, from_zarr
from numpack.io import parquet as numpack_parquet
from numpack.io._sizes import ranges
from numpack.io._spill import joined_rows


def cut(array, rows, columns):
    """Parts of `columns` columns in blocks of `rows` rows, as they were read."""
    for first, last in ranges(array.shape[1], columns):
        yield (array[start:stop, first:last] for start, stop in ranges(len(array), rows))


@given(any_array(min_dims=2, min_side=1), st.integers(1, 4), st.integers(1, 4))
def test_rows_come_back(tmp_path, array, rows, columns):
    found = np.concatenate(list(joined_rows(cut(array, rows, columns), tmp_path)))
    assert_same(found, array)
    assert not list(tmp_path.iterdir())


def test_rows_of_several_blocks(tmp_path):
    array = sample("float32", (300_000, 7))
    blocks = list(joined_rows(cut(array, 999, 3), tmp_path))
    assert len(blocks) > 1
    assert_same(np.concatenate(blocks), array)


@pytest.fixture
def files_beside(npk, monkeypatch):
    """Counts the temporary files that were made, all of them beside the store."""
    made = []
    own = joined_rows

    def watched(parts, folder):
        made.append(folder)
        return own(parts, folder)

    for module in ("_chunks", "_arrow_tables"):
        monkeypatch.setattr(f"numpack.io.{module}.joined_rows", watched)
    return lambda: len(made) if set(made) == {npk.parent} else 0


@pytest.mark.parametrize(
    ("shape", "chunks"), [((50, 9), (20, 2)), ((50, 9), (50, 1)), ((30, 5, 4), (8, 2, 3))]
)
@pytest.mark.parametrize("dtype", ["float32", ">i2", "bool"])
def test_chunks_of_few_columns(tmp_path, npk, files_beside, shape, chunks, dtype):
    h5py = pytest.importorskip("h5py")
    array = sample(np.dtype(dtype).newbyteorder("=").name, shape).astype(dtype)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=array, chunks=chunks, compression="gzip")
    from_hdf5(tmp_path / "a.h5", npk, chunk_size=100)
    assert_same(load(npk, "x"), array.astype(array.dtype.newbyteorder("=")))
    assert files_beside()


def test_zarr_chunks_of_few_columns(tmp_path, npk, files_beside):
    zarr = pytest.importorskip("zarr")
    array = sample("float64", (50, 9, 2))
    zarr.create_array(tmp_path / "x.zarr", data=array, chunks=(20, 2, 1))
    from_zarr(tmp_path / "x.zarr", npk, chunk_size=100)
    assert_same(load(npk, "x"), array)
    assert files_beside()


def table(pa, rows=1000):
    """A table of seven columns of floats and integers, with nulls."""
    random = np.random.default_rng(5)
    columns = {f"c{at}": pa.array(random.random(rows), mask=random.random(rows) < 0.1) for at in range(6)}
    return pa.table({**columns, "whole": pa.array(random.integers(0, 100, rows), pa.int8())})


def test_row_groups_of_many_columns(tmp_path, npk, files_beside, monkeypatch):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    found = table(pa)
    pq.write_table(found, tmp_path / "a.parquet", row_group_size=300)
    monkeypatch.setattr(numpack_parquet, "_SPARE", 0)
    monkeypatch.setattr(numpack_parquet, "_PAGE", 1000)
    for chosen in (None, ["whole", "c3", "c1", "c5", "c0"]):
        from_parquet(tmp_path / "a.parquet", npk, columns=chosen, chunk_size=12_000)
        wanted = found.select(chosen or found.schema.names).to_pandas().to_numpy()
        assert_same(load(npk, "a"), wanted)
    assert files_beside() == 8


def test_record_batches_of_many_columns(tmp_path, npk, files_beside):
    pa, ipc = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.ipc")
    found = table(pa)
    with ipc.new_file(str(tmp_path / "a.feather"), found.schema) as writer:
        writer.write_table(found, 400)
    for chosen in (None, ["whole", "c3", "c1"]):
        from_feather(tmp_path / "a.feather", npk, columns=chosen, chunk_size=3000)
        wanted = found.select(chosen or found.schema.names).to_pandas().to_numpy()
        assert_same(load(npk, "a"), wanted)
    assert files_beside()


def test_an_error_in_a_part_leaves_nothing(tmp_path, old):
    pa, ipc = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.ipc")
    found = pa.table({"a": pa.array(range(1000)), "b": pa.array([None] + list(range(999)))})
    with ipc.new_file(str(tmp_path / "a.feather"), found.schema) as writer:
        writer.write_table(found)
    with pytest.raises(TypeError, match="column 'b'"):
        from_feather(tmp_path / "a.feather", old, chunk_size=3000)
    with NumPack(old, mode="r") as store:
        assert store.get_member_list() == ["old"]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.feather", "data.npk"]
