"""Programs written for the published interface: the order of arguments, other names of keywords, what destroys."""

import gc
import inspect
import json
import platform
import weakref

import numpy as np
import pytest
from io_arrays import assert_same, load, names, save

import numpack
import numpack.io as io
from numpack import NumPack

TABLE_FUNCTIONS = ["from_table", "from_parquet", "from_feather", "from_parquet_file", "from_feather_file"]


@pytest.fixture
def table():
    pa = pytest.importorskip("pyarrow")
    return pa.table({"a": [1, 2], "b": [3, 4], "c": [5, 6]})


@pytest.fixture
def tables(tmp_path, table):
    """What each function of tables reads, with columns a, b and c."""
    import pyarrow.feather
    import pyarrow.parquet

    pyarrow.parquet.write_table(table, tmp_path / "t.parquet")
    pyarrow.feather.write_feather(table, tmp_path / "t.feather")
    return {
        name: table
        if name == "from_table"
        else tmp_path / ("t.parquet" if "parquet" in name else "t.feather")
        for name in TABLE_FUNCTIONS
    }


@pytest.mark.parametrize("name", TABLE_FUNCTIONS)
def test_columns_are_the_fourth_argument_of_tables(tables, old, name):
    getattr(io, name)(tables[name], old, "v", ["c", "a"])
    assert_same(load(old, "v"), np.array([[5, 1], [6, 2]]))
    assert_same(load(old, "old"), np.arange(5))
    with pytest.raises(TypeError):
        getattr(io, name)(tables[name], old, "v", ["a"], True)
    with pytest.raises(TypeError):
        getattr(io, name)(tables[name], old, "v", True)
    assert names(old) == [".numpack/columns/v", "old", "v"]


def test_columns_are_the_fourth_argument_of_frames(old):
    pd = pytest.importorskip("pandas")
    io.from_dataframe(pd.DataFrame({"a": [1, 2], "b": [3, 4]}), old, "v", ["b"])
    assert_same(load(old, "v"), np.array([[3], [4]]))
    assert "old" in names(old)


def test_order_of_groups(tmp_path, old):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"], file["g/y"], file["g/z"] = np.arange(2), np.arange(3), np.arange(4)
    io.from_hdf5(tmp_path / "a.h5", old, ["g/y", "x"])
    io.from_hdf5(tmp_path / "a.h5", old, ["z"], "g")
    assert names(old) == ["g/y", "old", "x", "z"]
    io.from_hdf5(tmp_path / "a.h5", old, dataset_names="x", drop_if_exists=True)
    assert names(old) == ["x"]


def test_order_of_zarr(tmp_path, old):
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(tmp_path / "a.zarr", mode="w")
    for name in ("x", "g/y", "g/z"):
        group.create_array(name, data=np.arange(3))
    io.from_zarr(tmp_path / "a.zarr", old, ["z"], "g")
    assert names(old) == ["old", "z"]


def test_order_of_tensors(tmp_path, old):
    pytest.importorskip("safetensors")
    save(tmp_path / "s.npk", x=np.arange(2), y=np.arange(3))
    io.to_safetensors_file(tmp_path / "s.npk", tmp_path / "a.safetensors")
    io.from_safetensors_file(tmp_path / "a.safetensors", old, ["y"])
    io.from_safetensors_file(tmp_path / "a.safetensors", old, keys=["x"])
    assert names(old) == ["old", "x", "y"]
    assert [name for name, _ in io.iter_safetensors(tmp_path / "a.safetensors", keys=["y"])] == ["y"]
    assert list(inspect.signature(io.from_pt).parameters)[:3] == ["input_path", "output_path", "key"]
    order = list(inspect.signature(io.from_s3).parameters)
    assert order[:4] == ["s3_path", "output_path", "format", "drop_if_exists"]


NO_BOOLS = [["a", "b"], "no", 1, 0, None, np.ones(2, bool)]


@pytest.mark.parametrize("given", NO_BOOLS, ids=repr)
def test_only_a_bool_drops_arrays(tmp_path, old, given):
    """In every function that can, and before anything is read."""
    missing = tmp_path / "missing"
    functions = [name for name in io.__all__ if name.startswith("from_") and name != "from_dlpack"]
    assert len(functions) == 17
    for name in functions:
        with pytest.raises(TypeError, match="drop_if_exists must be True or False, got"):
            getattr(io, name)(missing, old, drop_if_exists=given)
    with pytest.raises(TypeError):
        NumPack(old, given)
    assert names(old) == ["old"]


@pytest.mark.parametrize("given", NO_BOOLS, ids=repr)
def test_only_a_bool_overwrites(tmp_path, old, given):
    package = numpack.pack(old, tmp_path / "a.npkg")
    before = package.read_bytes()
    save(old, old=np.arange(9))
    with pytest.raises(TypeError):
        numpack.pack(old, package, overwrite=given)
    with pytest.raises(TypeError):
        numpack.unpack(package, old, overwrite=given)
    with NumPack(old) as store:
        store.save({"other": np.ones(2)})
        with pytest.raises(TypeError):
            store.rename("old", "other", given)
        with store.batch_mode(), pytest.raises(TypeError):
            store.rename("old", "other", given)
    assert package.read_bytes() == before
    assert_same(load(old, "old"), np.arange(9))
    assert names(old) == ["old", "other"]


def test_bools_of_numpy_are_bools(tables, old):
    io.from_table(tables["from_table"], old, drop_if_exists=np.False_)
    assert "old" in names(old)
    io.from_table(tables["from_table"], old, drop_if_exists=np.True_)
    assert "old" not in names(old)


@pytest.mark.parametrize("alias", ["column", "column_names"])
def test_other_names_of_columns(tmp_path, tables, old, alias):
    for name in TABLE_FUNCTIONS:
        getattr(io, name)(tables[name], old, "v", **{alias: ["b"]})
        assert_same(load(old, "v"), np.array([[3], [4]]))
    assert io.to_table(old, "v", **{alias: ["z"]}).column_names == ["z"]
    io.to_parquet(old, tmp_path / "z.parquet", "v", **{alias: ["z"]})
    io.to_feather(old, tmp_path / "z.feather", "v", **{alias: ["z"]})
    assert list(io.table_to_numpy_zero_copy(tables["from_table"], **{alias: "a"})) == ["a"]
    pytest.importorskip("pandas")
    assert list(io.to_dataframe(old, "v", **{alias: ["z"]}).columns) == ["z"]


def test_an_argument_by_two_names(tables, old):
    with pytest.raises(TypeError, match="'column_names' and 'columns' are one argument"):
        io.from_table(tables["from_table"], old, columns=["a"], column_names=["b"])
    with pytest.raises(TypeError, match="multiple values"):
        io.from_table(tables["from_table"], old, "v", ["a"], column_names=["b"])
    assert names(old) == ["old"]


def test_other_names_of_sizes_and_compressors(tmp_path, npk):
    assert io.estimate_chunk_rows((100, 4), "f8", target_chunk_bytes=64) == 2
    save(npk, x=np.arange(10.0))
    zarr = pytest.importorskip("zarr")
    io.to_zarr(npk, tmp_path / "a.zarr", compressor=None)
    assert zarr.open_group(tmp_path / "a.zarr", mode="r")["x"].compressors == ()


def test_chunk_size_of_to_pt(tmp_path, npk):
    torch = pytest.importorskip("torch")
    save(npk, x=np.arange(10.0))
    io.to_pt(npk, tmp_path / "a.pt", chunk_size=1 << 20)
    assert list(torch.load(tmp_path / "a.pt")) == ["x"]
    with pytest.raises(ValueError, match="chunk_size"):
        io.to_pt(npk, tmp_path / "b.pt", chunk_size=0)


def test_loading_by_keyword_in_batches(npk):
    save(npk, x=np.arange(3))
    with NumPack(npk) as store:
        with store.writable_batch_mode() as batch:
            batch.load(array_name="x")[0] = 9
            assert batch.load(name="x") is batch.load("x")
        with store.batch_mode() as batch:
            assert batch.load(array_name="x")[0] == 9 and batch.load(name="x")[0] == 9


def test_what_packages_and_the_backend_say(old):
    package = io.pack(old)
    assert (io.pack, io.unpack, io.get_package_info) == (
        numpack.pack,
        numpack.unpack,
        numpack.get_package_info,
    )
    assert {"pack", "unpack", "get_package_info"} <= set(io.__all__)
    info = numpack.get_package_info(package)
    assert info["compression_name"] == (info["compression"] or "none")
    save(old, old=np.zeros(100_000))
    assert numpack.get_package_info(numpack.pack(old, overwrite=True))["compression_name"] == "zstd"
    assert numpack.get_backend_info()["platform"] == platform.system()


def test_what_metadata_say_of_the_store(npk):
    with NumPack(npk) as store:
        found = store.get_metadata()
        assert (found["total_arrays"], found["last_modified"], found["base_dir"]) == (0, None, str(npk))
        store.save({"x": np.arange(3), "y": np.arange(4)})
        store.append({"x": np.arange(2)})
        found = store.get_metadata()
        assert found["total_arrays"] == 2 and found["base_dir"] == found["path"]
        assert found["last_modified"] == store.get_modify_time("x")
        assert json.loads(json.dumps(found)) == found
        with store.batch_mode():
            store.save({"z": np.arange(3)})
            store.drop("y")
            store.drop("x")
            store.save({".numpack/columns/z": np.zeros(3, np.uint8)})
            found = store.get_metadata()
            assert found["total_arrays"] == 1 and found["last_modified"] is None
            assert json.loads(json.dumps(found)) == found
            assert found["arrays"]["z"]["size"] == found["arrays"]["z"]["size_bytes"] == found["total_size"]


def test_garbage_that_closing_collects(npk):
    def collected(**options):
        node = Node()
        node.own, watched = node, weakref.ref(node)
        del node
        store = NumPack(npk)
        store.open()
        store.close(**options)
        return watched() is None

    gc.disable()
    try:
        assert collected(force_gc=True) and not collected() and not collected(force_gc=False)
    finally:
        gc.enable()
        gc.collect()
    with pytest.raises(TypeError):
        NumPack(npk).close(force_gc="yes")


class Node:
    """What can be in a cycle and be watched."""
