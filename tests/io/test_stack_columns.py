"""Columns of a table to rows, in memory that is used again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from io_arrays import DTYPES, sample

from numpack import NumPack
from numpack._numpack import _Stacker


@given(
    dtype=st.sampled_from(DTYPES),
    width=st.integers(1, 70),
    rows=st.integers(0, 300) | st.sampled_from([5000, 20_000]),
)
def test_rows_are_those_of_numpy(dtype, width, rows):
    array = sample(dtype, (width, rows))
    found = _Stacker().rows(list(array))
    expected = np.ascontiguousarray(array.T)
    assert found.dtype == expected.dtype and found.shape == expected.shape
    assert found.tobytes() == expected.tobytes()
    assert found.flags.c_contiguous and found.flags.writeable and found.flags.aligned


def test_memory_is_used_again_when_nobody_has_it():
    stacker, columns = _Stacker(), list(np.arange(300.0).reshape(3, 100))
    kept, places = [], set()
    for _ in range(10):
        rows = stacker.rows(columns)
        places.add(rows.ctypes.data)
        # A view of it is enough to keep it.
        view = rows[1:2]
        kept.append((view, view.copy()))
        if len(kept) == 3:
            kept.pop(0)
        del rows, view
        columns = [column + 1 for column in columns]
        assert all((view == copy).all() for view, copy in kept)
    assert len(places) <= 4
    last = stacker.rows(columns)
    del stacker
    assert last[0, 0] == 10.0


@pytest.mark.parametrize(
    "columns",
    [
        [],
        [np.zeros(3), np.zeros(4)],
        [np.zeros(3), np.zeros(3, "f4")],
        [np.zeros((3, 2))],
        [np.zeros(6)[::2]],
        [np.array(1.0)],
    ],
    ids=["none", "lengths", "dtypes", "dimensions", "gaps", "scalar"],
)
def test_columns_that_do_not_fit(columns):
    with pytest.raises(ValueError, match="column"):
        _Stacker().rows(columns)


def test_blocks_of_stored_rows(tmp_path):
    array = np.arange(3000).reshape(1000, 3)
    with NumPack(tmp_path / "a.npk") as store:
        store.save({"x": array, "empty": np.empty((0, 2)), "flat": np.arange(10)})
        store.drop("x", [0, 500, 999])
        left = np.delete(array, [0, 500, 999], 0)
        kept = list(store.load("x", lazy=True)._blocks(100))
        places = set()
        for start, block in zip(range(0, 1000, 64), store.load("x", lazy=True)._blocks(64)):
            places.add(block.ctypes.data)
            assert (block == left[start : start + 64]).all()
        # The one before is there while the next one is made.
        assert len(places) == 2
        assert [len(block) for block in kept] == [100] * 9 + [97]
        assert (np.concatenate(kept) == left).all()
        assert list(store.load("empty", lazy=True)._blocks(5)) == []
        assert [block.tolist() for block in store.load("flat", lazy=True)._blocks(1 << 63)] == [
            list(range(10))
        ]
