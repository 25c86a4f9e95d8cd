"""Many arrays where few files may be open: each is opened in its turn, and what is mapped needs no descriptor."""

import resource
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from io_arrays import save

ARRAYS = 250


def run(folder, body):
    """Runs a program where half as many files may be open as there are arrays; `arrays` are those in the store."""
    head = f"""
        import resource
        import numpy as np
        from numpack import NumPack, io
        arrays = {{f"a{{at}}": np.full((4, 3), at) for at in range({ARRAYS})}}
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, ({ARRAYS // 2}, hard))
        """
    program = textwrap.dedent(head) + textwrap.dedent(body)
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def folder(tmp_path):
    """A folder with a store of more arrays than files may be open."""
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] > ARRAYS
    save(tmp_path / "data.npk", **{f"a{at}": np.full((4, 3), at) for at in range(ARRAYS)})
    return tmp_path


FORMATS = [
    ("npy", "a.npz", "numpy"),
    ("hdf5", "a.h5", "h5py"),
    ("zarr", "a.zarr", "zarr"),
    ("safetensors_file", "a.safetensors", "safetensors"),
]


@pytest.mark.parametrize(("form", "file", "library"), FORMATS)
def test_all_arrays_out_and_in(folder, form, file, library):
    pytest.importorskip(library)
    run(
        folder,
        f"""
        io.to_{form}("data.npk", {file!r})
        io.from_{form}({file!r}, "again.npk")
        with NumPack("again.npk", mode="r") as store:
            assert len(store) == len(arrays)
            for name, array in arrays.items():
                assert np.array_equal(store.load(name), array), name
        """,
    )


@pytest.mark.parametrize("mode", ["r", "a"])
def test_lazy_arrays(folder, mode):
    run(
        folder,
        f"""
        with NumPack("data.npk", mode={mode!r}) as store:
            held = [store.load(name, lazy=True) for name in arrays]
            copies = [store.load(name, mmap_mode="c") for name in arrays]
            for lazy, copy, array in zip(held, copies, arrays.values()):
                assert np.array_equal(lazy[1:], array[1:]) and np.array_equal(lazy, array)
                assert np.array_equal(copy, array)
        """,
    )


def test_arrays_that_are_written_in_place(folder):
    run(
        folder,
        """
        with NumPack("data.npk") as store:
            with store.writable_batch_mode() as batch:
                held = [batch.load(name) for name in arrays]
                for array in held:
                    array += 1
            for name, array in arrays.items():
                assert np.array_equal(store.load(name), array + 1), name
        """,
    )
