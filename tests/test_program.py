"""The program `numpack` of the package: every format in and out through a process of its own, what is refused, signals.

What the program does without Python is tested in crates/numpack-cli.
"""

import importlib.util
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import numpy as np
import pytest

from numpack import NumPack
from numpack.__main__ import main

ONE = ["npy", "csv", "txt", "tsv", "parquet", "pq", "feather", "arrow"]
SEVERAL = ["npz", "h5", "hdf5", "zarr", "safetensors", "pt"]
EXTRAS = {
    "npz": None,
    "h5": "h5py",
    "hdf5": "h5py",
    "zarr": "zarr",
    "safetensors": "safetensors",
    "pt": "torch",
    "parquet": "pyarrow",
    "pq": "pyarrow",
    "feather": "pyarrow",
    "arrow": "pyarrow",
}


def program(*arguments, **options):
    """Runs the program; what it says is text."""
    command = [sys.executable, "-m", "numpack", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)


def told(*arguments, **options):
    """What the program prints as JSON, which must end well and without a word on standard error."""
    done = program(*arguments, "--json", **options)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def refused(status, *arguments, **options):
    """What the program says when it ends with this status, without a result."""
    done = program(*arguments, **options)
    assert (done.returncode, done.stdout) == (status, ""), done.stderr
    assert done.stderr.startswith("numpack: ") and done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def contents(path):
    """Every array of a store that is not bookkeeping."""
    with NumPack(path, mode="r") as npk:
        return {name: npk.load(name) for name in npk if not name.startswith(".numpack/")}


def same(found, expected):
    """Whether two dicts hold the same arrays, bit for bit."""
    assert sorted(found) == sorted(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape, name
        assert found[name].tobytes() == array.tobytes(), name


def needs(ending):
    """Skips the test when the library of a format is not installed."""
    library = EXTRAS.get(ending)
    if library is not None and importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")


@pytest.fixture
def store(tmp_path, monkeypatch):
    """`data.npk` in a working folder of its own; returns its arrays."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    arrays = {
        "vectors": rng.standard_normal((500, 4)).astype("float32"),
        "ids": np.arange(500),
        "train/x": rng.standard_normal((3, 4, 5)),
    }
    with NumPack("data.npk") as npk:
        npk.save(arrays)
    return arrays


@pytest.mark.parametrize("ending", SEVERAL)
def test_formats_of_several_arrays(store, ending):
    needs(ending)
    done = told("export", "data.npk", f"out.{ending}")
    assert [array["name"] for array in done["arrays"]] == list(store)
    found = told("import", f"out.{ending}", "new.npk")
    expected = [
        {"name": name, "dtype": str(array.dtype), "shape": list(array.shape), "bytes": array.nbytes}
        for name, array in store.items()
    ]
    assert sorted(found["arrays"], key=lambda array: array["name"]) == sorted(
        expected, key=lambda array: array["name"]
    )
    same(contents("new.npk"), store)
    # Some of them, one under another name, over what is there.
    told("export", "data.npk", f"out.{ending}", "ids", "vectors", "--overwrite", "--chunk-size", "1K")
    told("import", f"out.{ending}", "two.npk", "ids", "--name", "numbers", "--chunk-size", "1K")
    same(contents("two.npk"), {"numbers": store["ids"]})
    assert "'other'" in refused(2, "import", f"out.{ending}", "two.npk", "other")
    assert "several" in refused(2, "import", f"out.{ending}", "two.npk", "--name", "several")
    same(contents("two.npk"), {"numbers": store["ids"]})


@pytest.mark.parametrize("ending", ONE)
def test_formats_of_one_array(store, ending):
    needs(ending)
    told("export", "data.npk", f"vectors.{ending}", "vectors")
    found = told("import", f"vectors.{ending}", "new.npk", "--chunk-size", "1K")
    assert [array["name"] for array in found["arrays"]] == ["vectors"]
    array = store["vectors"]
    text = ending in ("csv", "txt", "tsv")
    same(contents("new.npk"), {"vectors": array.astype(np.float64) if text else array})
    if ending == "tsv":
        assert "\t" in Path("vectors.tsv").read_text()
    assert "one array" in refused(2, "export", "data.npk", f"x.{ending}", "ids", "vectors")
    assert '"ids"' in refused(2, "export", "data.npk", f"x.{ending}")
    assert "--name" in refused(2, "import", f"vectors.{ending}", "new.npk", "vectors")
    assert not Path(f"x.{ending}").exists()


@pytest.mark.parametrize("ending", ["npy", "npz", "csv", "h5", "zarr"])
def test_what_is_there_stays_unless_told_otherwise(store, ending):
    needs(ending)
    told("export", "data.npk", f"ids.{ending}", "ids")
    message = refused(2, "export", "data.npk", f"ids.{ending}", "ids")
    assert message == f"numpack: ids.{ending} already exists: --overwrite replaces it\n"
    told("export", "data.npk", f"ids.{ending}", "ids", "--overwrite")
    message = refused(2, "import", f"ids.{ending}", "data.npk")
    assert message == 'numpack: array "ids" already exists in data.npk: --overwrite replaces it\n'
    with NumPack("data.npk") as npk:
        npk.append({"ids": np.arange(3)})
    told("import", f"ids.{ending}", "data.npk", "--overwrite")
    found = contents("data.npk")
    np.testing.assert_array_equal(found["ids"], store["ids"])
    assert sorted(found) == sorted(store)


def test_npy_agrees_with_numpy(store):
    rng = np.random.default_rng(2)
    for dtype in "?bBhHiIlLefdFD":
        for order in "<>":
            array = (
                (rng.standard_normal((4, 3, 5)) * 50)
                .astype(dtype)
                .astype(np.dtype(dtype).newbyteorder(order))
            )
            for version, fortran in [((1, 0), False), ((2, 0), True), ((3, 0), True)]:
                with open("a.npy", "wb") as file:
                    layout = np.asfortranarray(array) if fortran else array
                    np.lib.format.write_array(file, layout, version)
                assert main(["import", "a.npy", "new.npk", "--overwrite"]) == 0
                same(contents("new.npk"), {"a": array.astype(array.dtype.newbyteorder("="))})
        assert main(["export", "new.npk", "b.npy", "--overwrite"]) == 0
        np.testing.assert_array_equal(np.load("b.npy"), array)
        assert np.load("b.npy").dtype == array.dtype.newbyteorder("=")
    np.save("scalar.npy", np.float16(1.5))
    told("import", "scalar.npy", "new.npk")
    told("export", "new.npk", "back.npy", "scalar")
    assert np.load("back.npy") == 1.5 and np.load("back.npy").shape == ()


def test_statuses_tell_usage_from_damage(store):
    Path("words.csv").write_text("1,2\n3,word\n")
    assert "'word'" in refused(1, "import", "words.csv", "new.npk")
    Path("broken.npz").write_bytes(b"PK\x05\x06 and no archive")
    assert refused(1, "import", "broken.npz", "new.npk")
    np.savez("objects.npz", a=np.array([{}]))
    assert "object" in refused(2, "import", "objects.npz", "new.npk")
    assert "dimensions" in refused(2, "export", "data.npk", "x.csv", "train/x")
    assert "missing.h5" in refused(2, "import", "missing.h5", "new.npk")
    assert "missing" in refused(2, "export", "data.npk", "missing/x.npz")
    Path("folder/sub").mkdir(parents=True)
    assert "folder" in refused(2, "import", "words.csv", "folder")
    Path("x.npz/sub").mkdir(parents=True)
    assert "x.npz" in refused(2, "export", "data.npk", "x.npz", "--overwrite")
    assert sorted(os.listdir()) == [
        "broken.npz",
        "data.npk",
        "folder",
        "objects.npz",
        "words.csv",
        "x.npz",
    ]


def test_a_missing_library_is_named(store):
    Path("hidden/h5py").mkdir(parents=True)
    Path("hidden/h5py/__init__.py").write_text("raise ImportError('not here')")
    path = os.pathsep.join(["hidden", os.environ.get("PYTHONPATH", "")])
    message = refused(2, "export", "data.npk", "x.h5", env={**os.environ, "PYTHONPATH": path})
    assert message.rstrip().endswith("pip install h5py")


def large_archive():
    """`large.npz`: three arrays of 40 MB."""
    np.savez("large.npz", a=np.zeros(5_000_000), b=np.ones(5_000_000), c=np.arange(5_000_000))


def begun(folder, known):
    """Waits until a file or folder is there that was not known, or a known folder holds more."""
    deadline = time.monotonic() + 30
    while len(os.listdir(folder)) <= known:
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("target", ["data.npk", "new.npk"])
def test_an_interrupt_leaves_nothing(store, target):
    large_archive()
    before = sorted(os.listdir())
    folder = "data.npk" if target == "data.npk" else "."
    known = len(os.listdir(folder))
    command = [sys.executable, "-m", "numpack", "import", "large.npz", target, "--chunk-size", "4K"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        begun(folder, known)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read() == "numpack: interrupted\n"
    assert sorted(os.listdir()) == before
    same(contents("data.npk"), store)
    with NumPack("data.npk", mode="r") as npk:
        assert list(npk) == list(store) and npk.verify()["sound"]


@pytest.mark.parametrize("target", ["data.npk", "new.npk"])
def test_a_killed_import_shows_nothing_and_the_next_one_clears_up(store, target):
    large_archive()
    folder = "data.npk" if target == "data.npk" else "."
    known = len(os.listdir(folder))
    command = [sys.executable, "-m", "numpack", "import", "large.npz", target, "--chunk-size", "4K"]
    with subprocess.Popen(command) as process:
        begun(folder, known)
        process.kill()
    same(contents("data.npk"), store)
    assert not Path("new.npk").exists()
    told("import", "large.npz", target)
    with NumPack(target, mode="r") as npk:
        assert {"a", "b", "c"} <= set(npk) and not any(name.startswith(".numpack") for name in npk)
    assert not [name for name in os.listdir() if name.startswith(".")]


def test_a_bar_on_a_terminal(store):
    large_archive()
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "numpack", "import", "large.npz", "new.npk", "--chunk-size", "256K"]
    with subprocess.Popen(command, stdout=follower, stderr=follower, stdin=follower) as process:
        os.close(follower)
        shown = b""
        while part := read(leader):
            shown += part
    os.close(leader)
    assert process.returncode == 0
    assert b"importing" in shown and b"3 arrays" in shown


def read(terminal):
    """What comes from a terminal; nothing when its last user is gone."""
    try:
        return os.read(terminal, 4096)
    except OSError:
        return b""


def test_inside_a_running_python(store, capfd):
    """As a function, with the handler of Ctrl-C that Python has."""
    handler = signal.getsignal(signal.SIGINT)
    assert main(["export", "data.npk", "ids.npz", "ids", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["arrays"][0]["name"] == "ids"
    assert main(["import", "ids.npz", "data.npk"]) == 2
    assert signal.getsignal(signal.SIGINT) is handler


def test_search_agrees_with_the_method(store):
    with NumPack("data.npk") as npk:
        npk.drop("vectors", [0, 7])
        rows, scores = npk.search("vectors", npk.getitem("vectors", [3, 5]), k=4, metric="l2")
        np.save("queries.npy", npk.getitem("vectors", [3, 5]))
        one, _ = npk.search("vectors", [0.1, -0.2, 0.3, 0.4], k=2)
    found = told("search", "data.npk", "vectors", "--query-file", "queries.npy", "-k", "4", "--metric", "l2")
    for query in (0, 1):
        hits = found["queries"][query]["hits"]
        assert [hit["row"] for hit in hits] == rows[query].tolist()
        assert [hit["score"] for hit in hits] == scores[query].tolist()
    found = told("search", "data.npk", "vectors", "--query", "0.1,-0.2,0.3,0.4", "-k", "2")
    assert [hit["row"] for hit in found["queries"][0]["hits"]] == one[0].tolist()
    assert "2 dimensions, the rows that are searched 4" in refused(
        2, "search", "data.npk", "vectors", "--query", "1,2"
    )


def test_verify_of_a_package(store):
    assert program("pack", "data.npk").returncode == 0
    assert told("verify", "data.npkg") == {
        "package": "data.npkg",
        "sound": True,
        "arrays": 3,
        "checksummed": 3,
        "findings": [],
    }
    damaged = bytearray(Path("data.npkg").read_bytes())
    damaged[100] ^= 1
    Path("data.npkg").write_bytes(damaged)
    done = program("verify", "data.npkg", "--json")
    assert done.returncode == 1 and json.loads(done.stdout)["sound"] is False


def test_the_console_script(store):
    script = shutil.which("numpack", path=sysconfig.get_path("scripts"))
    done = subprocess.run([script, "export", "data.npk", "x.npz"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "3 arrays" in done.stdout
