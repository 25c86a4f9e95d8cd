"""The two batch modes: what they show inside the block, what they leave behind, and what they refuse."""

import fcntl
import io
import os
import shutil

import numpy as np
import pytest

from numpack import ArrayNotFoundError, BatchModeContext, ClosedError, LockedError, NumPack


@pytest.fixture
def beside(npk, path):
    """A second handle on the same store, which no batch stands in front of."""
    with NumPack(path) as store:
        yield store


def commits(store, name="data"):
    """Changes with every commit to the array."""
    return store.get_modify_time(name)


def sound(store):
    report = store.verify()
    return report["sound"] and not report["findings"]


# The snippets of the README, as they are written there.


def test_the_batch_mode_snippet(npk):
    data = np.ones((100, 4), "f4")
    npk.save({"data": data})
    with npk.batch_mode():
        for _i in range(100):
            arr = npk.load("data")
            arr[:10] *= 2.0
            npk.save({"data": arr})
    with np.errstate(over="ignore"):
        data[:10] *= np.float32(2) ** 100
    np.testing.assert_array_equal(npk.load("data"), data)


def test_the_writable_batch_mode_snippet(npk):
    npk.save({"data": np.ones((100, 4), "f4")})
    with npk.writable_batch_mode() as wb:
        arr = wb.load("data")
        arr[:10] *= 2.0  # Auto-persisted
    assert npk.load("data").sum() == 440 and sound(npk)


# Batch mode.


def test_one_object_and_one_commit_at_the_end(npk, beside):
    npk.save({"data": np.zeros(5), "other": np.zeros(2)})
    before = commits(beside)
    with npk.batch_mode() as batch:
        assert isinstance(batch, BatchModeContext)
        array = npk.load("data")
        assert npk.load("data") is array and npk["data"] is array
        array[0] = 1
        npk.save({"data": array, "new": np.arange(3)})
        assert npk.load("data") is array
        assert commits(beside) == before and list(beside) == ["data", "other"]
        assert beside.load("data")[0] == 0
    assert commits(beside) > before and list(beside) == ["data", "other", "new"]
    assert commits(beside) == commits(beside, "new")
    assert npk.load("data") is not array and npk.load("data").tolist() == [1, 0, 0, 0, 0]


def test_what_is_loaded_and_not_saved_is_not_committed(npk, beside):
    npk.save({"data": np.zeros(5)})
    before = commits(beside)
    with npk.batch_mode():
        npk.load("data")[:] = 7
    assert commits(beside) == before and npk.load("data").tolist() == [0] * 5


def test_a_block_that_raises_commits_what_was_saved(npk):
    with pytest.raises(ZeroDivisionError), npk.batch_mode():
        npk.save({"data": np.arange(3)})
        raise ZeroDivisionError
    assert npk.load("data").tolist() == [0, 1, 2]
    with npk.batch_mode():
        npk.save({"data": np.arange(2)})
    assert npk.get_shape("data") == (2,)


def test_changes_after_save_are_in_the_commit_because_it_is_the_same_object(npk):
    with npk.batch_mode():
        array = np.zeros(3)
        npk.save({"data": array})
        array[1] = 5
    assert npk.load("data").tolist() == [0, 5, 0]


def test_shapes_and_dtypes_may_change(npk):
    npk.save({"data": np.zeros((4, 2))})
    with npk.batch_mode():
        npk.save({"data": np.arange(3, dtype="u1")})
        assert npk.get_shape("data") == (3,) and npk.load("data").dtype == "u1"
        npk.append({"data": [3]})
        npk.drop("data", 0)
        npk.replace({"data": [9]}, -1)
        assert npk.load("data").tolist() == [1, 2, 9]
    assert npk.load("data").tolist() == [1, 2, 9] and npk.load("data").dtype == "u1" and sound(npk)


def test_other_methods_see_the_batch(npk, beside):
    npk.save({"data": np.arange(6), "gone": np.zeros(1)})
    with npk.batch_mode():
        npk.save({"data": np.arange(10, 14), "new": [1.5]})
        npk.drop("gone")
        assert npk.getitem("data", [0, -1]).tolist() == [10, 13] and npk.getitem("data", 1).shape == (1,)
        assert npk.get_shape("data") == (4,) and npk.get_shape("new") == (1,)
        assert npk.get_member_list() == ["data", "new"] == list(npk) and len(npk) == 2
        assert npk.has_array("new") and "gone" not in npk
        assert [batch.tolist() for batch in npk.stream_load("data", 3)] == [[10, 11, 12], [13]]
        assert npk.get_metadata()["arrays"]["data"]["shape"] == [4]
        npk.clone("data", "copy")
        npk.update("data")
        with pytest.raises(ValueError):
            npk.clone("data", "new")
        for call in (npk.load, npk.get_shape, npk.drop, npk.update, lambda name: npk.getitem(name, 0)):
            with pytest.raises(ArrayNotFoundError, match="gone"):
                call("gone")
        assert list(beside) == ["data", "gone"]
    assert list(beside) == ["data", "new", "copy"] and beside.load("copy").tolist() == [10, 11, 12, 13]


def test_a_lazy_array_shows_what_was_saved(npk):
    npk.save({"data": np.arange(3)})
    with npk.batch_mode():
        npk.save({"data": np.arange(5)})
        assert npk.load("data", lazy=True)[:].tolist() == [0, 1, 2, 3, 4]
        assert npk.load("data", mmap_mode="r").tolist() == [0, 1, 2, 3, 4]


def test_arrays_that_the_batch_does_not_hold_are_changed_at_once(npk, beside):
    npk.save({"data": np.arange(3), "held": np.arange(3)})
    with npk.batch_mode():
        npk.load("held")
        npk.append({"data": [3], "held": [3]})
        npk.replace({"data": [9], "held": [9]}, 0)
        npk.drop(["data", "held"], 1)
        assert beside.load("data").tolist() == [9, 2, 3] and beside.load("held").tolist() == [0, 1, 2]
        assert npk.load("held").tolist() == [9, 2, 3]
    assert beside.load("held").tolist() == [9, 2, 3]


@pytest.mark.parametrize(
    "call",
    [
        lambda s: s.append({"data": [1], "held": [1.5, "x"]}),
        lambda s: s.append({"data": [1], "held": np.zeros((1, 2))}),
        lambda s: s.replace({"data": [1], "held": np.zeros(1, "f4")}, 0),
        lambda s: s.replace({"data": [1, 2], "held": [1]}, [0, 1]),
        lambda s: s.replace({"held": [1], "data": [1, 2]}, [0]),
        lambda s: s.drop(["data", "held"], [2]),
        lambda s: s.drop(["held", "data"], [2]),
        lambda s: s.save({"held": np.zeros(5), "data": np.array(["x"])}),
        lambda s: s.drop(["held", "missing"]),
    ],
)
def test_a_call_that_fails_changes_neither_store_nor_memory(npk, call):
    npk.save({"data": np.arange(3), "held": np.arange(2)})
    with npk.batch_mode():
        npk.load("held")
        with pytest.raises((ValueError, TypeError, IndexError, KeyError)):
            call(npk)
        assert npk.load("held").tolist() == [0, 1] and npk.getitem("data", [0, 1, 2]).tolist() == [0, 1, 2]
    assert npk.load("held").tolist() == [0, 1] and npk.load("data").tolist() == [0, 1, 2]


def test_read_only_and_big_endian_objects(npk):
    fixed = np.arange(4)
    fixed.setflags(write=False)
    with npk.batch_mode():
        npk.save({"fixed": fixed, "big": np.arange(4, dtype=">i4")})
        npk.replace({"fixed": [9], "big": np.array([9], "i4")}, 0)
        npk.append({"big": np.array([4], "<i4")})
        assert fixed[0] == 0
    assert npk.load("fixed").tolist() == [9, 1, 2, 3] and npk.load("big").tolist() == [9, 1, 2, 3, 4]


def test_dropped_and_saved_again(npk, beside):
    npk.save({"data": np.zeros(3), "other": np.zeros(3)})
    with npk.batch_mode():
        npk.drop(["data", "other"])
        npk.save({"data": np.ones(2)})
        assert list(npk) == ["data"]
    assert list(beside) == ["data"] and beside.load("data").tolist() == [1, 1]
    with npk.batch_mode():
        npk.reset()
        assert len(npk) == 0 and len(beside) == 1
    assert len(beside) == 0


def test_the_memory_limit_commits_early_and_forgets(npk, beside):
    with npk.batch_mode(memory_limit=1):
        npk.save({"a": np.ones(70_000)})
        assert "a" not in beside
        npk.save({"b": np.ones(70_000)})
        assert list(beside) == ["a", "b"] and npk.load("b") is npk.load("b")
        npk.load("a")[0] = 5
        npk.save({"small": np.zeros(1)})
    assert beside.load("a")[0] == 1 and beside.get_shape("small") == (1,)
    for wrong in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="memory_limit"):
            npk.batch_mode(memory_limit=wrong)


def test_loading_keeps_to_the_memory_limit(npk):
    npk.save({"a": np.ones(70_000), "b": np.ones(70_000)})
    with npk.batch_mode(memory_limit=1):
        first = npk.load("a")
        assert npk.load("a") is first
        npk.load("b")
        assert npk.load("a") is not first


def test_replace_acts_on_the_object_in_memory(npk):
    npk.save({"data": np.zeros((3, 2))})
    with npk.batch_mode():
        array = npk.load("data")
        npk.replace({"data": [1, 2]}, -1)
        assert array[2].tolist() == [1, 2] and npk.load("data") is array
    assert npk.load("data")[2].tolist() == [1, 2]


def test_a_batch_can_be_entered_again_and_begins_anew(npk):
    npk.save({"data": np.zeros(2)})
    batch = npk.batch_mode()
    with batch:
        npk.load("data")
    npk.save({"data": np.ones(3)})
    with batch:
        assert npk.load("data").tolist() == [1, 1, 1]
        npk.append({"data": [2.0]})
    assert npk.load("data").tolist() == [1, 1, 1, 2]


def test_batches_do_not_nest(npk):
    with npk.batch_mode() as batch:
        with pytest.raises(RuntimeError, match="batch"), npk.batch_mode():
            pass
        with pytest.raises(RuntimeError, match="under way"), batch:
            pass
        npk.save({"data": np.arange(3)})
        assert npk.load("data").tolist() == [0, 1, 2]
    assert npk.load("data").tolist() == [0, 1, 2]


def test_a_batch_of_reads_works_in_mode_r(npk, path):
    npk.save({"data": np.arange(3)})
    with NumPack(path, mode="r") as store:
        with store.batch_mode():
            assert store.load("data") is store.load("data")
        with pytest.raises(io.UnsupportedOperation), store.batch_mode():
            store.save({"data": np.arange(4)})
    assert npk.get_shape("data") == (3,)


def test_a_store_that_is_closed_in_its_batch(npk):
    with npk.batch_mode():
        npk.save({"data": np.arange(3)})
        npk.close()
        with pytest.raises(ClosedError):
            npk.load("data")
    npk.open()
    assert npk.load("data").tolist() == [0, 1, 2]


# Writable batch mode.


def test_what_is_written_is_seen_at_once_and_persists(npk, beside, program, path):
    npk.save({"data": np.zeros((4, 3)), "none": np.zeros((0, 3)), "scalar": np.array(1.0)})
    lazy = npk.load("data", lazy=True)
    with npk.writable_batch_mode() as batch:
        array = batch.load("data")
        assert batch.load("data") is array and array.flags.writeable and array.shape == (4, 3)
        array[1] = 5
        assert beside.load("data")[1].tolist() == [5, 5, 5] and lazy[1].tolist() == [5, 5, 5]
        assert batch.save({"data": array}) is None
        assert batch.load("none").shape == (0, 3)
        batch.load("scalar")[()] = 7
        seen = (
            "import sys, numpack\nwith numpack.NumPack(sys.argv[1]) as s: print(s.load('data')[1].tolist())"
        )
        assert program(seen, path) == "[5.0, 5.0, 5.0]"
    assert npk.load("data")[1].tolist() == [5, 5, 5] and npk.load("scalar") == 7 and sound(npk)
    npk.replace({"data": np.ones(3)}, 1)
    npk.append({"data": np.ones((1, 3))})
    npk.close()
    npk.open()
    assert npk.load("data").sum() == 6 and sound(npk)


def test_it_marks_the_array_as_modified(npk):
    npk.save({"data": np.zeros(3)})
    before = commits(npk)
    with npk.writable_batch_mode() as batch:
        batch.load("data")[0] = 1
    assert commits(npk) > before


def test_replaced_rows_are_not_laid_over_what_was_written(npk, path):
    npk.save({"data": np.zeros((100, 10))})
    npk.replace({"data": np.ones((1, 10))}, 5)
    with npk.writable_batch_mode() as batch:
        batch.load("data")[5] = 2
    npk.close()
    with NumPack(path) as store:
        assert store.load("data")[5].tolist() == [2] * 10 and sound(store)


def test_what_cannot_be_mapped_for_writing(npk):
    npk.save({"data": np.arange(4)})
    with npk.writable_batch_mode() as batch:
        with pytest.raises(KeyError, match="missing"):
            batch.load("missing")
        npk.drop("data", 1)
        with pytest.raises(ValueError, match="deleted"):
            batch.load("data")
        npk.update("data")
        batch.load("data")[0] = 7
    assert npk.load("data").tolist() == [7, 2, 3]


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.save({"data": np.zeros(9)}),
        lambda s: s.drop("data"),
        lambda s: (s.drop("data", 0), s.update("data")),
        lambda s: s.reset(),
    ],
)
def test_an_array_that_was_changed_for_another_is_an_error_and_the_rest_is_flushed(npk, change):
    npk.save({"data": np.arange(4), "kept": np.arange(4)})
    with pytest.raises(ValueError, match="saved again or removed"), npk.writable_batch_mode() as batch:
        array = batch.load("data")
        kept = batch.load("kept")
        before = commits(npk, "kept")
        change(npk)
        array[0], kept[0] = 9, 9
    if "kept" in npk:
        assert npk.load("kept")[0] == 9 and commits(npk, "kept") > before
    assert array[0] == 9 and sound(npk)


def test_the_flush_waits_no_longer_than_the_lock_timeout(npk, path):
    npk.save({"data": np.arange(4)})
    with NumPack(path, lock_timeout=0.05) as store:
        lock = os.open(path / "writer.lock", os.O_RDWR)
        try:
            with pytest.raises(LockedError), store.writable_batch_mode() as batch:
                batch.load("data")[0] = 9
                fcntl.flock(lock, fcntl.LOCK_EX)
        finally:
            os.close(lock)
        assert store.load("data").tolist() == [9, 1, 2, 3]


def test_rows_appended_meanwhile_stay(npk):
    npk.save({"data": np.arange(4)})
    with npk.writable_batch_mode() as batch:
        array = batch.load("data")
        npk.append({"data": [4, 5]})
        array[0] = 9
    assert npk.load("data").tolist() == [9, 1, 2, 3, 4, 5] and sound(npk)


def test_the_memory_outlives_block_store_and_folder(npk, path):
    npk.save({"data": np.arange(4)})
    with npk.writable_batch_mode() as batch:
        array = batch.load("data")
    npk.close()
    shutil.rmtree(path)
    array[0] = 5
    assert array.tolist() == [5, 1, 2, 3]


def test_a_block_that_raises_flushes_too(npk):
    npk.save({"data": np.arange(4)})
    before = commits(npk)
    with pytest.raises(ZeroDivisionError), npk.writable_batch_mode() as batch:
        batch.load("data")[0] = 9
        raise ZeroDivisionError
    assert npk.load("data")[0] == 9 and commits(npk) > before


def test_masked_rows_are_refused(npk):
    npk.save({"x": np.zeros((3, 2))})
    masked = np.ma.masked_less(np.ones((1, 2)), 2)
    with npk.batch_mode():
        npk.load("x")
        with pytest.raises(TypeError, match="mask"):
            npk.replace({"x": masked}, [0])
        with pytest.raises(TypeError, match="mask"):
            npk.append({"x": masked})
    assert not npk.load("x").any()
