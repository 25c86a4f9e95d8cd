"""What save, append and replace take: layouts, byte orders, subclasses, array-likes; 14 dtypes to the bit."""

import array as array_module
import warnings

import numpy as np
import pytest

from numpack import NumPack

DTYPES = ["?", "u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", "c8", "c16"]


def same_bits(found, expected):
    assert type(found) is np.ndarray and found.shape == expected.shape
    assert found.dtype == expected.dtype.newbyteorder("=")
    assert found.dtype.isnative and found.flags.c_contiguous and found.flags.writeable
    native = np.ascontiguousarray(expected).astype(found.dtype).reshape(expected.shape)
    assert found.tobytes() == native.tobytes()


def numbers(dtype, shape=(6, 4)):
    raw = np.arange(int(np.prod(shape)) * np.dtype(dtype).itemsize, dtype="u1")
    return (raw % 2).view("?").reshape(shape) if dtype == "?" else raw.view(dtype).reshape(shape)


LAYOUTS = {
    "as it is": lambda a: a,
    "Fortran": np.asfortranarray,
    "every second": lambda a: a[::2, 1::2],
    "backwards": lambda a: a[::-1, ::-1],
    "transposed": lambda a: a.T,
    "broadcast": lambda a: np.broadcast_to(a[:1], (5, 4)),
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "big-endian backwards": lambda a: a.astype(a.dtype.newbyteorder(">"))[::-1],
    "read-only": lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    "unaligned": lambda a: np.frombuffer(b"x" + a.tobytes(), "u1")[1:].view(a.dtype).reshape(a.shape),
    "no rows": lambda a: a[:0],
    "no columns": lambda a: a[:, :0],
    "one number": lambda a: np.array(a[1, 1]),
    "one row": lambda a: a[0],
    "five axes": lambda a: a.reshape(2, 3, 1, 2, 2).transpose(4, 2, 0, 1, 3),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_every_dtype(npk, dtype, layout):
    array = LAYOUTS[layout](numbers(dtype))
    npk.save({"a": array})
    same_bits(npk.load("a"), array)
    assert npk.get_metadata()["arrays"]["a"]["dtype"] == array.dtype.newbyteorder("=").name
    if not array.ndim:
        return
    npk.append({"a": array})
    same_bits(npk.load("a"), np.concatenate([array, array]))
    npk.replace({"a": array[::-1]}, np.arange(len(array)))
    same_bits(npk.load("a"), np.concatenate([array[::-1], array]))


@pytest.mark.parametrize("order", "<>")
def test_nan_payloads_and_signed_zeros_are_kept(npk, order):
    halves = np.array([0x7C01, 0x7E00, 0xFE01, 0x8000, 0x7C00], order + "u2").view(order + "f2")
    singles = np.array([0x7F800001, 0x7FC01234, 0xFFC00001, 0x80000000], order + "u4").view(order + "f4")
    doubles = np.array([0x7FF0000000000001, 0xFFF8000000ABCDEF, 1 << 63], order + "u8").view(order + "f8")
    for name, array in {"f2": halves, "f4": singles, "f8": doubles}.items():
        unsigned = name.replace("f", "u")
        bits = array.view(order + unsigned).astype(unsigned)
        npk.save({name: array})
        npk.append({name: array[::-1]})
        npk.replace({name: array[:1]}, -1)
        expected = [*bits.tolist(), *bits[::-1][:-1].tolist(), int(bits[0])]
        for found in (npk.load(name), npk.load(name, lazy=True).copy(), npk.getitem(name, slice(None))):
            assert found.view(unsigned).tolist() == expected
    pairs = doubles.repeat(2).view(order + "c16")
    npk.save({"c16": pairs})
    assert npk.load("c16").view("u8").tolist() == doubles.repeat(2).view(order + "u8").astype("u8").tolist()


def test_any_true_byte_is_true(npk):
    odd = np.array([0, 1, 2, 128, 255], np.uint8).view(bool)
    npk.save({"odd": odd, "one": odd[3:4].reshape(())})
    npk.append({"odd": odd[::-1]})
    npk.replace({"odd": odd[2:3]}, [0])
    wanted = np.array([1, 1, 1, 1, 1, 1, 1, 1, 1, 0], np.uint8)
    assert np.array_equal(npk.load("odd").view(np.uint8), wanted)
    assert npk.load("one").view(np.uint8) == 1


def test_subclasses_of_ndarray(npk, tmp_path):
    mapped = np.memmap(tmp_path / "memmap", "f4", "w+", shape=(3, 2))
    mapped[:] = 5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        matrix = np.matrix([[1.0, 2.0], [3.0, 4.0]])

    class Own(np.ndarray):
        pass

    arrays = {"matrix": matrix, "memmap": mapped, "own": np.arange(6).reshape(2, 3).view(Own)}
    arrays["records"] = np.arange(4).view(np.recarray)
    npk.save(arrays)
    for name, array in arrays.items():
        same_bits(npk.load(name), np.asarray(array))


class WithArray:
    """An array-like of its own."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)


class WithInterface:
    """An array-like by __array_interface__."""

    def __init__(self, values):
        self.kept = np.array(values)
        self.__array_interface__ = self.kept.__array_interface__


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([1, 2, 3], np.array([1, 2, 3])),
        ([[1.0, 2], [3, 4]], np.array([[1.0, 2], [3, 4]])),
        ((True, False), np.array([True, False])),
        ([], np.array([])),
        (5, np.array(5)),
        (2.5, np.array(2.5)),
        (1j, np.array(1j)),
        (True, np.array(True)),
        (np.float32(1.5), np.array(1.5, "f4")),
        ([np.int8(1), np.int8(2)], np.array([1, 2], "i1")),
        (range(4), np.arange(4)),
        (memoryview(b"abc"), np.array([97, 98, 99], "u1")),
        (bytearray(b"ab"), np.array([97, 98], "u1")),
        (array_module.array("f", [1, 2]), np.array([1, 2], "f4")),
        (WithArray([[1, 2]]), np.array([[1, 2]])),
        (WithInterface([1.5]), np.array([1.5])),
        ([np.arange(2), np.arange(2)], np.array([[0, 1], [0, 1]])),
    ],
    ids=repr,
)
def test_array_likes(npk, value, expected):
    npk.save({"a": value})
    same_bits(npk.load("a"), expected)


def test_lists_take_the_dtype_that_is_stored(npk):
    npk.save({"a": np.zeros((2, 2), "f4"), "b": np.zeros(2, "u1")})
    npk.append({"a": [[1, 2]], "b": [255]})
    npk.replace({"a": [3, 4]}, 0)
    npk.replace({"b": 7}, 1)
    npk.replace({"b": [8]}, 0)
    same_bits(npk.load("a"), np.array([[3, 4], [0, 0], [1, 2]], "f4"))
    same_bits(npk.load("b"), np.array([8, 7, 255], "u1"))


def test_arrays_do_not_take_another_dtype(npk):
    npk.save({"a": np.zeros((2, 2), "f4")})
    for rows in (np.zeros((1, 2)), np.zeros((1, 2), "i4"), WithArray([[1.0, 2.0]])):
        for call in (lambda: npk.append({"a": rows}), lambda: npk.replace({"a": rows}, [0])):
            with pytest.raises(TypeError, match="float32"):
                call()
    assert npk.get_shape("a") == (2, 2)


def test_lazy_arrays_are_array_likes(npk, tmp_path):
    npk.save({"a": np.arange(6.0).reshape(3, 2)})
    npk.drop("a", 1)
    with NumPack(tmp_path / "other") as other:
        other.save({"b": npk.load("a", lazy=True)})
        other.append({"b": npk.load("a", lazy=True)})
        assert other.load("b").tolist() == [[0, 1], [4, 5]] * 2
    npk.save({"a": npk.load("a", lazy=True)})
    assert npk.load("a").tolist() == [[0, 1], [4, 5]]
    npk.save({"rows": np.array([1, 0])})
    assert npk.getitem("a", npk.load("rows", lazy=True)).tolist() == [[4, 5], [0, 1]]


@pytest.mark.parametrize("order", ["forwards", "backwards"])
def test_an_array_can_be_saved_over_the_file_it_maps(npk, order):
    array = np.arange(300_000.0).reshape(-1, 3)
    npk.save({"a": array})
    step = 1 if order == "forwards" else -1
    for _ in range(3):
        npk.save({"a": npk.load("a", lazy=True)[::step]})
        array = array[::step]
        same_bits(npk.load("a"), array)


UNSUPPORTED = {
    "object": (np.array([None, 1]), "object", "astype"),
    "str": (np.array(["a", "bc"]), "<U2", "view"),
    "bytes": (np.array([b"abc"]), "S3", "view"),
    "datetime": (np.array(["2020-01-01"], "M8[D]"), r"datetime64\[D\]", "view"),
    "timedelta": (np.array([1], "m8[s]"), r"timedelta64\[s\]", "view"),
    "structured": (np.zeros(2, [("x", "f4"), ("y", "i4")]), "x", "each field"),
    "void": (np.zeros(2, "V3"), "V3", "convert"),
    "large int": ([2**70], "object", "astype"),
    "None": (None, "object", "astype"),
    "dict": ({"a": 1}, "object", "astype"),
    "text": ("text", "<U4", "view"),
    "records": (np.rec.array([(1, 2.0)]), "f0", "each field"),
}
if np.dtype("g").itemsize > 8:
    UNSUPPORTED["longdouble"] = (np.zeros(2, "g"), np.dtype("g").name, "astype")
    UNSUPPORTED["clongdouble"] = (np.zeros(2, "G"), np.dtype("G").name, "astype")


@pytest.mark.parametrize("kind", UNSUPPORTED)
def test_other_dtypes_are_named_with_the_way_out(npk, kind):
    array, name, way = UNSUPPORTED[kind]
    npk.save({"kept": np.arange(3)})
    for call in (
        lambda: npk.save({"kept": np.zeros(9), "a": array}),
        lambda: npk.append({"kept": np.asarray(array)}),
        lambda: npk.replace({"kept": np.asarray(array)}, [0]),
    ):
        with pytest.raises(TypeError, match=name) as error:
            call()
        assert "cannot be stored" in str(error.value) and way in str(error.value)
    assert npk.get_member_list() == ["kept"] and npk.load("kept").tolist() == [0, 1, 2]


@pytest.mark.parametrize("mask", [np.ma.nomask, [True, False, False]])
def test_masked_arrays_are_refused(npk, mask):
    masked = np.ma.array([1.0, 2.0, 3.0], mask=mask)
    with pytest.raises(TypeError, match="mask"):
        npk.save({"a": masked})
    npk.save({"a": masked.data})
    with pytest.raises(TypeError, match="mask"):
        npk.append({"a": masked})
    assert npk.get_shape("a") == (3,)


def test_ragged_lists_raise_numpys_error(npk):
    with pytest.raises(ValueError, match="inhomogeneous"):
        npk.save({"a": [[1], [2, 3]]})
    assert npk.get_member_list() == []


def test_what_an_array_like_raises_comes_through(npk):
    class Failing:
        def __array__(self, dtype=None, copy=None):
            raise ZeroDivisionError("of its own")

    with pytest.raises(ZeroDivisionError, match="of its own"):
        npk.save({"a": Failing()})


def test_an_array_like_may_change_the_dict_that_it_is_in(npk):
    arrays = {}

    class Adding:
        def __array__(self, dtype=None, copy=None):
            arrays["later"] = np.ones(1)
            arrays.pop("second", None)
            return np.arange(2)

    arrays.update(first=Adding(), second=np.arange(5))
    npk.save(arrays)
    assert sorted(npk.get_member_list()) == ["first", "second"]


def test_32_axes(npk):
    array = np.arange(4).reshape((1,) * 30 + (2, 2))
    npk.save({"a": array})
    same_bits(npk.load("a"), array)
    assert npk.load("a", lazy=True).shape == array.shape


def test_names(npk):
    names = ["a", "with space", "a/b", "../up", ".", "ü", "数组", "\U0001f4be", "a" * 1024, "con", "x\n"]
    npk.save({name: np.array([i]) for i, name in enumerate(names)})
    assert npk.get_member_list() == names
    for i, name in enumerate(names):
        assert npk.load(name).tolist() == [i] and name in npk

    class Name(str):
        pass

    npk.save({Name("sub"): np.arange(2)})
    assert npk.load(Name("sub")).tolist() == [0, 1] and "sub" in npk
