"""Zero copy: the memory is shared, and where it cannot be, that is an error."""

import numpy as np
import pytest
from io_arrays import assert_same, save

import numpack.io
from numpack import NumPack
from numpack.io import (
    DLPackBuffer,
    ZeroCopyArray,
    arrow_to_numpy_zero_copy,
    from_dlpack,
    numpy_to_arrow_zero_copy,
    table_to_numpy_zero_copy,
    to_dlpack,
    wrap_for_zero_copy,
    zero_copy,
)

pa = pytest.importorskip("pyarrow")


@pytest.mark.parametrize("shape", [(12,), (4, 3), (2, 2, 3)])
def test_arrow_shares_memory_both_ways(shape):
    array = np.arange(12.0).reshape(shape)
    arrow = numpy_to_arrow_zero_copy(array)
    back = arrow_to_numpy_zero_copy(arrow)
    assert np.shares_memory(array, back)
    assert_same(back, array)
    assert np.shares_memory(arrow_to_numpy_zero_copy(arrow[1:]), array[1:])
    assert_same(arrow_to_numpy_zero_copy(arrow[1:]), array[1:])


def test_what_arrow_cannot_share():
    with pytest.raises(TypeError, match="complex128"):
        numpy_to_arrow_zero_copy(np.zeros(2, complex))
    with pytest.raises(TypeError, match="bool"):
        numpy_to_arrow_zero_copy(np.zeros(2, bool))
    for array in (np.array(1.0), np.zeros(2, ">f8")):
        with pytest.raises(ValueError, match="native byte order with a dimension"):
            numpy_to_arrow_zero_copy(array)
    for array in (pa.array([1, None]), pa.array([True]), pa.chunked_array([[1], [2]])):
        with pytest.raises(ValueError):
            arrow_to_numpy_zero_copy(array)
    with pytest.raises(ValueError, match="1 nulls"):
        arrow_to_numpy_zero_copy(pa.array([[1], None], pa.list_(pa.int64(), 1)))
    with pytest.raises(TypeError, match="expected a pyarrow.Array"):
        arrow_to_numpy_zero_copy([1])


def test_tables():
    a, b = np.arange(3), np.arange(3.0)
    table = pa.table({"a": a, "b": b})
    found = table_to_numpy_zero_copy(table)
    assert np.shares_memory(found["a"], a) and np.shares_memory(found["b"], b)
    assert list(table_to_numpy_zero_copy(table, ["b"])) == ["b"]
    with pytest.raises(KeyError):
        table_to_numpy_zero_copy(table, ["c"])


def test_dlpack():
    array = np.arange(6).reshape(2, 3)
    buffer = to_dlpack(array)
    assert isinstance(buffer, DLPackBuffer)
    assert buffer.__dlpack_device__() == (1, 0)
    for found in (from_dlpack(buffer), np.from_dlpack(buffer), buffer.to_numpy(), from_dlpack(array)):
        assert np.shares_memory(found, array)
        assert_same(found, array)
    assert_same(to_dlpack([1, 2]).to_numpy(), np.array([1, 2]))
    with pytest.raises(TypeError, match="no __dlpack__"):
        from_dlpack([1])


def test_wrapped():
    array = np.arange(6, dtype="f4")
    wrapped = wrap_for_zero_copy(array)
    assert isinstance(wrapped, ZeroCopyArray)
    assert repr(wrapped) == "<ZeroCopyArray shape=(6,) dtype=float32>"
    for found in (
        np.asarray(wrapped),
        wrapped.to_numpy(),
        np.from_dlpack(wrapped),
        wrapped.to_dlpack().to_numpy(),
    ):
        assert np.shares_memory(found, array)
    assert np.shares_memory(arrow_to_numpy_zero_copy(pa.array(wrapped)), array)
    assert np.shares_memory(arrow_to_numpy_zero_copy(wrapped.to_arrow()), array)
    for source in (pa.array(array), to_dlpack(array), wrapped):
        assert np.shares_memory(np.asarray(wrap_for_zero_copy(source)), array)
    assert not np.shares_memory(np.array(wrapped, copy=True), array)
    assert np.asarray(wrapped, "f8").dtype == np.float64
    with pytest.raises(ValueError, match="without a copy"):
        wrapped.__array__("f8", copy=False)


def test_lazy_arrays_over_their_file(npk):
    save(npk, x=np.arange(10.0))
    with NumPack(npk) as store:
        lazy = store.load("x", lazy=True)
        wrapped = wrap_for_zero_copy(lazy)
        assert np.shares_memory(wrapped.to_numpy(), np.asarray(lazy))
        # Arrow has no word for read-only memory: it gets a private map of the same file.
        assert_same(arrow_to_numpy_zero_copy(wrapped.to_arrow()), np.arange(10.0))
    del lazy
    assert_same(wrapped.to_numpy(), np.arange(10.0))


STRIDED = [np.arange(12).reshape(3, 4).T, np.arange(12)[::2], np.arange(12)[::-1]]


@pytest.mark.parametrize("array", STRIDED)
def test_copies_for_arrow_are_told(array):
    with pytest.warns(UserWarning, match="not C-contiguous: a copy") as told:
        found = numpy_to_arrow_zero_copy(array)
    assert told[0].filename == __file__
    assert_same(arrow_to_numpy_zero_copy(found), array)
    with pytest.warns(UserWarning, match="not C-contiguous: a copy"):
        assert_same(arrow_to_numpy_zero_copy(wrap_for_zero_copy(array).to_arrow()), array)


@pytest.mark.parametrize("array", STRIDED)
def test_strides_are_told(array):
    with pytest.warns(UserWarning, match="not C-contiguous: it is shared with its strides"):
        buffer = to_dlpack(array)
    assert buffer.array is array
    assert np.shares_memory(buffer.to_numpy(), array)
    assert_same(buffer.to_numpy(), array)


def test_strides_that_dlpack_has_no_words_for():
    array = np.zeros(5, [("a", "i1"), ("b", "i4")])["b"]
    array[:] = range(5)
    with pytest.warns(UserWarning, match="not C-contiguous, and its strides are not multiples"):
        buffer = DLPackBuffer(array)
    assert_same(buffer.to_numpy(), array)
    assert not np.shares_memory(buffer.array, array)


def test_what_a_buffer_and_a_wrapped_array_hold(npk):
    array = np.arange(6.0).reshape(2, 3)
    assert to_dlpack(array).array is array
    assert_same(to_dlpack([1, 2]).array, np.array([1, 2]))
    wrapped = wrap_for_zero_copy(array)
    assert wrapped.array is array and wrapped.nbytes == 48
    turned = wrap_for_zero_copy(array.T)
    assert turned.__dlpack_device__() == (1, 0)
    save(npk, x=array)
    with NumPack(npk) as store:
        lazy = store.load("x", lazy=True)
        assert to_dlpack(lazy).array is lazy
        assert_same(to_dlpack(lazy).to_numpy(), array)


def test_the_module_has_all_of_it():
    for name in zero_copy.__all__:
        assert getattr(zero_copy, name) is getattr(numpack.io, name)
    assert "table_to_numpy_zero_copy" in zero_copy.__all__
