"""What other libraries make of a LazyArray: Dask's names, DataLoader's items, DLPack and Arrow, notebooks."""

import ctypes
import inspect

import numpy as np
import pytest

import numpack
from numpack import NumPack, vector_engine
from numpack._html import store_table


@pytest.fixture
def npk(tmp_path):
    """A store with an array of rows and one of numbers."""
    with NumPack(tmp_path / "s.npk") as store:
        store.save({"x": np.arange(40.0).reshape(20, 2), "y": np.arange(20)})
        yield store


CHANGES = {
    "replace": lambda s: s.replace({"x": np.ones((1, 2))}, [3]),
    "append": lambda s: s.append({"x": np.ones((1, 2))}),
    "drop": lambda s: s.drop("x", [3]),
    "save": lambda s: s.save({"x": s.load("x")}),
    "update": lambda s: (s.drop("x", [0]), s.update("x")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_token_is_of_one_content(npk, change):
    lazy = npk.load("x", lazy=True)
    first, other = lazy.__dask_tokenize__(), npk.load("y", lazy=True).__dask_tokenize__()
    assert first == lazy.__dask_tokenize__() == npk.load("x", lazy=True).__dask_tokenize__() != other
    CHANGES[change](npk)
    found = [first, npk.load("x", lazy=True).__dask_tokenize__(), lazy.__dask_tokenize__()]
    assert first not in found[1:]
    assert npk.load("y", lazy=True).__dask_tokenize__() == other


def test_tokens_of_equal_stores_and_of_what_has_no_commit(npk, tmp_path):
    with NumPack(tmp_path / "t.npk") as store:
        store.save({"x": npk.load("x")})
        assert store.load("x", lazy=True).__dask_tokenize__() != npk.load("x", lazy=True).__dask_tokenize__()
    with npk.writable_batch_mode() as batch:
        batch.load("x")[0] = 7
    lazy = npk.load("x", lazy=True)
    assert lazy.__dask_tokenize__() != lazy.__dask_tokenize__()
    gone = npk.load("y", lazy=True)
    npk.drop("y")
    assert gone.__dask_tokenize__() != gone.__dask_tokenize__()


@pytest.mark.parametrize("deleted", [[], [4]])
def test_items_of_batches_are_writable_copies(npk, deleted):
    npk.drop("x", deleted)
    lazy, rows = npk.load("x", lazy=True), npk.load("x")
    items = lazy.__getitems__([3, 0, -1, 3])
    np.testing.assert_array_equal(items, rows[[3, 0, -1, 3]])
    for item in items:
        assert item.flags.writeable
        item[:] = 99
    np.testing.assert_array_equal(npk.load("x"), rows)
    assert [int(item) for item in npk.load("y", lazy=True).__getitems__(np.array([2, 1]))] == [2, 1]
    with pytest.raises(IndexError):
        lazy.__getitems__([20])


def overwrite(array):
    """Writes to the memory as a library would that does not ask whether it may."""
    ctypes.memset(array.ctypes.data, 0xFF, array.nbytes)


@pytest.mark.parametrize("deleted", [[], [4]])
def test_writes_by_dlpack_never_reach_the_file(npk, deleted):
    npk.drop("x", deleted)
    lazy, rows = npk.load("x", lazy=True), npk.load("x")
    for found in (np.from_dlpack(lazy), np.from_dlpack(numpack.io.to_dlpack(lazy))):
        np.testing.assert_array_equal(found, rows)
        overwrite(found)
        assert not np.array_equal(found, rows)
        np.testing.assert_array_equal(npk.load("x"), rows)
        np.testing.assert_array_equal(lazy, rows)
    wrapped = numpack.io.wrap_for_zero_copy(lazy)
    for found in (np.from_dlpack(wrapped), wrapped.to_dlpack().to_numpy()):
        overwrite(found)
    np.testing.assert_array_equal(npk.load("x"), rows)


def flags_of(capsule):
    """The flags of a capsule of DLPack 1, or None for an older one."""
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    if "versioned" not in repr(capsule):
        return None
    return ctypes.cast(pointer(capsule, b"dltensor_versioned"), ctypes.POINTER(ctypes.c_uint64))[3]


@pytest.mark.skipif(np.lib.NumpyVersion(np.__version__) < "2.1.0", reason="NumPy 2.1 brought DLPack 1")
def test_copies_are_flagged(npk):
    copied = 2
    lazy = npk.load("x", lazy=True)
    assert flags_of(lazy.__dlpack__(max_version=(1, 0))) == 0
    assert flags_of(lazy.__dlpack__(max_version=(1, 0), copy=False)) == 0
    assert flags_of(lazy.__dlpack__(max_version=(1, 0), copy=True)) == copied
    assert flags_of(lazy.__dlpack__()) is None
    npk.drop("x", [1])
    lazy = npk.load("x", lazy=True)
    for options in ({}, {"copy": True}, {"copy": None}):
        assert flags_of(lazy.__dlpack__(max_version=(1, 0), **options)) == copied
    with pytest.raises(BufferError, match="without a copy"):
        lazy.__dlpack__(max_version=(1, 0), copy=False)


def test_arrow_gets_a_private_map(npk):
    pa = pytest.importorskip("pyarrow")
    lazy, rows = npk.load("y", lazy=True), npk.load("y")
    for arrow in (
        pa.array(lazy),
        numpack.io.numpy_to_arrow_zero_copy(lazy),
        numpack.io.wrap_for_zero_copy(lazy).to_arrow(),
    ):
        memory = np.frombuffer(arrow.buffers()[1], rows.dtype)
        overwrite(memory)
        assert arrow.to_pylist() == [-1] * len(rows)
        np.testing.assert_array_equal(npk.load("y"), rows)
        np.testing.assert_array_equal(lazy, rows)


def test_completion_and_dir(npk):
    assert npk._ipython_key_completions_() == ["x", "y"]
    npk.save({".numpack/hidden": np.zeros(1)})
    assert npk._ipython_key_completions_() == ["x", "y"]
    lazy = npk.load("x", lazy=True)
    assert {"sum", "astype", "shape", "vectorized_gather", "__getitem__"} <= set(dir(lazy))
    # NumPy's own list has names that it took away since.
    array = np.empty((1, 1))
    assert all(hasattr(lazy, name) for name in dir(lazy) if hasattr(array, name) and not name.startswith("_"))
    npk.close()
    assert npk._ipython_key_completions_() == []
    lazy.close()
    assert "sum" in dir(lazy)


def test_signatures_can_be_read():
    for kind in (numpack.NumPack, numpack.LazyArray, vector_engine.VectorEngine):
        for name, member in [("", kind), *inspect.getmembers(kind)]:
            try:
                signature = inspect.signature(member)
            except (TypeError, ValueError):
                continue
            assert all(one.default is not Ellipsis for one in signature.parameters.values()), name


def test_the_table_of_many_arrays_is_short(npk):
    npk.reset()
    npk.save({f"a{number}": np.arange(3) for number in range(250)})
    shown = store_table(npk)
    assert shown.count("<tr>") == 102 and "250 arrays" in shown and "150 more arrays" in shown
    assert len(shown) < 100_000
    npk.drop([f"a{number}" for number in range(150)])
    shown = store_table(npk)
    assert shown.count("<tr>") == 101 and "more arrays" not in shown
    npk.drop([f"a{number}" for number in range(150, 249)])
    assert ": 1 array, 24 B" in store_table(npk)


SEARCHES = {
    "stored": lambda s, **o: s.search("x", np.ones((1, 2)), 3, **o)[0],
    "batch": lambda s, **o: in_batch(s, **o),
    "top_k": lambda s, **o: ENGINE.top_k_search(np.ones(2), s.load("x"), "l2", 3, **o)[0],
    "many": lambda s, **o: ENGINE.multi_query_top_k(np.ones((2, 2)), s.load("x"), "l2", 3, **o)[0],
    "segmented": lambda s, **o: ENGINE.segmented_top_k_search(
        np.ones(2), s.load("x"), "l2", 5, np.zeros(0), np.zeros(0), 3, **o
    )[0],
    "streaming": lambda s, **o: STREAMING.streaming_top_k_from_file(
        np.ones(2), s.filename, "x", "l2", 3, **o
    )[0],
    "streaming many": lambda s, **o: STREAMING.streaming_multi_query_top_k(
        np.ones((2, 2)), s.filename, "x", "l2", 3, **o
    )[0],
}
ENGINE, STREAMING = vector_engine.VectorEngine(), vector_engine.StreamingVectorEngine()


def in_batch(store, **options):
    """Row numbers of a search within a batch."""
    with store.batch_mode():
        return store.search("x", np.ones((1, 2)), 3, **options)[0]


@pytest.mark.parametrize("search", SEARCHES)
def test_row_numbers_of_the_dtype_that_is_asked_for(npk, search):
    plain = SEARCHES[search](npk)
    assert plain.dtype == np.uint64
    assert SEARCHES[search](npk, index_dtype=None).dtype == SEARCHES[search](npk, index_dtype="uint64").dtype
    for dtype in ("int64", np.int64, np.dtype("i8")):
        found = SEARCHES[search](npk, index_dtype=dtype)
        assert found.dtype == np.int64 and found.tolist() == plain.tolist()
        assert (found - 1 + np.arange(found.shape[-1])).dtype == np.int64
    for wrong in ("int32", "float64"):
        with pytest.raises(ValueError, match=f"index_dtype must be 'uint64' or 'int64', got {wrong}"):
            SEARCHES[search](npk, index_dtype=wrong)
    with pytest.raises(TypeError):
        SEARCHES[search](npk, index_dtype="no dtype")


def test_a_row_number_that_int64_does_not_have():
    far = [np.ones(2), np.ones((1, 2)), "l2", 2**63, np.zeros(0), np.zeros(0), 1]
    assert ENGINE.segmented_top_k_search(*far)[0].tolist() == [2**63]
    with pytest.raises(ValueError, match="9223372036854775808 is no int64"):
        ENGINE.segmented_top_k_search(*far, index_dtype="int64")


def test_changed_files_have_another_time(npk):
    def state():
        found = {}
        for path in npk.filename.iterdir():
            told = path.stat()
            found[path.name] = (path.read_bytes(), told.st_size, told.st_mtime_ns)
        return found

    npk.sync()
    npk.replace({"x": np.zeros((1, 2))}, [3])
    first = state()
    npk.replace({"x": np.ones((1, 2))}, [3])
    npk.sync()
    second = state()
    with npk.writable_batch_mode() as batch:
        array = batch.load("y")
        array[0] = 5
        third = state()
        array[0] = 6
    fourth = state()
    # Of the control page, which holds hints, only sync() says that it changed.
    del fourth["control.npkc"]
    for before, after in ((first, second), (third, fourth)):
        for name in before.keys() & after.keys():
            assert before[name][0] == after[name][0] or before[name][1:] != after[name][1:], name
