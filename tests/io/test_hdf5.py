"""HDF5: files of h5py, groups and links, round trips."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from io_arrays import DTYPES, any_array, assert_same, load, names, sample, save

from numpack.io import from_hdf5, to_hdf5

h5py = pytest.importorskip("h5py")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("compression", ["gzip", "lzf", None])
def test_every_dtype(tmp_path, npk, dtype, compression):
    array = sample(dtype, (30, 4))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=array, chunks=(7, 3), compression=compression)
    from_hdf5(tmp_path / "a.h5", npk, chunk_size=200)
    assert_same(load(npk, "x"), array)
    to_hdf5(npk, tmp_path / "b.h5", compression=compression, chunk_size=200)
    with h5py.File(tmp_path / "b.h5") as file:
        assert_same(file["x"][()], array)
        assert file["x"].compression == compression


def test_what_h5py_writes(tmp_path, npk):
    array = sample("float64", (100, 3))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("big", data=array.astype(">f8"), chunks=(9, 2))
        file.create_dataset("shuffled", data=array, compression="gzip", shuffle=True, fletcher32=True)
        file.create_dataset("resizable", data=array, maxshape=(None, 3))
        file.create_dataset("deep/er/ints", data=np.arange(5, dtype=">i2"))
        file.create_dataset("scalar", data=3.5)
        file.create_dataset("none", shape=(0, 4), dtype="f4")
        file["alias"] = file["big"]
        file["deep/up"] = file["/"]
        file["soft"] = h5py.SoftLink("/big")
        file["outside"] = h5py.ExternalLink("other.h5", "/x")
        file.attrs["note"] = "attributes are not arrays"
    from_hdf5(tmp_path / "a.h5", npk, chunk_size=300)
    assert names(npk) == ["alias", "big", "deep/er/ints", "none", "resizable", "scalar", "shuffled"]
    for name in ("alias", "big", "shuffled", "resizable"):
        assert_same(load(npk, name), array)
    assert_same(load(npk, "deep/er/ints"), np.arange(5, dtype="i2"))
    assert_same(load(npk, "scalar"), np.array(3.5))
    assert_same(load(npk, "none"), np.empty((0, 4), "f4"))


def test_groups_and_names(tmp_path, npk):
    save(npk, **{"a/x": np.arange(3), "a/b/y": np.arange(4), "z": np.arange(5)})
    to_hdf5(npk, tmp_path / "a.h5", group="/top/level")
    with h5py.File(tmp_path / "a.h5") as file:
        assert_same(file["top/level/a/b/y"][()], np.arange(4))
    for group, wanted in [
        ("/top/level", ["a/b/y", "a/x", "z"]),
        ("top/level/a", ["b/y", "x"]),
        ("top/level/z", ["z"]),
    ]:
        from_hdf5(tmp_path / "a.h5", npk, group=group, drop_if_exists=True)
        assert names(npk) == wanted
    from_hdf5(
        tmp_path / "a.h5", npk, array_name="one", drop_if_exists=True, group="/top/level", array_names=["a/x"]
    )
    assert names(npk) == ["one"]
    with pytest.raises(KeyError, match="no array 'no'"):
        from_hdf5(tmp_path / "a.h5", npk, array_names=["no"])


@pytest.mark.parametrize("wanted", [{"a": 1, "a/b": 2}, {"a//b": 1}, {"/a": 1}, {"a/../b": 1}, {".": 1}])
def test_names_that_are_no_paths(tmp_path, npk, wanted):
    save(npk, **{name: np.array(value) for name, value in wanted.items()})
    with pytest.raises(TypeError, match="HDF5 cannot hold"):
        to_hdf5(npk, tmp_path / "a.h5")
    assert not (tmp_path / "a.h5").exists()


@pytest.mark.parametrize(
    "data", [np.array([b"text"]), np.zeros(3, [("a", "f4"), ("b", "i2")]), h5py.Empty("f4"), "words"]
)
def test_dtypes_that_do_not_fit(tmp_path, old, data):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["fine"] = np.arange(3)
        file["wrong"] = data
    with pytest.raises(TypeError, match="'wrong'"):
        from_hdf5(tmp_path / "a.h5", old)
    assert names(old) == ["old"]


def test_no_hdf5_at_all(tmp_path, npk):
    (tmp_path / "a.h5").write_bytes(b"something else")
    with pytest.raises(ValueError, match="a.h5 is no sound HDF5 file"):
        from_hdf5(tmp_path / "a.h5", npk)
    with pytest.raises(FileNotFoundError):
        from_hdf5(tmp_path / "b.h5", npk)
    with pytest.raises(IsADirectoryError):
        from_hdf5(tmp_path, npk)
    assert not npk.exists()


def test_files_that_are_cut_off_or_damaged(tmp_path, old):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=np.arange(4000.0), compression="gzip", chunks=(500,))
        place = file["x"].id.get_chunk_info(3).byte_offset
    whole = (tmp_path / "a.h5").read_bytes()
    damaged = [whole[:count] for count in (0, 1, 8, len(whole) // 2, len(whole) - 1)]
    damaged.append(whole[:place] + bytes(50) + whole[place + 50 :])
    for content in damaged:
        (tmp_path / "b.h5").write_bytes(content)
        with pytest.raises(ValueError, match="b.h5 is no sound HDF5 file"):
            from_hdf5(tmp_path / "b.h5", old)
    assert names(old) == ["old"]


def test_names_that_are_no_text(tmp_path, old):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["good/nämlich"] = np.arange(3)
        file["fields"] = np.zeros(3, [("fäld", "i4")])
    whole = (tmp_path / "a.h5").read_bytes()
    for text in ("nämlich", "fäld"):
        broken = text.encode().replace("ä".encode(), b"\xff\xff")
        (tmp_path / "b.h5").write_bytes(whole.replace(text.encode(), broken))
        with pytest.raises(ValueError, match="b.h5 is no sound HDF5 file"):
            from_hdf5(tmp_path / "b.h5", old)
    assert names(old) == ["old"]


def test_groups_linked_into_themselves(tmp_path, npk):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["g/x"] = np.arange(3)
        file["g/same"] = file["g"]
        file["top"] = file["/"]
        file["g/deep/back"] = file["g"]
    from_hdf5(tmp_path / "a.h5", npk)
    assert names(npk) == ["g/x"]
    from_hdf5(tmp_path / "a.h5", npk, group="g", drop_if_exists=True)
    assert names(npk) == ["x"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"compression_opts": 10}, "compression_opts must be at most 9, got 10"),
        ({"compression_opts": -1}, "compression_opts must be at least 0, got -1"),
        ({"compression": "nope"}, "nope"),
        ({"chunk_size": 0}, "chunk_size must be greater than 0 bytes, got 0"),
    ],
)
def test_options_that_there_are_not(tmp_path, old, options, said):
    (tmp_path / "a.h5").write_bytes(b"before")
    with pytest.raises(ValueError, match=said):
        to_hdf5(old, tmp_path / "a.h5", **options)
    assert (tmp_path / "a.h5").read_bytes() == b"before"


@given(array=any_array(), chunk=st.integers(1, 300), compression=st.sampled_from(["gzip", None]))
def test_round_trip(tmp_path_factory, array, chunk, compression):
    folder = tmp_path_factory.mktemp("hdf5")
    save(folder / "a.npk", x=array)
    to_hdf5(folder / "a.npk", folder / "x.h5", compression=compression, chunk_size=chunk)
    from_hdf5(folder / "x.h5", folder / "b.npk", chunk_size=chunk)
    assert_same(load(folder / "b.npk", "x"), array)


def test_elements_that_lie_one_behind_the_other(tmp_path, npk):
    """Read from the file's map where that shows what the library would: behind a user block, in either byte order."""
    random = np.random.default_rng(1)
    wanted = {
        "plain": random.random((50, 3)),
        "swapped": random.random((50, 3)).astype(">f4"),
        "bools": random.random(9) < 0.5,
        "complex": random.random(4) + 1j,
        "scalar": np.float16(2.5),
        "never written": np.full((4, 2), 7, "i4"),
        "empty": np.zeros((0, 3)),
    }
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=512) as file:
        for name, array in wanted.items():
            if name == "never written":
                file.create_dataset(name, array.shape, array.dtype, fillvalue=7)
            else:
                file[name] = array
        narrow = h5py.h5t.STD_I32LE.copy()
        narrow.set_precision(16)
        narrow.set_offset(8)
        space = h5py.h5s.create_simple((3,))
        h5py.h5d.create(file.id, b"narrow", narrow, space)
        file["narrow"][:] = [1, -2, 300]
    from_hdf5(tmp_path / "a.h5", npk, chunk_size=400)
    for name, array in wanted.items():
        assert_same(load(npk, name), array.astype(array.dtype.newbyteorder("=")))
    assert load(npk, "narrow").tolist() == [1, -2, 300]


@pytest.fixture
def secret(tmp_path):
    """An HDF5 file that another one must not be able to show."""
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = np.arange(8.0)
        file["g/x"] = np.arange(4.0)
    return tmp_path / "secret.h5"


def refused_for_other_files(path, store, name, what, **options):
    with pytest.raises(ValueError, match=rf"a\.h5: dataset '{name}' {what}") as caught:
        from_hdf5(path, store, **options)
    assert "values in other files" in str(caught.value) or "values of other datasets" in str(caught.value)


def test_values_in_other_files_are_refused(tmp_path, old, secret):
    raw = [(str(secret), 0, 32), (str(tmp_path / "none"), 0, h5py.h5f.UNLIMITED)]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["mine"] = np.arange(3)
        file.create_dataset("g/raw", (4,), "f8", external=raw[:1])
    refused_for_other_files(tmp_path / "a.h5", old, "g/raw", "keeps its .*secret.h5")
    refused_for_other_files(tmp_path / "a.h5", old, "raw", "keeps its .*secret.h5", group="g")
    refused_for_other_files(tmp_path / "a.h5", old, "raw", "keeps its .*secret.h5", group="/g/raw")
    assert names(old) == ["old"]
    from_hdf5(tmp_path / "a.h5", old, "mine")
    assert names(old) == ["mine", "old"]


@pytest.mark.parametrize("source", ["secret.h5", ".", "missing.h5"])
def test_virtual_datasets_are_refused(tmp_path, old, secret, source):
    layout = h5py.VirtualLayout((8,), "f8")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.arange(8.0)
        layout[:] = h5py.VirtualSource("." if source == "." else str(tmp_path / source), "x", (8,))
        file.create_virtual_dataset("v", layout)
    refused_for_other_files(tmp_path / "a.h5", old, "v", "is virtual")
    from_hdf5(tmp_path / "a.h5", old, "x")
    assert names(old) == ["old", "x"]


def test_a_group_behind_a_link_to_another_file(tmp_path, old, secret):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["here/x"] = np.arange(3)
        file["out"] = h5py.ExternalLink(str(secret), "/g")
        file["soft out"] = h5py.SoftLink("/out")
        file["soft"] = h5py.SoftLink("/here")
        file["hard"] = file["here"]
    for group in ("out", "/out/", "out/x", "soft out", "soft", "soft/x"):
        with pytest.raises(
            ValueError, match=r"a\.h5: '/?(soft)? ?(out)?' is a link, and links are not followed"
        ):
            from_hdf5(tmp_path / "a.h5", old, group=group)
    for group in ("none", "here/none", "here/x/none"):
        with pytest.raises(KeyError, match=f"no group or dataset '{group}' in .*a.h5"):
            from_hdf5(tmp_path / "a.h5", old, group=group)
    assert names(old) == ["old"]
    from_hdf5(tmp_path / "a.h5", old, group="hard/x")
    from_hdf5(tmp_path / "a.h5", old, group="//hard//", array_name="y")
    assert names(old) == ["old", "x", "y"]
