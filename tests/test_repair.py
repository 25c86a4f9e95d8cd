"""`numpack.repair`: a new store of what is intact."""

import shutil
from pathlib import Path

import numpy as np
import pytest

import numpack
from numpack import NumPack, repair


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    path = tmp_path / "old.npk"
    with NumPack(path) as npk:
        npk.save({"a": np.arange(12, dtype=np.int32).reshape(4, 3), "b": np.array([1.5, 2.5])})
        npk.append({"a": np.full((2, 3), 7, np.int32)})
        npk.replace({"a": np.zeros((1, 3), np.int32)}, [1])
        npk.drop("a", [0])
    return path


def test_what_is_intact_comes_over(damaged: Path) -> None:
    with NumPack(damaged) as npk:
        expected = npk.load("a")
    new = damaged.with_name("new.npk")
    told: list = []
    report = repair(damaged, new, progress=lambda done, total: told.append((done, total)))
    assert report["complete"] and report["last_state"] and report["left_out"] == []
    assert [(array["name"], array["rows"], array["proven"]) for array in report["recovered"]] == [
        ("a", 5, True),
        ("b", 2, True),
    ]
    assert told[-1] == (88, 88)
    with NumPack(new) as npk:
        np.testing.assert_array_equal(npk.load("a"), expected)
        np.testing.assert_array_equal(npk.load("b"), [1.5, 2.5])


def test_a_refused_store_names_repair_and_is_rebuilt(damaged: Path) -> None:
    log = damaged / "metadata.npkm"
    content = bytearray(log.read_bytes())
    content[20] ^= 1
    log.write_bytes(content)
    with pytest.raises(numpack.CorruptedError, match=r"numpack\.repair"):
        NumPack(damaged, mode="r").open()
    report = repair(damaged, damaged.with_name("new.npk"))
    assert [array["name"] for array in report["recovered"]] == ["a", "b"]
    assert report["log_problems"] and report["log_bytes_lost"] == 64


def test_a_damaged_array_is_left_out(damaged: Path) -> None:
    file = max(damaged.glob("*.npkd"), key=lambda path: path.stat().st_size)
    content = bytearray(file.read_bytes())
    content[3] ^= 1
    file.write_bytes(content)
    report = repair(damaged, damaged.with_name("new.npk"))
    assert not report["complete"]
    assert [array["name"] for array in report["left_out"]] == ["a"]
    assert file.name in report["left_out"][0]["reason"]


def test_what_cannot_be_repaired(damaged: Path) -> None:
    with pytest.raises(FileExistsError):
        repair(damaged, damaged)
    with pytest.raises(ValueError, match="it lies in the store"):
        repair(damaged, damaged / "new.npk")
    with pytest.raises(FileNotFoundError):
        repair(damaged.with_name("missing"), damaged.with_name("new.npk"))
    (damaged.parent / "other").mkdir()
    with pytest.raises(ValueError, match="there is no NumPack store"):
        repair(damaged.parent / "other", damaged.with_name("new.npk"))
    shutil.rmtree(damaged)
    assert sorted(path.name for path in damaged.parent.iterdir()) == ["other"]
