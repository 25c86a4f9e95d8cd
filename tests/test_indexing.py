"""LazyArray's indexing and the row indexes of getitem, replace and drop against NumPy's on the same data."""

import functools
import tempfile

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from indexing_keys import answer, assert_same, keys

from numpack import NumPack

SHAPES = [(), (0,), (1,), (7,), (5, 3), (6, 0), (0, 4), (4, 3, 2), (3, 0, 2), (3, 2, 2, 3), (1, 1)]
DTYPES = ["f4", "i8", "u1", "?", "c16", "f2"]


def filled(shape, dtype):
    """Different elements, as far as the dtype has them."""
    count = int(np.prod(shape))
    return (np.arange(count) % 251).reshape(shape).astype(dtype)


@functools.lru_cache(maxsize=None)
def arrays(shape, dtype, deleted):
    """A LazyArray, which outlives its folder, and the ndarray that it stands for."""
    with tempfile.TemporaryDirectory(prefix="numpack-indexing-") as folder, NumPack(folder) as store:
        array = filled(shape, dtype)
        if deleted:
            extra = filled((3, *shape[1:]), dtype)
            store.save({"a": np.concatenate([extra[:1], array[:2], extra[1:2], array[2:], extra[2:]])})
            store.drop("a", [0, 1 + min(2, len(array)), -1])
        else:
            store.save({"a": array})
        assert_same(store.load("a"), array)
        return store.load("a", lazy=True), array


CASES = [(shape, deleted) for shape in SHAPES for deleted in (False, True) if shape or not deleted]


@pytest.mark.parametrize(("shape", "deleted"), CASES)
@settings(max_examples=120)
@given(data=st.data())
def test_any_key_is_answered_as_numpy_answers_it(shape, deleted, data):
    lazy, array = arrays(shape, data.draw(st.sampled_from(DTYPES)), deleted)
    key = data.draw(keys(shape))
    assert_same(answer(lambda: lazy[key]), answer(lambda: array[key]), key)


@pytest.mark.parametrize("deleted", [False, True])
@pytest.mark.parametrize(
    "key",
    [
        (),
        ...,
        None,
        (None, ..., None),
        True,
        np.False_,
        (True, [0, 1]),
        ([0, 1], True),
        (..., [0, 1]),
        ([0, 1], slice(None), [0, 1]),
        ([[0], [1]], ..., [0, 1]),
        (slice(None), [0, 1], 0),
        (0, slice(None), [1, 0]),
        (..., 0, [0, 1], 1),
        (np.array([True, False, True, False]), 1),
        (np.ones((4, 3), bool), 1),
        np.zeros((4, 3, 2), bool),
        (slice(None), np.ones((3, 2), bool)),
        (slice(3, 0, -2), ..., None, 1),
        [],
        np.zeros((0, 3), int),
        np.array(2),
        (np.array(2), ...),
        (..., ...),
        (0, 0, 0, 0),
        (np.ones((4, 3), bool), 0, 0),
        np.ones((4, 2), bool),
        np.array([0, 2**64 - 1], "u8"),
        np.array([0, 2**63], "u8"),
        np.array([4]),
        [-5],
    ],
    ids=repr,
)
def test_keys_that_were_once_wrong_somewhere(deleted, key):
    lazy, array = arrays((4, 3, 2), "i8", deleted)
    assert_same(answer(lambda: lazy[key]), answer(lambda: array[key]), key)


def test_slices_without_deleted_rows_are_read_only_views_of_one_memory():
    lazy, array = arrays((5, 3), "f4", False)
    for view in (lazy[1:3], lazy[::2], lazy[..., 1], lazy[2], lazy[:, None]):
        assert not view.flags.owndata and not view.flags.writeable
        assert np.shares_memory(view, lazy[...])
        with pytest.raises(ValueError, match="read-only"):
            view[...] = 0
        with pytest.raises(ValueError):
            view.setflags(write=True)
    np.testing.assert_array_equal(lazy[...], array)


def test_what_copies_is_writable_and_of_its_own_memory():
    for deleted in (False, True):
        lazy, array = arrays((5, 3), "f4", deleted)
        for key in (
            [0, 2],
            np.array([1, 1]),
            np.arange(5) > 2,
            ([0, 1], slice(None)),
            np.int64(2) + np.array([0]),
        ):
            taken = lazy[key]
            taken[...] = 99
            assert taken.flags.writeable
        np.testing.assert_array_equal(lazy.copy(), array)


@pytest.mark.filterwarnings("ignore:Setting the:DeprecationWarning")
def test_a_shared_view_cannot_change_the_array_it_was_made_from():
    lazy, array = arrays((5, 3), "f4", False)
    for view in (
        np.asarray(lazy),
        lazy.real,
        lazy.astype("f4", copy=False),
        lazy.T,
        lazy[...],
        lazy.reshape(5, 3),
    ):
        with_shape = view if view.shape == (5, 3) else view.T
        with_shape.shape = (15,)
        view.dtype = "u4"
    assert lazy.shape == lazy[...].shape == (5, 3)
    assert_same(lazy[1:], array[1:])


# Row indexes of getitem, replace and drop.

ROW_INDEXES = [
    0,
    -1,
    np.int32(2),
    np.uint8(3),
    np.array(1),
    [0],
    [4, 0, 0, -2],
    (1, 2),
    range(1, 4),
    range(4, -1, -2),
    range(0),
    [],
    (),
    slice(None),
    slice(1, -1),
    slice(None, None, -2),
    slice(9, 20),
    np.array([], int),
    np.array([], float),
    np.array([3, 1], "i1"),
    np.array([3, 1], ">i2"),
    np.array([3, 1], "u8"),
    np.arange(10)[::3] % 5,
    np.array([True, False, True, False, True]),
    [True, False, False, False, True],
    np.zeros(5, bool),
    [np.int64(1), 2],
]
WRONG_ROWS = [
    (5, IndexError),
    (-6, IndexError),
    ([0, 5], IndexError),
    (np.array([-6]), IndexError),
    (2**70, IndexError),
    ([2**70], IndexError),
    (np.array([2**63], "u8"), IndexError),
    (np.array([2**64 - 1], "u8"), IndexError),  # NumPy takes it for -1, which is not a number that was given
    (np.ones(4, bool), IndexError),
    (np.array([], bool), IndexError),
    ([True] * 6, IndexError),
    (np.array([0.0]), IndexError),
    ([1.5], IndexError),
    (["a"], IndexError),
    (np.array([[0, 1]]), IndexError),
    (1.0, ValueError),
    ("a", ValueError),
    (True, ValueError),
    (np.True_, ValueError),
    (np.float64(1), ValueError),
    ({1}, ValueError),
    (object(), ValueError),
    (slice(0, 4, 0), ValueError),
    (slice("a"), TypeError),
]


def rows_store(path, deleted, shape=(5, 3)):
    store = NumPack(path)
    store.open()
    array = filled(shape, "f4")
    if deleted:
        store.save({"a": np.concatenate([array[:1], array])})
        store.drop("a", 1)
    else:
        store.save({"a": array})
    return store, array


def numbers(index, count):
    """The rows of an index as an array, by NumPy."""
    index = list(index) if isinstance(index, (tuple, range)) else index
    if isinstance(index, np.ndarray) and index.size == 0:
        index = index.astype(int)
    return np.atleast_1d(np.arange(count)[index])


@pytest.mark.parametrize("deleted", [False, True])
@pytest.mark.parametrize("index", ROW_INDEXES, ids=repr)
def test_getitem_replace_and_drop_take_every_row_index(path, deleted, index):
    store, array = rows_store(path, deleted)
    rows = numbers(index, 5)
    with store:
        assert_same(store.getitem("a", index), array[rows])
        new = -1 - filled((len(rows), 3), "f4")
        store.replace({"a": new}, index)
        array[rows] = new
        assert_same(store.load("a"), array)
        store.drop("a", index)
        assert_same(store.load("a"), np.delete(array, rows, axis=0))
        assert store.get_shape("a") == (5 - len(set(rows.tolist())), 3)


@pytest.mark.parametrize(("index", "error"), WRONG_ROWS, ids=lambda value: repr(value))
def test_wrong_row_indexes_raise_and_change_nothing(path, index, error):
    store, array = rows_store(path, False)
    with store:
        for call in (
            lambda: store.getitem("a", index),
            lambda: store.replace({"a": array[: max(1, np.size(index))]}, index),
            lambda: store.drop("a", index),
        ):
            with pytest.raises(error):
                call()
        assert_same(store.load("a"), array)


@pytest.mark.parametrize("width", [0, 2])
def test_rows_without_bytes_have_bounds_too(npk, width):
    npk.save({"a": np.zeros((3, 0, width), "f4")})
    assert npk.getitem("a", [2, 0]).shape == (2, 0, width)
    for call in (lambda: npk.getitem("a", [3]), lambda: npk.drop("a", [3])):
        with pytest.raises(IndexError):
            call()
    npk.drop("a", 0)
    assert npk.get_shape("a") == (2, 0, width)
    with pytest.raises(IndexError):
        npk.getitem("a", 2)


@settings(max_examples=60)
@given(
    count=st.integers(0, 60),
    picks=st.lists(st.integers(0, 10**6), max_size=40),
    gone=st.sets(st.integers(0, 59), max_size=40),
)
@example(count=60, picks=[0] * 40, gone=set())
def test_gathered_rows_are_numpys(count, picks, gone):
    array = filled((count, 5), "i4")
    gone = [row for row in gone if row < count]
    with tempfile.TemporaryDirectory() as folder, NumPack(folder) as store:
        store.save({"a": array})
        store.drop("a", gone)
        left = np.delete(array, gone, axis=0)
        rows = [pick % (2 * len(left)) - len(left) for pick in picks] if len(left) else []
        lazy = store.load("a", lazy=True)
        assert_same(store.getitem("a", rows), left[np.array(rows, int)])
        assert_same(lazy[rows], left[rows])
        assert_same(lazy.vectorized_gather(rows), left[np.array(rows, int)])
        mask = np.arange(len(left)) % 3 == 0
        assert_same(lazy.parallel_boolean_index(mask), left[mask])
        assert_same(store.getitem("a", mask), left[mask])
        batches = lazy.mega_batch_get_rows(rows, 7)
        assert len(batches) == len(rows)
        for found, row in zip(batches, rows):
            assert_same(found, left[row])


def test_the_named_gathers_refuse_what_makes_no_sense():
    lazy, _ = arrays((5, 3), "f4", False)
    with pytest.raises(ValueError, match="batch_size must be greater than 0"):
        lazy.mega_batch_get_rows([0], 0)
    with pytest.raises(IndexError):
        lazy.vectorized_gather([5])
    with pytest.raises(IndexError):
        lazy.parallel_boolean_index([True])
