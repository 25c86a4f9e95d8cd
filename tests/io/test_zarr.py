"""Zarr formats 2 and 3: what zarr writes with several codecs, groups, round trips."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from io_arrays import DTYPES, any_array, assert_same, load, names, sample, save

from numpack.io import from_zarr, to_zarr

zarr = pytest.importorskip("zarr")
numcodecs = pytest.importorskip("numcodecs")


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype(tmp_path, npk, zarr_format, dtype):
    array = sample(dtype, (30, 4))
    zarr.save_array(str(tmp_path / "a.zarr"), array, zarr_format=zarr_format)
    from_zarr(tmp_path / "a.zarr", npk, chunk_size=200)
    assert_same(load(npk, "a"), array)
    to_zarr(npk, tmp_path / "b.zarr", zarr_format=zarr_format, chunk_size=200)
    found = zarr.open_group(str(tmp_path / "b.zarr"), mode="r")["a"]
    assert found.metadata.zarr_format == zarr_format
    assert_same(found[()], array)


CODECS_2 = [
    None,
    numcodecs.Blosc("lz4"),
    numcodecs.Zlib(3),
    numcodecs.GZip(2),
    numcodecs.BZ2(),
    numcodecs.LZ4(),
]


@pytest.mark.parametrize("codec", CODECS_2, ids=lambda codec: getattr(codec, "codec_id", "none"))
@pytest.mark.parametrize("order", ["C", "F"])
def test_codecs_of_format_2(tmp_path, npk, codec, order):
    array = sample("float32", (50, 6))
    root = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    made = root.create_array(
        "x",
        shape=array.shape,
        chunks=(7, 4),
        dtype=">f4",
        order=order,
        compressors=codec,
        filters=[numcodecs.Delta("<f4")] if codec is None and order == "C" else None,
    )
    array = np.arange(300, dtype="f4").reshape(50, 6) if made.filters else array
    made[:] = array
    from_zarr(tmp_path / "a.zarr", npk, chunk_size=400)
    assert_same(load(npk, "x"), array)


def codecs_3():
    codecs = zarr.codecs
    return [codecs.BloscCodec(cname="zstd"), codecs.GzipCodec(level=3), codecs.ZstdCodec(), None]


@pytest.mark.parametrize("codec", codecs_3(), ids=lambda codec: type(codec).__name__)
@pytest.mark.parametrize("shards", [None, (14, 6)])
def test_codecs_of_format_3(tmp_path, npk, codec, shards):
    array = sample("float64", (50, 6))
    root = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=3)
    serializer = zarr.codecs.BytesCodec(endian="big")
    made = root.create_array(
        "in/x",
        shape=array.shape,
        chunks=(7, 3),
        shards=shards,
        dtype="f8",
        compressors=codec,
        serializer=serializer,
    )
    made[:] = array
    from_zarr(tmp_path / "a.zarr", npk, chunk_size=400)
    assert_same(load(npk, "in/x"), array)


def test_fill_values_and_missing_chunks(tmp_path, npk):
    made = zarr.create_array(str(tmp_path / "a.zarr"), shape=(10,), chunks=(2,), dtype="i4", fill_value=7)
    made[4:6] = 1
    from_zarr(tmp_path / "a.zarr", npk)
    assert_same(load(npk, "a"), np.array([7, 7, 7, 7, 1, 1, 7, 7, 7, 7], "i4"))


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_groups_and_names(tmp_path, npk, zarr_format):
    arrays = {"a/x": np.arange(3), "a/b/y": np.arange(4), "z": np.array(5), "none": np.empty((0, 2))}
    save(npk, **arrays)
    to_zarr(npk, tmp_path / "a.zarr", group="/top/level", zarr_format=zarr_format)
    assert zarr.open_group(str(tmp_path / "a.zarr"), mode="r")["top/level/a/b/y"][3] == 3
    from_zarr(tmp_path / "a.zarr", tmp_path / "b.npk", group="top/level")
    assert names(tmp_path / "b.npk") == sorted(arrays)
    for name, array in arrays.items():
        assert_same(load(tmp_path / "b.npk", name), array)
    from_zarr(tmp_path / "a.zarr", npk, "one", True, group="top", array_names=["level/a/x"])
    assert names(npk) == ["one"]
    from_zarr(tmp_path / "a.zarr", npk, drop_if_exists=True, group="/top/level/z")
    assert names(npk) == ["z"]
    with pytest.raises(KeyError, match="no array 'no'"):
        from_zarr(tmp_path / "a.zarr", npk, array_names=["no"])


def test_what_does_not_fit(tmp_path, old):
    root = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    root.create_array("fine", shape=(3,), dtype="i8")
    root.create_array("times", shape=(3,), dtype="M8[s]")
    with pytest.raises(TypeError, match="'times'"):
        from_zarr(tmp_path / "a.zarr", old)
    assert names(old) == ["old"]
    save(old, **{"a": np.array(1), "a/b": np.array(2)})
    with pytest.raises(TypeError, match="Zarr cannot hold"):
        to_zarr(old, tmp_path / "b.zarr")
    assert not (tmp_path / "b.zarr").exists()
    with pytest.raises(FileNotFoundError):
        from_zarr(tmp_path / "nothing.zarr", old)


@pytest.mark.parametrize(
    ("zarr_format", "name"),
    [
        *((2, name) for name in (".zarray", "x/.zgroup", ".zattrs/x", ".zmetadata")),
        *((3, name) for name in ("zarr.json", "zarr.json/x", "x/zarr.json")),
        *(
            (number, name)
            for number in (2, 3)
            for name in ("a\\b", "\\", "..\\evil", "é" * 128, "x/" + "n" * 256)
        ),
    ],
)
def test_names_that_zarr_has_other_uses_for(tmp_path, npk, zarr_format, name):
    save(npk, **{name: np.arange(3), "fine": np.arange(2)})
    with pytest.raises(TypeError) as caught:
        to_zarr(npk, tmp_path / "a.zarr", zarr_format=zarr_format)
    assert repr(name) in str(caught.value) and "Zarr cannot hold the name" in str(caught.value)
    with pytest.raises(ValueError, match="Zarr cannot hold the group"):
        to_zarr(npk, tmp_path / "a.zarr", ["fine"], group=f"/{name}/", zarr_format=zarr_format)
    assert [path.name for path in tmp_path.iterdir()] == ["data.npk"]


@pytest.mark.parametrize(
    ("zarr_format", "name"), [(3, ".zarray"), (3, "x/.zattrs"), (2, "zarr.json"), (2, "n" * 255), (3, "c/0")]
)
def test_names_that_look_so(tmp_path, npk, zarr_format, name):
    save(npk, **{name: np.arange(3)})
    to_zarr(npk, tmp_path / "a.zarr", zarr_format=zarr_format)
    from_zarr(tmp_path / "a.zarr", tmp_path / "b.npk")
    assert_same(load(tmp_path / "b.npk", name), np.arange(3))


def test_errors_do_not_name_the_hidden_folder(tmp_path, old):
    with pytest.raises(ValueError, match="zarr_format must be 2 or 3, got 4"):
        to_zarr(old, tmp_path / "a.zarr", zarr_format=4)
    long = "/".join(["n" * 250] * 20)
    with pytest.raises(OSError, match="a.zarr/nnn") as caught:
        to_zarr(old, tmp_path / "a.zarr", group=long)
    assert ".partial" not in str(caught.value)
    assert not (tmp_path / "a.zarr").exists()


def test_only_zarr_is_replaced(tmp_path, old):
    to_zarr(old, tmp_path / "a.zarr")
    save(old, new=np.arange(2))
    to_zarr(old, tmp_path / "a.zarr")
    assert sorted(zarr.open_group(str(tmp_path / "a.zarr"), mode="r").array_keys()) == ["new", "old"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("keep me")
    with pytest.raises(FileExistsError, match="something other than Zarr"):
        to_zarr(old, tmp_path / "mine")
    with pytest.raises(FileExistsError, match="is a file"):
        to_zarr(old, tmp_path / "mine" / "letter.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zarr", "data.npk", "mine"]


@given(array=any_array(), chunk=st.integers(1, 300), zarr_format=st.sampled_from([2, 3]))
def test_round_trip(tmp_path_factory, array, chunk, zarr_format):
    folder = tmp_path_factory.mktemp("zarr")
    save(folder / "a.npk", x=array)
    to_zarr(folder / "a.npk", folder / "x.zarr", zarr_format=zarr_format, chunk_size=chunk)
    from_zarr(folder / "x.zarr", folder / "b.npk", chunk_size=chunk)
    assert_same(load(folder / "b.npk", "x"), array)
