"""Operators, conversions and attributes of LazyArray: NumPy's results, and never a write to the file."""

import operator
import warnings

import numpy as np
import pytest
from indexing_keys import answer, assert_same

from numpack import ClosedError, LazyArray, NumPack

NUMPY_2 = np.lib.NumpyVersion(np.__version__) >= "2.0.0"

BINARY = [
    "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "lshift", "rshift", "and_", "or_", "xor",
    "lt", "le", "eq", "ne", "gt", "ge",
]  # fmt: skip
UNARY = ["neg", "pos", "abs", "invert"]
OPERANDS = {
    "int": 3,
    "float": 2.5,
    "complex": 1 + 2j,
    "bool": True,
    "numpy scalar": np.int16(2),
    "row": np.array([1, 2, 3]),
    "column": np.arange(1, 5)[:, None],
    "list": [1, 2, 3],
    "wrong shape": np.ones(7),
    "text": "x",
    "none": None,
}


@pytest.fixture(params=["whole", "with deleted rows"])
def pair(request, npk):
    """A function that stores an array and returns it lazily."""

    def make(array):
        array = np.asarray(array)
        if request.param == "whole" or not array.ndim:
            npk.save({"a": array})
        else:
            npk.save({"a": np.concatenate([array, array[:1]])})
            npk.drop("a", -1)
        return npk.load("a", lazy=True), array

    return make


def same(found, expected, context=None):
    if isinstance(expected, tuple):
        assert isinstance(found, tuple) and len(found) == len(expected)
        for one, other in zip(found, expected):
            same(one, other, context)
    elif isinstance(expected, (np.ndarray, np.generic, type)):
        assert_same(found, expected, context)
    else:
        assert type(found) is type(expected) and found == expected, context


@pytest.mark.parametrize("dtype", ["i4", "f8", "?", "u1", "c8"])
@pytest.mark.parametrize("name", BINARY)
def test_binary_operators_and_their_reflections(pair, name, dtype):
    lazy, array = pair(np.arange(1, 13).reshape(4, 3).astype(dtype))
    call = getattr(operator, name)
    for kind, other in OPERANDS.items():
        same(answer(lambda: call(lazy, other)), answer(lambda: call(array, other)), kind)
        same(answer(lambda: call(other, lazy)), answer(lambda: call(other, array)), kind)
    same(answer(lambda: call(lazy, lazy)), answer(lambda: call(array, array)))
    same(answer(lambda: call(lazy, array)), answer(lambda: call(array, array)))
    same(answer(lambda: call(array, lazy)), answer(lambda: call(array, array)))
    assert_same(lazy.copy(), array)


@pytest.mark.parametrize("dtype", ["i4", "f8", "?", "u1", "c8"])
def test_unary_operators(pair, dtype):
    lazy, array = pair(np.arange(12).reshape(4, 3).astype(dtype))
    for name in UNARY:
        call = getattr(operator, name)
        same(answer(lambda: call(lazy)), answer(lambda: call(array)), name)


def test_matmul_divmod_and_pow(pair):
    lazy, array = pair(np.arange(12.0).reshape(4, 3))
    other = np.arange(12.0).reshape(3, 4)
    assert_same(lazy @ other, array @ other)
    assert_same(other @ lazy, other @ array)
    assert_same(answer(lambda: lazy @ np.ones(9)), answer(lambda: array @ np.ones(9)))
    same(divmod(lazy, 2), divmod(array, 2))
    same(divmod(7, lazy + 1), divmod(7, array + 1))
    same(divmod(np.float64(7), lazy[1:]), divmod(np.float64(7), array[1:]))
    assert_same(pow(lazy, 2), pow(array, 2))
    assert_same(2**lazy, 2**array)
    with pytest.raises(TypeError):
        pow(lazy, 2, 5)


def test_in_place_operators_make_a_new_array_and_leave_the_file(pair, npk):
    lazy, array = pair(np.arange(12, dtype="i4").reshape(4, 3))
    for name in (
        "iadd",
        "isub",
        "imul",
        "ifloordiv",
        "imod",
        "ipow",
        "ilshift",
        "irshift",
        "iand",
        "ior",
        "ixor",
    ):
        result = getattr(operator, name)(lazy, 2)
        assert type(result) is np.ndarray
        assert_same(result, getattr(operator, name)(array.copy(), 2))
        assert_same(npk.load("a"), array)
    with pytest.raises(TypeError):
        lazy[0] = 1
    with pytest.raises(TypeError):
        del lazy[0]
    target = array.copy()
    target += lazy
    assert_same(target, array + array)


def test_mutating_methods_are_refused(npk):
    npk.save({"a": np.arange(5)})
    lazy = npk.load("a", lazy=True)
    for call in (
        lambda: lazy.sort(),
        lambda: lazy.fill(1),
        lambda: lazy.put([0], 1),
        lambda: lazy.resize((2,)),
        lambda: lazy.setflags(write=True),
        lambda: lazy.partition(2),
        lambda: np.add(lazy[...], 1, out=lazy[...]),
    ):
        with pytest.raises(ValueError):
            call()
    with pytest.raises(TypeError):
        np.add(1, 2, out=lazy)
    assert_same(npk.load("a"), np.arange(5))


def test_ufuncs_and_functions(pair):
    lazy, array = pair(np.linspace(0.5, 3, 12).reshape(4, 3))
    for call in (
        np.sqrt,
        np.sin,
        lambda a: np.add(a, a),
        lambda a: np.add.reduce(a, axis=1),
        lambda a: np.multiply.outer(a, [1, 2]),
        lambda a: np.maximum.accumulate(a),
        np.sum,
        lambda a: np.mean(a, axis=0),
        lambda a: np.std(a, axis=1, ddof=1),
        lambda a: np.argsort(a, axis=0),
        lambda a: np.concatenate([a, a]),
        lambda a: np.where(a > 1, a, 0),
        lambda a: np.dot(a, a.T),
        np.transpose,
        np.ravel,
        lambda a: np.reshape(a, (3, 4)),
        np.copy,
        np.unique,
        lambda a: np.linalg.norm(a, axis=1),
        lambda a: np.take(a, [0, 2], axis=0),
        lambda a: np.clip(a, 1, 2),
        lambda a: np.array(list(a)),
        lambda a: np.stack([a, a]),
        lambda a: np.einsum("ij,ij->i", a, a),
    ):
        same(call(lazy), call(array))
    assert np.shape(lazy) == (4, 3) and np.ndim(lazy) == 2 and np.size(lazy) == 12
    assert np.allclose(lazy, array) and np.array_equal(lazy, array)


def test_asarray_shares_the_file_and_array_copies(npk):
    npk.save({"a": np.arange(12).reshape(4, 3)})
    lazy = npk.load("a", lazy=True)
    shared = np.asarray(lazy)
    assert not shared.flags.owndata and not shared.flags.writeable
    assert np.shares_memory(shared, lazy[...])
    copied = np.array(lazy)
    copied[...] = -1
    assert copied.flags.writeable and not np.shares_memory(copied, shared)
    other = np.asarray(lazy, "f4")
    assert_same(other, np.arange(12, dtype="f4").reshape(4, 3))
    assert other.flags.writeable
    assert_same(np.asarray(lazy, "i8"), shared)
    assert np.shares_memory(np.asarray(lazy, "i8"), shared)
    assert_same(lazy.__array__(), shared)
    assert lazy.__array__(copy=True).flags.owndata
    for same_memory in (lazy.__array__(copy=False), lazy.__array__(copy=None), lazy.__array__(None)):
        assert np.shares_memory(same_memory, shared)
    with pytest.raises(ValueError, match="avoid copy"):
        lazy.__array__("f4", copy=False)
    npk.replace({"a": [[7, 7, 7]]}, 0)
    assert shared[0].tolist() == [7, 7, 7] and copied[0].tolist() == [-1, -1, -1]


@pytest.mark.skipif(not NUMPY_2, reason="copy=False means 'if needed' before NumPy 2")
def test_copy_false_of_numpy_2(npk):
    npk.save({"a": np.arange(4)})
    lazy = npk.load("a", lazy=True)
    assert np.shares_memory(np.array(lazy, copy=False), lazy[...])
    assert np.shares_memory(np.asarray(lazy, copy=False), lazy[...])
    assert not np.shares_memory(np.asarray(lazy, copy=True), lazy[...])
    npk.drop("a", 0)
    with pytest.raises(ValueError, match="avoid copy"):
        np.array(npk.load("a", lazy=True), copy=False)


@pytest.mark.skipif(NUMPY_2, reason="copy=False means 'never' since NumPy 2")
def test_copy_false_of_numpy_1(npk):
    npk.save({"a": np.arange(4)})
    lazy = npk.load("a", lazy=True)
    assert np.shares_memory(np.array(lazy, copy=False), lazy[...])
    npk.drop("a", 0)
    assert_same(np.array(npk.load("a", lazy=True), copy=False), np.array([1, 2, 3]))


def test_attributes_of_the_array(pair):
    lazy, array = pair(np.arange(24, dtype="i2").reshape(4, 3, 2))
    for name in ("shape", "dtype", "ndim", "size", "nbytes", "itemsize"):
        assert getattr(lazy, name) == getattr(array, name)
    assert isinstance(lazy.shape, tuple) and len(lazy) == 4 and lazy.name == "a"
    assert_same(lazy.T, array.T)
    assert_same(lazy.reshape(6, 4), array.reshape(6, 4))
    assert_same(lazy.reshape((2, -1)), array.reshape((2, -1)))
    assert_same(lazy.reshape((2, 12), order="F"), array.reshape((2, 12), order="F"))
    assert_same(answer(lambda: lazy.reshape(5)), ValueError)
    copied = lazy.copy()
    assert_same(copied, array)
    assert copied.flags.writeable and copied.flags.owndata


def test_methods_of_ndarray_are_there(pair):
    lazy, array = pair(np.arange(12.0).reshape(4, 3))
    same(lazy.sum(axis=0), array.sum(axis=0))
    same(lazy.mean(), array.mean())
    same(lazy.argmax(1), array.argmax(1))
    assert lazy.tolist() == array.tolist() and lazy.item(5) == 5.0
    same(lazy.astype("f4"), array.astype("f4"))
    same(lazy.flatten(), array.flatten())
    same(lazy.swapaxes(0, 1), array.swapaxes(0, 1))
    assert lazy.tobytes() == array.tobytes()
    assert hasattr(lazy, "cumsum") and not hasattr(lazy, "no_such_thing")
    with pytest.raises(AttributeError, match="no_such_thing"):
        lazy.no_such_thing
    with pytest.raises(AttributeError):
        lazy.shape = (12,)


def test_iteration_and_membership(pair):
    lazy, array = pair(np.arange(12).reshape(4, 3))
    rows = list(lazy)
    assert len(rows) == 4
    for row, expected in zip(rows, array):
        assert_same(row, expected)
    for row, expected in zip(reversed(lazy), array[::-1]):
        assert_same(row, expected)
    first, *_, last = lazy
    assert_same(last, array[-1])
    assert 5 in lazy and 12 not in lazy
    with pytest.raises(TypeError):
        hash(lazy)


def test_iteration_over_many_rows_and_over_elements(pair):
    lazy, array = pair(np.arange(300_000))
    assert sum(1 for _ in lazy) == 300_000
    for found, expected in zip(lazy, array[:3]):
        assert_same(found, expected)
    lazy, array = pair(np.zeros((3, 0)))
    assert [row.shape for row in lazy] == [(0,)] * 3


def test_truth_and_numbers(pair):
    for value in (np.array(3), np.array(2.5), np.array([[4]]), np.array(True), np.array(0), np.array([7.9])):
        lazy, array = pair(value)
        for call in (bool, int, float, complex, operator.index, round, len, iter):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found, expected = answer(lambda: call(lazy)), answer(lambda: call(array))
            if not isinstance(expected, type) and call is iter:
                assert list(found) == list(expected)
            else:
                same(found, expected, (call, value))
    lazy, array = pair(np.arange(3))
    for call in (bool, int, float, complex, operator.index):
        assert_same(answer(lambda: call(lazy)), answer(lambda: call(array)), call)


def test_scalars(npk):
    npk.save({"a": np.array(5, "i2")})
    lazy = npk.load("a", lazy=True)
    assert lazy.shape == () and lazy.ndim == 0 and lazy.size == 1 and lazy.nbytes == 2
    assert_same(lazy[()], np.int16(5))
    assert_same(lazy + 1, np.array(5, "i2") + 1)
    assert_same(npk.load("a"), np.array(5, "i2"))
    with pytest.raises(TypeError, match="unsized"):
        len(lazy)
    with pytest.raises(TypeError):
        iter(lazy)


def test_dlpack(pair):
    lazy, array = pair(np.arange(12, dtype="f4").reshape(4, 3))
    found = np.from_dlpack(lazy)
    assert_same(np.asarray(found), array)
    assert lazy.__dlpack_device__() == (1, 0)
    del lazy
    assert_same(np.asarray(found), array)


@pytest.mark.skipif(not NUMPY_2, reason="copy is an argument since NumPy 2.1")
def test_dlpack_never_copies_when_told_so(npk):
    npk.save({"a": np.arange(4)})
    npk.drop("a", 0)
    with pytest.raises(BufferError):
        npk.load("a", lazy=True).__dlpack__(copy=False)
    assert np.from_dlpack(npk.load("a", lazy=True), copy=True).flags.writeable


@pytest.mark.parametrize("dtype", ["i1", "u8", "f2", "f4", "f8", "?"])
def test_arrow(pair, dtype):
    pa = pytest.importorskip("pyarrow")
    lazy, array = pair((np.arange(24) % 2).reshape(4, 3, 2).astype(dtype))
    arrow = pa.array(lazy)
    assert arrow.to_pylist() == array.tolist()
    assert arrow.type.list_size == 3 and arrow.type.value_type.list_size == 2
    lazy, array = pair((np.arange(5) % 2).astype(dtype))
    assert pa.array(lazy).to_pylist() == array.tolist()
    assert pa.array(lazy).type == pa.from_numpy_dtype(array.dtype)


def test_arrow_says_what_it_has_no_form_for(npk):
    pytest.importorskip("pyarrow")
    npk.save({"complex": np.ones(3, "c8"), "scalar": np.array(1.0)})
    with pytest.raises(TypeError, match="complex64"):
        npk.load("complex", lazy=True).__arrow_c_array__()
    with pytest.raises(TypeError, match="scalar"):
        npk.load("scalar", lazy=True).__arrow_c_array__()


def test_arrow_of_no_rows_and_no_columns(npk):
    pa = pytest.importorskip("pyarrow")
    npk.save({"rows": np.zeros((0, 3)), "columns": np.zeros((3, 0))})
    assert pa.array(npk.load("rows", lazy=True)).to_pylist() == []
    assert pa.array(npk.load("columns", lazy=True)).to_pylist() == [[], [], []]


def test_closing(npk):
    npk.save({"a": np.arange(4)})
    with npk.load("a", lazy=True) as lazy:
        view = lazy[1:]
        assert isinstance(lazy, LazyArray)
    for call in (
        lambda: lazy[0],
        lambda: lazy.shape,
        lambda: len(lazy),
        lambda: lazy + 1,
        lambda: np.asarray(lazy),
        lambda: lazy.sum(),
        lambda: list(lazy),
        lambda: lazy.copy(),
    ):
        with pytest.raises(ClosedError, match="LazyArray has been closed"):
            call()
    lazy.close()
    assert repr(lazy) == "<LazyArray: closed>"
    assert_same(view, np.arange(1, 4))


def test_repr_says_what_it_is(npk):
    npk.save({"a<b": np.zeros((4, 3), "f4")})
    lazy = npk.load("a<b", lazy=True)
    assert repr(lazy) == '<LazyArray "a<b" shape=(4, 3) dtype=float32>'
    html = lazy._repr_html_()
    assert "a&lt;b" in html and "(4, 3)" in html and "float32" in html and "48 B" in html


def test_replaced_rows_show_in_views_and_lazy_arrays(npk):
    npk.save({"a": np.zeros((4, 3))})
    lazy = npk.load("a", lazy=True)
    view = lazy[:2]
    npk.replace({"a": np.ones((1, 3))}, 0)
    assert view[0].tolist() == [1, 1, 1] and lazy[[0, 1]].tolist() == [[1, 1, 1], [0, 0, 0]]
    npk.append({"a": np.full((2, 3), 5.0)})
    npk.drop("a", 0)
    assert lazy.shape == (4, 3) and lazy[0].tolist() == [1, 1, 1]
    npk.save({"a": np.zeros(2)})
    assert lazy.shape == (4, 3) and (lazy + 0)[0].tolist() == [1, 1, 1]


def test_mmap_modes(npk):
    npk.save({"a": np.arange(12).reshape(4, 3), "empty": np.zeros((0, 3))})
    reading = npk.load("a", mmap_mode="r")
    assert not reading.flags.writeable and not reading.flags.owndata
    private = npk.load("a", mmap_mode="c")
    private[0] = -1
    assert_same(npk.load("a"), np.arange(12).reshape(4, 3))
    assert_same(reading, np.arange(12).reshape(4, 3))
    assert private[0].tolist() == [-1, -1, -1] and private[3].tolist() == [9, 10, 11]
    for mode in ("r", "c"):
        assert npk.load("empty", mmap_mode=mode).shape == (0, 3)
    npk.drop("a", 0)
    assert_same(npk.load("a", mmap_mode="r"), np.arange(12).reshape(4, 3)[1:])
    assert not npk.load("a", mmap_mode="r").flags.writeable
    assert npk.load("a", mmap_mode="c").flags.writeable
    for mode in ("r+", "w+", "x", 5):
        with pytest.raises(ValueError, match="mmap_mode must be"):
            npk.load("a", mmap_mode=mode)


def test_elements_are_not_assigned(tmp_path):
    with NumPack(tmp_path / "s.npk") as store:
        store.save({"a": np.arange(6).reshape(3, 2), "scalar": np.array(1)})
        store.append({"a": np.zeros((1, 2), int)})
        for deleted in ([], [1]):
            store.drop("a", deleted)
            lazy, before = store.load("a", lazy=True), store.load("a")
            for key in (0, slice(None), [0, 1], (0, 1), Ellipsis, before > 2):
                with pytest.raises(TypeError, match=r"npk.replace.*writable_batch_mode.*lazy.copy\(\)"):
                    lazy[key] = 99
                with pytest.raises(TypeError):
                    del lazy[key]
            with pytest.raises(TypeError, match="npk.replace"):
                store.load("scalar", lazy=True)[()] = 2
            assert np.array_equal(store.load("a"), before) and np.array_equal(lazy, before)
