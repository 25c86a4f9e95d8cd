"""Random index keys, sensible and not, for arrays of a given shape; and how two answers are compared."""

import warnings

import numpy as np
from hypothesis import strategies as st

INT_TYPES = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">i4", ">i8"]


def ints(size):
    """Places of an axis, a few of them out of range."""
    return st.integers(-size - 1, size) if size else st.integers(-1, 1)


def slices(size):
    end = st.none() | st.integers(-size - 3, size + 3)
    step = st.none() | st.sampled_from([1, 2, 3, -1, -2, -5, 7])
    return st.builds(slice, end, end, step)


@st.composite
def integer_arrays(draw, size, in_range):
    shape = tuple(draw(st.lists(st.integers(0, 3), max_size=3)))
    dtype = np.dtype(draw(st.sampled_from(INT_TYPES)))
    low = 0 if dtype.kind == "u" else -size
    items = st.integers(low, size - 1) if in_range and size else ints(size).filter(lambda i: i >= low)
    count = int(np.prod(shape))
    values = draw(st.lists(items if size or not in_range else st.just(0), min_size=count, max_size=count))
    return np.array(values, dtype).reshape(shape)


@st.composite
def masks(draw, shape, at):
    """A mask over some axes from `at` on; sometimes of a wrong length."""
    depth = draw(st.integers(1, max(1, len(shape) - at)))
    sizes = list(shape[at : at + depth]) or [2]
    if draw(st.integers(0, 9)) == 0:
        sizes[draw(st.integers(0, len(sizes) - 1))] += draw(st.sampled_from([-1, 1, 2]))
        sizes = [max(0, size) for size in sizes]
    count = int(np.prod(sizes))
    bits = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    mask = np.array(bits, bool).reshape(sizes)
    return draw(st.sampled_from([mask, mask.tolist()])) if mask.size else mask


def index_like(size):
    """An object that is an int only by __index__."""

    class Index:
        def __init__(self, value):
            self.value = value

        def __index__(self):
            return self.value

        def __repr__(self):
            return f"Index({self.value})"

    return ints(size).map(Index)


ILL_TYPED = st.sampled_from(
    [1.0, 1.5, "x", b"x", "", ["a"], [1.0], [None], {}, object(), 2**70, [2**70], -(2**70), 1j, [[1], [2, 3]],
     np.float64(1), np.array([0.5]), np.array(["a"]), np.array([], float), np.array([None]), (1, "x"),
     slice(1.0), slice("a", None), slice(0, 2, 0), {1}, np.datetime64(1, "s"), np.array(1.0)]
)  # fmt: skip


@st.composite
def parts(draw, shape, at):
    """One part of a key, for axis `at`."""
    size = shape[at] if at < len(shape) else 2
    kind = draw(st.integers(0, 23))
    if kind < 6:
        return draw(ints(size))
    if kind < 12:
        return draw(slices(size))
    if kind < 16:
        array = draw(integer_arrays(size, in_range=draw(st.integers(0, 3)) > 0))
        return draw(st.sampled_from([array, array.tolist()]))
    if kind < 19:
        return draw(masks(shape, at))
    if kind == 19:
        return draw(st.sampled_from([True, False, np.True_, np.False_, np.array(True), np.array(False)]))
    if kind == 20:
        return draw(ints(size).map(np.int64) | ints(size).map(np.array) | ints(size).map(np.int8))
    if kind == 21:
        return draw(index_like(size))
    if kind == 22:
        return draw(ints(size).map(lambda i: [i]) | st.just([]) | st.just(range(min(size, 2))))
    return draw(ILL_TYPED)


@st.composite
def keys(draw, shape):
    """A key for an array of this shape."""
    if draw(st.integers(0, 3)) == 0:
        return draw(parts(shape, 0))
    key, at, ellipsis = [], 0, False
    for _ in range(draw(st.integers(0, len(shape) + 1))):
        special = draw(st.integers(0, 7))
        if special == 0:
            key.append(None)
        elif special == 1 and (not ellipsis or draw(st.integers(0, 5)) == 0):
            key.append(Ellipsis)
            at, ellipsis = draw(st.integers(at, max(at, len(shape)))), True
        else:
            part = draw(parts(shape, min(at, len(shape))))
            key.append(part)
            at += np.ndim(part) if np.asarray(part, object).dtype == bool else 1
    return tuple(key)


def answer(call):
    """The result of a call, or the class of its exception."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # NumPy 1 warned of what is an error in NumPy 2, and in numpack under both.
        warnings.filterwarnings("error", "Out of bound index found", DeprecationWarning)
        try:
            return call()
        except DeprecationWarning:
            return IndexError
        except Exception as error:
            return type(error)


def assert_same(found, expected, context=None):
    """Same type, dtype, shape and elements; or the same exception class."""
    if isinstance(expected, type):
        assert isinstance(found, type) and issubclass(found, expected), (context, found, expected)
        return
    assert not isinstance(found, type), (context, found, expected)
    assert type(found) is type(expected), (context, found, expected)
    assert found.dtype == expected.dtype and found.shape == expected.shape, (context, found, expected)
    np.testing.assert_array_equal(found, expected)
