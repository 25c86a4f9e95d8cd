"""Columns in a dtype that a program asks for: what it does not have is an error, in tables and in frames."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from io_arrays import REALS, assert_same, load, names, save

from numpack.io import from_dataframe, from_table
from numpack.io._casts import converted

pa = pytest.importorskip("pyarrow")
pd = pytest.importorskip("pandas")


def from_lists(column, path, **options):
    """A column of lists, which makes an array of two dimensions."""
    from_table(pa.table({"a": [[value] for value in column["a"]]}), path, **options)


FORMS = {
    "table": lambda column, path, **options: from_table(pa.table(column), path, **options),
    "frame": lambda column, path, **options: from_dataframe(pd.DataFrame(column), path, **options),
    "lists": from_lists,
}


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (300, "i1"),
        (-1, "u1"),
        (1.5, "i4"),
        (float("inf"), "i8"),
        (2.0**63, "i8"),
        (2.0**64, "u8"),
        (-1.0, "u2"),
        (2, "?"),
        (2**63 - 1, "i4"),
    ],
)
def test_values_that_the_dtype_does_not_have(old, form, value, dtype):
    with pytest.raises(ValueError, match="column 'a' holds .*, which is not an? "):
        FORMS[form]({"a": [type(value)(1), value]}, old, dtype=dtype)
    assert names(old) == ["old"]


def test_missing_values_are_no_integers(old):
    with pytest.raises(ValueError, match="column 'a' holds nan, which is not an int32"):
        from_table(pa.table({"a": [1.0, None]}), old, dtype="i4")
    with pytest.raises(ValueError, match="column 'a' holds 1j|column 'a' holds .*1j"):
        from_dataframe(pd.DataFrame({"a": [1j, 2]}), old, dtype="f8")
    assert names(old) == ["old"]


@pytest.mark.parametrize("form", list(FORMS))
@pytest.mark.parametrize("dtype", ["U3", "S", object, "M8[s]", "i4,f4"])
def test_dtypes_of_no_numbers(old, form, dtype):
    with pytest.raises(TypeError, match="dtype must be one of numbers"):
        FORMS[form]({"a": [1]}, old, dtype=dtype)
    assert names(old) == ["old"]


@pytest.mark.parametrize("form", list(FORMS))
def test_values_that_it_has(npk, form):
    save(npk, old=np.zeros(1))
    for values, dtype in [
        ([127, -128], "i1"),
        ([1.0, -0.0], "?"),
        ([2.0**62, -(2.0**63)], "i8"),
        ([0, 1], ">u2"),
        ([2**53 + 1, 1], "f4"),
        ([1.1, 1e300], "f2"),
    ]:
        FORMS[form]({"a": values}, npk, array_name="x", dtype=dtype)
        with np.errstate(over="ignore"):
            wanted = np.array(values).astype(np.dtype(dtype).newbyteorder("="))
        assert_same(load(npk, "x"), wanted[:, None])


@pytest.mark.parametrize(
    "lists",
    [[[[1, 2], [3]]], [[[1, 2], [3, 4, 5]], [[5, 6, 1], [7, 8]]], [[[1], None]], [[None, [1]]]],
    ids=str,
)
def test_ragged_lists_name_their_column(old, lists):
    with pytest.raises(TypeError, match="column 'a'.* lists"):
        from_table(pa.table({"a": lists}), old)
    assert names(old) == ["old"]


@given(
    values=st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-300, 300), min_size=1),
    source=st.sampled_from(REALS),
    dtype=st.sampled_from(REALS),
)
def test_against_plain_integers(values, source, dtype):
    """An integer or bool dtype gets a value as Python has it, or none does."""
    with np.errstate(over="ignore", invalid="ignore"):
        column = np.array(values).astype(source)
    wanted = np.dtype(dtype)
    if wanted.kind == "f":
        return
    plain = column.tolist()
    limits = (0, 1) if wanted.kind == "b" else (np.iinfo(wanted).min, np.iinfo(wanted).max)
    fits = all(abs(value) != float("inf") and limits[0] <= value <= limits[1] for value in plain)
    if fits:
        assert converted("a", column, wanted).tolist() == plain
    else:
        with pytest.raises(ValueError, match="column 'a' holds"):
            converted("a", column, wanted)
