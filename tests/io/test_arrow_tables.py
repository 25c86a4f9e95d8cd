"""Parquet and Feather: columns with names and dtypes, nulls, lists, round trips."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from io_arrays import REALS, any_array, assert_same, load, names, sample, save

from numpack import NumPack
from numpack.io import (
    from_feather,
    from_feather_file,
    from_parquet,
    from_parquet_file,
    to_feather,
    to_feather_file,
    to_parquet,
    to_parquet_file,
    to_table,
)
from numpack.io import parquet as parquet_module
from numpack.io._arrow_tables import side_by_side

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("pandas")
feather = pytest.importorskip("pyarrow.feather")

FORMATS = {"parquet": (from_parquet, to_parquet), "feather": (from_feather, to_feather)}


def write(table, path, **options):
    """Writes a table as another program would."""
    if path.suffix == ".parquet":
        pq.write_table(table, path, **options)
    else:
        feather.write_feather(table, path, **options)
    return path


def read(path):
    return pq.read_table(path) if path.suffix == ".parquet" else feather.read_table(path)


@pytest.fixture(params=list(FORMATS))
def kind(request):
    return request.param


@pytest.mark.parametrize("dtype", REALS)
def test_columns_of_one_dtype(tmp_path, npk, kind, dtype):
    read_file, write_file = FORMATS[kind]
    array = sample(dtype, (50, 3))
    table = pa.table({name: array[:, at] for at, name in enumerate(["x", "naïve", ""])})
    path = write(table, tmp_path / f"a.{kind}")
    read_file(path, npk, chunk_size=300)
    assert_same(load(npk, "a"), array)
    write_file(npk, tmp_path / f"b.{kind}", chunk_size=300)
    back = read(tmp_path / f"b.{kind}")
    assert back.schema.equals(table.schema, check_metadata=False)
    for at in range(3):
        assert_same(back.column(at).to_numpy(), array[:, at])


@pytest.mark.parametrize(
    "shape", [(20,), (20, 1), (20, 4), (20, 2, 3), (20, 2, 1, 3), (0,), (0, 3), (0, 2, 2)]
)
def test_shapes_come_back(tmp_path, npk, kind, shape):
    read_file, write_file = FORMATS[kind]
    array = sample("float32", shape)
    save(npk, x=array)
    write_file(npk, tmp_path / f"a.{kind}", chunk_size=100)
    read_file(tmp_path / f"a.{kind}", tmp_path / "b.npk", chunk_size=100)
    assert_same(load(tmp_path / "b.npk", "a"), array)


def test_columns_of_several_dtypes_come_back(tmp_path, npk, kind):
    read_file, write_file = FORMATS[kind]
    table = pa.table(
        {
            "id": pa.array([1, 2**53, -(2**53)], pa.int64()),
            "flag": pa.array([True, False, True]),
            "small": pa.array([1, 2, 3], pa.uint8()),
            "value": pa.array([0.5, float("nan"), -0.0], pa.float64()),
            "half": pa.array(np.array([1, 2, 3], "f2")),
        }
    )
    read_file(write(table, tmp_path / f"a.{kind}"), npk)
    found = load(npk, "a")
    assert found.dtype == np.float64 and found.shape == (3, 5)
    assert found[1, 0] == 2**53
    write_file(npk, tmp_path / f"b.{kind}")
    back = read(tmp_path / f"b.{kind}")
    assert back.schema.equals(table.schema, check_metadata=False)
    for name in table.schema.names:
        assert_same(back.column(name).to_numpy(), table.column(name).to_numpy())
    before = (tmp_path / f"b.{kind}").read_bytes()
    with NumPack(npk) as store:
        store.replace({"a": np.full((1, 5), 1.5)}, 0)
    with pytest.raises(TypeError, match="'id' came as int64 and now holds 1.5"):
        write_file(npk, tmp_path / f"b.{kind}")
    assert (tmp_path / f"b.{kind}").read_bytes() == before
    write_file(npk, tmp_path / f"b.{kind}", column_dtypes=False, columns=list("abcde"))
    assert set(read(tmp_path / f"b.{kind}").schema.types) == {pa.float64()}
    assert read(tmp_path / f"b.{kind}").schema.names == list("abcde")


def test_integers_that_would_change(tmp_path, old, kind):
    read_file, _ = FORMATS[kind]
    path = write(pa.table({"a": [2**53 + 1], "b": [0.5]}), tmp_path / f"a.{kind}")
    with pytest.raises(TypeError, match="column 'a' .* cannot hold exactly"):
        read_file(path, old)
    assert names(old) == ["old"]
    read_file(path, old, "x", columns=["a"])
    assert_same(load(old, "x"), np.array([[2**53 + 1]]))
    read_file(path, old, "y", dtype="float32")
    assert load(old, "y").dtype == np.float32


def test_nulls(tmp_path, old, kind):
    read_file, _ = FORMATS[kind]
    table = pa.table(
        {
            "f": pa.array([1.5, None, 3.5], pa.float32()),
            "h": pa.array(np.array([1, 2, 3], "f2"), mask=np.array([0, 1, 0], bool)),
            "i": pa.array([1, None, 3], pa.int16()),
            "b": pa.array([True, None, False]),
        }
    )
    path = write(table, tmp_path / f"a.{kind}")
    read_file(path, old, "f", columns=["f"])
    assert_same(load(old, "f"), np.array([[1.5], [np.nan], [3.5]], "f4"))
    read_file(path, old, "h", columns=["h"])
    assert_same(load(old, "h"), np.array([[1], [np.nan], [3]], "f2"))
    for name in ("i", "b"):
        with pytest.raises(TypeError, match=f"'{name}' .* has 1 nulls"):
            read_file(path, old, columns=[name])
    with pytest.raises(TypeError, match="'i' .* has 1 nulls"):
        read_file(path, old)
    read_file(path, old, "filled", columns=["i", "b"], fill_null=0)
    assert_same(load(old, "filled"), np.array([[1, 1], [0, 0], [3, 0]], "i2"))
    read_file(path, old, "nan", columns=["i", "b"], dtype="float64")
    assert_same(load(old, "nan"), np.array([[1, 1], [np.nan, np.nan], [3, 0]]))
    for value in (0.5, float("nan"), 1e9):
        with pytest.raises(TypeError, match="cannot hold fill_null"):
            read_file(path, old, columns=["i"], fill_null=value)
    assert "a" not in names(old)


def test_dictionaries(tmp_path, npk, kind):
    read_file, _ = FORMATS[kind]
    numbers = pa.array([10, 20, 10, None, 20] * 100, pa.int32()).dictionary_encode()
    words = pa.array(["x", "y", "x", "y", "z"] * 100).dictionary_encode()
    path = write(pa.table({"n": numbers, "w": words}), tmp_path / f"a.{kind}")
    with pytest.raises(TypeError, match="column 'w' holds dictionary"):
        read_file(path, npk)
    read_file(path, npk, columns=["n"], fill_null=-1)
    assert_same(load(npk, "a")[:5, 0], np.array([10, 20, 10, -1, 20], "i4"))


@pytest.mark.parametrize(
    "column",
    [
        ["a"],
        [b"a"],
        [None],
        [1j.real, "x"],
        pa.array([0], pa.timestamp("s")),
        pa.array([1], pa.decimal128(3)),
    ],
    ids=["text", "binary", "null", "mixed", "time", "decimal"],
)
def test_columns_that_hold_no_numbers(tmp_path, old, kind, column):
    if column == [0.0, "x"]:
        column = pa.array([{"a": 1}])
    path = write(pa.table({"fine": [1], "wrong": column}), tmp_path / f"a.{kind}")
    with pytest.raises(TypeError, match="column 'wrong' holds"):
        FORMATS[kind][0](path, old)
    assert names(old) == ["old"]


def test_many_row_groups_and_chosen_columns(tmp_path, npk):
    array = np.arange(30_000.0).reshape(-1, 3)
    table = pa.table({"a": array[:, 0], "b": array[:, 1], "text": ["x"] * 10_000, "c": array[:, 2]})
    path = write(
        table, tmp_path / "a.parquet", row_group_size=97, compression="zstd", data_page_version="2.0"
    )
    assert pq.ParquetFile(path).num_row_groups > 100
    from_parquet(path, npk, columns=["c", "a"], chunk_size=5000)
    assert_same(load(npk, "a"), array[:, [2, 0]])
    to_parquet(npk, tmp_path / "b.parquet", row_group_size=4000, compression=None)
    found = pq.ParquetFile(tmp_path / "b.parquet")
    assert found.num_row_groups == 3 and found.schema_arrow.names == ["c", "a"]
    with pytest.raises(KeyError, match="of name 'd'"):
        from_parquet(path, npk, columns=["d"])


@pytest.mark.parametrize("make", [pa.list_, pa.large_list, lambda kind: pa.list_(kind, 3)])
def test_lists_of_one_length(tmp_path, npk, kind, make):
    array = sample("float32", (20, 3))
    column = pa.array(list(array), make(pa.float32()))
    read_file, write_file = FORMATS[kind]
    read_file(
        write(pa.table({"embedding": column, "k": range(20)}), tmp_path / f"a.{kind}"),
        npk,
        columns=["embedding"],
    )
    np.testing.assert_array_equal(load(npk, "a"), array)
    write_file(npk, tmp_path / f"b.{kind}")
    back = read(tmp_path / f"b.{kind}")
    assert back.schema.names == ["embedding"] and back.schema.types == [pa.list_(pa.float32(), 3)]


@pytest.mark.parametrize("lists", [[[1.0, 2.0], [3.0]], [[1.0], None], [None, [1.0]], [[], [1.0]]])
def test_lists_that_are_no_rows(tmp_path, old, kind, lists):
    path = write(pa.table({"e": pa.array(lists, pa.list_(pa.float64()))}), tmp_path / f"a.{kind}")
    with pytest.raises(TypeError, match="lists|first list"):
        FORMATS[kind][0](path, old)
    assert names(old) == ["old"]


@pytest.mark.parametrize(
    "array", [np.zeros(3, "complex64"), np.array(1.0), np.zeros((3, 0)), np.zeros((3, 2, 0))], ids=str
)
def test_arrays_that_are_no_table(tmp_path, npk, kind, array):
    save(npk, x=array)
    (tmp_path / f"a.{kind}").write_bytes(b"before")
    with pytest.raises(TypeError, match="array 'x'"):
        FORMATS[kind][1](npk, tmp_path / f"a.{kind}")
    with pytest.raises(TypeError):
        to_table(npk)
    assert (tmp_path / f"a.{kind}").read_bytes() == b"before"
    assert len(list(tmp_path.iterdir())) == 2


def test_other_names_of_the_same(tmp_path, npk):
    assert (from_parquet_file, to_parquet_file) == (from_parquet, to_parquet)
    assert (from_feather_file, to_feather_file) == (from_feather, to_feather)


@pytest.mark.parametrize("compression", ["zstd", "lz4", "uncompressed"])
def test_feather_codecs(tmp_path, npk, compression):
    table = pa.table({"a": np.arange(1000)})
    feather.write_feather(table, tmp_path / "a.feather", compression=compression, chunksize=33)
    from_feather(tmp_path / "a.feather", npk, chunk_size=400)
    assert_same(load(npk, "a")[:, 0], np.arange(1000))
    to_feather(
        npk, tmp_path / "b.feather", compression=None if compression == "uncompressed" else compression
    )
    assert feather.read_table(tmp_path / "b.feather").equals(table)


def test_files_that_are_something_else(tmp_path, old, kind):
    table = pa.table({"a": np.arange(5000.0), "b": np.random.default_rng(0).random(5000)})
    whole = write(table, tmp_path / f"whole.{kind}", compression="zstd").read_bytes()
    middle = len(whole) // 2
    cut = [whole[:count] for count in (0, 1, 8, middle, len(whole) - 1)]
    # The end of the file is sound, the data is not.
    cut.append(whole[:200] + bytes(middle) + whole[200 + middle :])
    for content in (b"FEA1 something else", *cut):
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(ValueError, match=f"a is not a valid {kind.capitalize()} file"):
            FORMATS[kind][0](tmp_path / "a", old)
    with pytest.raises(FileNotFoundError):
        FORMATS[kind][0](tmp_path / "b", old)
    with pytest.raises(IsADirectoryError):
        FORMATS[kind][0](tmp_path, old)
    assert names(old) == ["old"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"row_group_size": 0}, "row_group_size must be at least 1, got 0"),
        ({"row_group_size": -1}, "row_group_size must be at least 1, got -1"),
        ({"compression": "nope"}, "got 'nope'"),
        ({"chunk_size": -5}, "chunk_size must be greater than 0 bytes, got -5"),
    ],
)
def test_options_that_there_are_not(tmp_path, old, options, said):
    (tmp_path / "a.parquet").write_bytes(b"before")
    with pytest.raises(ValueError, match=said):
        to_parquet(old, tmp_path / "a.parquet", **options)
    assert (tmp_path / "a.parquet").read_bytes() == b"before"


@given(array=any_array(REALS, 1, 3, 1), chunk=st.integers(1, 300), name=st.sampled_from(list(FORMATS)))
def test_round_trip(tmp_path_factory, array, chunk, name):
    folder = tmp_path_factory.mktemp("tables")
    read_file, write_file = FORMATS[name]
    save(folder / "a.npk", x=array)
    write_file(folder / "a.npk", folder / "x", chunk_size=chunk)
    read_file(folder / "x", folder / "b.npk", chunk_size=chunk)
    assert_same(load(folder / "b.npk", "x"), array)


def test_columns_of_one_name(tmp_path, npk, kind):
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2]), pa.array([3])], ["a", "a", "b"])
    path = write(table, tmp_path / f"a.{kind}")
    FORMATS[kind][0](path, npk)
    assert_same(load(npk, "a"), np.array([[1, 2, 3]]))
    FORMATS[kind][1](npk, tmp_path / f"b.{kind}")
    assert (
        pq.ParquetFile(tmp_path / "b.parquet").schema_arrow.names == ["a", "a", "b"]
        if kind == "parquet"
        else True
    )
    with pytest.raises(KeyError, match="or several, of name 'a'"):
        FORMATS[kind][0](path, npk, columns=["a"])


def test_one_column_by_its_name(tmp_path, npk, kind):
    path = write(pa.table({"ab": [1], "b": [2]}), tmp_path / f"a.{kind}")
    FORMATS[kind][0](path, npk, columns="ab")
    assert_same(load(npk, "a"), np.array([[1]]))
    FORMATS[kind][1](npk, tmp_path / f"b.{kind}", columns="cd")
    assert read(tmp_path / f"b.{kind}").schema.names == ["cd"]


def mixed_table(rows):
    """Columns of several widths, one a dictionary, one with nulls, and names that are parts of each other."""
    random = np.random.default_rng(3)
    return pa.table(
        {
            "a.b": np.arange(rows, dtype="i2"),
            "a": random.random(rows, dtype="f4"),
            "half": random.random(rows).astype("f2"),
            "few": pa.array(random.integers(0, 5, rows)).dictionary_encode(),
            "holes": pa.array(random.random(rows), mask=random.random(rows) < 0.1),
            "yes": random.random(rows) < 0.5,
        }
    )


@pytest.mark.parametrize("wanted", [None, ["holes", "a"], ["a"], ["yes", "few", "a.b"]], ids=str)
@pytest.mark.parametrize(
    ("rows", "chunk_size", "way"),
    [
        (700, 100 << 20, "groups"),
        (6000, 30_000, "batches"),
        (6000, 300, "batches"),
        (900, 30_000, "parts"),
    ],
)
def test_every_way_to_read_parquet(tmp_path, npk, monkeypatch, wanted, rows, chunk_size, way):
    """Whole row groups, batches of some threads, and few columns at a time give the same rows."""
    table = mixed_table(6000)
    path = write(table, tmp_path / "a.parquet", row_group_size=rows, data_page_size=4096)
    if way != "groups":
        monkeypatch.setattr(parquet_module, "_SPARE", 100_000 if way == "batches" else 1000)
        monkeypatch.setattr(parquet_module, "_PAGE", 2000 if way == "batches" else 500_000)
    ways = set()
    for name in ("_group_reader", "_reader"):
        made = getattr(parquet_module, name)
        monkeypatch.setattr(
            parquet_module, name, lambda *args, made=made, name=name: ways.add(name) or made(*args)
        )
    from_parquet(path, npk, columns=wanted, chunk_size=chunk_size)
    assert ways == {"_group_reader" if way == "groups" else "_reader"}
    chosen = table if wanted is None else table.select(wanted)
    columns = [column.combine_chunks() for column in chosen.columns]
    plain = [one.dictionary_decode() if pa.types.is_dictionary(one.type) else one for one in columns]
    parts = [one.to_numpy(zero_copy_only=False) for one in plain]
    found = load(npk, "a")
    assert_same(found, np.stack([part.astype(found.dtype) for part in parts], axis=1))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("numpack-read")]


@pytest.mark.parametrize("row_group_size", [1000, 60_000])
def test_an_error_within_a_file_ends_its_threads(tmp_path, old, monkeypatch, row_group_size):
    """Also while the error is looked at, with all that it refers to."""
    monkeypatch.setattr(parquet_module, "_BATCH", 10_000)
    table = mixed_table(60_000)
    number = table.schema.get_field_index("few")
    holes = pa.array(np.arange(60_000), mask=np.arange(60_000) == 30_000)
    path = write(
        table.set_column(number, "few", holes), tmp_path / "a.parquet", row_group_size=row_group_size
    )
    with pytest.raises(TypeError, match="'few' .* has 1 nulls") as caught:
        from_parquet(path, old, chunk_size=1 << 20)
    assert caught.value.__traceback__ is not None
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("numpack-read")]
    assert names(old) == ["old"]


@given(cuts=st.lists(st.lists(st.integers(0, 50), max_size=4), min_size=1, max_size=3))
def test_streams_side_by_side(cuts):
    table = pa.table({str(at): np.arange(50) + 100 * at for at in range(len(cuts))})

    def stream(at, ends):
        places = [0, *sorted(ends), 50]
        for start, stop in zip(places, places[1:]):
            yield from table.slice(start, stop - start).select([str(at)]).combine_chunks().to_batches() or [
                pa.record_batch({str(at): np.empty(0, "i8")})
            ]

    streams = [stream(at, ends) for at, ends in enumerate(cuts)]
    assert pa.Table.from_batches(side_by_side(pa, streams)).equals(table)
    short = [
        *(stream(at, ends) for at, ends in enumerate(cuts)),
        iter([pa.record_batch({"z": np.arange(49)})]),
    ]
    with pytest.raises(ValueError, match="different numbers of rows"):
        list(side_by_side(pa, short))
