"""Imports into a store that is not there yet: several at once, and what a failing one leaves."""

import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
from io_arrays import assert_same, load, names, save

from numpack.io import from_dataframe, from_npy


class Stop(Exception):
    """Raised by a progress callable."""


def failing(done, total):
    raise Stop


def test_two_threads_make_the_same_store(tmp_path, npk):
    np.save(tmp_path / "a.npy", np.arange(300_000))
    barrier = Barrier(2)

    def make(name):
        def together(done, total):
            if done == total:
                barrier.wait(30)

        from_npy(tmp_path / "a.npy", npk, array_name=name, progress=together)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(make, "xy"))
    assert names(npk) == ["x", "y"]
    assert_same(load(npk, "x"), np.arange(300_000))
    assert_same(load(npk, "y"), np.arange(300_000))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npy", "data.npk"]


def test_two_processes_make_the_same_store(tmp_path, npk):
    np.save(tmp_path / "a.npy", np.arange(30_000).reshape(-1, 10))
    code = """
        import sys
        from numpack.io import from_npy
        sys.stdin.readline()
        from_npy(sys.argv[1], sys.argv[2], array_name=sys.argv[3])
    """
    command = [sys.executable, "-c", textwrap.dedent(code), tmp_path / "a.npy", npk]
    children = [subprocess.Popen([*command, name], stdin=subprocess.PIPE) for name in "xyz"]
    for child in children:
        child.stdin.close()
    assert [child.wait(60) for child in children] == [0, 0, 0]
    assert names(npk) == ["x", "y", "z"]


@pytest.mark.parametrize("drop", [False, True])
def test_a_store_that_comes_in_between_gets_the_arrays(npk, drop):
    pd = pytest.importorskip("pandas")

    def come(done, total):
        if done == total:
            save(npk, x=np.arange(2), other=np.arange(3))

    frame = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
    from_dataframe(frame, npk, "x", drop_if_exists=drop, progress=come)
    assert names(npk) == [".numpack/columns/x", *([] if drop else ["other"]), "x"]
    assert_same(load(npk, "x"), np.array([[1, 3], [2, 4]]))


def test_a_scalar_and_nothing_come_after_another_store(tmp_path, npk):
    np.savez(tmp_path / "a.npz", scalar=np.array(5), none=np.empty((0, 3)))

    def come(done, total):
        if done == total and not npk.exists():
            save(npk, other=np.arange(3))

    from_npy(tmp_path / "a.npz", npk, progress=come)
    assert names(npk) == ["none", "other", "scalar"]
    assert_same(load(npk, "scalar"), np.array(5))
    assert_same(load(npk, "none"), np.empty((0, 3)))


def test_folders_that_were_made_go_when_an_import_fails(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(3))
    with pytest.raises(Stop):
        from_npy(tmp_path / "a.npy", tmp_path / "p" / "q" / "o.npk", progress=failing)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]

    def come(done, total):
        (tmp_path / "p" / "letter.txt").write_text("keep me")
        raise Stop

    with pytest.raises(Stop):
        from_npy(tmp_path / "a.npy", tmp_path / "p" / "q" / "o.npk", progress=come)
    assert [path.name for path in (tmp_path / "p").iterdir()] == ["letter.txt"]
