"""`.npy` and `.npz`: files of NumPy, whole or broken, and round trips."""

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from io_arrays import DTYPES, any_array, assert_same, load, names, sample, save

from numpack.io import from_npy, to_npy


@pytest.mark.parametrize("dtype", DTYPES)
def test_npy_of_every_dtype(tmp_path, npk, dtype):
    array = sample(dtype)
    np.save(tmp_path / "a.npy", array)
    from_npy(tmp_path / "a.npy", npk)
    assert_same(load(npk, "a"), array)
    to_npy(npk, tmp_path / "b.npy")
    assert (tmp_path / "a.npy").read_bytes() == (tmp_path / "b.npy").read_bytes()


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_versions_of_the_format(tmp_path, npk, version):
    array = sample("float32", (5, 4))
    with open(tmp_path / "a.npy", "wb") as file:
        np.lib.format.write_array(file, array, version)
    from_npy(tmp_path / "a.npy", npk, array_name="x")
    assert_same(load(npk, "x"), array)


@pytest.mark.parametrize(
    "shape", [(9, 4), (9, 3, 5), (1000, 2), (3, 700, 2), (4, 0), (0, 4), (9000, 3), (2, 5, 3, 4)]
)
@pytest.mark.parametrize("packed", [False, True])
def test_fortran_order(tmp_path, npk, shape, packed):
    array = np.asfortranarray(sample("float64", shape))
    path = tmp_path / ("a.npz" if packed else "a.npy")
    np.savez_compressed(path, a=array) if packed else np.save(path, array)
    from_npy(path, npk, chunk_size=1000)
    assert_same(load(npk, "a"), array)


def test_headers_that_python_2_wrote(tmp_path, npk):
    array = sample("int64", (3, 4))
    header = b"{'descr': '<i8', 'fortran_order': False, 'shape': (3L, 4L), }  \n"
    start = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    (tmp_path / "a.npy").write_bytes(start + array.tobytes())
    from_npy(tmp_path / "a.npy", npk)
    assert_same(load(npk, "a"), array)
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.write(tmp_path / "a.npy", "b.npy")
    from_npy(tmp_path / "b.npz", npk)
    assert_same(load(npk, "b"), array)


@pytest.mark.parametrize("order", "CF")
def test_rows_without_bytes_are_not_counted_one_by_one(tmp_path, npk, order):
    """More of them than anybody could step through."""
    rows = 1 << 40
    np.save(tmp_path / "a.npy", np.empty((rows, 0), "u1", order))
    np.savez(tmp_path / "b.npz", b=np.empty((rows, 0), "u1", order))
    for source in ("a.npy", "b.npz"):
        from_npy(tmp_path / source, npk)
    for target in ("c.npy", "d.npz"):
        to_npy(npk, tmp_path / target, "a")
        with np.load(tmp_path / "d.npz") if target == "d.npz" else open(tmp_path / target, "rb") as found:
            assert (found["a"] if target == "d.npz" else np.load(found)).shape == (rows, 0)


@pytest.mark.parametrize("packed", [False, True])
def test_big_endian_becomes_native(tmp_path, npk, packed):
    array = sample("float64", (50, 3)).astype(">f8")
    path = tmp_path / ("a.npz" if packed else "a.npy")
    np.savez(path, a=array) if packed else np.save(path, array)
    from_npy(path, npk, chunk_size=512)
    assert_same(load(npk, "a"), array.astype("<f8"))


@pytest.mark.parametrize("compressed", [False, True])
def test_several_arrays_in_npz(tmp_path, npk, compressed):
    arrays = {
        "a": sample("int8"),
        "group/b": sample("complex64", (4,)),
        "c": np.array(5),
        "none": np.empty((0, 3)),
    }
    save(npk, **arrays)
    to_npy(npk, tmp_path / "all.npz", compressed=compressed)
    with np.load(tmp_path / "all.npz") as found:
        assert sorted(found.files) == sorted(arrays)
        for name, array in arrays.items():
            assert_same(found[name], array)
    back = tmp_path / "back.npk"
    from_npy(tmp_path / "all.npz", back)
    assert names(back) == sorted(arrays)
    for name, array in arrays.items():
        assert_same(load(back, name), array)


def test_members_are_picked(tmp_path, npk):
    np.savez(tmp_path / "a.npz", x=np.arange(3), y=np.arange(4))
    from_npy(tmp_path / "a.npz", npk, array_names=["y"])
    assert names(npk) == ["y"]
    from_npy(tmp_path / "a.npz", npk, array_names=["y"], array_name="z")
    assert names(npk) == ["y", "z"]
    with pytest.raises(KeyError, match="no array 'w'"):
        from_npy(tmp_path / "a.npz", npk, array_names=["w"])
    with pytest.raises(ValueError, match="holds 2"):
        from_npy(tmp_path / "a.npz", npk, array_name="one")
    to_npy(npk, tmp_path / "b.npz", ["z"])
    with np.load(tmp_path / "b.npz") as found:
        assert found.files == ["z"]


def test_one_array_in_npy(tmp_path, npk):
    save(npk, x=np.arange(3), y=np.arange(4))
    with pytest.raises(ValueError, match="name one of 'x', 'y'"):
        to_npy(npk, tmp_path / "a.npy")
    to_npy(npk, tmp_path / "a.npy", array_name="y")
    assert_same(np.load(tmp_path / "a.npy"), np.arange(4))
    with pytest.raises(KeyError):
        to_npy(npk, tmp_path / "a.npy", "z")
    with pytest.raises(ValueError, match=".npy or .npz"):
        to_npy(npk, tmp_path / "a.txt")


@pytest.mark.parametrize(
    "array",
    [
        np.array(["a"]),
        np.array([object()]),
        np.zeros(2, "M8[s]"),
        np.zeros(2, [("a", "f4")]),
        np.zeros(2, "longdouble"),
    ],
    ids=["text", "object", "time", "fields", "longdouble"],
)
def test_dtypes_that_do_not_fit(tmp_path, npk, array):
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    with pytest.raises(TypeError, match="array 'a': dtype .* cannot be stored"):
        from_npy(tmp_path / "a.npy", npk)
    assert not npk.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"not numpy at all",
        b"\x93NUMPY\x09\x00\x76\x00",
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff",
        b"\x93NUMPY\x01\x00\x05\x00{'a':",
        b"\x93NUMPY\x01\x00\x06\x00exit()",
        b"\x93NUMPY\x03\x00\x02\x00\x00\x00\xff\xff",
    ],
)
def test_broken_headers(tmp_path, npk, content):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ValueError):
        from_npy(tmp_path / "a.npy", npk)
    assert not npk.exists()


@pytest.mark.parametrize("shape", ["(-1, 3)", "(100000000000, 3)", "(1.5,)", "(3.0, 1)", "3"])
def test_shapes_that_lie(tmp_path, npk, shape):
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}".encode()
    start = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
    (tmp_path / "a.npy").write_bytes(start + header + bytes(24))
    with pytest.raises(ValueError, match="negative|cut off|cannot be read"):
        from_npy(tmp_path / "a.npy", npk)
    assert not npk.exists()


@pytest.mark.parametrize(
    ("shape", "shown"), [("(-1, 3)", r"\(-1, 3\)"), ("(5, 3)", "24 bytes of data where 120 should be")]
)
def test_errors_name_the_file_and_the_value(tmp_path, npk, shape, shown):
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}".encode()
    start = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
    (tmp_path / "a.npy").write_bytes(start + header + bytes(24))
    with pytest.raises(ValueError, match=rf"a\.npy.*{shown}"):
        from_npy(tmp_path / "a.npy", npk)


def test_errors_show_the_beginning_of_long_headers(tmp_path, npk):
    header = b"{'descr': '<f8', 'shape': " + b"(" * 60_000
    start = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
    (tmp_path / "a.npy").write_bytes(start + header)
    with pytest.raises(ValueError, match=r"a\.npy .*'shape'") as caught:
        from_npy(tmp_path / "a.npy", npk)
    assert len(str(caught.value)) < 1000


def test_cut_files(tmp_path, npk):
    np.save(tmp_path / "a.npy", np.arange(100))
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[:-8])
    with pytest.raises(ValueError, match="cut off"):
        from_npy(tmp_path / "a.npy", npk)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", whole[:-8])
    with pytest.raises(ValueError, match="cut off"):
        from_npy(tmp_path / "a.npz", npk)
    assert not npk.exists()


def test_damaged_member_leaves_the_store(tmp_path, old):
    buffer = io.BytesIO()
    np.savez(buffer, a=np.arange(10000), b=np.arange(10000))
    content = bytearray(buffer.getvalue())
    content[-20000] ^= 255
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match="a.npz: member 'b.npy' is damaged"):
        from_npy(tmp_path / "a.npz", old, chunk_size=4096)
    content[-20000] ^= 255
    (tmp_path / "a.npz").write_bytes(content[:-50])
    with pytest.raises(ValueError, match="a.npz is damaged"):
        from_npy(tmp_path / "a.npz", old)
    np.savez_compressed(tmp_path / "a.npz", a=np.arange(10000))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[5000:5100] = bytes(100)
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match="a.npz: member 'a.npy' is damaged"):
        from_npy(tmp_path / "a.npz", old)
    assert names(old) == ["old"]


def test_the_beginning_of_a_file_says_what_it_is(tmp_path, npk):
    np.save(tmp_path / "a.npy", np.arange(5))
    with open(tmp_path / "a.npy", "ab") as file:
        np.savez(file, other=np.arange(3))
    from_npy(tmp_path / "a.npy", npk)
    assert_same(load(npk, "a"), np.arange(5))
    assert names(npk) == ["a"]


def test_a_store_without_arrays(tmp_path, old):
    save(tmp_path / "none.npk")
    to_npy(tmp_path / "none.npk", tmp_path / "none.npz")
    from_npy(tmp_path / "none.npz", tmp_path / "new.npk")
    assert names(tmp_path / "new.npk") == []
    from_npy(tmp_path / "none.npz", old)
    assert names(old) == ["old"]
    from_npy(tmp_path / "none.npz", old, drop_if_exists=True)
    assert names(old) == []


@given(array=any_array(), chunk=st.integers(1, 200), packed=st.booleans(), fortran=st.booleans())
def test_round_trip(tmp_path_factory, array, chunk, packed, fortran):
    folder = tmp_path_factory.mktemp("npy")
    suffix = "npz" if packed else "npy"
    given = np.array(array, order="F") if fortran else array
    np.savez(folder / "a.npz", a=given) if packed else np.save(folder / "a.npy", given)
    from_npy(folder / f"a.{suffix}", folder / "s.npk", chunk_size=chunk)
    to_npy(folder / "s.npk", folder / f"b.{suffix}", chunk_size=chunk)
    found = np.load(folder / f"b.{suffix}")
    assert_same(found["a"] if packed else found, array)
