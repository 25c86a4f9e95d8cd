"""What NumPack does and how long it takes, beside .npy files: run it with `make demo`.

Everything is written to a folder that is removed at the end. Times are the best of a few runs.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, List, Optional, Tuple

import numpy as np

from numpack import NumPack

Timing = Tuple[str, float, Optional[float]]


def best_of(runs: int, work: Callable[[], object]) -> float:
    """Seconds of the fastest of some runs."""
    best = float("inf")
    for _ in range(runs):
        begin = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begin)
    return best


def say(text: str) -> None:
    """Prints a line of the story."""
    print(f"  {text}", flush=True)


def same(found: np.ndarray, expected: np.ndarray) -> None:
    """Stops the demo when the store does not hold what it should."""
    if found.dtype != expected.dtype or not np.array_equal(found, expected):
        sys.exit("the store does not hold what it should")


def basics(npk: NumPack, measurements: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Saves, appends, replaces and deletes rows; returns what "vectors" must hold then."""
    npk.save({"measurements": measurements, "vectors": vectors})
    say(f"saved {npk.get_member_list()} in one commit")

    new = np.ones((1000, 128), dtype=np.float32)
    npk.append({"vectors": new})
    npk.replace({"vectors": np.zeros((3, 128), dtype=np.float32)}, [0, 10, -1])
    say(f"appended 1,000 rows and replaced three: {npk.get_shape('vectors')}")

    npk.drop("vectors", [5, 6, 7])
    expected = np.concatenate([vectors, new])
    expected[[0, 10, -1]] = 0
    expected = np.delete(expected, [5, 6, 7], axis=0)
    same(npk.load("vectors"), expected)
    same(npk.getitem("vectors", [5, -1]), expected[[5, -1]])
    say(f"deleted three: {npk.get_shape('vectors')}, and row 5 is the former row 8")
    npk.update("vectors")
    say("gave the room of the deleted rows back")
    return expected


def reading(npk: NumPack, expected: np.ndarray) -> None:
    """Reads lazily and in batches."""
    lazy = npk.load("vectors", lazy=True)
    say(f"{lazy!r} has read nothing yet")
    same(lazy[100:200, :4], expected[100:200, :4])
    same(lazy[[1, 99_999, 1]], expected[[1, 99_999, 1]])
    total = sum(
        float(batch.sum(dtype=np.float64)) for batch in npk.stream_load("vectors", buffer_size=10_000)
    )
    say(f"summed in batches of 10,000 rows: {total:.1f}; in memory: {expected.sum(dtype=np.float64):.1f}")


def batches(npk: NumPack, measurements: np.ndarray) -> np.ndarray:
    """Changes "measurements" many times in both batch modes; returns what it must hold then."""
    with npk.batch_mode():
        for _ in range(100):
            array = npk.load("measurements")
            array[:10] *= 1.01
            npk.save({"measurements": array})
    say("batch_mode: 100 times load, modify, save were one commit")

    with npk.writable_batch_mode() as wb:
        array = wb.load("measurements")
        array[:10] *= 1.01
    say("writable_batch_mode: changed ten rows where they lie")

    expected = measurements.copy()
    for _ in range(101):
        expected[:10] *= 1.01
    same(npk.load("measurements"), expected)
    return expected


def timings(npk: NumPack, npy: Path, array: np.ndarray) -> List[Timing]:
    """Times the same work on a store and on a .npy file."""
    name, rows, some = "measurements", array[:100].copy(), list(range(500, 600))

    def modified() -> None:
        whole = np.load(npy)
        whole[some] = rows
        np.save(npy, whole)

    def appended() -> None:
        np.save(npy, np.concatenate([np.load(npy), rows]))

    np.save(npy, array)
    random = np.random.default_rng(7).integers(0, len(array), 1000)
    table: List[Timing] = [
        (
            "save over it",
            best_of(5, lambda: npk.save({name: array})),
            best_of(5, lambda: np.save(npy, array)),
        ),
        ("load", best_of(5, lambda: npk.load(name)), best_of(5, lambda: np.load(npy))),
        (
            "map it (lazy=True; mmap_mode='r')",
            best_of(200, lambda: npk.load(name, lazy=True)),
            best_of(200, lambda: np.load(npy, mmap_mode="r")),
        ),
        (
            "read 1,000 random rows",
            best_of(50, lambda: npk.getitem(name, random)),
            best_of(5, lambda: np.load(npy, mmap_mode="r")[random]),
        ),
        ("replace 100 rows", best_of(200, lambda: npk.replace({name: rows}, some)), best_of(3, modified)),
        ("append 100 rows", best_of(200, lambda: npk.append({name: rows})), best_of(3, appended)),
        ("delete 100 rows", best_of(20, lambda: npk.drop(name, some)), None),
    ]
    return table


def print_table(table: List[Timing]) -> None:
    """One line for each kind of work."""
    print(f"\n  {'1,000,000 x 10 float32':<36}{'NumPack':>12}{'.npy':>12}{'times faster':>14}")
    for what, ours, theirs in table:
        other, ratio = ("-", "-") if theirs is None else (in_words(theirs), f"{theirs / ours:,.1f}")
        print(f"  {what:<36}{in_words(ours):>12}{other:>12}{ratio:>14}")


def in_words(seconds: float) -> str:
    """A time with three digits and its unit."""
    return f"{seconds * 1e3:.2f} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.2f} us"


def main() -> None:
    """Runs the demo."""
    random = np.random.default_rng(1)
    measurements = random.random((1_000_000, 10), dtype=np.float32)
    vectors = random.random((100_000, 128), dtype=np.float32)
    with tempfile.TemporaryDirectory(prefix="numpack-demo-") as folder:
        print(f"NumPack in {folder}: 1,000,000 x 10 and 100,000 x 128 float32\n")
        path = Path(folder) / "data.npk"
        with NumPack(path) as npk:
            expected = basics(npk, measurements, vectors)
            reading(npk, expected)
            changed = batches(npk, measurements)
        with NumPack(path, mode="r") as npk:
            same(npk.load("vectors"), expected)
            same(npk.load("measurements"), changed)
            say("closed and opened again: everything is there")
        with NumPack(path) as npk:
            print_table(timings(npk, Path(folder) / "data.npy", measurements))
            if not npk.verify()["sound"]:
                sys.exit("verify() found damage")
    print("\n  verify() finds the store intact. The folder is removed.")


if __name__ == "__main__":
    main()
