"""Small files that stand for large arrays: refused before they fill a disk, unless `max_bytes` allows them."""

import os
import threading
import zipfile

import numpy as np
import pytest
from io_arrays import load, names, save

import numpack
import numpack.io as io
from numpack.io import _max_bytes

MB = 1 << 20


@pytest.fixture
def low(monkeypatch):
    """Bytes that are always taken: 1 MiB in place of 1 GiB."""
    monkeypatch.setattr(_max_bytes, "_FREE", MB)


def refused(match):
    return pytest.raises(ValueError, match=match)


def test_arrays_that_nobody_wrote(tmp_path, old):
    """64 GiB of fill values, in a few hundred bytes."""
    zarr = pytest.importorskip("zarr")
    h5py = pytest.importorskip("h5py")
    for zarr_format in (2, 3):
        path = tmp_path / f"{zarr_format}.zarr"
        zarr.create_array(path, shape=(1 << 33,), chunks=(1 << 20,), dtype="f8", zarr_format=zarr_format)
        with refused(
            rf"{zarr_format}\.zarr: its arrays have 68,719,476,736 bytes .*more than 1,000 times.*max_bytes="
        ):
            io.from_zarr(path, old)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (1 << 33,), "f8", chunks=(1 << 17,))
        file["y"] = np.arange(3)
    with refused(
        r"a\.h5: its arrays have 68,719,476,760 bytes .*1,000 times its own [\d,]+; pass max_bytes="
    ):
        io.from_hdf5(tmp_path / "a.h5", old)
    io.from_hdf5(tmp_path / "a.h5", old, ["y"])
    assert names(old) == ["old", "y"]


def test_members_that_were_packed_well(tmp_path, old, low):
    np.save(tmp_path / "x.npy", np.zeros(4 * MB, "u1"))
    np.save(tmp_path / "y.npy", np.arange(3))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_LZMA) as archive:
        archive.write(tmp_path / "x.npy", "x.npy")
        archive.write(tmp_path / "y.npy", "y.npy")
    with refused(r"a\.npz: its arrays have 4,194,328 bytes"):
        io.from_npy(tmp_path / "a.npz", old)
    io.from_npy(tmp_path / "a.npz", old, max_bytes=4_194_328)
    assert load(old, "x").nbytes == 4 * MB


@pytest.mark.parametrize("ending", ["parquet", "feather", "lists.parquet", "lists.feather"])
def test_columns_that_were_packed_well(tmp_path, old, low, ending):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.feather
    import pyarrow.parquet

    numbers = pa.array(np.zeros(MB, "f8"))
    column = (
        pa.ListArray.from_arrays(np.arange(0, MB + 1, 8, "i4"), numbers) if "lists" in ending else numbers
    )
    table = pa.table({"x": column})
    if ending.endswith("parquet"):
        pyarrow.parquet.write_table(table, tmp_path / ending, compression="zstd")
        read = io.from_parquet
    else:
        pyarrow.feather.write_feather(table, tmp_path / ending, compression="zstd", chunksize=MB)
        read = io.from_feather
    os.truncate(tmp_path / ending, os.path.getsize(tmp_path / ending))
    if os.path.getsize(tmp_path / ending) * 1000 < 8 * MB:
        with refused(rf"{ending}: its arrays have [\d,]+ bytes"):
            read(tmp_path / ending, old)
        assert names(old) == ["old"]
    with refused(rf"{ending}: its arrays have [\d,]+ bytes at least, more than max_bytes=1000000"):
        read(tmp_path / ending, old, max_bytes=1_000_000)
    assert names(old) == ["old"]
    read(tmp_path / ending, old, "x", max_bytes=8 * MB)
    assert load(old, "x").nbytes == 8 * MB


def test_every_import_has_the_option(tmp_path, old):
    """And leaves nothing behind when it refuses."""
    array = np.arange(1000.0).reshape(500, 2)
    save(tmp_path / "a.npk", x=array)
    files = {"npy": "npy", "csv": "csv", "txt": "txt"}
    for library, more in {
        "h5py": {"hdf5": "h5"},
        "zarr": {"zarr": "zarr"},
        "pyarrow": {"parquet": "parquet", "feather": "feather"},
        "safetensors": {"safetensors_file": "safetensors"},
        "torch": {"pt": "pt"},
    }.items():
        if _installed(library):
            files.update(more)
    calls = [(getattr(io, f"from_{name}"), tmp_path / f"a.{ending}") for name, ending in files.items()]
    for (name, _), (_, path) in zip(files.items(), calls):
        getattr(io, f"to_{name}")(tmp_path / "a.npk", path)
    calls.append((io.from_tensor_dict, {"x": array}))
    calls.append((io.from_tensor, array))
    if _installed("pyarrow"):
        calls.append((io.from_table, io.to_table(tmp_path / "a.npk")))
    if _installed("pandas"):
        calls.append((io.from_dataframe, io.to_dataframe(tmp_path / "a.npk")))
    before = sorted(tmp_path.iterdir())
    for function, source in calls:
        for target in (old, tmp_path / "new.npk"):
            with refused("have [78],[0-9]{3} bytes at least, more than max_bytes=7000"):
                function(source, target, max_bytes=7000)
            with pytest.raises(TypeError, match="max_bytes must be a whole number, got '1G'"):
                function(source, target, max_bytes="1G")
            with refused("max_bytes must be at least 0, got -1"):
                function(source, target, max_bytes=-1)
    assert names(old) == ["old"] and sorted(tmp_path.iterdir()) == before
    for function, source in calls:
        function(source, old, max_bytes=8000)


def _installed(library):
    try:
        __import__(library)
    except ImportError:
        return False
    return True


def test_pipes_have_no_size(tmp_path, npk, low):
    os.mkfifo(tmp_path / "pipe")
    text = b"1\n" * (MB // 4)
    threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(text)).start()
    io.from_csv(tmp_path / "pipe", npk)
    assert load(npk, "pipe").nbytes == 2 * MB


def test_unpacking(tmp_path, npk, low):
    save(npk, x=np.zeros(4 * MB, "u1"))
    package = numpack.pack(npk)
    with refused(
        r"data\.npkg: its arrays have 4,194,304 bytes .*1,000 times its own [\d,]+; pass max_bytes="
    ):
        numpack.unpack(package, tmp_path / "new.npk")
    with refused("more than max_bytes=4194303"):
        numpack.unpack(package, tmp_path / "new.npk", max_bytes=4194303)
    assert not (tmp_path / "new.npk").exists()
    numpack.unpack(package, tmp_path / "new.npk", max_bytes=4194304)
    assert load(tmp_path / "new.npk", "x").nbytes == 4 * MB
