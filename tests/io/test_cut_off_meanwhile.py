"""A file that another program makes shorter while it is imported: an exception, never a signal, and no change."""

import json
import os
import struct
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from io_arrays import assert_same, load, names

from numpack.io import from_npy

ROWS, COLUMNS = 500_000, 100

CHILD = """
    import sys
    import numpack.io
    def started(done, total):
        if done < total:
            print("started", flush=True)
    try:
        getattr(numpack.io, sys.argv[1])(*sys.argv[2:], chunk_size=4_000_000, progress=started)
    except (OSError, ValueError) as error:
        print("ended", error, flush=True)
"""


def sparse(path, head, offset=None):
    """A file with this beginning and zeros for the array, which take no room."""
    path.write_bytes(head)
    os.truncate(path, (len(head) if offset is None else offset) + ROWS * COLUMNS * 4)


def npy(path, fortran=False):
    with open(path, "wb") as file:
        header = {"descr": "<f4", "fortran_order": fortran, "shape": (ROWS, COLUMNS)}
        np.lib.format.write_array_header_1_0(file, header)
    sparse(path, path.read_bytes())


def fortran_npy(path):
    npy(path, fortran=True)


def big_endian_npy(path):
    npy(path)
    path.write_bytes(path.read_bytes()[:128].replace(b"<f4", b">f4"))
    sparse(path, path.read_bytes())


def safetensors(path):
    pytest.importorskip("safetensors")
    entry = {"dtype": "F32", "shape": (ROWS, COLUMNS), "data_offsets": (0, ROWS * COLUMNS * 4)}
    text = json.dumps({"x": entry}).encode()
    sparse(path, struct.pack("<Q", len(text)) + text)


def hdf5(path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("x", (ROWS, COLUMNS), "f4")
        dataset[-1] = 1


SOURCES = [
    ("from_npy", npy),
    ("from_npy", fortran_npy),
    ("from_npy", big_endian_npy),
    ("from_safetensors_file", safetensors),
    ("from_hdf5", hdf5),
]


@pytest.mark.parametrize(("function", "write"), SOURCES, ids=[write.__name__ for _, write in SOURCES])
@pytest.mark.parametrize("left", [0, 200, 9_000_000])
def test_a_source_that_is_cut_off_meanwhile(tmp_path, old, function, write, left):
    write(tmp_path / "source")
    command = [sys.executable, "-c", textwrap.dedent(CHILD), function, tmp_path / "source", old]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "started\n"
        os.truncate(tmp_path / "source", left)
        told = child.stdout.read().splitlines()[-1]
    assert child.returncode == 0
    assert told.startswith("ended") and "cut off" in told and "source" in told
    assert names(old) == ["old"]
    assert_same(load(old, "old"), np.arange(5))


@pytest.mark.parametrize("dtype", ["float32", "bool", ">i2"])
def test_large_files_of_one_byte_order_and_another(tmp_path, npk, dtype):
    array = np.arange(3_000_000).reshape(-1, 3).astype(dtype)
    np.save(tmp_path / "a.npy", array)
    from_npy(tmp_path / "a.npy", npk, chunk_size=10_000_000)
    assert_same(load(npk, "a"), array.astype(array.dtype.newbyteorder("=")))
