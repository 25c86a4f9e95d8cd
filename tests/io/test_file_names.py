"""Names of files that are not UTF-8, as text from os.listdir and as bytes, and names of any characters."""

import os
import sys

import numpy as np
import pytest
from io_arrays import assert_same, load, names, save

import numpack.io as io

ARRAY = np.arange(6.0).reshape(3, 2)
FORMATS = {
    "npy": ("npy", None),
    "npz": ("npy", None),
    "csv": ("csv", None),
    "txt": ("txt", None),
    "h5": ("hdf5", "h5py"),
    "zarr": ("zarr", "zarr"),
    "parquet": ("parquet", "pyarrow"),
    "feather": ("feather", "pyarrow"),
    "pt": ("pt", "torch"),
    "safetensors": ("safetensors_file", "safetensors"),
}


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("name", [b"caf\xe9", b"\xff\xfe", "µ #?%20+&=é\n".encode()], ids=repr)
@pytest.mark.parametrize("form", ["text", "bytes"])
def test_names_in_every_format(tmp_path, npk, ending, name, form):
    function, library = FORMATS[ending]
    if library:
        pytest.importorskip(library)
    path = os.path.join(os.fsencode(tmp_path), name + b"." + ending.encode())
    given = path if form == "bytes" else os.fsdecode(path)
    save(npk, x=ARRAY)
    getattr(io, f"to_{function}")(npk, given)
    assert os.path.exists(path)
    assert [file for file in os.listdir(os.fsencode(tmp_path)) if file.startswith(b".")] == []
    getattr(io, f"from_{function}")(given, npk, array_name="y")
    assert_same(load(npk, "y"), ARRAY)


def _is_utf8(name):
    try:
        return bool(name.decode())
    except UnicodeDecodeError:
        return False


@pytest.mark.parametrize("ending", ["npy", "csv", "parquet", "feather"])
def test_arrays_named_after_such_files(tmp_path, npk, ending):
    function, library = FORMATS[ending]
    if library:
        pytest.importorskip(library)
    save(npk, x=ARRAY)
    path = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"caf\xe9." + ending.encode()))
    getattr(io, f"to_{function}")(npk, path)
    getattr(io, f"from_{function}")(path, npk)
    assert_same(load(npk, r"caf\xe9"), ARRAY)


@pytest.mark.parametrize("ending", ["csv", "npy", "h5", "parquet", "feather", "safetensors"])
def test_damage_is_named_by_such_names(tmp_path, old, ending):
    function, library = FORMATS[ending]
    if library:
        pytest.importorskip(library)
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9." + ending.encode())
    with open(path, "wb") as file:
        file.write(b"x,y\n1,2\n3,z\n" if ending == "csv" else b"no such file\n" * 20)
    with pytest.raises(ValueError, match="caf"):
        getattr(io, f"from_{function}")(os.fsdecode(path), old)
    with pytest.raises(FileNotFoundError):
        getattr(io, f"from_{function}")(os.fsdecode(path) + "missing", old)
    assert names(old) == ["old"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_stores_of_such_names(tmp_path):
    store = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"st\xf6re.npk"))
    np.save(tmp_path / "a.npy", ARRAY)
    io.from_npy(tmp_path / "a.npy", store)
    io.to_csv(store, tmp_path / "a.csv", "a")
    assert_same(load(store, "a"), ARRAY)
