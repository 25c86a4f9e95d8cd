"""Blocks that another thread makes: in order, with their errors, and nobody at work after the end."""

import threading

import numpy as np
import pytest
from io_arrays import load, names

from numpack.io import from_npy, to_npy
from numpack.io._prefetch import read_ahead


def running():
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("numpack-read")]


def test_blocks_come_in_order_and_one_ahead():
    made = []

    def blocks():
        for number in range(5):
            made.append(number)
            yield number

    for number in read_ahead(blocks()):
        assert number + 2 >= len(made)
    assert made == list(range(5)) and not running()


def test_an_error_comes_where_its_block_would():
    def blocks():
        yield 1
        raise ValueError("cut off")

    found = read_ahead(blocks())
    assert next(found) == 1
    with pytest.raises(ValueError, match="cut off"):
        next(found)
    assert not running()


def test_closing_waits_and_closes_the_blocks():
    ended = threading.Event()

    def blocks():
        try:
            while True:
                yield 1
        finally:
            ended.set()

    found = read_ahead(blocks())
    assert next(found) == 1 and running()
    found.close()
    assert ended.is_set() and not running()


def test_a_failure_while_storing_ends_the_reading(tmp_path, old):
    array = np.zeros((3_000_000, 8), "f4")
    np.savez(tmp_path / "a.npz", x=array)

    def failing(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        from_npy(tmp_path / "a.npz", old, progress=failing)
    assert names(old) == ["old"] and not running()
    from_npy(tmp_path / "a.npz", old)
    assert load(old, "x").shape == array.shape
    with pytest.raises(KeyboardInterrupt):
        to_npy(old, tmp_path / "b.npy", array_name="x", progress=failing)
    assert not (tmp_path / "b.npy").exists()
