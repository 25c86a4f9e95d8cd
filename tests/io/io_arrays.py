"""Arrays to convert and how to compare them."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from numpack import NumPack

FLOATS = ["float16", "float32", "float64"]
NUMBERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", *FLOATS]
REALS = ["bool", *NUMBERS]
DTYPES = [*REALS, "complex64", "complex128"]


def save(path, **arrays):
    """Saves arrays to the store at `path`."""
    with NumPack(path) as store:
        store.save(arrays)


def load(path, name):
    """The array `name` of the store at `path`."""
    with NumPack(path, mode="r") as store:
        return store.load(name)


def names(path):
    """Names in the store at `path`, sorted."""
    with NumPack(path, mode="r") as store:
        return sorted(store.get_member_list(hidden=True))


def assert_same(found, wanted):
    """Same dtype, shape and bytes: NaN payloads and signs of zeros count."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    assert np.ascontiguousarray(found).tobytes() == np.ascontiguousarray(wanted).tobytes()


def sample(dtype, shape=(7, 3)):
    """An array of any bits; floats have NaNs with payloads, infinities and a negative zero."""
    random = np.random.default_rng(7)
    if dtype == "bool":
        return random.integers(0, 2, shape).astype(bool)
    count = int(np.prod(shape))
    array = np.frombuffer(random.bytes(count * np.dtype(dtype).itemsize), dtype).copy()
    special = [np.inf, -np.inf, -0.0]
    if np.dtype(dtype).kind in "fc":
        array[: min(3, count)] = special[: min(3, count)]
    if dtype == "float64" and count > 3:
        array.view(np.uint64)[3] = 0x7FF8_0000_DEAD_BEEF
    if dtype == "float32" and count > 3:
        array.view(np.uint32)[3] = 0x7FC0_BEEF
    return array.reshape(shape)


def any_array(dtypes=DTYPES, min_dims=0, max_dims=3, min_side=0):
    """Strategy: arrays of these dtypes of any shape and values."""
    shapes = hnp.array_shapes(min_dims=min_dims, max_dims=max_dims, min_side=min_side, max_side=6)
    if min_dims == 0:
        shapes = shapes | st.just(())
    return hnp.arrays(st.sampled_from(dtypes).map(np.dtype), shapes)
