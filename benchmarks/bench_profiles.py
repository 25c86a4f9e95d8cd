"""What one build of the package costs beside another: the same calls, in processes that alternate.

    make bench-profiles
    .venv/bin/python benchmarks/bench_profiles.py release dist [--rounds N] [--folder FOLDER]
    .venv/bin/python benchmarks/bench_profiles.py python ../older/python

Builds the module with both profiles of Cargo.toml; a name that ends in .so is a module that is built already, and a
folder is one that holds the package with its module, as `python/` of a checkout of another commit does. Times calls
in processor time of the process, which other programs on the machine disturb least. In every round
each module gets a process of its own; the fastest of many repetitions counts in it. The ratio is the median
of the rounds' ratios, with its quartiles: where they lie on both sides of 1, nothing was shown.
docs/decisions/0007-build-profiles.md has what came of it.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
# Calls that take less are repeated until a repetition is this long, in seconds.
REPETITION = 0.01

Times = Dict[str, float]


def works(npk: Any, lazy: Any) -> Dict[str, Callable[[], object]]:
    """The calls by name: those that are short, where a call into another crate counts, bulk, and the kernels."""
    table, other = npk.load("table"), npk.filename.with_name("other.npk")
    some, scattered = list(range(500, 600)), np.random.default_rng(7).integers(0, 1_000_000, 1000)
    row, rows = np.ones((1, 10), np.float32), np.ones((100, 10), np.float32)
    queries = np.random.default_rng(8).random((64, 128), dtype=np.float32)
    return {
        "replace 1 row": lambda: npk.replace({"table": row}, 7),
        "replace 100 rows": lambda: npk.replace({"table": rows}, some),
        "append 1 row": lambda: npk.append({"log": row}),
        "append 100 rows": lambda: npk.append({"log": rows}),
        "lazy[i]": lambda: lazy[777_777],
        "lazy[i, j]": lambda: lazy[777_777, 3],
        "lazy[i:j]": lambda: lazy[1000:1100],
        "replace 1,000 scattered rows": lambda: npk.replace({"table": table[:1000]}, scattered),
        "load(lazy=True)": lambda: npk.load("table", lazy=True),
        "lazy[1,000 rows]": lambda: lazy[scattered],
        "getitem of 1,000 rows": lambda: npk.getitem("table", scattered),
        "getitem of a slice of 100,000": lambda: npk.getitem("table", slice(1000, 101_000)),
        "getitem with a mask of 500,000": lambda: npk.getitem("table", table[:, 0] < 0.5),
        "open and close": lambda: open_and_close(other),
        "load of 40 MB": lambda: npk.load("table"),
        "save over 40 MB": lambda: npk.save({"saved": table}),
        "stream of 40 MB": lambda: sum(len(rows) for rows in npk.stream_load("table", 100_000)),
        "100 saves in batch mode": lambda: in_a_batch(npk, row),
        "search of 1 query": lambda: npk.search("vectors", queries[:1], 10),
        "search of 64 queries": lambda: npk.search("vectors", queries, 10),
        "search of 64 queries, float64": lambda: npk.search("doubles", queries, 10, "l2"),
    }


def open_and_close(path: Path) -> None:
    """Opens a store that nobody has open."""
    from numpack import NumPack

    with NumPack(path):
        pass


def in_a_batch(npk: Any, row: Any) -> None:
    """Saves a small array a hundred times in batch mode."""
    with npk.batch_mode():
        for _ in range(100):
            npk.save({"small": row})


def fastest(work: Callable[[], object], repetitions: int) -> float:
    """Seconds of processor time that one call takes in the fastest repetition."""
    count, taken = 1, 0.0
    while True:
        begin = time.process_time()
        for _ in range(count):
            work()
        taken = time.process_time() - begin
        if taken >= REPETITION:
            break
        count = max(2 * count, int(count * REPETITION / max(taken, 1e-4)))
    times = [taken / count]
    for _ in range(repetitions - 1):
        begin = time.process_time()
        for _ in range(count):
            work()
        times.append((time.process_time() - begin) / count)
    return min(times)


def measure(path: str, repetitions: int) -> Times:
    """The times of the module that this process has imported."""
    from numpack import NumPack

    values = np.random.default_rng(1)
    with NumPack(path, drop_if_exists=True) as npk:
        npk.save({"table": values.random((1_000_000, 10), dtype=np.float32)})
        npk.save({"log": np.empty((0, 10), np.float32)})
        npk.save({"vectors": values.random((100_000, 128), dtype=np.float32)})
        npk.save({"doubles": values.random((20_000, 128))})
        with NumPack(npk.filename.with_name("other.npk"), drop_if_exists=True) as other:
            other.save({"a": np.ones((100, 10), np.float32)})
        found = works(npk, npk.load("table", lazy=True))
        return {name: fastest(work, repetitions) for name, work in found.items()}


def built(profile: str) -> Path:
    """The module of a profile, which cargo builds where it is missing."""
    if profile.endswith(".so") or Path(profile, "numpack").is_dir():
        return Path(profile)
    command = ["cargo", "build", "--locked", "-p", "numpack-python", "--profile", profile]
    subprocess.run(command, cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / profile / "lib_numpack.so"


def package(module: Path, folder: Path) -> Path:
    """A folder with the package and this module in it, or the folder that has both."""
    if module.is_dir():
        return module.resolve()
    ignored = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(ROOT / "python" / "numpack", folder / "numpack", ignore=ignored)
    shutil.copy(module, folder / "numpack" / "_numpack.abi3.so")
    return folder


def in_process(folder: Path, store: Path, repetitions: int) -> Times:
    """What a process measures that finds the package in `folder`."""
    command = [sys.executable, __file__, "--measure", str(store), "--repetitions", str(repetitions)]
    environment = dict(os.environ, PYTHONPATH=str(folder))
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    times: Times = json.loads(done.stdout)
    return times


def report(profiles: List[str], found: List[List[Times]]) -> None:
    """One line for each call: the median of both profiles, and of the ratios with their quartiles."""
    short = [Path(profile).resolve().parent.name if os.sep in profile else profile for profile in profiles]
    print(f"\n{'processor time of a call':<32}{short[0]:>14}{short[1]:>14}{'ratio':>8}   quartiles")
    for name in found[0][0]:
        first, second = ([times[name] for times in side] for side in found)
        low, middle, high = statistics.quantiles([a / b for a, b in zip(first, second)], n=4)
        ours, theirs = (f"{statistics.median(side) * 1e6:,.2f} us" for side in (first, second))
        print(f"{name:<32}{ours:>14}{theirs:>14}{middle:>8.3f}   {low:.3f} to {high:.3f}")


def main() -> None:
    """Measures the profiles that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "profiles", nargs="*", default=["release", "dist"], help="two names, modules (.so) or folders"
    )
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument(
        "--folder", help="where the stores are written; the system's temporary folder if not given"
    )
    parser.add_argument("--measure", metavar="STORE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.repetitions)))
        return
    if len(options.profiles) != 2:
        parser.error("name two profiles, or none")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        sides = [package(built(name), Path(folder, str(i))) for i, name in enumerate(options.profiles)]
        found: List[List[Times]] = [[], []]
        for _ in range(options.rounds):
            order = random.sample([0, 1], 2)
            for side in order:
                found[side].append(in_process(sides[side], Path(folder, "data.npk"), options.repetitions))
        report(options.profiles, found)


if __name__ == "__main__":
    main()
