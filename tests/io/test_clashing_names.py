"""Entries of which two would have one name: an error that names both, before anything is written."""

import json
import struct
import zipfile

import numpy as np
import pytest
from io_arrays import assert_same, load, names, save

import numpack.io as io
from numpack import NumPack


def test_members_of_an_archive(tmp_path, old):
    for name, value in (("one", 1), ("two", 2), ("z", 3)):
        np.save(tmp_path / f"{name}.npy", np.array([value]))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.write(tmp_path / "one.npy", "x.npy")
        archive.write(tmp_path / "z.npy", "z.npy")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.write(tmp_path / "two.npy", "x.npy")
    with pytest.raises(
        ValueError, match=r"a\.npz: member 1 'x.npy' and member 3 'x.npy' would both be the array 'x'"
    ):
        io.from_npy(tmp_path / "a.npz", old)
    assert names(old) == ["old"]
    io.from_npy(tmp_path / "a.npz", old, array_names="z")
    assert_same(load(old, "z"), np.array([3]))


@pytest.mark.parametrize("offsets", [[0, 2], [2, 4]])
def test_tensors_of_a_header(tmp_path, old, offsets):
    pytest.importorskip("safetensors")
    entry = {"dtype": "U8", "shape": [2]}
    one = json.dumps({"a": {**entry, "data_offsets": [0, 2]}})
    two = json.dumps({"a": {**entry, "data_offsets": offsets}})
    header = f"{one[:-1]},{two[1:]}".encode()
    data = bytes(offsets[1])
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + data)
    for read in (io.from_safetensors_file, lambda file, _: list(io.iter_safetensors(file))):
        with pytest.raises(ValueError, match=r"a\.safetensors.*'?`?a"):
            read(tmp_path / "a.safetensors", old)
    with pytest.raises(ValueError, match=r"a\.safetensors"):
        io.get_safetensors_metadata(tmp_path / "a.safetensors")
    assert names(old) == ["old"]


CLASHES = [
    (lambda a, b: {"a/b": a, "a": {"b": b}}, "a/b", r"\['a/b'\] and \['a'\]\['b'\]"),
    (lambda a, b: {0: a, "0": b}, "0", r"\[0\] and \['0'\]"),
    (lambda a, b: {"a": {"b/c": a}, "a/b": {"c": b}}, "a/b/c", r"\['a'\]\['b/c'\] and \['a/b'\]\['c'\]"),
    (lambda a, b: {"c": a, "": b}, "c", r"\['c'\] and \[''\]"),
    (lambda a, b: {"m": {"a/b": a, "a": {"b": b}}}, "m/a/b", r"\['m'\]\['a/b'\] and \['m'\]\['a'\]\['b'\]"),
]


@pytest.mark.parametrize(("content", "name", "both"), CLASHES, ids=[name for _, name, _ in CLASHES])
def test_entries_of_dicts(tmp_path, old, content, name, both):
    torch = pytest.importorskip("torch")
    torch.save({**content(torch.zeros(2), torch.ones(2)), "other": torch.full((2,), 7.0)}, tmp_path / "c.pt")
    with pytest.raises(ValueError, match=rf"c\.pt: {both} would both be the array '{name}'"):
        io.from_pt(tmp_path / "c.pt", old)
    assert names(old) == ["old"]
    io.from_pt(tmp_path / "c.pt", old, array_names="other")
    assert load(old, "other").tolist() == [7, 7]


def test_one_of_two_entries_by_its_key(tmp_path, old):
    torch = pytest.importorskip("torch")
    torch.save({"a/b": torch.zeros(2), "a": {"b": torch.ones(2)}}, tmp_path / "c.pt")
    io.from_pt(tmp_path / "c.pt", old, key="a/b", array_name="flat")
    io.from_pt(tmp_path / "c.pt", old, key="a", array_name="deep")
    assert load(old, "flat").tolist() == [0, 0] and load(old, "deep").tolist() == [1, 1]


def test_labels_of_frames(old):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(np.arange(6).reshape(2, 3), columns=[0, "0", "b"])
    with pytest.raises(ValueError, match="columns 0 and '0' would both be named '0'"):
        io.from_dataframe(frame, old)
    assert names(old) == ["old"]
    io.from_dataframe(frame, old, "v", ["b", 0])
    assert_same(load(old, "v"), np.array([[2, 0], [5, 3]]))


def test_columns_that_share_a_name_all_come(tmp_path, old):
    """Two columns of one name are both in the array; by its name neither can be taken."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.feather
    import pyarrow.parquet

    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    with pa.OSFile(str(tmp_path / "a.feather"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    calls = [
        (io.from_table, table),
        (io.from_parquet, tmp_path / "a.parquet"),
        (io.from_feather, tmp_path / "a.feather"),
    ]
    for read, source in calls:
        read(source, old, "v")
        assert_same(load(old, "v"), np.array([[1, 2]]))
        with pytest.raises(KeyError, match="no column, or several, of name 'a'"):
            read(source, old, "w", ["a"])
    with pytest.raises(KeyError, match="a.* exists 2 times"):
        io.table_to_numpy_zero_copy(table)


@pytest.mark.parametrize("inside", [["a", "a/b"], ["a", "a/b/c"], ["x/y", "x/y/z", "x"]])
@pytest.mark.parametrize("write", ["to_hdf5", "to_zarr"])
def test_an_array_and_a_group_of_one_name(tmp_path, npk, inside, write):
    pytest.importorskip("h5py" if write == "to_hdf5" else "zarr")
    save(npk, **{name: np.arange(2) for name in inside})
    shorter, longer = sorted(inside)[:2]
    with pytest.raises(TypeError, match=f"{longer!r} beside {shorter!r}"):
        getattr(io, write)(npk, tmp_path / "made")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("write", ["to_hdf5", "to_zarr"])
@pytest.mark.parametrize("name", ["a//b", "/a", "a/", "a/./b", "a/../b"])
def test_names_that_would_become_others(tmp_path, npk, name, write):
    pytest.importorskip("h5py" if write == "to_hdf5" else "zarr")
    save(npk, **{name: np.arange(2), "a/b": np.arange(3)})
    with pytest.raises(TypeError, match=f"cannot hold the name {name!r}"):
        getattr(io, write)(npk, tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_formats_that_keep_names_as_they_are(tmp_path, npk):
    arrays = {
        name: np.array([at]) for at, name in enumerate(["a", "a/b", "a//b", "A", "a.npy", "a\\b", "0", "00"])
    }
    save(npk, **arrays)
    io.to_npy(npk, tmp_path / "a.npz")
    calls = [(io.from_npy, tmp_path / "a.npz")]
    if pytest.importorskip("safetensors"):
        io.to_safetensors_file(npk, tmp_path / "a.safetensors")
        calls.append((io.from_safetensors_file, tmp_path / "a.safetensors"))
    for at, (read, file) in enumerate(calls):
        read(file, tmp_path / f"{at}.npk")
        with NumPack(tmp_path / f"{at}.npk", mode="r") as store:
            assert {name: store[name].tolist() for name in store} == {
                name: [at] for at, name in enumerate(arrays)
            }
