"""Each verb once, on small arrays: what has to hold under every CPython and NumPy."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

import numpack
from numpack import ClosedError, LazyArray, NumPack

NUMBERS = [f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)]
DTYPES = ["bool", *NUMBERS, "float16", "float32", "float64", "complex64", "complex128"]


@pytest.fixture
def rows():
    """A hundred rows of four."""
    return np.arange(400, dtype=np.float32).reshape(100, 4)


@pytest.fixture
def npk(tmp_path, rows):
    """A store that holds the rows as "a"."""
    with NumPack(tmp_path / "store.npk") as store:
        store.save({"a": rows})
        yield store


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes_come_back(npk, dtype):
    array = (np.arange(24) % 2).reshape(6, 4).astype(dtype)
    npk.save({dtype: array})
    loaded = npk.load(dtype)
    assert loaded.dtype == array.dtype
    assert loaded.flags.writeable
    np.testing.assert_array_equal(loaded, array)


def test_other_dtypes_are_refused_by_name(npk):
    with pytest.raises(TypeError, match="object"):
        npk.save({"o": np.array([None])})


def test_append_replace_getitem(npk, rows):
    npk.append({"a": rows[:2] * 2})
    npk.replace({"a": -rows[:3]}, [0, 50, -1])
    expected = np.concatenate([rows, rows[:2] * 2])
    expected[[0, 50, -1]] = -rows[:3]
    np.testing.assert_array_equal(npk.load("a"), expected)
    np.testing.assert_array_equal(npk.getitem("a", [101, 0, -2]), expected[[101, 0, -2]])
    assert npk.getitem("a", 7).shape == (1, 4)


def test_drop_rows_and_compact(npk, rows):
    npk.drop("a", [0, 2, -1])
    expected = np.delete(rows, [0, 2, -1], axis=0)
    np.testing.assert_array_equal(npk.load("a"), expected)
    npk.update("a")
    assert npk.get_metadata()["arrays"]["a"]["deleted_rows"] == 0
    np.testing.assert_array_equal(npk.load("a"), expected)


@pytest.mark.parametrize("deleted", [[], [3, 4, 99]])
def test_lazy_indexing_is_numpys(npk, rows, deleted):
    npk.drop("a", deleted)
    expected, lazy = np.delete(rows, deleted, axis=0), npk.load("a", lazy=True)
    assert isinstance(lazy, LazyArray)
    assert (lazy.shape, lazy.dtype, len(lazy)) == (expected.shape, expected.dtype, len(expected))
    keys = [5, slice(3, 60, 7), [1, -1, 1], (slice(None), 2), (Ellipsis, None), expected[:, 0] > 50]
    for key in keys:
        np.testing.assert_array_equal(lazy[key], expected[key])
    np.testing.assert_array_equal(np.asarray(lazy) + 1, lazy + 1)
    np.testing.assert_array_equal(lazy.T, expected.T)
    np.testing.assert_array_equal(list(lazy), list(expected))


def test_views_outlive_store_and_handle(npk, rows):
    lazy = npk.load("a", lazy=True)
    view = lazy[10:20]
    assert not view.flags.writeable
    lazy.close()
    npk.close()
    np.testing.assert_array_equal(view, rows[10:20])


def test_streams(npk, rows):
    batches = list(npk.stream_load("a", buffer_size=30))
    assert [len(batch) for batch in batches] == [30, 30, 30, 10]
    np.testing.assert_array_equal(np.concatenate(batches), rows)


def test_batch_mode(npk, rows):
    with npk.batch_mode():
        for _ in range(3):
            array = npk.load("a")
            array[:10] *= 2.0
            npk.save({"a": array})
    expected = rows.copy()
    expected[:10] *= 8
    np.testing.assert_array_equal(npk.load("a"), expected)


def test_writable_batch_mode(npk, rows):
    with npk.writable_batch_mode() as wb:
        wb.load("a")[:10] *= 2.0
    expected = rows.copy()
    expected[:10] *= 2
    np.testing.assert_array_equal(npk.load("a"), expected)


def test_mapping(npk, rows):
    npk["b"] = rows[:1]
    assert list(npk) == ["a", "b"]
    assert len(npk) == 2
    assert "b" in npk
    assert [name for name, _ in npk.items()] == ["a", "b"]
    del npk["b"]
    assert list(npk.keys()) == ["a"]


def test_the_rest(npk, rows):
    npk.clone("a", "b")
    assert npk.get_member_list() == ["a", "b"]
    assert npk.has_array("b")
    assert npk.get_shape("b") == rows.shape
    assert npk.get_modify_time("b") > 0
    npk.sync()
    assert npk.verify()["sound"]
    assert npk.get_io_stats()["live_bytes"] == 2 * rows.nbytes
    assert "store.npk" in repr(npk)
    assert "<table>" in npk._repr_html_()
    npk.reset()
    assert len(npk) == 0


def test_errors(npk, rows):
    with pytest.raises(KeyError):
        npk.load("missing")
    with pytest.raises(IndexError):
        npk.getitem("a", [100])
    with pytest.raises(ValueError, match="must be a dictionary"):
        npk.save([rows])
    npk.close()
    with pytest.raises(ClosedError, match="not opened or has been closed"):
        npk.load("a")


def test_pickles_by_reference(npk, rows):
    copy = pickle.loads(pickle.dumps(npk))
    np.testing.assert_array_equal(copy.load("a"), rows)
    lazy = pickle.loads(pickle.dumps(npk.load("a", lazy=True)))
    np.testing.assert_array_equal(lazy, rows)
    copy.close()


def test_another_process_sees_the_commits(npk):
    code = (
        "import sys, numpack\nwith numpack.NumPack(sys.argv[1], mode='r') as npk: print(npk.get_shape('a'))"
    )
    shown = subprocess.run([sys.executable, "-c", code, npk.filename], stdout=subprocess.PIPE, check=True)
    assert shown.stdout.strip() == b"(100, 4)"


def test_help_says_what_a_call_does():
    for name in numpack.__all__:
        assert getattr(numpack, name).__doc__
    for name, member in vars(NumPack).items():
        assert name.startswith("_") or member.__doc__
