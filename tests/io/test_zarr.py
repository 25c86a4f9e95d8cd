"""Zarr formats 2 and 3: what zarr writes with several codecs, groups, round trips."""

import json
import os
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from io_arrays import DTYPES, any_array, assert_same, load, names, sample, save

from numpack.io import from_zarr, to_zarr
from numpack.io._zarr_rows import row_chunks

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


WHOLE_ROWS = [*((2, codec) for codec in CODECS_2), *((3, codec) for codec in codecs_3())]


@pytest.mark.parametrize(("zarr_format", "codec"), WHOLE_ROWS, ids=lambda one: str(one).partition("(")[0])
@pytest.mark.parametrize("fill", [0, 7])
def test_chunks_of_whole_rows(tmp_path, npk, zarr_format, codec, fill):
    """Those that are files of rows, whose bytes zarr does not see, beside others."""
    root = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=zarr_format)
    expected = {}
    for number, (shape, dtype) in enumerate(
        [((50, 6), "float32"), ((49,), "int8"), ((20, 2, 3), "complex128"), ((9, 1), "bool")]
    ):
        array = sample(dtype, shape)
        made = root.create_array(
            f"in/{number}",
            shape=shape,
            chunks=(7, *shape[1:]),
            dtype=dtype,
            compressors=codec,
            fill_value=fill,
        )
        assert (row_chunks(zarr, made) is not None) == (codec is None)
        made[:] = array
        # A chunk that was never written.
        shutil.rmtree(files(made)[1]) if files(made)[1].is_dir() else files(made)[1].unlink(missing_ok=True)
        array[7:14] = fill
        assert_same(made[:], array)
        expected[f"in/{number}"] = array
    from_zarr(tmp_path / "a.zarr", npk)
    for name, array in expected.items():
        assert_same(load(npk, name), array)


def files(array):
    """The files of an array's chunks, or the folders of those with more dimensions."""
    folder = Path(array.store_path.store.root) / array.store_path.path
    count = -(-array.shape[0] // array.chunks[0])
    if array.metadata.zarr_format == 3:
        return [folder / "c" / str(at) for at in range(count)]
    return [folder / ".".join(map(str, (at, *[0] * (array.ndim - 1)))) for at in range(count)]


@pytest.mark.parametrize("codec", [None, zarr.codecs.ZstdCodec(), zarr.codecs.GzipCodec()], ids=str)
def test_damaged_chunks_of_whole_rows(tmp_path, old, codec):
    made = zarr.create_array(tmp_path / "a.zarr", shape=(30,), chunks=(7,), dtype="f4", compressors=codec)
    made[:] = np.arange(30)
    sound = files(made)[2].read_bytes()
    for damaged in [sound[:-1], sound + b"1234", b"", bytes(len(sound)) if codec else sound[:-4]]:
        files(made)[2].write_bytes(damaged)
        with pytest.raises(ValueError, match="a.zarr"):
            from_zarr(tmp_path / "a.zarr", old)
    if codec:
        files(made)[2].write_bytes(compressed(codec, b"12345678"))
        with pytest.raises(ValueError, match="a.zarr"):
            from_zarr(tmp_path / "a.zarr", old)
    assert names(old) == ["old"]


def compressed(codec, data):
    return numcodecs.get_codec({"id": codec.to_dict()["name"]}).encode(data)


def test_what_is_no_file_of_whole_rows(tmp_path):
    root = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=3)
    big = zarr.codecs.BytesCodec(endian="big")
    others = [
        {"chunks": (7, 3)},
        {"chunks": (7, 6), "shards": (14, 6)},
        {"chunks": (7, 6), "serializer": big},
        {"chunks": (7, 6), "filters": [zarr.codecs.TransposeCodec(order=(1, 0))]},
        {"chunks": (7, 6), "compressors": [zarr.codecs.ZstdCodec(), zarr.codecs.Crc32cCodec()]},
    ]
    for number, settings in enumerate(others):
        made = root.create_array(str(number), shape=(50, 6), dtype="f4", **settings)
        assert row_chunks(zarr, made) is None, settings
    made = zarr.create_array(zarr.storage.MemoryStore(), shape=(50, 6), chunks=(7, 6), dtype="f4")
    assert row_chunks(zarr, made) is None


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_plain_files(tmp_path, npk, zarr_format):
    array = np.zeros((3 << 18, 2), "i4")
    array[400_000] = 1
    array[-1, -1] = -1
    save(npk, x=array, empty=np.empty((0, 3)), narrow=np.empty((3, 0)), scalar=np.array(5.0))
    to_zarr(npk, tmp_path / "a.zarr", compressors=None, zarr_format=zarr_format)
    found = zarr.open_group(str(tmp_path / "a.zarr"), mode="r")
    assert_same(found["x"][:], array)
    assert found["x"].chunks == (1 << 17, 2)
    # zarr writes no file for zeros.
    assert [at for at, file in enumerate(files(found["x"])) if file.exists()] == [3, 5]
    assert_same(found["scalar"][()], np.array(5.0))
    assert found["empty"].shape == (0, 3) and found["narrow"].shape == (3, 0)
    from_zarr(tmp_path / "a.zarr", tmp_path / "b.npk")
    assert_same(load(tmp_path / "b.npk", "x"), array)


@pytest.mark.parametrize("compressors", ["auto", None])
def test_zeros_keep_their_signs(tmp_path, npk, compressors):
    arrays = {
        "x": np.full(5, -0.0),
        "scalar": np.array(-0.0, "f2"),
        "z": np.array([complex(0.0, -0.0)]),
        "wide": np.full((2, 2), -0.0),
    }
    save(npk, **arrays)
    to_zarr(npk, tmp_path / "a.zarr", compressors=compressors)
    from_zarr(tmp_path / "a.zarr", tmp_path / "b.npk")
    for name, array in arrays.items():
        assert_same(load(tmp_path / "b.npk", name), array)


def written_by_hand(path, **settings):
    """An array of format 2 without a single chunk."""
    path.mkdir()
    known = {"zarr_format": 2, "shape": [9], "chunks": [4], "dtype": "<f4", "order": "C", "filters": None}
    (path / ".zarray").write_text(json.dumps({**known, "compressor": None, "fill_value": None, **settings}))


@pytest.mark.parametrize("compressor", [None, {"id": "zlib", "level": 1}])
def test_what_zarr_itself_would_not_write(tmp_path, old, compressor):
    written_by_hand(tmp_path / "none.zarr", compressor=compressor)
    written_by_hand(tmp_path / "huge.zarr", compressor=compressor, chunks=[1 << 40], fill_value=2)
    written_by_hand(tmp_path / "empty.zarr", compressor=compressor, shape=[0, 3], chunks=[0, 3])
    written_by_hand(tmp_path / "zero.zarr", compressor=compressor, chunks=[0])
    for name in ("none", "huge", "empty"):
        from_zarr(tmp_path / f"{name}.zarr", old)
    assert_same(load(old, "none"), np.zeros(9, "f4"))
    assert_same(load(old, "huge"), np.full(9, 2, "f4"))
    assert_same(load(old, "empty"), np.empty((0, 3), "f4"))
    with pytest.raises(ValueError, match=r"array 'zero' of shape \(9,\) has chunks without elements: \(0,\)"):
        from_zarr(tmp_path / "zero.zarr", old)


@pytest.mark.parametrize("compressors", ["auto", None])
@pytest.mark.parametrize("wide", [3, 2], ids=["whole rows", "parts of rows"])
def test_a_program_that_goes_to_another_folder_meanwhile(tmp_path, npk, monkeypatch, compressors, wide):
    array = np.arange(300_000).reshape(-1, 3)
    made = zarr.create_array(
        tmp_path / "a.zarr", shape=array.shape, dtype="i8", chunks=(1000, wide), compressors=compressors
    )
    made[:] = array
    monkeypatch.chdir(tmp_path)
    from_zarr("a.zarr", npk, chunk_size=1 << 20, progress=lambda done, total: os.chdir("/"))
    assert_same(load(npk, "a"), array)


def test_a_folder_in_the_place_of_a_chunk(tmp_path, npk):
    written_by_hand(tmp_path / "a.zarr", fill_value=5)
    (tmp_path / "a.zarr" / "1").mkdir()
    written_by_hand(tmp_path / "b.zarr", shape=[9, 1], chunks=[4, 1], dimension_separator="/", fill_value=5)
    (tmp_path / "b.zarr" / "1").touch()
    for name, shape in (("a", (9,)), ("b", (9, 1))):
        from_zarr(tmp_path / f"{name}.zarr", npk)
        expected = zarr.open_array(tmp_path / f"{name}.zarr", mode="r")[:]
        assert_same(load(npk, name), expected)
        assert_same(expected, np.full(shape, 5, "f4"))


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
    from_zarr(
        tmp_path / "a.zarr",
        npk,
        array_name="one",
        drop_if_exists=True,
        group="top",
        array_names=["level/a/x"],
    )
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


@given(
    array=any_array(),
    chunk=st.integers(1, 300) | st.just(1 << 20),
    zarr_format=st.sampled_from([2, 3]),
    compressors=st.sampled_from(["auto", None]),
)
def test_round_trip(tmp_path_factory, array, chunk, zarr_format, compressors):
    folder = tmp_path_factory.mktemp("zarr")
    save(folder / "a.npk", x=array)
    to_zarr(
        folder / "a.npk",
        folder / "x.zarr",
        zarr_format=zarr_format,
        chunk_size=chunk,
        compressors=compressors,
    )
    from_zarr(folder / "x.zarr", folder / "b.npk", chunk_size=chunk)
    assert_same(load(folder / "b.npk", "x"), array)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("consolidated", [None, "inner", "inner/deep"])
@pytest.mark.parametrize("group", ["/", "inner"])
def test_what_came_after_the_metadata_was_consolidated(tmp_path, old, zarr_format, consolidated, group):
    """Consolidated metadata are a copy, which nobody keeps up to date: the files themselves count."""
    path = str(tmp_path / "a.zarr")
    root = zarr.open_group(path, mode="w", zarr_format=zarr_format)
    places = ["", "inner/", "inner/deep/"]
    for place in places:
        root.create_array(f"{place}first", data=np.arange(3))
        root.create_array(f"{place}gone", data=np.arange(3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(path, path=consolidated, zarr_format=zarr_format)
    later = zarr.open_group(path, mode="r+", use_consolidated=False)
    for place in places:
        later.create_array(f"{place}later", data=np.arange(4))
        later[f"{place}first"].append(np.arange(3, 5))
        del later[f"{place}gone"]
    later.create_array("inner/new/x", data=np.arange(2))
    from_zarr(path, old, group=group, drop_if_exists=True)
    prefixes = places if group == "/" else ["", "deep/"]
    wanted = {f"{place}{name}" for place in prefixes for name in ("first", "later")}
    assert names(old) == sorted({*wanted, "inner/new/x" if group == "/" else "new/x"})
    for place in prefixes:
        assert_same(load(old, f"{place}first"), np.arange(5))
        assert_same(load(old, f"{place}later"), np.arange(4))
    from_zarr(path, old, "later", group)
    assert_same(load(old, "later"), np.arange(4))
