"""A million small calls and ten thousand opens leave memory, descriptors and maps as they were."""

import gc
import itertools
import os

import numpy as np
import pytest

from numpack import NumPack

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="counts in /proc"),
]

PAGE = os.sysconf("SC_PAGE_SIZE")
# Bytes that caches and holes between objects may take.
LIMIT = 512 * 1024


def memory():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * PAGE


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def maps():
    with open("/proc/self/maps") as file:
        return sum(1 for _ in file)


def growth(work, rounds):
    """Runs `work` often: a quarter to warm up, then memory, descriptors and maps more than before."""
    for _ in itertools.repeat(None, rounds // 4):
        work()
    gc.collect()
    before = memory(), descriptors(), maps()
    for _ in itertools.repeat(None, rounds):
        work()
    gc.collect()
    return tuple(now - then for now, then in zip((memory(), descriptors(), maps()), before))


def assert_no_growth(work, rounds):
    """A leak of 16 bytes in one of the calls of a round shows from 32,000 rounds on."""
    grown, files, areas = growth(work, rounds)
    # Freed memory may leave holes that the next arena does not fill: a second run tells it from a leak.
    if grown > LIMIT:
        grown = growth(work, rounds)[0]
    assert grown < LIMIT and files <= 0 and areas <= 8


@pytest.fixture
def full(npk):
    npk.save({"x": np.arange(3000.0).reshape(1000, 3), "gone": np.arange(100)})
    npk.drop("gone", [3, 5])
    return npk


def test_a_million_small_calls(full):
    lazy, numbers, many = full.load("x", lazy=True), [1, 5, -1], np.array([1, 5, 7])
    get, shape, has = full.getitem, full.get_shape, full.has_array

    def ten_calls():
        lazy[5]
        lazy[2:4]
        lazy[numbers]
        lazy[many]
        lazy[1, 2]
        lazy.shape
        get("x", numbers)
        get("gone", many)
        shape("x")
        has("no")

    assert_no_growth(ten_calls, 80_000)


def test_calls_that_make_objects(full):
    def calls():
        full.load("gone")
        lazy = full.load("x", lazy=True)
        np.asarray(lazy)
        lazy + 1
        full.load("gone", lazy=True)[[1, 2], ...]
        full["gone"]
        list(full.stream_load("gone", 50))
        list(full)
        full.load("x", mmap_mode="r")
        full.load("x", mmap_mode="c")[0] = 1

    assert_no_growth(calls, 10_000)


def test_calls_that_write(full):
    row = np.ones((1, 3))

    def calls():
        full.replace({"x": row}, [5])
        full.append({"gone": [1]})
        full.drop("gone", 0)
        with full.batch_mode():
            full.load("x")
        full.save({"y": row})

    assert_no_growth(calls, 3_000)


def test_calls_that_fail(full):
    lazy, names = full.load("x", lazy=True), ["x", "gone"]

    def calls():
        for call in (
            lambda: full.load("no"),
            lambda: full.getitem("x", [5000]),
            lambda: lazy[5000],
            lambda: lazy["a"],
            lambda: full.save({"a": np.array(["x"])}),
            lambda: full.append({"x": np.ones(3)}),
            lambda: full.drop(names, "x"),
        ):
            with pytest.raises((KeyError, IndexError, TypeError, ValueError)):
                call()

    assert_no_growth(calls, 3_000)


def test_ten_thousand_opens(full, path):
    full.close()

    def opened():
        with NumPack(path) as store:
            store.load("x", lazy=True)[3]

    assert_no_growth(opened, 10_000)


def test_opens_that_fail_and_stores_that_are_forgotten(full, path, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()

    def failed():
        for where, mode in ((path, "x"), (tmp_path / "no", "r"), (tmp_path / "other", "w")):
            with pytest.raises((OSError, ValueError)):
                NumPack(where, mode=mode).open()
        forgotten = NumPack(path)
        forgotten.open()
        forgotten.load("x", lazy=True)

    assert_no_growth(failed, 1_500)
