"""Progress, libraries that are missing, sizes, and that every name is there."""

import builtins
import inspect
import subprocess
import sys

import numpy as np
import pytest
from io_arrays import save

import numpack.io
from numpack.io import (
    DEFAULT_BATCH_ROWS,
    DEFAULT_CHUNK_SIZE,
    LARGE_FILE_THRESHOLD,
    DependencyError,
    estimate_chunk_rows,
    from_npy,
    get_file_size,
    is_large_file,
    to_npy,
)


@pytest.fixture
def blocked(monkeypatch):
    """Makes the import of a library fail."""
    real = builtins.__import__

    def block(library):
        for name in [name for name in sys.modules if name.partition(".")[0] == library]:
            monkeypatch.delitem(sys.modules, name)

        def refuse(name, *args, **kwargs):
            if name.partition(".")[0] == library:
                raise ImportError(f"No module named {name!r}")
            return real(name, *args, **kwargs)

        monkeypatch.setattr(builtins, "__import__", refuse)
        monkeypatch.setitem(sys.modules, library, None)

    return block


MISSING = [
    ("h5py", "from_hdf5", ("a.h5", "a.npk")),
    ("h5py", "to_hdf5", ("a.npk", "a.h5")),
    ("zarr", "from_zarr", ("a.zarr", "a.npk")),
    ("pyarrow", "from_parquet", ("a.parquet", "a.npk")),
    ("pyarrow", "to_feather", ("a.npk", "a.feather")),
    ("pyarrow", "from_table", (None, "a.npk")),
    ("pyarrow", "to_table", ("a.npk",)),
    ("pandas", "from_dataframe", (None, "a.npk")),
    ("torch", "from_pt", ("a.pt", "a.npk")),
    ("torch", "to_tensor", ("a.npk",)),
    ("safetensors", "get_safetensors_metadata", ("a.safetensors",)),
    ("obstore", "from_s3", ("s3://a/b.npy", "a.npk")),
]


@pytest.mark.parametrize(("library", "function", "args"), MISSING)
def test_a_missing_library_is_named(blocked, tmp_path, monkeypatch, library, function, args):
    monkeypatch.chdir(tmp_path)
    blocked(library)
    with pytest.raises(DependencyError, match=rf"^{library} .*pip install {library}$") as caught:
        getattr(numpack.io, function)(*args)
    assert isinstance(caught.value, ImportError)


def test_importing_needs_no_library():
    code = """
import sys, numpack.io
heavy = {"h5py", "zarr", "pyarrow", "pandas", "torch", "safetensors", "obstore", "tqdm"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_callable_gets_bytes(tmp_path, npk):
    array = np.arange(1000)
    np.save(tmp_path / "a.npy", array)
    for run in (
        lambda seen: from_npy(
            tmp_path / "a.npy", npk, chunk_size=3200, progress=lambda *call: seen.append(call)
        ),
        lambda seen: to_npy(
            npk, tmp_path / "b.npy", chunk_size=3200, progress=lambda *call: seen.append(call)
        ),
    ):
        seen = []
        run(seen)
        assert seen == [(done, 8000) for done in range(800, 8001, 800)]


def test_every_conversion_takes_progress():
    silent = {"from_dlpack", "to_dlpack"}
    for name in numpack.io.__all__:
        if name.startswith(("from_", "to_")) and name not in silent:
            parameters = inspect.signature(getattr(numpack.io, name)).parameters
            assert "progress" in parameters or "options" in parameters, name


def test_bar(tmp_path, npk, capsys):
    pytest.importorskip("tqdm")
    save(npk, x=np.zeros(1000))
    to_npy(npk, tmp_path / "a.npy", progress=True)
    assert "8.00k/8.00k" in capsys.readouterr().err


def test_line_without_tqdm(tmp_path, npk, capsys, blocked):
    blocked("tqdm")
    save(npk, x=np.zeros(100_000))
    to_npy(npk, tmp_path / "a.npy", progress=True)
    assert capsys.readouterr().err == "\r0.8 of 0.8 MB\n"
    with pytest.raises(TypeError, match="bool or a callable"):
        to_npy(npk, tmp_path / "a.npy", progress="yes")


def test_sizes(tmp_path, npk):
    assert (LARGE_FILE_THRESHOLD, DEFAULT_CHUNK_SIZE, DEFAULT_BATCH_ROWS) == (1 << 30, 100 << 20, 100_000)
    (tmp_path / "a").write_bytes(bytes(10))
    assert get_file_size(tmp_path / "a") == 10
    save(npk, x=np.zeros(1000))
    assert get_file_size(npk) >= 8000
    assert not is_large_file(tmp_path / "a") and is_large_file(tmp_path / "a", 10)
    assert estimate_chunk_rows((10, 4), "f8", 320) == 10
    assert estimate_chunk_rows((10, 4), "f8", 1) == 1
    assert estimate_chunk_rows((1 << 40, 0), "f8", 100) == 1 << 40
    with pytest.raises(FileNotFoundError):
        get_file_size(tmp_path / "b")


def test_every_name_is_there_and_documented():
    for name in numpack.io.__all__:
        found = getattr(numpack.io, name)
        assert name.isupper() or found.__doc__, name
