"""Exports while others write: all arrays are of one commit, and none that goes meanwhile is missed."""

import threading
from contextlib import contextmanager

import numpy as np
import pytest
from io_arrays import assert_same, save

from numpack import NumPack
from numpack.io import from_table, to_npy, to_table, to_tensor_dict

ROWS = 2000


def both(number):
    rows = np.full((ROWS, 5), number)
    return {"a": rows, "b": rows}


def save_anew(store, number):
    store.save(both(number))


def drop_and_save(store, number):
    store.drop(["a", "b"])
    store.save(both(number))


def append_and_delete(store, number):
    store.append(both(number))
    store.drop(["a", "b"], slice(0, ROWS))


@contextmanager
def writing(path, change):
    """A thread that changes two arrays alike, again and again."""
    done = threading.Event()

    def write():
        number = 0
        with NumPack(path) as store:
            while not done.is_set():
                number += 1
                change(store, number)

    thread = threading.Thread(target=write)
    thread.start()
    yield
    done.set()
    thread.join()


@pytest.mark.parametrize("change", [save_anew, drop_and_save, append_and_delete])
def test_arrays_of_one_commit(tmp_path, npk, change):
    save(npk, **both(0))
    seen = []
    with writing(npk, change):
        for _ in range(30):
            seen.append(to_tensor_dict(npk))
            to_npy(npk, tmp_path / "x.npz", compressed=False, chunk_size=8000)
            with np.load(tmp_path / "x.npz") as found:
                seen.append(dict(found))
    assert all(list(arrays) in ([], ["a", "b"]) for arrays in seen)
    for arrays in seen:
        if arrays:
            assert_same(arrays["a"], arrays["b"])
            if change is not append_and_delete:
                assert len(np.unique(arrays["a"])) == 1


@pytest.mark.parametrize("change", ["save", "drop", "append", "delete", "rename"])
def test_an_export_keeps_what_it_began_with(tmp_path, npk, change):
    array = np.arange(ROWS * 50).reshape(ROWS, 50)
    save(npk, a=array, b=array)
    changed = []

    def progress(done, total):
        if changed:
            return
        changed.append(change)
        with NumPack(npk) as store:
            if change == "save":
                store.save({"a": array[::-1], "b": array[:1]})
            elif change == "append":
                store.append({"a": array, "b": array})
            elif change == "rename":
                store.rename("b", "c")
            else:
                store.drop(["a", "b"], None if change == "drop" else slice(0, 100))

    to_npy(npk, tmp_path / "x.npz", compressed=False, chunk_size=8000, progress=progress)
    assert changed
    with np.load(tmp_path / "x.npz") as found:
        assert_same(found["a"], array)
        assert_same(found["b"], array)


def test_names_of_columns_are_of_the_same_commit(npk):
    pa = pytest.importorskip("pyarrow")
    tables = [pa.table({"a": [1], "b": [2]}), pa.table({"c": [3], "d": [4]})]
    from_table(tables[0], npk)
    done = threading.Event()

    def write():
        while not done.is_set():
            for table in tables:
                from_table(table, npk)

    thread = threading.Thread(target=write)
    thread.start()
    found = [to_table(npk) for _ in range(200)]
    done.set()
    thread.join()
    assert all(table.equals(tables[0]) or table.equals(tables[1]) for table in found)
