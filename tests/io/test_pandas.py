"""DataFrames: columns of several dtypes, missing values, what holds no numbers."""

import numpy as np
import pytest
from io_arrays import assert_same, load, save

from numpack.io import from_dataframe, to_dataframe

pd = pytest.importorskip("pandas")


def test_frames(npk):
    frame = pd.DataFrame({"i": [1, 2, 3], "f": [0.5, np.nan, 2.0], "b": [True, False, True]}, index=[5, 7, 9])
    store = from_dataframe(frame, npk, return_npk_obj=True)
    assert store.get_shape("data") == (3, 3)
    store.close()
    pd.testing.assert_frame_equal(to_dataframe(npk), frame.reset_index(drop=True))
    from_dataframe(frame, npk, "some", columns=["b", "i"])
    pd.testing.assert_frame_equal(to_dataframe(npk, "some"), frame[["b", "i"]].reset_index(drop=True))
    save(npk, plain=np.arange(3), cube=np.zeros((1, 1, 1)))
    pd.testing.assert_frame_equal(to_dataframe(npk, "plain"), pd.DataFrame({"plain": np.arange(3)}))
    assert list(to_dataframe(npk, "plain", columns=["x"]).columns) == ["x"]
    with pytest.raises(TypeError, match="has shape"):
        to_dataframe(npk, "cube")


def test_frames_with_complex_and_doubled_names(npk):
    frame = pd.DataFrame(np.array([[1 + 2j, 3], [4, 5]]), columns=["a", "a"])
    from_dataframe(frame, npk)
    pd.testing.assert_frame_equal(to_dataframe(npk), frame)
    mixed = pd.concat([frame, pd.DataFrame({3: [1, 2]})], axis=1)
    from_dataframe(mixed, npk)
    back = to_dataframe(npk)
    assert list(back.columns) == ["a", "a", "3"] and back.dtypes.iloc[2] == np.int64


def test_frames_with_missing_values(npk):
    frame = pd.DataFrame({"i": pd.array([1, None], "Int32"), "f": pd.array([0.5, None], "Float64")})
    with pytest.raises(TypeError, match="column 'i' .* has 1 missing"):
        from_dataframe(frame, npk)
    from_dataframe(frame, npk, fill_null=7)
    assert_same(load(npk, "data"), np.array([[1, 0.5], [7, 7]]))
    for value in (0.5, np.nan, 2**40):
        with pytest.raises(TypeError, match="column 'i' \\(int32\\) cannot hold fill_null"):
            from_dataframe(frame, npk, columns=["i"], fill_null=value)
    big = pd.DataFrame({"i": pd.array([2**53 + 1, None], "Int64")})
    from_dataframe(big, npk, "big", fill_null=1.0)
    assert_same(load(npk, "big"), np.array([[2**53 + 1], [1]]))
    from_dataframe(frame, npk, dtype="float32")
    assert_same(load(npk, "data"), np.array([[1, 0.5], [np.nan, np.nan]], "f4"))
    from_dataframe(pd.DataFrame({"c": pd.Categorical([3, 1, 3])}), npk)
    assert_same(load(npk, "data"), np.array([[3], [1], [3]]))


@pytest.mark.parametrize("column", [["a"], pd.to_datetime(["2020-01-01"]), pd.Categorical(["a"]), [object()]])
def test_frames_that_hold_no_numbers(npk, column):
    with pytest.raises(TypeError, match="column 'wrong' holds"):
        from_dataframe(pd.DataFrame({"wrong": column}), npk)
    assert not npk.exists()


def test_one_column_by_its_name(npk):
    from_dataframe(pd.DataFrame({"ab": [1, 2], "b": [3, 4]}), npk, columns="ab")
    assert_same(load(npk, "data"), np.array([[1], [2]]))
    assert list(to_dataframe(npk, columns="cd").columns) == ["cd"]
