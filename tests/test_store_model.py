"""Random operations on a store against a dict of ndarrays, with reopening, batches and a reader beside it."""

import os
import subprocess
import sys
import tempfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numpack import ArrayNotFoundError, NumPack

NAMES = ["a", "b", "c", "d"]
DTYPES = ["f4", "i8", "u1", "?", "c8"]

# Answers each line, a path, with the names, shapes and bytes of the store, seen by another process.
READER = """
import sys
from numpack import NumPack
stores = {}
for path in sys.stdin:
    path = path.rstrip("\\n")
    if path not in stores:
        stores.clear()
        stores[path] = NumPack(path, mode="r")
        stores[path].open()
    store = stores[path]
    seen = {}
    for name in sorted(store):
        array, lazy = store.load(name), store.load(name, lazy=True)
        seen[name] = (array.dtype.str, array.shape, array.tobytes().hex(), lazy.copy().tobytes().hex())
    print(repr(seen), flush=True)
"""


@pytest.fixture(scope="module")
def reader():
    """A function that says what another process sees in a store."""
    command = [sys.executable, "-c", READER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def seen(path):
            process.stdin.write(os.fspath(path) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
            assert line, "the reader died"
            return eval(line)

        yield seen
        process.stdin.close()


def drawn(random, count, width, dtype):
    return random.integers(0, 200, (count, width) if width else count).astype(dtype)


class Pair:
    """A store and the dict that it must equal."""

    def __init__(self, path, seed):
        self.path = path
        self.random = np.random.default_rng(seed)
        self.model = {}
        self.store = NumPack(path)
        self.store.open()

    def one(self):
        return str(self.random.choice(sorted(self.model))) if self.model else None

    def rows(self, array):
        """Row numbers in one of their forms, and the same as plain numbers."""
        count = len(array)
        kind = self.random.integers(0, 5) if count else 0
        if kind == 0:
            index = (
                [] if not count else self.random.integers(-count, count, self.random.integers(0, 6)).tolist()
            )
        elif kind == 1:
            index = int(self.random.integers(-count, count))
        elif kind == 2:
            start, stop = sorted(self.random.integers(0, count + 1, 2).tolist())
            index = slice(start, stop, int(self.random.choice([1, 2])))
        elif kind == 3:
            index = self.random.random(count) < 0.3
        else:
            index = self.random.integers(-count, count, 4).astype("i4")
        return index, np.atleast_1d(np.arange(count)[np.array(index, int) if kind == 0 else index])

    def save(self):
        new = {}
        for name in self.random.choice(NAMES, self.random.integers(1, 4), replace=False):
            dtype = str(self.random.choice(DTYPES))
            new[str(name)] = drawn(
                self.random, self.random.integers(0, 40), self.random.integers(0, 4), dtype
            )
        self.store.save(new)
        self.model.update({name: array.copy() for name, array in new.items()})

    def append(self):
        rows = {}
        for name, array in self.model.items():
            if self.random.random() < 0.6:
                width = array.shape[1] if array.ndim > 1 else 0
                rows[name] = drawn(self.random, self.random.integers(0, 9), width, array.dtype)
        self.store.append(rows)
        for name, new in rows.items():
            self.model[name] = np.concatenate([self.model[name], new])

    def replace(self):
        name = self.one()
        if name:
            array = self.model[name]
            index, rows = self.rows(array)
            width = array.shape[1] if array.ndim > 1 else 0
            new = drawn(self.random, len(rows), width, array.dtype)
            self.store.replace({name: new}, index)
            array = self.model[name] = array.copy()
            for row, value in zip(rows, new):
                array[row] = value

    def drop_rows(self):
        name = self.one()
        if name:
            index, rows = self.rows(self.model[name])
            self.store.drop(name, index)
            self.model[name] = np.delete(self.model[name], rows, axis=0)

    def drop_arrays(self):
        if self.model and self.random.random() < 0.3:
            names = [name for name in self.model if self.random.random() < 0.5]
            self.store.drop(names)
            for name in names:
                del self.model[name]

    def update(self):
        name = self.one()
        if name:
            self.store.update(name)

    def clone(self):
        name = self.one()
        free = [name for name in NAMES if name not in self.model]
        if name and free:
            self.store.clone(name, free[0])
            self.model[free[0]] = self.model[name].copy()

    def set_and_delete_items(self):
        self.store["a"] = self.model["a"] = drawn(self.random, 5, 2, "f4")
        if self.random.random() < 0.5:
            del self.store["a"], self.model["a"]

    def reset(self):
        if self.random.random() < 0.3:
            self.store.reset()
            self.model.clear()

    def reopen(self):
        self.store.close()
        self.store = NumPack(self.path)
        self.store.open()

    def close_and_open(self):
        self.store.close()
        self.store.open()

    def batch(self):
        """Other operations, all inside a batch, which must look no different."""
        limit = self.random.choice([None, 0.0002, 1])
        with self.store.batch_mode(limit):
            for _ in range(self.random.integers(1, 6)):
                name = self.one()
                if name and self.random.random() < 0.5:
                    array = self.store.load(name)
                    if array.size:
                        array[-1:] = 1
                        self.model[name] = array.copy()
                        self.store.save({name: array})
                getattr(self, str(self.random.choice(CHANGES)))()
                self.compare()

    def writable(self):
        name = self.one()
        if name and not self.store.get_metadata()["arrays"][name]["deleted_rows"]:
            with self.store.writable_batch_mode() as batch:
                batch.load(name)[:2] = 1
            self.model[name] = self.model[name].copy()
            self.model[name][:2] = 1

    def compare(self):
        assert sorted(self.store) == sorted(self.model) and len(self.store) == len(self.model)
        for name, array in self.model.items():
            assert self.store.get_shape(name) == array.shape and name in self.store
            found = [self.store.load(name), self.store[name], self.store.getitem(name, slice(None))]
            lazy = self.store.load(name, lazy=True)
            found += [lazy.copy(), lazy[:], np.asarray(lazy)]
            batches = list(self.store.stream_load(name, 7))
            assert [len(batch) for batch in batches[:-1]] == [7] * (len(batches) - 1)
            found.append(np.concatenate([array[:0], *batches]))
            for one in found:
                assert one.dtype == array.dtype and one.shape == array.shape
                assert one.tobytes() == array.tobytes(), name
        metadata = self.store.get_metadata()
        assert {name: entry["shape"] for name, entry in metadata["arrays"].items()} == {
            name: list(array.shape) for name, array in self.model.items()
        }
        assert metadata["total_size"] == sum(array.nbytes for array in self.model.values())


CHANGES = ["save", "append", "append", "replace", "replace", "drop_rows", "drop_arrays", "update", "clone",
           "reset", "set_and_delete_items"]  # fmt: skip
OUTSIDE = [*CHANGES, "reopen", "close_and_open", "batch", "batch", "writable", "other"]


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32), steps=st.lists(st.sampled_from(OUTSIDE), min_size=4, max_size=30))
def test_a_store_is_a_dict_of_arrays(reader, seed, steps):
    with tempfile.TemporaryDirectory() as folder:
        pair = Pair(os.path.join(folder, "s.npk"), seed)
        pair.save()
        for step in steps:
            if step != "other":
                getattr(pair, step)()
            else:
                expected = {
                    name: (array.dtype.str, array.shape, array.tobytes().hex(), array.tobytes().hex())
                    for name, array in pair.model.items()
                }
                assert reader(pair.path) == expected
            pair.compare()
        report = pair.store.verify()
        assert report["sound"] and not report["findings"], report
        pair.store.close()


def test_a_writer_beside_it_is_seen_at_the_next_call(npk, path, program):
    npk.save({"a": np.arange(4)})
    lazy = npk.load("a", lazy=True)
    stream = npk.stream_load("a", 2)
    assert next(stream).tolist() == [0, 1]
    program(
        """
        import sys, numpy as np
        from numpack import NumPack
        with NumPack(sys.argv[1]) as npk:
            npk.append({"a": np.array([4])})
            npk.replace({"a": np.array([9])}, 2)
            npk.save({"b": np.zeros(2)})
        """,
        path,
    )
    assert npk.load("a").tolist() == [0, 1, 9, 3, 4] and npk.get_member_list() == ["a", "b"]
    assert [batch.tolist() for batch in stream] == [[9, 3], [4]]
    assert lazy.shape == (4,) and lazy[2] == 9
    program("import sys, numpack\nwith numpack.NumPack(sys.argv[1]) as npk: npk.drop(['a'])", path)
    assert "a" not in npk
    with pytest.raises(ArrayNotFoundError):
        npk.load("a")
    assert lazy.copy().tolist() == [0, 1, 9, 3]


def test_streams(npk):
    npk.save({"a": np.arange(10).reshape(5, 2), "none": np.zeros((0, 2))})
    assert [batch.shape for batch in npk.stream_load("a")] == [(1, 2)] * 5
    assert [batch.shape for batch in npk.stream_load("a", 2)] == [(2, 2), (2, 2), (1, 2)]
    assert [batch.shape for batch in npk.stream_load("a", buffer_size=100)] == [(5, 2)]
    assert list(npk.stream_load("none", 3)) == []
    stream = npk.stream_load("a", 2)
    assert iter(stream) is stream and next(stream).tolist() == [[0, 1], [2, 3]]
    npk.append({"a": [[10, 11]]})
    npk.drop("a", 2)
    assert [row for batch in stream for row in batch[:, 0].tolist()] == [6, 8, 10]
    with pytest.raises(StopIteration):
        next(stream)
    npk.drop("a", [0, 1])
    assert np.concatenate(list(npk.stream_load("a", 2))).tolist() == npk.load("a").tolist()


def test_a_stream_of_an_array_that_goes_ends_with_an_error(npk):
    npk.save({"a": np.arange(5)})
    stream = npk.stream_load("a")
    next(stream)
    npk.drop("a")
    with pytest.raises(KeyError):
        next(stream)


def test_the_mapping_protocol(npk):
    from collections.abc import Mapping

    npk["b"] = [1, 2]
    npk["a"] = np.zeros((2, 2))
    assert isinstance(npk, Mapping) and list(npk) == ["b", "a"] == npk.get_member_list()
    assert len(npk) == 2 and "a" in npk and "x" not in npk and 5 not in npk
    assert npk.keys() & {"a", "x"} == {"a"} and list(npk.keys()) == ["b", "a"]
    assert [array.shape for array in npk.values()] == [(2,), (2, 2)]
    assert {name: array.shape for name, array in npk.items()} == {"b": (2,), "a": (2, 2)}
    assert dict(npk).keys() == {"a", "b"} and npk["b"].tolist() == [1, 2]
    del npk["b"]
    assert list(npk) == ["a"]
    for call in (lambda: npk["b"], lambda: npk.__delitem__("b")):
        with pytest.raises(KeyError, match="b"):
            call()


def test_metadata_and_statistics(npk, path):
    npk.save({"a": np.zeros((10, 4), "f4"), "s": np.array(1)})
    npk.drop("a", [0, 1])
    entry = npk.get_metadata()["arrays"]["a"]
    assert entry["shape"] == [8, 4] and entry["dtype"] == "float32"
    assert entry["size"] == entry["size_bytes"] == 128
    assert entry["deleted_rows"] == 2 and entry["file_bytes"] == 160
    assert npk.get_metadata()["path"] == str(path) and npk.get_metadata()["total_size"] == 136
    assert npk.get_io_stats() == {"arrays": 2, "live_bytes": 136, "deleted_bytes": 32, "file_bytes": 168}
    then = npk.get_modify_time("a")
    assert then == entry["modify_time"] and abs(then / 1e6 - os.stat(path).st_mtime) < 3600
    npk.append({"a": np.zeros((1, 4), "f4")})
    assert npk.get_modify_time("a") > then and npk.get_modify_time("no") is None
    npk.sync()
    npk.update("a")
    assert npk.get_io_stats()["deleted_bytes"] == 0


def test_repr_says_what_is_there(npk, path):
    npk.save({"<b>": np.zeros((3, 2), "f4")})
    npk.drop("<b>", 0)
    assert repr(npk) == f'<NumPack "{path}" mode="a" durability="process": 1 array>'
    html = npk._repr_html_()
    for part in ("&lt;b&gt;", "(2, 2)", "float32", "16 B", "deleted", "UTC"):
        assert part in html
    with npk.batch_mode():
        npk.save({"new": np.zeros(2)})
        assert "new" in npk._repr_html_()
    npk.close()
    assert "closed" in repr(npk) and "closed" in npk._repr_html_()
