"""Packages from Python: the seed's snippets, the errors, progress, and the program."""

import errno
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import numpack
from numpack import NumPack, get_package_info, pack, unpack

DTYPES = [
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    arrays = {f"plain/{dtype}": rng.integers(0, 2, (100, 3)).astype(dtype) for dtype in DTYPES}
    arrays["embeddings"] = rng.standard_normal((50_000, 16)).astype(np.float32)
    arrays["none"] = np.empty((0, 4), np.int16)
    with NumPack("data.npk") as npk:
        npk.save(arrays)
        npk.drop("embeddings", [0, 5, -1])
    arrays["embeddings"] = np.delete(arrays["embeddings"], [0, 5, -1], axis=0)
    return arrays


def check(path, arrays):
    with NumPack(path, mode="r") as npk:
        assert sorted(npk) == sorted(arrays)
        for name, array in arrays.items():
            found = npk.load(name)
            assert found.dtype == array.dtype
            np.testing.assert_array_equal(found, array)


def test_the_snippet_of_the_readme(store, capsys):
    assert pack("data.npk") == Path("data.npkg")
    pack("data.npk", "backup/data.npkg")
    os.rename("data.npk", "away.npk")
    assert unpack("data.npkg") == Path("data.npk")
    unpack("data.npkg", "restored/")
    check("data.npk", store)
    check("restored", store)
    info = get_package_info("data.npkg")
    print(f"Files: {info['file_count']}, Compression: {info['compression_ratio']:.1%}")
    assert capsys.readouterr().out.startswith(f"Files: {len(store)}, Compression: 8")


def test_the_description_of_a_package(store):
    info = get_package_info(pack(Path("data.npk")))
    assert info["file_count"] == len(info["files"]) == len(store)
    assert info["version"] == 1
    assert info["compression"] == "zstd"
    assert info["total_original_size"] == sum(array.nbytes for array in store.values())
    assert info["total_compressed_size"] < info["package_size"] == os.path.getsize("data.npkg")
    assert info["compression_ratio"] == info["total_compressed_size"] / info["total_original_size"]
    file = next(file for file in info["files"] if file["name"] == "embeddings")
    assert file["shape"] == (49_997, 16) and file["dtype"] == "float32" and file["deleted_rows"] == 0
    info = get_package_info(pack("data.npk", compression=False, overwrite=True))
    assert info["compression"] is None and info["compression_ratio"] == 1.0
    info = get_package_info(pack("data.npk", compression=9, keep_deleted=True, overwrite=True))
    assert next(file for file in info["files"] if file["name"] == "embeddings")["deleted_rows"] == 3


def test_deleted_rows_are_kept_when_asked_for(store):
    unpack(pack("data.npk", keep_deleted=True), "copy.npk")
    check("copy.npk", store)
    with NumPack("copy.npk") as npk:
        assert npk.get_shape("embeddings") == (49_997, 16)
        npk.update("embeddings")
    check("copy.npk", store)


def test_errors(store, tmp_path):
    package = pack("data.npk")
    with pytest.raises(FileExistsError, match="overwrite=True") as error:
        pack("data.npk")
    assert error.value.errno == errno.EEXIST and "data.npkg" in str(error.value)
    with pytest.raises(FileExistsError, match=r"overwrite=True.*data\.npk"):
        unpack(package)
    for call in (pack, unpack, get_package_info):
        for kind in (FileNotFoundError, ValueError):
            with pytest.raises(kind, match="nothing"):
                call("nothing")
            with pytest.raises(kind, match="nothing"):
                call(Path("nothing") / "here")
    os.mkdir("folder")
    with pytest.raises(ValueError, match="no NumPack store"):
        pack("folder")
    Path("text.npkg").write_text("this is not a package, whatever its name says; it goes on for a while")
    for call in (unpack, get_package_info):
        with pytest.raises(ValueError, match="not a NumPack package"):
            call("text.npkg")
    with pytest.raises(ValueError):
        pack("data.npk", "other.npkg", compression=1000)
    Path("folder/mine.txt").write_text("mine")
    with pytest.raises(ValueError):
        unpack(package, "folder", overwrite=True)
    assert os.listdir("folder") == ["mine.txt"]


def test_damage_is_refused_and_leaves_nothing(store, tmp_path):
    package = pack("data.npk")
    content = bytearray(package.read_bytes())
    content[len(content) // 2] ^= 16
    package.write_bytes(content)
    before = sorted(os.listdir())
    with pytest.raises(numpack.CorruptedError, match="checksum"):
        unpack(package, "new/copy.npk")
    with pytest.raises(numpack.CorruptedError):
        unpack(package, "data.npk", overwrite=True)
    assert sorted(os.listdir()) == before
    check("data.npk", store)


def test_over_a_store_that_is_open(store):
    package = pack("data.npk")
    with NumPack("data.npk") as npk:
        npk.save({"embeddings": np.zeros(3), "new": np.ones(2)})
        unpack(package, overwrite=True)
        assert "new" not in npk
        np.testing.assert_array_equal(npk.load("embeddings"), store["embeddings"])


def test_progress(store, capsys):
    seen = []
    package = pack("data.npk", progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen) and seen[-1][0] == seen[-1][1] > 0
    seen.clear()
    unpack(package, "copy.npk", progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] > 0
    pack("data.npk", overwrite=True, progress=True)

    def stop(done, total):
        raise KeyboardInterrupt

    before = sorted(os.listdir())
    for call in (
        lambda: pack("data.npk", "x.npkg", progress=stop),
        lambda: unpack(package, "x.npk", progress=stop),
    ):
        with pytest.raises(KeyboardInterrupt):
            call()
    assert sorted(os.listdir()) == before


def program(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "numpack", *arguments], capture_output=True, text=True, timeout=60, **options
    )


def test_the_program(store):
    listed = program("ls", "data.npk", "--json")
    assert listed.returncode == 0 and listed.stderr == ""
    arrays = {array["name"]: array for array in json.loads(listed.stdout)["arrays"]}
    assert sorted(arrays) == sorted(store)
    assert arrays["embeddings"]["shape"] == [49_997, 16]
    assert program("pack", "data.npk").returncode == 0
    assert program("pack", "data.npk").returncode == 2
    assert program("unpack", "data.npkg", "copy.npk").returncode == 0
    check("copy.npk", store)
    assert program("frobnicate").returncode == 2
    assert program("--help").returncode == 0
    assert program("--version").stdout.split() == ["numpack", numpack.__version__]


def test_statistics_agree_with_numpy(store):
    stats = json.loads(program("stats", "data.npk", "embeddings", "--json", "--bins", "7").stdout)["arrays"][
        0
    ]
    array = store["embeddings"]
    assert stats["count"] == array.size and stats["nan"] == 0
    assert np.float32(stats["min"]) == array.min() and np.float32(stats["max"]) == array.max()
    assert stats["mean"] == pytest.approx(array.mean(dtype=np.float64), rel=1e-12)
    histogram = np.histogram(array.astype(np.float64), 7)[0]
    assert np.abs(np.array(stats["histogram"]["counts"]) - histogram).sum() <= 2


def test_the_program_on_a_terminal(store):
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "numpack", "info", "data.npk"],
        stdout=follower,
        stderr=follower,
        stdin=follower,
    ) as process:
        os.close(follower)
        text = b""
        while True:
            try:
                part = os.read(leader, 4096)
            except OSError:
                break
            if not part:
                break
            text += part
    os.close(leader)
    assert process.returncode == 0
    assert b"deleted" in text


def test_an_interrupt_ends_the_program(store):
    with NumPack("large.npk") as npk:
        npk.save({"x": np.random.default_rng(2).standard_normal((2000, 10_000))})
    with subprocess.Popen([sys.executable, "-m", "numpack", "pack", "large.npk", "--level", "19"]) as process:
        while not any(name.endswith(".part") for name in os.listdir()):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(60) in (130, -signal.SIGINT)
    assert not any(name.endswith((".part", ".npkg")) for name in os.listdir())
