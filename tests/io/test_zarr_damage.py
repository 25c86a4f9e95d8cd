"""Zarr folders that are damaged: a ValueError that names them, whatever zarr raises, and no read behind a chunk."""

import json
import struct
import warnings
from contextlib import suppress

import numpy as np
import pytest
from io_arrays import assert_same, load, names

from numpack.io import from_zarr
from numpack.io._zarr_blosc import check_blosc

zarr = pytest.importorskip("zarr")
numcodecs = pytest.importorskip("numcodecs")

# Bytes that do not compress: Blosc keeps them as they are, and would copy what lies behind a cut chunk.
ARRAY = np.random.default_rng(3).integers(0, 2**62, (64, 8))
BLOSC = zarr.codecs.BloscCodec(cname="lz4")


def layout(path, name):
    """An array of Blosc chunks that are read in one of the ways there are."""
    old = {"zarr_format": 2, "compressors": numcodecs.Blosc("lz4")}
    new = {"zarr_format": 3, "compressors": BLOSC}
    options = {
        "rows 2": {"chunks": (16, 8), **old},
        "rows 3": {"chunks": (16, 8), **new},
        "columns 2": {"chunks": (16, 4), **old},
        "columns 3": {"chunks": (16, 4), **new},
        "filtered 2": {"chunks": (16, 8), **old, "filters": [numcodecs.Delta("<i8")]},
        "summed 3": {"chunks": (16, 8), "zarr_format": 3, "compressors": [BLOSC, zarr.codecs.Crc32cCodec()]},
        "zipped 3": {"chunks": (16, 8), "zarr_format": 3, "compressors": [BLOSC, zarr.codecs.GzipCodec()]},
        "shards 3": {"chunks": (16, 4), "shards": (64, 8), **new},
    }[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array = zarr.create_array(path, shape=ARRAY.shape, dtype=ARRAY.dtype, **options)
    array[...] = ARRAY


LAYOUTS = ["rows 2", "rows 3", "columns 2", "columns 3", "filtered 2", "summed 3", "zipped 3", "shards 3"]


@pytest.mark.parametrize("name", LAYOUTS)
def test_chunks_are_read_as_before(tmp_path, npk, name):
    layout(tmp_path / "a.zarr", name)
    from_zarr(tmp_path / "a.zarr", npk)
    assert_same(load(npk, "a"), ARRAY)


def chunk_files(path):
    return sorted(
        file
        for file in path.rglob("*")
        if file.is_file() and not file.name.startswith(".z") and file.name != "zarr.json"
    )


def lied_to(data):
    """Bytes with a Blosc chunk that says it is longer than it is."""
    header = bytes(numcodecs.Blosc("lz4").encode(ARRAY[:16])[:2])
    at = data.index(header)
    (encoded,) = struct.unpack_from("<I", data, at + 12)
    return data[: at + 12] + struct.pack("<I", encoded + 5000) + data[at + 16 :]


@pytest.mark.parametrize("name", ["rows 2", "rows 3", "columns 2", "columns 3", "filtered 2", "shards 3"])
def test_a_chunk_that_says_it_is_longer(tmp_path, old, name):
    layout(tmp_path / "a.zarr", name)
    file = chunk_files(tmp_path / "a.zarr")[-1]
    file.write_bytes(lied_to(file.read_bytes()))
    with pytest.raises(
        ValueError, match=r"a\.zarr is not a valid Zarr.* a Blosc chunk is cut off: it has \d+ bytes of \d+"
    ):
        from_zarr(tmp_path / "a.zarr", old)
    assert names(old) == ["old"]


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("left", [0, 1, 15, 16, 17, 100, -1, -600])
def test_chunks_that_are_cut(tmp_path, old, name, left):
    layout(tmp_path / "a.zarr", name)
    file = chunk_files(tmp_path / "a.zarr")[-1]
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(ValueError, match=r"a\.zarr is not a valid Zarr"):
        from_zarr(tmp_path / "a.zarr", old)
    assert names(old) == ["old"]


def test_a_chunk_of_another_size(tmp_path, old):
    layout(tmp_path / "a.zarr", "rows 2")
    file = chunk_files(tmp_path / "a.zarr")[0]
    file.write_bytes(numcodecs.Blosc("lz4").encode(np.zeros(1 << 24)))
    with pytest.raises(ValueError, match="a.zarr is not a valid Zarr group or array: cannot reshape"):
        from_zarr(tmp_path / "a.zarr", old)
    assert names(old) == ["old"]


def test_what_is_looked_at():
    whole = bytes(numcodecs.Blosc("zstd").encode(ARRAY))
    check_blosc(whole)
    check_blosc(whole + b"more")
    for cut in range(0, len(whole), 7):
        with pytest.raises(ValueError, match="cut off"):
            check_blosc(np.frombuffer(whole[:cut], "u1"))


METADATA = [
    ("shape", ["x", [1.5], [-1], None]),
    ("chunks", [[0], [-1], [], None, ["a"]]),
    ("dtype", ["<x9", "", None, 5, "|O"]),
    ("data_type", ["x", 5, None]),
    ("fill_value", ["zz", [1]]),
    ("compressor", [{"id": "nope"}, 5, "blosc"]),
    ("filters", [5, [{"id": "nope"}]]),
    ("codecs", [[], [{"name": "nope"}], 5, None]),
    ("chunk_grid", [{"name": "regular", "configuration": {"chunk_shape": [0]}}, {}, {"name": "x"}]),
    ("chunk_key_encoding", [{"name": "zz"}, 5]),
    ("zarr_format", [9, "a", None]),
]


# What each format has beside what both have.
OF_FORMAT = {
    2: ["chunks", "dtype", "compressor", "filters"],
    3: ["data_type", "codecs", "chunk_grid", "chunk_key_encoding"],
}
KNOWN = [
    pytest.param(zarr_format, field, values, id=f"{zarr_format}-{field}")
    for zarr_format, other in [(2, 3), (3, 2)]
    for field, values in METADATA
    if field not in OF_FORMAT[other]
]


@pytest.mark.parametrize(("zarr_format", "field", "values"), KNOWN)
@pytest.mark.parametrize("group", [False, True])
def test_metadata_that_make_no_sense(tmp_path, old, zarr_format, field, values, group):
    root = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=zarr_format)
    root.create_array("x", data=np.arange(6.0), chunks=(2,))
    top = tmp_path / "a.zarr" if group else tmp_path / "a.zarr" / "x"
    file = tmp_path / "a.zarr" / "x" / (".zarray" if zarr_format == 2 else "zarr.json")
    known = json.loads(file.read_text())
    assert field in known
    for value in values:
        file.write_text(json.dumps({**known, field: value}))
        with warnings.catch_warnings():
            # Of what it does not take for an array zarr warns, and leaves it away.
            warnings.simplefilter("ignore")
            with suppress(FileNotFoundError), pytest.raises(ValueError, match=r"a\.zarr"):
                from_zarr(top, old)
        assert names(old) == ["old"], (field, value)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"1", b"[" * 100_000])
@pytest.mark.parametrize("group", [False, True])
def test_files_that_hold_no_metadata(tmp_path, old, zarr_format, text, group):
    zarr.create_array(tmp_path / "a.zarr", data=np.arange(6.0), zarr_format=zarr_format)
    if group:
        zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=zarr_format)
    for file in (".zarray", ".zgroup", "zarr.json"):
        if (tmp_path / "a.zarr" / file).exists():
            (tmp_path / "a.zarr" / file).write_bytes(text)
    with pytest.raises(ValueError, match=r"a\.zarr is not a valid Zarr group or array"):
        from_zarr(tmp_path / "a.zarr", old)
    assert names(old) == ["old"]


def test_what_is_not_there(tmp_path, old):
    with pytest.raises(FileNotFoundError):
        from_zarr(tmp_path / "none.zarr", old)
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(FileNotFoundError):
        from_zarr(tmp_path / "empty.zarr", old)
