"""SafeTensors: files of the library, bfloat16, damaged headers, round trips."""

import json
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from io_arrays import DTYPES, any_array, assert_same, load, names, sample, save

from numpack.io import (
    from_safetensors_file,
    from_tensor_dict,
    get_safetensors_metadata,
    iter_safetensors,
    to_safetensors_file,
    to_tensor_dict,
)

safetensors = pytest.importorskip("safetensors")
st_numpy = pytest.importorskip("safetensors.numpy")

HELD = [dtype for dtype in DTYPES if dtype != "complex128"]


def test_every_dtype(tmp_path, npk):
    tensors = {f"layer.{dtype}": sample(dtype, (9, 5)) for dtype in HELD}
    tensors.update(scalar=np.array(2.5), none=np.empty((0, 3), "i2"))
    st_numpy.save_file(tensors, tmp_path / "a.safetensors", {"made": "by the library"})
    from_safetensors_file(tmp_path / "a.safetensors", npk, chunk_size=100)
    assert names(npk) == sorted(tensors)
    for name, array in tensors.items():
        assert_same(load(npk, name), array)
    to_safetensors_file(npk, tmp_path / "b.safetensors", metadata={"a": "ü"}, chunk_size=100)
    back = st_numpy.load_file(tmp_path / "b.safetensors")
    assert sorted(back) == sorted(tensors)
    for name, array in tensors.items():
        assert_same(back[name], array)
    assert get_safetensors_metadata(tmp_path / "b.safetensors")["metadata"] == {"a": "ü"}


def write(path, dtype, shape, data, name="w"):
    entry = {"dtype": dtype, "shape": shape, "data_offsets": [0, len(data)]}
    text = json.dumps({name: entry}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def test_bfloat16(tmp_path, old):
    values = np.array([[1.0, -2.5, np.inf], [np.nan, 3.0e38, -0.0]], "float32")
    bits = (values.view(np.uint32) >> 16).astype(np.uint16)
    path = write(tmp_path / "a.safetensors", "BF16", [2, 3], bits.tobytes())
    with pytest.raises(TypeError, match="tensor 'w' is bfloat16"):
        from_safetensors_file(path, old)
    assert names(old) == ["old"]
    from_safetensors_file(path, old, array_name="bits", bfloat16="uint16", chunk_size=10)
    assert_same(load(old, "bits"), bits)
    from_safetensors_file(path, old, array_name="wide", bfloat16="float32", chunk_size=10)
    assert_same(load(old, "wide"), (bits.astype(np.uint32) << 16).view("float32"))
    with pytest.raises(ValueError, match="bfloat16 must be"):
        from_safetensors_file(path, old, bfloat16="float16")
    with pytest.raises(TypeError, match="bfloat16"):
        list(iter_safetensors(path))
    assert_same(dict(iter_safetensors(path, bfloat16="uint16"))["w"], bits)


def test_other_dtypes_are_refused(tmp_path, npk):
    path = write(tmp_path / "a.safetensors", "F8_E4M3", [4], bytes(4))
    with pytest.raises(TypeError, match="tensor 'w' is F8_E4M3"):
        from_safetensors_file(path, npk)
    save(npk, x=np.zeros(2, "complex128"))
    with pytest.raises(TypeError, match="SafeTensors has no complex128"):
        to_safetensors_file(npk, tmp_path / "b.safetensors")
    save(npk, x=np.zeros(2))
    with pytest.raises(TypeError, match="str: str"):
        to_safetensors_file(npk, tmp_path / "b.safetensors", metadata={"a": 1})
    save(npk, __metadata__=np.zeros(2))
    with pytest.raises(TypeError, match="keeps the name"):
        to_safetensors_file(npk, tmp_path / "b.safetensors")
    assert not (tmp_path / "b.safetensors").exists()


def test_metadata_and_one_by_one(tmp_path, npk):
    tensors = {"b": np.arange(6, dtype="i4").reshape(2, 3), "a": np.array(1.5)}
    st_numpy.save_file(tensors, tmp_path / "a.safetensors")
    assert get_safetensors_metadata(tmp_path / "a.safetensors") == {
        "metadata": {},
        "tensors": {"b": {"dtype": "I32", "shape": (2, 3)}, "a": {"dtype": "F64", "shape": ()}},
    }
    found = dict(iter_safetensors(tmp_path / "a.safetensors"))
    for name, array in tensors.items():
        assert_same(found[name], array)
    from_safetensors_file(tmp_path / "a.safetensors", npk, array_names=["b"])
    assert names(npk) == ["b"]
    with pytest.raises(KeyError, match="no array 'c'"):
        from_safetensors_file(tmp_path / "a.safetensors", npk, array_names=["c"])


@pytest.mark.parametrize("cut", [0, 7, 9, -1])
def test_damaged_files(tmp_path, old, cut):
    st_numpy.save_file({"x": np.arange(4)}, tmp_path / "a.safetensors")
    content = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "a.safetensors").write_bytes(content[:cut])
    with pytest.raises(ValueError, match="not a valid SafeTensors"):
        from_safetensors_file(tmp_path / "a.safetensors", old)
    assert names(old) == ["old"]


@pytest.mark.parametrize("length", [2**63, 10**9])
def test_headers_that_lie(tmp_path, npk, length):
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", length) + b"{}")
    with pytest.raises(ValueError):
        from_safetensors_file(tmp_path / "a.safetensors", npk)
    path = write(tmp_path / "b.safetensors", "F64", [length // 8, 8], bytes(8))
    with pytest.raises(ValueError):
        from_safetensors_file(path, npk)
    assert not npk.exists()


def test_dicts_in_memory(npk):
    tensors = {"a": np.arange(3), "b/c": np.array(1.5)}
    from_tensor_dict(tensors, npk)
    back = to_tensor_dict(npk)
    assert list(back) == list(tensors)
    for name, array in tensors.items():
        assert_same(back[name], array)
    assert list(to_tensor_dict(npk, ["a"])) == ["a"]
    with pytest.raises(ValueError, match="framework"):
        to_tensor_dict(npk, framework="other")
    from_tensor_dict({}, npk, drop_if_exists=True)
    assert to_tensor_dict(npk) == {}


@given(array=any_array(HELD), chunk=st.integers(1, 300))
def test_round_trip(tmp_path_factory, array, chunk):
    folder = tmp_path_factory.mktemp("safetensors")
    save(folder / "a.npk", x=array, y=np.arange(3, dtype="u1"))
    to_safetensors_file(folder / "a.npk", folder / "x", chunk_size=chunk)
    assert_same(st_numpy.load_file(folder / "x")["x"], array)
    from_safetensors_file(folder / "x", folder / "b.npk", chunk_size=chunk)
    assert_same(load(folder / "b.npk", "x"), array)
