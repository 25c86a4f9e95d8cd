"""CSV and text: headers, quotes, missing values, wrong lines, round trips."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from io_arrays import DTYPES, any_array, assert_same, load, names, sample, save

from numpack.io import from_csv, from_txt, to_csv, to_txt


def written(path, text):
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize("chunk", [1, 64, 1 << 20])
def test_numbers(tmp_path, npk, chunk):
    from_csv(written(tmp_path / "a.csv", "1,2.5,-3e4\n4,inf,nan\n"), npk, chunk_size=chunk)
    assert_same(load(npk, "a"), np.array([[1, 2.5, -3e4], [4, np.inf, np.nan]]))


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_header_quotes_and_missing_values(tmp_path, npk, ending):
    lines = ['\ufeff"first, with comma","the ""second""",third', '"1.5",,NA', "2,null,3", '"","4",N/A']
    from_csv(written(tmp_path / "a.csv", ending.join(lines) + ending), npk)
    nan = np.nan
    np.testing.assert_array_equal(load(npk, "a"), [[1.5, nan, nan], [2, nan, 3], [nan, 4, nan]])
    to_csv(npk, tmp_path / "b.csv", header=True, fmt="%g")
    with open(tmp_path / "b.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["first, with comma", 'the "second"', "third"]
    assert rows[1] == ["1.5", "nan", "nan"]


def test_names_of_columns_with_line_breaks(tmp_path, npk):
    from_csv(written(tmp_path / "a.csv", '"two\nlines",b\n1,2\n'), npk)
    to_csv(npk, tmp_path / "b.csv", header=True, fmt="%d")
    assert (tmp_path / "b.csv").read_text() == '"two\nlines",b\n1,2\n'


def test_header_is_said_or_seen(tmp_path, npk):
    path = written(tmp_path / "a.csv", "2019,2020\n1,2\n")
    from_csv(path, npk, "seen")
    from_csv(path, npk, "said", header=True)
    assert load(npk, "seen").shape == (2, 2)
    assert load(npk, "said").shape == (1, 2)
    with pytest.raises(ValueError, match="'x' is not a number"):
        from_csv(written(tmp_path / "b.csv", "x,y\n1,2\n"), npk, header=False)
    np.savetxt(tmp_path / "c.txt", [[1, 2], [3, 4]], header="left right")
    from_txt(tmp_path / "c.txt", npk)
    assert_same(load(npk, "c"), np.array([[1.0, 2], [3, 4]]))


def test_skiprows_and_max_rows(tmp_path, npk):
    path = written(tmp_path / "a.csv", "junk\n\n1,2\n\n\n3,4\n\n5,6\n")
    for count in range(4):
        from_csv(path, npk, f"x{count}", skiprows=1, max_rows=count, chunk_size=8)
        wanted = np.array([[1, 2], [3, 4], [5, 6]])[:count]
        assert_same(load(npk, f"x{count}"), wanted if count else wanted.astype(float))


@pytest.mark.parametrize(
    "text", ["1,2\n3\n", "1\n2,3\n", "1,2\n3,x\n", "1,2\n3,4,5\n", "a,b\n1,2,3\n", "1,2\n3,,4\n"]
)
def test_wrong_lines(tmp_path, old, text):
    with pytest.raises(ValueError, match="fields? where|is not a number"):
        from_csv(written(tmp_path / "a.csv", text), old)
    assert names(old) == ["old"]


def test_missing_integers_are_an_error(tmp_path, old):
    with pytest.raises(ValueError, match="'' is not an int32"):
        from_csv(written(tmp_path / "a.csv", "1,2\n3,\n"), old, dtype="int32")
    with pytest.raises(ValueError, match="'300' is not a uint8"):
        from_csv(written(tmp_path / "a.csv", "1,2\n3,300\n"), old, dtype="uint8")
    with pytest.raises(ValueError, match="'1.5' is not an int64"):
        from_csv(written(tmp_path / "a.csv", "1,2\n3,1.5\n"), old, dtype="int64")
    assert names(old) == ["old"]


def test_integers_written_as_floats(tmp_path, npk):
    np.savetxt(tmp_path / "a.csv", [[1, 2], [3, -400]], delimiter=",")
    for dtype in ("int16", "int64"):
        from_csv(tmp_path / "a.csv", npk, dtype=dtype)
        assert_same(load(npk, "a"), np.array([[1, 2], [3, -400]], dtype))


def test_text(tmp_path, npk):
    from_txt(written(tmp_path / "a.txt", "  1   2\t3\n\n4 5 6\n"), npk, dtype="int16")
    assert_same(load(npk, "a"), np.array([[1, 2, 3], [4, 5, 6]], "int16"))
    to_txt(npk, tmp_path / "b.txt")
    assert (tmp_path / "b.txt").read_text() == "1 2 3\n4 5 6\n"
    from_txt(written(tmp_path / "c.txt", "1;2\n"), npk, delimiter=";")
    assert_same(load(npk, "c"), np.array([[1, 2]]))


def test_bools(tmp_path, npk):
    from_csv(written(tmp_path / "a.csv", "a,b\nTrue,false\n1,0\n"), npk, dtype=bool)
    assert_same(load(npk, "a"), np.array([[True, False], [True, False]]))
    for line in ("2,0", "1,-1", "1,300"):
        with pytest.raises(ValueError, match="is not a bool"):
            from_csv(written(tmp_path / "b.csv", f"1,0\n{line}\n"), npk, dtype=bool)


def test_empty(tmp_path, npk):
    from_csv(written(tmp_path / "a.csv", ""), npk)
    from_csv(written(tmp_path / "b.csv", "x,y\n"), npk)
    assert load(npk, "a").shape == (0,)
    assert load(npk, "b").shape == (0, 2)


def test_arrays_that_are_no_text(tmp_path, npk):
    save(npk, cube=np.zeros((2, 2, 2)), scalar=np.array(1.0))
    for name in ("cube", "scalar"):
        with pytest.raises(TypeError, match="1 or 2 dimensions"):
            to_csv(npk, tmp_path / "a.csv", name)
    save(npk, x=np.zeros((2, 2)))
    with pytest.raises(ValueError, match="1 names for 2 columns"):
        to_csv(npk, tmp_path / "a.csv", "x", header=["one"])
    assert [path.name for path in tmp_path.iterdir()] == ["data.npk"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_of_every_dtype_come_back(tmp_path, npk, dtype):
    array = sample(dtype, (40, 3))
    array = np.where(np.isfinite(array), array, np.array(2, dtype)) if np.dtype(dtype).kind in "fc" else array
    save(npk, x=array)
    to_csv(npk, tmp_path / "x.csv")
    from_csv(tmp_path / "x.csv", npk, dtype=dtype, chunk_size=500)
    assert_same(load(npk, "x"), array)


@given(
    array=any_array(["float64", "int64", "uint64", "float32"], 1, 2, 1),
    chunk=st.integers(1, 300),
    header=st.booleans(),
)
def test_round_trip(tmp_path_factory, array, chunk, header):
    folder = tmp_path_factory.mktemp("csv")
    save(folder / "a.npk", x=array)
    to_csv(folder / "a.npk", folder / "x.csv", header=header, chunk_size=chunk)
    from_csv(folder / "x.csv", folder / "b.npk", dtype=array.dtype, header=header, chunk_size=chunk)
    found = load(folder / "b.npk", "x")
    np.testing.assert_array_equal(found, array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array)


@pytest.mark.parametrize(
    "field", ["9007199254740993.0", "9.007199254740993e15", " 9007199254740993.000", "+9007199254740993."]
)
def test_whole_numbers_with_a_point_are_exact(tmp_path, npk, field):
    from_csv(written(tmp_path / "a.csv", f"1\n{field}\n"), npk, dtype="int64")
    assert_same(load(npk, "a"), np.array([1, 9007199254740993]))


@pytest.mark.parametrize(
    "field", ["9223372036854775808.0", "1e999999999", "1.5", "1e-9", "inf", "1.0x", "9" * 5000]
)
def test_what_is_no_int64(tmp_path, old, field):
    with pytest.raises(ValueError, match="is not an int64"):
        from_csv(written(tmp_path / "a.csv", f"1\n{field}\n"), old, dtype="int64")
    assert names(old) == ["old"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"header": "made by hand"},
        {"header": "made by\nhand in 2 lines"},
        {"footer": "the end"},
        {"header": "x"},
    ],
    ids=str,
)
@pytest.mark.parametrize("delimiter", [" ", ",", ";"])
def test_what_numpy_writes(tmp_path, npk, options, delimiter):
    array = sample("int64", (30, 3)).astype("float64")
    np.savetxt(tmp_path / "a.txt", array, delimiter=delimiter, **options)
    from_txt(tmp_path / "a.txt", npk, delimiter=delimiter.strip() or None, chunk_size=300)
    assert_same(load(npk, "a"), np.loadtxt(tmp_path / "a.txt", delimiter=delimiter))


@pytest.mark.parametrize("dtype", ["float64", "int32"])
def test_comments_anywhere(tmp_path, npk, dtype):
    text = "# one\n\n  # two words\n1 2 # first\n# between\n3 4#\n\n5 6\n#"
    path = written(tmp_path / "a.txt", text)
    from_txt(path, npk, dtype=dtype)
    assert_same(load(npk, "a"), np.loadtxt(path, dtype))
    from_txt(path, npk, dtype=dtype, max_rows=2, chunk_size=1)
    assert_same(load(npk, "a"), np.array([[1, 2], [3, 4]], dtype))
    from_csv(written(tmp_path / "b.csv", "# by hand\nx,y #1\n1,2\n3, # none\n"), npk)
    np.testing.assert_array_equal(load(npk, "b"), [[1, 2], [3, np.nan]])
    to_csv(npk, tmp_path / "c.csv", "b", header=True, fmt="%g")
    assert (tmp_path / "c.csv").read_text() == "x,y #1\n1,2\n3,nan\n"


@pytest.mark.parametrize(("header", "shape"), [(None, (2, 2)), (True, (2, 2)), (False, (2, 2))])
def test_a_comment_that_names_columns(tmp_path, npk, header, shape):
    from_txt(written(tmp_path / "a.txt", "# left right\n1 2\n3 4\n"), npk, header=header)
    assert load(npk, "a").shape == shape
    to_csv(npk, tmp_path / "b.csv", header=True, fmt="%g")
    named = "col0,col1" if header is False else "left,right"
    assert (tmp_path / "b.csv").read_text().splitlines()[0] == named
    save(npk, a=np.zeros((0, 2)))
    to_csv(npk, tmp_path / "c.csv", "a", header=["#1", "b"])
    from_csv(tmp_path / "c.csv", npk)
    assert load(npk, "c").shape == (0, 2)


def test_an_empty_name_is_an_error(tmp_path, old):
    with pytest.raises(ValueError, match="name"):
        from_csv(written(tmp_path / "a.csv", "1,2\n"), old, "")
    assert names(old) == ["old"]


def test_counts_below_zero_and_fields_without_end(tmp_path, old):
    path = written(tmp_path / "a.csv", "1,2\n3,4\n")
    for name in ("skiprows", "max_rows"):
        with pytest.raises(ValueError, match=f"{name} must be at least 0, got -1"):
            from_csv(path, old, **{name: -1})
        with pytest.raises(TypeError, match=f"{name} must be a whole number, got 1.5"):
            from_csv(path, old, **{name: 1.5})
    with pytest.raises(ValueError, match="field larger than field limit"):
        from_csv(written(tmp_path / "b.csv", "a" * 200_000 + ",b\n1,2\n"), old)
    assert names(old) == ["old"]


def test_one_column_by_its_name(tmp_path, npk):
    save(npk, x=np.arange(2))
    to_csv(npk, tmp_path / "a.csv", header="ab")
    assert (tmp_path / "a.csv").read_text() == "ab\n0\n1\n"
