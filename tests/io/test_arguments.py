"""Arguments that all conversions refuse alike, before anything is written."""

import numpy as np
import pytest
from io_arrays import names, save

import numpack.io as io


@pytest.fixture
def files(tmp_path, npk):
    """A file of every format that is installed, by the function that reads it."""
    pytest.importorskip("pyarrow"), pytest.importorskip("h5py"), pytest.importorskip("safetensors")
    save(npk, x=np.ones((4, 2)))
    made = {
        "npy": "npy",
        "csv": "csv",
        "txt": "txt",
        "hdf5": "h5",
        "parquet": "parquet",
        "feather": "feather",
        "safetensors_file": "safetensors",
    }
    for name, ending in made.items():
        getattr(io, f"to_{name}")(npk, tmp_path / f"file.{ending}")
    return {getattr(io, f"from_{name}"): tmp_path / f"file.{ending}" for name, ending in made.items()}


REFUSED = [
    ({"array_name": ""}, ValueError, "name"),
    ({"array_name": 5}, TypeError, "array names are str, got 5"),
    ({"array_name": ".numpack/x"}, ValueError, "do not begin with"),
    ({"chunk_size": 1e6}, TypeError, "chunk_size must be an int, a number of bytes, got 1000000.0"),
    ({"chunk_size": "1M"}, TypeError, "chunk_size must be an int"),
    ({"chunk_size": 0}, ValueError, "chunk_size must be greater than 0"),
    ({"progress": 5}, TypeError, "progress must be"),
]


@pytest.mark.parametrize(("options", "error", "text"), REFUSED, ids=str)
def test_refused_alike(files, tmp_path, options, error, text):
    before = sorted(tmp_path.iterdir())
    messages = set()
    for function, file in files.items():
        with pytest.raises(error, match=text) as found:
            function(file, tmp_path / "p" / "q" / "new.npk", **options)
        messages.add(str(found.value))
    assert len(messages) == 1
    assert sorted(tmp_path.iterdir()) == before


def test_whole_numbers_of_any_type_are_sizes(files, tmp_path):
    for at, (function, file) in enumerate(files.items()):
        function(file, tmp_path / f"{at}.npk", chunk_size=np.int32(1 << 20))


def test_no_path_is_a_type_error(files, npk):
    for function in files:
        with pytest.raises(TypeError):
            function(None, npk)


def test_names_that_are_no_text(tmp_path, old):
    with pytest.raises(TypeError, match="array names are str, got 5"):
        io.from_tensor_dict({5: np.arange(3)}, old)
    np.savez(tmp_path / "a.npz", x=np.arange(3))
    for names_given in (5, [5], ["x", 5]):
        with pytest.raises(TypeError, match="array names are str, got 5"):
            io.from_npy(tmp_path / "a.npz", old, array_names=names_given)
        with pytest.raises(TypeError, match="array names are str, got 5"):
            io.to_npy(old, tmp_path / "b.npz", array_names=names_given)
    assert names(old) == ["old"]
