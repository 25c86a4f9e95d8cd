"""Every exception by class and message; a call that fails changes nothing."""

import gc
import importlib
import io
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import warnings

import numpy as np
import pytest

import numpack
from numpack import (
    ArrayNotFoundError,
    ClosedError,
    CorruptedError,
    LockedError,
    NumPack,
    NumPackError,
)
from numpack.vector_engine import VectorEngine

# Holds the writers' lock of a store from "held" on, until its standard input is closed.
HOLDER = """
import fcntl, os, sys
lock = os.open(os.path.join(sys.argv[1], sys.argv[2]), os.O_RDWR)
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def filled(npk):
    npk.save({"a": np.arange(12.0).reshape(4, 3), "n": np.arange(4), "s": np.array(1.5)})
    return npk


@pytest.fixture
def holder(filled, path):
    """Another process that holds the writers' lock, as docs/on-disk-format.md tells other programs to."""
    command = [sys.executable, "-c", HOLDER, str(path), "writer.lock"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.stdin.close()


def content(store):
    return {name: (store.load(name).tobytes(), store.get_shape(name)) for name in store}


def test_classes():
    assert issubclass(ArrayNotFoundError, KeyError) and issubclass(CorruptedError, OSError)
    assert issubclass(LockedError, OSError) and issubclass(ClosedError, RuntimeError)
    for error in (ArrayNotFoundError, CorruptedError, LockedError, ClosedError):
        assert issubclass(error, NumPackError)
    assert str(ArrayNotFoundError("array 'x' not found")) == "array 'x' not found"


UNKNOWN = {
    "load": lambda s: s.load("x"),
    "load lazy": lambda s: s.load("x", lazy=True),
    "load mapped": lambda s: s.load("x", mmap_mode="r"),
    "getitem": lambda s: s.getitem("x", [0]),
    "getitem slice": lambda s: s.getitem("x", slice(None)),
    "item": lambda s: s["x"],
    "del": lambda s: s.__delitem__("x"),
    "append": lambda s: s.append({"a": np.zeros((1, 3)), "x": np.zeros(1)}),
    "append list": lambda s: s.append({"a": [[0, 0, 0]], "x": [1]}),
    "replace": lambda s: s.replace({"a": np.zeros((1, 3)), "x": np.zeros(1)}, [0]),
    "drop": lambda s: s.drop("x"),
    "drop several": lambda s: s.drop(["a", "x"]),
    "drop rows": lambda s: s.drop(["a", "x"], [0]),
    "drop row slice": lambda s: s.drop(["a", "x"], slice(0, 1)),
    "update": lambda s: s.update("x"),
    "clone": lambda s: s.clone("x", "y"),
    "get_shape": lambda s: s.get_shape("x"),
    "stream_load": lambda s: next(s.stream_load("x")),
}
WRONG = {
    "save no dict": (lambda s: s.save([1]), ValueError, "arrays must be a dictionary"),
    "append no dict": (lambda s: s.append(np.ones(3)), ValueError, "arrays must be a dictionary"),
    "replace no dict": (lambda s: s.replace(None, [0]), ValueError, "arrays must be a dictionary"),
    "name is not a str": (lambda s: s.save({"a": np.zeros(3), 1: np.ones(3)}), TypeError, "names are str"),
    "load of a number": (lambda s: s.load(1), TypeError, "str"),
    "empty name": (lambda s: s.save({"a": np.zeros(3), "": np.ones(3)}), ValueError, "name"),
    "NUL in name": (lambda s: s.save({"a": np.zeros(3), "x\0": np.ones(3)}), ValueError, "name"),
    "long name": (lambda s: s.save({"a": np.zeros(3), "x" * 1025: np.ones(3)}), ValueError, "name"),
    "surrogate in name": (
        lambda s: s.save({"a": np.zeros(3), "\ud800": np.ones(3)}),
        ValueError,
        "surrogate",
    ),
    "append shape": (lambda s: s.append({"n": [9], "a": np.zeros((1, 4))}), ValueError, "shape"),
    "append fewer axes": (lambda s: s.append({"n": [9], "a": np.zeros(3)}), ValueError, "shape"),
    "append more axes": (lambda s: s.append({"n": [9], "a": np.zeros((1, 1, 3))}), ValueError, "shape"),
    "append to scalar": (lambda s: s.append({"n": [9], "s": np.zeros(1)}), ValueError, "s"),
    "append dtype": (lambda s: s.append({"n": [9], "a": np.zeros((1, 3), "f4")}), TypeError, "float64"),
    "replace shape": (lambda s: s.replace({"n": [9], "a": np.zeros((1, 4))}, [0]), ValueError, "shape"),
    "replace count": (lambda s: s.replace({"a": np.zeros((2, 3))}, [0, 1, 2]), ValueError, "row"),
    "replace one for many": (lambda s: s.replace({"a": np.zeros(3)}, [0, 1]), ValueError, "shape|row"),
    "replace dtype": (
        lambda s: s.replace({"n": [9], "a": np.zeros((1, 3), "i8")}, [0]),
        TypeError,
        "float64",
    ),
    "replace scalar": (lambda s: s.replace({"s": np.zeros(1)}, [0]), ValueError, "s"),
    "replace range": (lambda s: s.replace({"n": [9], "a": np.zeros((1, 3))}, [4]), IndexError, "4"),
    "replace indexes": (
        lambda s: s.replace({"a": np.zeros((1, 3))}, "0"),
        ValueError,
        "The indexes must be int or list or numpy.ndarray or slice.",
    ),
    "drop range": (lambda s: s.drop(["n", "a"], [0, 4]), IndexError, "4"),
    "drop rows of scalar": (lambda s: s.drop(["n", "s"], [0]), ValueError, "s"),
    "drop of a number": (lambda s: s.drop(5), TypeError, "array_name must be str or a list"),
    "drop of numbers": (lambda s: s.drop(["a", 5]), TypeError, "str"),
    "getitem range": (lambda s: s.getitem("a", [0, -5]), IndexError, "-5"),
    "getitem of scalar": (lambda s: s.getitem("s", 0), ValueError, "s"),
    "clone over": (lambda s: s.clone("a", "n"), ValueError, "n"),
    "clone to itself": (lambda s: s.clone("a", "a"), ValueError, "a"),
    "clone to empty": (lambda s: s.clone("a", ""), ValueError, "name"),
    "stream of nothing": (lambda s: s.stream_load("a", 0), ValueError, "buffer_size must be greater than 0"),
    "stream of less": (lambda s: s.stream_load("a", -3), ValueError, "buffer_size must be greater than 0"),
    "stream of scalar": (lambda s: s.stream_load("s"), ValueError, "s"),
    "memory limit": (lambda s: s.batch_mode(0), ValueError, "memory_limit"),
}


@pytest.mark.parametrize("call", UNKNOWN)
def test_unknown_names(filled, call):
    before = content(filled)
    with pytest.raises(ArrayNotFoundError, match="x") as error:
        UNKNOWN[call](filled)
    assert isinstance(error.value, KeyError)
    assert content(filled) == before


@pytest.mark.parametrize("call", WRONG)
def test_wrong_arguments(filled, call):
    function, error, text = WRONG[call]
    before, shape = content(filled), filled.get_metadata()
    with pytest.raises(error, match=text):
        function(filled)
    assert content(filled) == before and filled.get_metadata() == shape


@pytest.mark.parametrize("call", [*UNKNOWN, *WRONG])
def test_a_batch_raises_the_same(filled, call):
    function, error, _ = WRONG.get(call, (UNKNOWN.get(call), ArrayNotFoundError, ""))
    before = content(filled)
    with filled.batch_mode():
        for name in "an":
            filled.load(name)
        with pytest.raises(error):
            function(filled)
        assert content(filled) == before
    assert content(filled) == before


CALLS = {
    "save": lambda s: s.save({"a": np.ones(1)}),
    "load": lambda s: s.load("a"),
    "lazy": lambda s: s.load("a", lazy=True),
    "replace": lambda s: s.replace({"a": [1]}, 0),
    "append": lambda s: s.append({"a": [1]}),
    "drop": lambda s: s.drop("a"),
    "update": lambda s: s.update("a"),
    "getitem": lambda s: s.getitem("a", 0),
    "stream_load": lambda s: s.stream_load("a"),
    "get_shape": lambda s: s.get_shape("a"),
    "get_member_list": lambda s: s.get_member_list(),
    "has_array": lambda s: s.has_array("a"),
    "get_modify_time": lambda s: s.get_modify_time("a"),
    "get_metadata": lambda s: s.get_metadata(),
    "get_io_stats": lambda s: s.get_io_stats(),
    "clone": lambda s: s.clone("a", "b"),
    "reset": lambda s: s.reset(),
    "sync": lambda s: s.sync(),
    "verify": lambda s: s.verify(),
    "batch_mode": lambda s: s.batch_mode(),
    "writable_batch_mode": lambda s: s.writable_batch_mode(),
    "item": lambda s: s["a"],
    "set": lambda s: s.__setitem__("a", [1]),
    "del": lambda s: s.__delitem__("a"),
    "in": lambda s: "a" in s,
    "len": len,
    "iter": iter,
    "keys": lambda s: s.keys(),
    "values": lambda s: s.values(),
    "items": lambda s: s.items(),
}


@pytest.mark.parametrize("name", CALLS)
def test_calls_before_open_and_after_close(path, name):
    store = NumPack(path)
    assert not path.exists() and not store.is_opened and store.is_closed
    with pytest.raises(ClosedError, match=r"not opened or has been closed: call open\(\) or use `with`"):
        CALLS[name](store)
    assert store.open() is store
    assert store.open() is store
    assert store.is_opened and not store.is_closed
    store.close()
    store.close()
    assert store.is_closed and not store.is_opened
    with pytest.raises(RuntimeError, match="not opened or has been closed"):
        CALLS[name](store)
    store.open()
    assert store.is_opened and not store.is_closed and len(store) == 0
    store.close()


@pytest.mark.parametrize("name", CALLS)
def test_strict_context_mode(path, name):
    store = NumPack(path, strict_context_mode=True)
    store.open()
    with pytest.raises(RuntimeError, match="strict context mode"):
        CALLS[name](store)
    with store:
        store.save({"a": np.arange(3)})
        CALLS[name](store)
    with pytest.raises(RuntimeError, match="strict context mode"):
        CALLS[name](store)
    assert store.is_closed


def test_strict_context_mode_in_a_batch(path):
    store = NumPack(path, strict_context_mode=True)
    with store, store.batch_mode():
        store.save({"a": np.arange(3)})
        assert store.load("a").tolist() == [0, 1, 2]
    with store:
        assert store.load("a").tolist() == [0, 1, 2]


def test_contexts_nest_and_exits_without_enter_are_harmless(path):
    store = NumPack(path, strict_context_mode=True)
    store.__exit__(None, None, None)
    store.open()
    with pytest.raises(RuntimeError, match="strict"):
        store.has_array("a")
    with store:
        with store:
            store.save({"a": np.arange(3)})
        assert store.is_opened and store.load("a").tolist() == [0, 1, 2]
    assert store.is_closed
    with pytest.raises(ZeroDivisionError), store:
        raise ZeroDivisionError
    assert store.is_closed


def test_warn_no_context(path):
    with pytest.warns(UserWarning, match="strict context mode"):
        NumPack(path, warn_no_context=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        NumPack(path, warn_no_context=True, strict_context_mode=True)
        NumPack(path, warn_no_context=False)
        NumPack(path)


def test_force_gc_on_close(path, npk):
    class Node:
        pass

    kept, gone = Node(), []
    kept.cycle, kept.last = kept, type("Last", (), {"__del__": lambda self: gone.append(1)})()
    store = NumPack(path, force_gc_on_close=True)
    store.open()
    gc.disable()
    try:
        del kept
        store.close()
    finally:
        gc.enable()
    assert gone == [1]


def test_modes(path):
    for mode in ("r", "r+"):
        with pytest.raises(FileNotFoundError):
            NumPack(path, mode=mode).open()
        assert not path.exists()
    with NumPack(path, mode="x") as store:
        store.save({"a": np.arange(3)})
        store.close()
        store.open()
        assert store.load("a").tolist() == [0, 1, 2] and store.mode == "x"
    with pytest.raises(FileExistsError):
        NumPack(path, mode="x").open()
    with NumPack(path, mode="r+") as store:
        store.append({"a": [3]})
    with NumPack(path, mode="a") as store:
        assert store.load("a").tolist() == [0, 1, 2, 3] and store.mode == "a"
    emptied = NumPack(path, mode="w")
    with NumPack(path, mode="r") as store:
        assert list(store) == ["a"]
    with emptied:
        assert list(emptied) == []
        emptied.save({"b": np.arange(2)})
    with emptied:
        assert list(emptied) == ["b"]


CHANGING = ["save", "replace", "append", "drop", "update", "clone", "reset", "set", "del"]


@pytest.mark.parametrize("name", CHANGING)
def test_mode_r_changes_nothing(path, name):
    with NumPack(path) as store:
        store.save({"a": np.arange(3)})
        store.drop("a", 1)
    with NumPack(path, mode="r") as store:
        with pytest.raises(io.UnsupportedOperation):
            CALLS[name](store)
        assert isinstance(io.UnsupportedOperation(), OSError)
        with pytest.raises(io.UnsupportedOperation), store.writable_batch_mode() as batch:
            batch.load("a")
        assert store.load("a").tolist() == [0, 2] and list(store) == ["a"]


def test_constructor_arguments(path):
    for options, text in (
        ({"mode": "rw"}, "mode must be"),
        ({"durability": "none"}, "durability must be"),
        ({"lock_timeout": -1}, "lock_timeout must be"),
        ({"lock_timeout": float("nan")}, "lock_timeout must be"),
        ({"mode": "r", "drop_if_exists": True}, "drop_if_exists"),
    ):
        with pytest.raises(ValueError, match=text):
            NumPack(path, **options)
    with pytest.raises(TypeError):
        NumPack(5)
    assert not path.exists()
    store = NumPack(str(path), durability="power", lock_timeout=5)
    assert store.filename == path and store.mode == "a" and store.durability == "power"
    with store:
        store.save({"a": np.arange(3)})


def test_relative_paths_are_those_of_the_constructor(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = NumPack("here.npk")
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    with store:
        store.save({"a": np.arange(3)})
    assert (tmp_path / "here.npk").is_dir() and store.filename == tmp_path / "here.npk"


def test_drop_if_exists_acts_once_at_the_first_open(path):
    with NumPack(path) as store:
        store.save({"a": np.arange(3)})
    store = NumPack(path, drop_if_exists=True)
    assert store.mode == "a"
    with NumPack(path) as other:
        assert list(other) == ["a"]
    with store:
        assert list(store) == []
        store.save({"b": np.arange(3)})
    with store:
        assert list(store) == ["b"]


@pytest.mark.parametrize("options", [{}, {"drop_if_exists": True}, {"mode": "w"}, {"mode": "x"}])
def test_a_folder_that_is_no_store_is_left_alone(path, options):
    path.mkdir()
    (path / "letter.txt").write_text("dear")
    with pytest.raises(ValueError, match="other files"):
        NumPack(path, **options).open()
    assert [(entry.name, entry.read_text()) for entry in path.iterdir()] == [("letter.txt", "dear")]


def test_drop_if_exists_takes_an_empty_folder(path):
    path.mkdir()
    with NumPack(path, drop_if_exists=True) as store:
        store.save({"a": np.arange(3)})
    assert path.is_dir()


def test_a_file_is_no_store(path):
    path.write_text("text")
    for options in ({}, {"drop_if_exists": True}, {"mode": "r"}):
        with pytest.raises(OSError) as error:
            NumPack(path, **options).open()
        assert str(path) in str(error.value)
    assert path.read_text() == "text"


def test_lock_timeout(filled, path, holder):
    for timeout in (0, 0.05, 0.3):
        with NumPack(path, lock_timeout=timeout) as store:
            before = content(store)
            for call in (
                lambda: store.append({"n": [9]}),
                lambda: store.replace({"n": [9]}, 0),
                lambda: store.save({"n": np.zeros(9)}),
                lambda: store.drop("n"),
                lambda: store.reset(),
                lambda: store.writable_batch_mode().__enter__().load("n"),
            ):
                with pytest.raises(LockedError, match="writer.lock|lock"):
                    call()
            assert content(store) == before
    for options in ({"mode": "w"}, {"drop_if_exists": True}):
        emptying = NumPack(path, lock_timeout=0.05, **options)
        with pytest.raises(LockedError):
            emptying.open()
        assert not emptying.is_opened


def test_readers_do_not_wait_for_the_lock(filled, path, holder):
    with NumPack(path, mode="r", lock_timeout=0) as store:
        assert store.load("n").tolist() == [0, 1, 2, 3]
        assert store.load("a", lazy=True)[1].tolist() == [3, 4, 5]


def test_a_batch_that_cannot_commit_says_so(filled, path, holder):
    with NumPack(path, lock_timeout=0.05) as store:
        with pytest.raises(LockedError), store.batch_mode():
            store.save({"n": np.zeros(9)})
        assert store.load("n").tolist() == [0, 1, 2, 3]
        with store.batch_mode():
            assert store.load("n").tolist() == [0, 1, 2, 3]


def test_waiting_ends_when_the_lock_is_given_back(filled, path, holder):
    holder.stdin.close()
    filled.append({"n": [9]})
    assert filled.load("n").tolist() == [0, 1, 2, 3, 9]


def damaged(path, change):
    log = next(entry for entry in path.iterdir() if entry.name.startswith("metadata"))
    data = bytearray(log.read_bytes())
    change(data)
    log.write_bytes(data)


def test_damage_is_an_error_with_file_and_offset(path):
    with NumPack(path) as store:
        for i in range(5):
            store.save({f"a{i}": np.arange(3)})

    def flip(data):
        used = len(bytes(data).rstrip(b"\0"))
        data[used // 2] ^= 0xFF

    damaged(path, flip)
    with pytest.raises(CorruptedError, match="metadata.npkm is damaged at byte [0-9]+") as error:
        NumPack(path).open()
    assert isinstance(error.value, OSError) and isinstance(error.value, NumPackError)


def test_verify_tells_of_a_changed_byte(npk, path):
    npk.save({"a": np.arange(1000)})
    assert npk.verify() == {"sound": True, "arrays": 1, "checksummed": 1, "findings": []}
    file = path / npk.get_metadata()["arrays"]["a"]["data_file"]
    with open(file, "r+b") as data:
        data.seek(100)
        data.write(b"\xff")
    report = npk.verify()
    assert not report["sound"] and any(finding["damage"] for finding in report["findings"])
    assert file.name in report["findings"][0]["message"]


def test_a_truncated_file_is_an_error(path):
    with NumPack(path) as store:
        store.save({"a": np.arange(100_000)})
        file = path / store.get_metadata()["arrays"]["a"]["data_file"]
    os.truncate(file, 1000)
    with NumPack(path) as store:
        for call in (lambda: store.load("a"), lambda: store.load("a", lazy=True)):
            with pytest.raises(CorruptedError, match=file.name):
                call()


def become_nobody():
    """Gives up the rights of root, for whom no folder is read-only."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


def test_a_read_only_folder(in_child):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = pathlib.Path(folder, "store.npk")
        with NumPack(path) as store:
            store.save({"n": np.arange(4)})
        for entry in path.iterdir():
            entry.chmod(0o444)
        path.chmod(0o555)

        def check():
            become_nobody()
            with NumPack(path, mode="r") as store:
                assert store.load("n").tolist() == [0, 1, 2, 3]
                assert store.load("n", lazy=True)[1:3].tolist() == [1, 2]
            for options in ({}, {"mode": "w"}, {"drop_if_exists": True}):
                with pytest.raises(PermissionError), NumPack(path, **options) as store:
                    store.append({"n": [4]})
            with pytest.raises(PermissionError):
                NumPack(path / "below").open()

        try:
            assert in_child(check) == 0
        finally:
            path.chmod(0o755)


def test_a_folder_that_is_not_to_be_made():
    for folder in ("/proc/no/store.npk", "/dev/null/store.npk"):
        with pytest.raises(OSError) as error:
            NumPack(folder).open()
        assert error.value.errno and not isinstance(error.value, NumPackError)


def test_files_that_are_no_stores(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(3))
    np.savez(tmp_path / "a.npz", x=np.arange(3))
    with NumPack(tmp_path / "a.npk") as store:
        store.save({"x": np.arange(3)})
    numpack.pack(tmp_path / "a.npk")
    heads = {
        "a.h5": b"\x89HDF\r\n\x1a\n",
        "a.parquet": b"PAR1",
        "a.feather": b"ARROW1\0\0",
        "a.pt": b"PK\x03\x04",
    }
    for name, head in {
        **heads,
        "a.safetensors": b"",
        "a.csv": b"1,2\n",
        "a.bin": b"",
        "moved": b"PAR1",
    }.items():
        (tmp_path / name).write_bytes(head)
    readers = {
        "a.npy": "a .npy file, .*numpack.io.from_npy",
        "a.npz": "a .npz archive, .*numpack.io.from_npy",
        "a.npkg": "a NumPack package, .*numpack.unpack",
        "a.h5": "numpack.io.from_hdf5",
        "a.parquet": "numpack.io.from_parquet",
        "moved": "numpack.io.from_parquet",
        "a.feather": "numpack.io.from_feather",
        "a.safetensors": "numpack.io.from_safetensors_file",
        "a.pt": "numpack.io.from_pt",
        "a.csv": "numpack.io.from_csv",
        "a.bin": "a plain file, and not the folder of a store",
    }
    for name, told in readers.items():
        before = (tmp_path / name).read_bytes()
        for options in ({}, {"mode": "r"}, {"mode": "w"}, {"mode": "x"}, {"drop_if_exists": True}):
            with pytest.raises(NotADirectoryError, match=told) as error:
                NumPack(tmp_path / name, **options).open()
            assert error.value.filename == str(tmp_path / name)
        assert (tmp_path / name).read_bytes() == before
    for told in re.findall(r"numpack\.[a-z0-9_.]+", " ".join(readers.values())):
        module, _, function = told.rpartition(".")
        assert callable(getattr(importlib.import_module(module), function))


def test_errors_of_searches_name_what_is_there(npk):
    npk.save({"v": np.zeros((3, 4), np.float32), "b": np.zeros((3, 4), bool), "cube": np.zeros((2, 2, 2))})
    with pytest.raises(ValueError, match="the queries have 5 dimensions, the rows that are searched 4"):
        npk.search("v", np.zeros((1, 5)))
    with pytest.raises(ValueError, match=r'array "cube": .*expected shape \(rows, dims\), got \(2, 2, 2\)'):
        npk.search("cube", np.zeros((1, 2)))
    with pytest.raises(ValueError, match=r"^vectors: .*expected shape \(rows, dims\), got \(1, 1, 4\)"):
        npk.search("v", np.zeros((1, 1, 4)))
    with pytest.raises(TypeError, match="the queries are uint8, the rows that are searched bool"):
        npk.search("b", np.zeros((1, 4), np.uint8), metric="hamming")
    engine = VectorEngine()
    for call in (
        lambda wrong: npk.search("v", wrong),
        lambda wrong: engine.top_k_search(wrong, np.zeros((3, 4)), "dot"),
        lambda wrong: engine.top_k_search(np.zeros(4), wrong, "dot"),
        lambda wrong: engine.compute_metric(wrong, wrong, "dot"),
    ):
        with pytest.raises(TypeError, match="dtype object cannot be searched: vectors are of numbers"):
            call(np.array([[None] * 4]))


def test_top_level_names():
    assert all(hasattr(numpack, name) for name in numpack.__all__)
    assert numpack.get_backend_info()["version"] == numpack.__version__
    assert numpack.force_cleanup_windows_handles() is True


def test_docstrings_say_how_to_call():
    for cls in (numpack.NumPack, numpack.LazyArray):
        public = [name for name in dir(cls) if not name.startswith("_")]
        assert public and all(getattr(cls, name).__doc__ for name in public), cls
