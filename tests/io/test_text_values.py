"""What text means: whole numbers, decimal commas, comments, names; and that a wrong field is named by its place."""

import os
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from io_arrays import assert_same, load, names, save
from io_memory import MB, growth

from numpack.io import from_csv, from_txt, to_csv, to_txt


def written(path, text):
    path.write_bytes(text.encode())
    return path


# Whole numbers, and the dtype of a file that does not say it.

WHOLE = [
    ("1,2\n3,4\n", [[1, 2], [3, 4]], "int64"),
    ("9007199254740993,-9223372036854775808\n", [[9007199254740993, -(2**63)]], "int64"),
    ("9223372036854775808\n1\n", [2**63, 1], "uint64"),
    ("18446744073709551615,0\n", [[2**64 - 1, 0]], "uint64"),
    ("id,n\n007, +5\n", [[7, 5]], "int64"),
    ('"1","2"\n"3","4"\n', [[1, 2], [3, 4]], "int64"),
    ("1,2 # a comment\n# another 1.5\n3,4\n", [[1, 2], [3, 4]], "int64"),
    ("1\n2.0\n", [1.0, 2.0], "float64"),
    ("1\n2\n1e3\n", [1.0, 2.0, 1000.0], "float64"),
    ("1,2\n3,\n", [[1, 2], [3, np.nan]], "float64"),
    (",2\n3,4\n", [[np.nan, 2], [3, 4]], "float64"),
    ("1, \n3,4\n", [[1, np.nan], [3, 4]], "float64"),
    ("1\nNA\n3\n", [1, np.nan, 3], "float64"),
    # No integer holds both, and float64 holds each of them.
    ("-1\n9223372036854775808\n", [-1.0, 2.0**63], "float64"),
    ("1e300,36893488147419103232\n", [[1e300, 2.0**65]], "float64"),
    ("x,y\n", np.empty((0, 2)), "float64"),
    ("", [], "float64"),
]


@pytest.mark.parametrize(("text", "values", "dtype"), WHOLE, ids=[text for text, _, _ in WHOLE])
@pytest.mark.parametrize("chunk", [1, 1 << 20])
def test_a_file_of_whole_numbers_has_integers(tmp_path, npk, text, values, dtype, chunk):
    from_csv(written(tmp_path / "a.csv", text), npk, chunk_size=chunk)
    assert_same(load(npk, "a"), np.array(values, dtype))


def test_whole_numbers_between_white_space(tmp_path, npk):
    from_txt(written(tmp_path / "a.txt", "  1\t 9007199254740993 \n\n -3  4\n"), npk)
    assert_same(load(npk, "a"), np.array([[1, 9007199254740993], [-3, 4]]))
    from_txt(written(tmp_path / "b.txt", "1 2\n3 4.5\n"), npk)
    assert_same(load(npk, "b"), np.array([[1, 2], [3, 4.5]]))


def test_the_last_line_decides_too(tmp_path, npk):
    lines = [f"{at},{at}" for at in range(5000)]
    from_csv(written(tmp_path / "a.csv", "\n".join([*lines, "1.5,2"])), npk, chunk_size=4000)
    assert load(npk, "a").dtype == np.float64 and load(npk, "a")[-1, 0] == 1.5
    from_csv(tmp_path / "a.csv", npk, max_rows=5000, chunk_size=4000)
    assert_same(load(npk, "a"), np.arange(5000).repeat(2).reshape(-1, 2))


@pytest.mark.parametrize(
    ("text", "place", "value"),
    [
        ("1.5\n9007199254740993\n", "line 2, column 1", "9007199254740993"),
        ("x,y\n1,\n\n3,-9007199254740993\n", "line 4, column 2 .'y'.", "-9007199254740993"),
        ("-1,18446744073709551615\n", "line 1, column 2", "18446744073709551615"),
        ("1,18446744073709551617\n", "line 1, column 2", "18446744073709551617"),
        ("1.5\n1e400\n", "line 2, column 1", "1e400"),
        ("1.5\n" + "9" * 5000 + "\n", "line 2, column 1", "9999"),
    ],
)
def test_a_value_that_neither_dtype_has(tmp_path, old, text, place, value):
    path = written(tmp_path / "a.csv", text)
    with pytest.raises(
        ValueError, match=rf"a\.csv: {place}: '{value}.*(no integer|neither|beyond)"
    ) as caught:
        from_csv(path, old)
    assert "dtype='float64'" in str(caught.value) and len(str(caught.value)) < 400
    assert names(old) == ["old"]
    if len(value) > 4:
        from_csv(path, old, dtype="float64")
        assert load(old, "a").ravel()[-1] == float(text.strip().replace(",", "\n").splitlines()[-1])


@given(
    rows=st.lists(
        st.one_of(
            st.integers(-(2**64), 2**65), st.floats(width=32), st.sampled_from(["", "NA", "1e3", " 7"])
        ),
        min_size=1,
        max_size=8,
    ),
    chunk=st.sampled_from([1, 40, 1 << 20]),
)
def test_values_are_exact_or_refused(tmp_path_factory, rows, chunk):
    """Against what Python makes of each field alone."""
    folder = tmp_path_factory.mktemp("text")
    fields = [str(row) for row in rows]
    rows = [7 if row == " 7" else row for row in rows]
    path = written(folder / "a.csv", "".join(f"0,{field}\n" for field in fields))
    whole = all(isinstance(row, int) for row in rows)
    missing = {"", "NA"}
    numbers = [np.nan if field in missing else float(field) for field in fields]
    exact = all(float(row) == row for row in rows if isinstance(row, int))
    fits = next((dtype for dtype in ("i8", "u8") if whole and _hold(rows, np.iinfo(dtype))), None)
    if fits is None and not exact:
        with pytest.raises(ValueError, match=r"a\.csv: line \d+, column 2: "):
            from_csv(path, folder / "a.npk", chunk_size=chunk)
        return
    from_csv(path, folder / "a.npk", chunk_size=chunk)
    found = load(folder / "a.npk", "a")
    wanted = [[0, value] for value in (rows if fits else numbers)]
    assert_same(found, np.array(wanted, fits or "f8"))


def _hold(values, limits):
    return all(limits.min <= value <= limits.max for value in values)


@pytest.mark.parametrize("dtype", ["int64", "uint64", "int8", "uint32", "bool", "float64", "float32"])
@pytest.mark.parametrize("write", [(to_csv, from_csv), (to_txt, from_txt)])
@pytest.mark.parametrize("header", [False, True])
def test_what_is_written_comes_back_without_a_dtype(tmp_path, npk, dtype, write, header):
    values = np.array([[0, 1], [1, 0]], dtype)
    if np.dtype(dtype).kind in "iu":
        values[0] = np.iinfo(dtype).min, np.iinfo(dtype).max
    save(npk, x=values)
    write[0](npk, tmp_path / "x.csv", header=header)
    write[1](tmp_path / "x.csv", npk, "y")
    found = load(npk, "y")
    assert found.tolist() == values.tolist()
    assert found.dtype == (
        "float64" if dtype.startswith("float") else "uint64" if dtype == "uint64" else "int64"
    )


def test_pipes(tmp_path, npk):
    """They can be read once; what the dtype is, only their end tells."""
    for dtype in (None, "int32"):
        os.mkfifo(tmp_path / "pipe")
        threading.Thread(target=lambda: written(tmp_path / "pipe", "x,y\n1,2\n3,4\n")).start()
        from_csv(tmp_path / "pipe", npk, "a", dtype=dtype)
        assert_same(load(npk, "a"), np.array([[1, 2], [3, 4]], dtype or "int64"))
        (tmp_path / "pipe").unlink()


# Numbers are what NumPy and pandas take for numbers.


@pytest.mark.parametrize("dtype", [None, "int64", "float32", "uint8", "complex64"])
@pytest.mark.parametrize(
    "field", ["100_1", "1_0", "1_0.5", "١٢", "0x10", "1,5", "1;2", "--1", "1e5_0", "1 2"]
)
def test_what_is_not_a_number(tmp_path, old, dtype, field):
    path = written(tmp_path / "a.csv", f'id,value\n1,2\n3,"{field}"\n')
    with pytest.raises(ValueError, match=rf"a\.csv: line 3, column 2 \('value'\): '{field}' is not a"):
        from_csv(path, old, dtype=dtype)
    assert names(old) == ["old"]


@pytest.mark.parametrize(
    "text", ["1;2\n", "1,5;2,5\n", "1_1,2\n3,4\n", "1;2\n3;4\n", "2024-01-31,1\n", "$5,1\n"]
)
def test_a_first_line_of_figures_holds_no_names(tmp_path, old, text):
    with pytest.raises(ValueError, match=r"a\.csv: line 1, column \d: '.*' is not a number.*delimiter="):
        from_csv(written(tmp_path / "a.csv", text), old)
    from_csv(tmp_path / "a.csv", old, header=True, max_rows=0)
    assert load(old, "a").shape[0] == 0


@pytest.mark.parametrize(
    "line", ["name,2019,2020", "x,1/22/20,1/23/20", "2nd,3m,1h", "µ,ß,数", "a_1,a_2,", "e,E,d"]
)
def test_names_may_have_figures(tmp_path, npk, line):
    from_csv(written(tmp_path / "a.csv", line + "\n1,2,3\n"), npk)
    assert_same(load(npk, "a"), np.array([[1, 2, 3]]))
    to_csv(npk, tmp_path / "b.csv", header=True)
    assert (tmp_path / "b.csv").read_text().splitlines()[0] == line


def test_decimal_commas(tmp_path, npk):
    path = written(tmp_path / "a.csv", "1,5;2,5\n-3,25e1;4\n;,5\n")
    from_csv(path, npk, delimiter=";", decimal=",")
    np.testing.assert_array_equal(load(npk, "a"), [[1.5, 2.5], [-32.5, 4], [np.nan, 0.5]])
    from_txt(written(tmp_path / "b.txt", "1,5 2\n3 4\n"), npk, decimal=",")
    assert_same(load(npk, "b"), np.array([[1.5, 2], [3, 4]]))
    from_csv(written(tmp_path / "c.csv", "1,0;2\n"), npk, delimiter=";", decimal=",", dtype="int32")
    assert_same(load(npk, "c"), np.array([[1, 2]], "int32"))
    for text in ("1.234,5;1\n", "1;1.234\n"):
        with pytest.raises(ValueError, match=r"d\.csv: line 1, column \d: '1.234.*is not a number"):
            from_csv(written(tmp_path / "d.csv", text), npk, delimiter=";", decimal=",")


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"decimal": ","}, ValueError, "delimiter and decimal are both ','"),
        ({"decimal": ""}, ValueError, "decimal must be one character"),
        ({"decimal": "7"}, ValueError, "decimal must be one character"),
        ({"decimal": 5}, TypeError, "decimal must be one character"),
        ({"delimiter": "::"}, ValueError, "delimiter must be None or one character"),
        ({"delimiter": ""}, ValueError, "delimiter must be None or one character"),
        ({"delimiter": "\n"}, ValueError, "delimiter must be None or one character"),
        ({"delimiter": 5}, TypeError, "delimiter must be None or one character"),
        ({"comments": 5}, TypeError, "comments must be None or text"),
        ({"comments": " "}, ValueError, "comments must be None or text"),
        ({"dtype": "U5"}, TypeError, "dtype must be one of numbers"),
        ({"encoding": "no such"}, LookupError, "no such"),
    ],
    ids=str,
)
def test_arguments(tmp_path, old, options, error, text):
    with pytest.raises(error, match=text):
        from_csv(written(tmp_path / "a.csv", "1,2\n"), old, **options)
    assert names(old) == ["old"]


# Comments never take a line of data.


@pytest.mark.parametrize(
    "field", ["#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#1", "#x", "#-5", "#5,6"]
)
@pytest.mark.parametrize("line", ["{},4", "3,{}", "{}", "{},{}"])
def test_a_mark_in_the_data_is_an_error(tmp_path, old, field, line):
    row = line.format(field, field)
    with pytest.raises(ValueError, match=r"a\.csv: line 3.*comments='#'|a\.csv: line 3: \d fields? where 2"):
        from_csv(written(tmp_path / "a.csv", f"x,y\n1,2\n{row}\n5,6\n"), old)
    assert names(old) == ["old"]


@pytest.mark.parametrize("row", ["#N/A,4", "#NA,4", "#N/A,#N/A", "3,#N/A", "#n/a,4"])
@pytest.mark.parametrize("before", ["x,y\n1,2\n", "1,2\n", ""])
def test_not_available_is_missing(tmp_path, npk, row, before):
    from_csv(written(tmp_path / "a.csv", f"{before}{row}\n5,6\n"), npk)
    found = load(npk, "a")
    assert found.shape == (3 if before else 2, 2) and found[-1].tolist() == [5, 6]
    wanted = [np.nan if field.startswith("#") else float(field) for field in row.split(",")]
    np.testing.assert_array_equal(found[-2], wanted)


@pytest.mark.parametrize("first", ["#DIV/0!,4", "#VALUE!,#REF!", "#1,4", "#-5,4"])
def test_a_first_line_of_data_is_not_a_comment(tmp_path, old, first):
    with pytest.raises(ValueError, match=r"a\.csv: line 1, column 1: '#.*is not a number"):
        from_csv(written(tmp_path / "a.csv", f"{first}\n5,6\n"), old)
    assert names(old) == ["old"]


def test_comments_as_numpy_takes_them(tmp_path, npk):
    path = written(tmp_path / "a.txt", "#one\n1 2\n#two 1\n3 4#three\n")
    with pytest.raises(ValueError, match="line 3, column 1: '#two' is not a number.*comments='#'"):
        from_txt(path, npk)
    from_txt(path, npk, comments="#")
    assert_same(load(npk, "a"), np.loadtxt(path, "i8"))
    from_csv(written(tmp_path / "b.csv", "% one\n1,2 % two\n3,4\n"), npk, comments="%")
    assert_same(load(npk, "b"), np.array([[1, 2], [3, 4]]))
    with pytest.raises(ValueError, match="line 2, column 2 .'y'.: '2 # two' is not a number"):
        from_csv(written(tmp_path / "c.csv", "x,y\n1,2 # two\n"), npk, comments=None)
    from_csv(written(tmp_path / "d.csv", "# x,y\n1,2\n"), npk, comments=None)
    to_csv(npk, tmp_path / "e.csv", "d", header=True)
    assert (tmp_path / "e.csv").read_text() == '"# x","y"\n1,2\n'


def test_comments_without_a_blank_before_the_first_row(tmp_path, npk):
    from_csv(written(tmp_path / "a.csv", "#made by hand\n##\n#x,y\n1,2\n"), npk)
    assert_same(load(npk, "a"), np.array([[1, 2]]))
    from_csv(written(tmp_path / "b.csv", "#x,y\n1,2\n## between\n3,4\n####\n"), npk)
    to_csv(npk, tmp_path / "c.csv", "b", header=True)
    assert (tmp_path / "c.csv").read_text() == "x,y\n1,2\n3,4\n"


# Columns by place or name.

PEOPLE = 'name,age,"height, m"\n"Doe, J",33,1.8\nRoe,44,\n'


@pytest.mark.parametrize(
    ("usecols", "values", "columns"),
    [
        ([1, 2], [[33, 1.8], [44, np.nan]], ["age", "height, m"]),
        (["height, m", "age"], [[1.8, 33], [np.nan, 44]], ["height, m", "age"]),
        ([-1, 1], [[1.8, 33], [np.nan, 44]], ["height, m", "age"]),
        ("age", [33, 44], ["age"]),
        (1, [33, 44], ["age"]),
        (np.int32(1), [33, 44], ["age"]),
        (("age", "age"), [[33, 33], [44, 44]], ["age", "age"]),
    ],
    ids=str,
)
@pytest.mark.parametrize("chunk", [1, 1 << 20])
def test_columns_to_use(tmp_path, npk, usecols, values, columns, chunk):
    from_csv(written(tmp_path / "a.csv", PEOPLE), npk, usecols=usecols, chunk_size=chunk)
    np.testing.assert_array_equal(load(npk, "a"), values)
    assert load(npk, "a").dtype == (np.int64 if np.array(values).dtype.kind == "i" else np.float64)
    to_csv(npk, tmp_path / "b.csv", header=True)
    assert next(iter((tmp_path / "b.csv").read_text().splitlines())).replace('"', "") == ",".join(columns)


@pytest.mark.parametrize("delimiter", [",", None])
def test_columns_to_use_of_lines_without_names(tmp_path, npk, delimiter):
    text = "joe,1,2\nann,3,4\n" if delimiter else "joe 1 2\nann   3 4\n"
    path = written(tmp_path / "a.csv", text)
    from_csv(path, npk, usecols=[2, 1], delimiter=delimiter)
    assert_same(load(npk, "a"), np.array([[2, 1], [4, 3]]))
    for line, found in (("3 4", 2), ("joe 3 4 5", 4), ("joe 3 4 5 6", 5)):
        line = line.replace(" ", delimiter or " ")
        with pytest.raises(ValueError, match=f"b.csv: line 3: {found} fields where 3 should be"):
            from_csv(written(tmp_path / "b.csv", text + line + "\n"), npk, usecols=[1], delimiter=delimiter)


@pytest.mark.parametrize(
    ("usecols", "error", "text"),
    [
        ([5], ValueError, "usecols has 5, and .*a.csv has 3 columns"),
        ([-4], ValueError, "usecols has -4, and .*a.csv has 3 columns"),
        (["none"], KeyError, "no column, or several, of name 'none'"),
        ([], ValueError, "usecols is empty"),
        ([1.5], TypeError, "usecols holds numbers and names of columns, got 1.5"),
        ([True], TypeError, "usecols holds numbers and names of columns, got True"),
        (len, TypeError, "usecols holds numbers and names of columns"),
    ],
    ids=str,
)
def test_columns_that_are_not_there(tmp_path, old, usecols, error, text):
    with pytest.raises(error, match=text):
        from_csv(written(tmp_path / "a.csv", PEOPLE), old, usecols=usecols)
    assert names(old) == ["old"]


# Where a fault is.


@pytest.mark.parametrize("chunk", [1, 50, 1 << 20])
@pytest.mark.parametrize("dtype", [None, "int16", "float32"])
def test_file_line_and_column(tmp_path, old, chunk, dtype):
    lines = ["junk", "# words", '"two\nlines",b', "", *["1,2"] * 40, "# between", "", "3,x", "5,6"]
    path = written(tmp_path / "a.csv", "\n".join(lines))
    with pytest.raises(ValueError, match=r"a\.csv: line 48, column 2 \('b'\): 'x' is not a"):
        from_csv(path, old, dtype=dtype, skiprows=1, chunk_size=chunk)
    lines[-2] = "3"
    with pytest.raises(ValueError, match=r"a\.csv: line 48: 1 field where 2 should be"):
        from_csv(written(path, "\n".join(lines)), old, dtype=dtype, skiprows=1, chunk_size=chunk)
    assert names(old) == ["old"]


def test_files_of_another_encoding(tmp_path, old):
    (tmp_path / "a.csv").write_bytes(b"x,y\n1,2\n\xff\xfe,4\n")
    with pytest.raises(ValueError, match=r"a\.csv is not text.*utf-8.*encoding="):
        from_csv(tmp_path / "a.csv", old)
    (tmp_path / "b.csv").write_text("x,y\n1,2\n", encoding="utf-16")
    from_csv(tmp_path / "b.csv", old, encoding="utf-16")
    assert_same(load(old, "b"), np.array([[1, 2]]))


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_endings_of_lines(tmp_path, npk, ending):
    from_csv(written(tmp_path / "a.csv", ending.join(["x,y", "1,2", "", "3,4", ""])), npk)
    assert_same(load(npk, "a"), np.array([[1, 2], [3, 4]]))


# Lines that never end.


@pytest.mark.parametrize(
    "options", [{}, {"dtype": "float32"}, {"header": True}, {"skiprows": 1}, {"max_rows": 0}], ids=str
)
def test_a_line_that_is_too_long(tmp_path, old, options):
    path = written(tmp_path / "a.csv", "1," * (3 << 20) + "1\n2\n")
    with pytest.raises(ValueError, match=r"a\.csv: line 1 has more than 4,194,304 characters: .*chunk_size="):
        from_csv(path, old, chunk_size=1 << 20, **options)
    path = written(tmp_path / "a.csv", "1\n" * 50_000 + "1," * (3 << 20) + "1\n2\n")
    with pytest.raises(ValueError, match=r"a\.csv: line 50001 has more than"):
        from_csv(path, old, chunk_size=1 << 20, skiprows=3)
    assert names(old) == ["old"]


def test_a_long_line_takes_little_memory(tmp_path):
    warm = written(tmp_path / "warm.csv", "1,2\n" * 1000)
    path = tmp_path / "long.csv"
    with open(path, "w") as file:
        for _ in range(60):
            file.write("1234567," * (1 << 17))
    grown = growth("from_csv", path, tmp_path / "a.npk", warm, refused=True)
    assert max(grown) < 60 * MB


def test_wide_lines(tmp_path, npk):
    path = written(tmp_path / "a.csv", ",".join(map(str, range(100_000))) + "\n" + "1," * 99_999 + "2\n")
    from_csv(path, npk)
    assert load(npk, "a").shape == (2, 100_000) and load(npk, "a")[0, -1] == 99_999
