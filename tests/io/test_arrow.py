"""Tables of Arrow in memory, and the names of columns that are kept beside an array."""

import numpy as np
import pytest
from hypothesis import given
from io_arrays import REALS, any_array, assert_same, load, names, save

from numpack import NumPack
from numpack.io import (
    from_dataframe,
    from_parquet_table,
    from_table,
    to_dataframe,
    to_parquet_table,
    to_table,
)

pa = pytest.importorskip("pyarrow")
pd = pytest.importorskip("pandas")


def test_columns_are_forgotten_with_their_array(tmp_path, npk):
    from_table(pa.table({"a": [1], "b": [2]}), npk)
    assert to_table(npk).schema.names == ["a", "b"]
    save(npk, data=np.zeros((2, 3)))
    assert to_table(npk).schema.names == ["col0", "col1", "col2"]
    from_table(pa.table({"a": [1], "b": [2]}), npk)
    from_dataframe(pd.DataFrame([[1, 2]], columns=["c", "d"]), npk)
    assert to_table(npk).schema.names == ["c", "d"]
    assert names(npk) == [".numpack/columns/data", "data"]


def test_columns_follow_their_array(npk):
    from_table(pa.table({"a": [1], "b": [2]}), npk)
    from_table(pa.table({"c": [3], "d": [4]}), npk, "other")
    with NumPack(npk) as store:
        store.rename("data", "moved")
        assert to_table(npk, "moved").schema.names == ["a", "b"]
        store.rename("other", "moved", overwrite=True)
        assert to_table(npk, "moved").schema.names == ["c", "d"]
        assert names(npk) == [".numpack/columns/moved", "moved"]
        store.save({"plain": np.zeros((1, 2), "i8")})
        store.rename("plain", "moved", overwrite=True)
        assert to_table(npk, "moved").schema.names == ["col0", "col1"]
        assert names(npk) == ["moved"]
    from_table(pa.table({"a": [1], "b": [2]}), npk, "moved")
    with NumPack(npk) as store:
        store.drop("moved", [0])
        assert to_table(npk, "moved").schema.names == ["a", "b"]
        store.drop("moved")
        assert names(npk) == []


def test_columns_follow_their_array_in_a_batch(npk):
    from_table(pa.table({"a": [1], "b": [2]}), npk)
    from_table(pa.table({"c": [3], "d": [4]}), npk, "gone")
    with NumPack(npk) as store, store.batch_mode():
        store.load("data")[0, 0] = 5
        store.save({"data": store.load("data")})
        store.rename("data", "moved")
        store.drop("gone")
        assert store.get_member_list() == ["moved"]
        assert sorted(store.get_member_list(hidden=True)) == [".numpack/columns/moved", "moved"]
    assert names(npk) == [".numpack/columns/moved", "moved"]
    with NumPack(npk) as store, store.batch_mode():
        store.save({"plain": np.zeros((1, 2), "i8")})
        store.rename("plain", "moved", overwrite=True)
    assert names(npk) == ["moved"]
    from_table(pa.table({"a": [5], "b": [2]}), npk, "moved")
    assert to_table(npk).to_pydict() == {"a": [5], "b": [2]}


def test_tables_in_memory(npk):
    table = pa.table({"a": pa.chunked_array([[1, 2], [3]]), "b": [4, 5, 6]})
    store = from_table(table, npk, return_npk_obj=True)
    assert_same(store.load("data"), np.array([[1, 4], [2, 5], [3, 6]]))
    store.close()
    assert to_table(npk).equals(table.combine_chunks())
    from_parquet_table(table.to_batches()[0], npk, "batch", columns=["b"])
    assert to_parquet_table(npk, "batch").to_pydict() == {"b": [4, 5]}
    with pytest.raises(TypeError, match="must be a pyarrow.Table"):
        from_table({"a": [1]}, npk)
    with pytest.raises(ValueError, match="no columns"):
        from_table(pa.table({}), npk)
    with pytest.raises(ValueError, match="there are 2"):
        to_table(npk)
    with pytest.raises(ValueError, match="1 column names for 2"):
        to_table(npk, "data", columns=["x"])


@given(array=any_array(REALS, 1, 3, 1))
def test_round_trip_in_memory(tmp_path_factory, array):
    folder = tmp_path_factory.mktemp("memory")
    save(folder / "a.npk", x=array)
    from_table(to_table(folder / "a.npk"), folder / "b.npk")
    assert_same(load(folder / "b.npk", "data"), array)
    if array.ndim < 3:
        from_dataframe(to_dataframe(folder / "a.npk"), folder / "c.npk")
        assert_same(load(folder / "c.npk", "data"), array.reshape(len(array), -1))


def test_the_seed_program(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = pa.table({"a": [1.0, 2.0], "b": [3.0, 4.0]})
    from_table(table, "output.npk")
    from_table(table, "input.npk")
    assert to_table("input.npk").equals(table)
