"""How long the calls of the Python package take, beside .npy files, HDF5 and Zarr in the same process.

    make bench-python
    .venv/bin/python benchmarks/bench_python.py [--markdown] [--rounds N] [--folder FOLDER]

Each piece of work is timed in rounds, in which the formats take turns, and the fastest round counts: what
other programs on the machine do can only make a round slower. Short work is repeated within a round and
finds its caches warm; all files are in the page cache. HDF5 and Zarr hold the array in chunks of 10,000
rows without compression, because only so can it grow. "NumPy" is a .npy file, or for random rows an array
in memory. A piece of work whose target is missed says so; that is not a failure.
"""

import argparse
import os
import platform
import sys
import tempfile
import timeit
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

import h5py
import numpy as np
import zarr

import numpack
from numpack import NumPack

ROWS, COLUMNS, CHUNK = 1_000_000, 10, 10_000
FORMATS = ("NumPack", "NumPy", "HDF5", "Zarr")
# Statements that are faster are repeated within a round until it is this long.
ROUND = 0.005

Times = Dict[str, float]


class Work(NamedTuple):
    """One line of the table: the same work in each format, and what is to be reached."""

    what: str
    statements: Dict[str, str]
    # At most so many seconds.
    at_most: Optional[float] = None
    # NumPack's time over NumPy's is at most this.
    share: Optional[float] = None
    # Run before every round and not timed; then a round is a single run.
    before: str = ""
    rounds: Optional[int] = None


def work(what: str, ours: str, numpy: str = "", hdf5: str = "", zarr: str = "", **more: Any) -> Work:
    """A line of the table; a format without a statement is not measured."""
    statements = dict(zip(FORMATS, (ours, numpy, hdf5, zarr)))
    return Work(what, {name: text for name, text in statements.items() if text}, **more)


CYCLE = "for _ in range(100):\n    a = {load}\n    a[:10] *= 1.0001\n    {save}"
PLAIN_NPY = CYCLE.format(load="np.load(npy)", save="np.save(npy, a)")
IN_PLACE = "for _ in range(100):\n    {0}[:10] *= 1.0001"
BATCH = "with npk.batch_mode():\n    " + CYCLE.format(
    load="npk.load('a')", save="npk.save({'a': a})"
).replace("\n", "\n    ")
WRITABLE = "with npk.writable_batch_mode() as wb:\n    " + CYCLE.format(
    load="wb.load('a')", save="wb.save({'a': a})"
).replace("\n", "\n    ")
UPDATE_NPY = "a = np.load(npy); a[{0}] = rows{1}; np.save(npy, a)"


def gathers(count: int) -> List[Work]:
    """Random rows, beside NumPy on an array in memory."""
    key, at_most = f"random{count}", 2.5e-6 if count == 100 else None
    return [
        work(
            f"lazy[idx], {count:,} random rows", f"lazy[{key}]", f"memory[{key}]", share=1.2, at_most=at_most
        ),
        work(
            f"getitem, {count:,} random rows",
            f"npk.getitem('a', {key})",
            f"memory[{key}]",
            f"h5[sorted{count}]",
            f"z.oindex[sorted{count}]",
            share=1.2,
            at_most=at_most,
        ),
    ]


WORKS: List[Work] = [
    work(
        "replace 100 rows (list of int)",
        "npk.replace({'a': rows100}, some)",
        UPDATE_NPY.format("some", 100),
        "h5[500:600] = rows100",
        "z[500:600] = rows100",
        at_most=7e-6,
        share=1 / 2000,
    ),
    work(
        "replace 1,000 scattered rows",
        "npk.replace({'a': rows1000}, distinct1000)",
        UPDATE_NPY.format("distinct1000", 1000),
        "h5[sorted1000] = rows1000",
        "z.oindex[sorted1000] = rows1000",
        at_most=50e-6,
    ),
    work(
        "append 100 rows",
        "npk.append({'grown': rows100})",
        "np.save(npy, np.concatenate([np.load(npy), rows100]))",
        "grown.resize(len(grown) + 100, axis=0); grown[-100:] = rows100",
        "zgrown.append(rows100)",
        at_most=7e-6,
        share=1 / 3000,
    ),
    work("load", "npk.load('a')", "np.load(saved)", "h5[:]", "z[:]", share=0.5),
    work(
        "load(lazy=True) / mmap_mode='r'",
        "npk.load('a', lazy=True)",
        "np.load(saved, mmap_mode='r')",
        at_most=0.6e-6,
        share=1 / 70,
    ),
    work("lazy[i]", "lazy[4321]", "mapped[4321]", "h5[4321]", "z[4321]", at_most=0.2e-6),
    work(
        "lazy[a:b], 1,000 rows, no copy",
        "lazy[5000:6000]",
        "mapped[5000:6000]",
        "h5[5000:6000]",
        "z[5000:6000]",
        at_most=0.3e-6,
    ),
    *gathers(100),
    *gathers(1000),
    *gathers(10_000),
    work(
        "save, new name", "npk.save({f'new{n}': memory})", "np.save(npy, memory)", share=1.0, before="n += 1"
    ),
    work(
        "save over the same size",
        "npk.save({'over': memory})",
        "np.save(npy, memory)",
        "h5[:] = memory",
        "z[:] = memory",
        share=0.6,
    ),
    work(
        "100 times load, modify 10 rows, save",
        CYCLE.format(load="npk.load('a')", save="npk.save({'a': a})"),
        PLAIN_NPY,
        IN_PLACE.format("h5"),
        IN_PLACE.format("z"),
        rounds=1,
    ),
    work("the same in batch_mode", BATCH, "", share=1 / 40, rounds=5),
    work("the same in writable_batch_mode", WRITABLE, "", share=1 / 1000, rounds=5),
]


class Timed(NamedTuple):
    """A line of the table with its times."""

    work: Work
    times: Times
    misses: List[str]


def one_round(statement: str, names: Dict[str, Any], number: int) -> float:
    """Seconds of one run of a statement, over a round of `number` runs; short ones find their caches warm."""
    if number > 1:
        timeit.Timer(statement, globals=names).timeit(1 + number // 10)
    return timeit.Timer(statement, globals=names).timeit(number) / number


def runs_in_a_round(statement: str, names: Dict[str, Any]) -> int:
    """How many runs take as long as a round should, the first of all, which maps and faults, not counted."""
    timeit.Timer(statement, globals=names).timeit(1)
    number = 1
    while number < 100_000:
        taken = timeit.Timer(statement, globals=names).timeit(number)
        if taken >= ROUND / 4:
            return max(1, round(number * ROUND / taken))
        number *= 4
    return number


def measure(item: Work, names: Dict[str, Any], rounds: int) -> Times:
    """The fastest round of each format; the formats take turns."""
    single = bool(item.before) or item.rounds is not None
    numbers = {name: 1 if single else runs_in_a_round(text, names) for name, text in item.statements.items()}
    found: Dict[str, List[float]] = {name: [] for name in item.statements}
    for _ in range(item.rounds or rounds):
        for name, text in item.statements.items():
            exec(item.before, names)
            found[name].append(one_round(text, names, numbers[name]))
    return {name: min(times) for name, times in found.items()}


def judge(item: Work, times: Times) -> List[str]:
    """The targets that were missed, in words; none is good."""
    ours, misses = times["NumPack"], []
    if item.at_most is not None and ours > item.at_most:
        misses.append(f"above {in_words(item.at_most)}")
    if item.share is not None and ours > item.share * times["NumPy"]:
        misses.append(f"above {share_in_words(item.share)}")
    return misses


def share_in_words(share: float) -> str:
    """A target against NumPy: 0.5x of its time, or so many times faster."""
    return f"{share:.1f}x of it" if share > 0.1 else f"{1 / share:,.0f} times faster"


def target_in_words(item: Work) -> str:
    """What is to be reached."""
    targets = [] if item.at_most is None else [in_words(item.at_most)]
    return ", ".join(targets + ([] if item.share is None else [share_in_words(item.share)])) or "-"


def ratio_in_words(ratio: Optional[float]) -> str:
    """A ratio with three digits, or all of a whole one."""
    if ratio is None:
        return "-"
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.3g}"


def in_words(seconds: Optional[float]) -> str:
    """A time with its unit."""
    if seconds is None:
        return "-"
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def prepare(folder: Path) -> Dict[str, Any]:
    """The names that the statements use."""
    random = np.random.default_rng(3)
    memory = random.random((ROWS, COLUMNS), dtype=np.float32)
    npk = NumPack(folder / "data.npk")
    npk.open()
    npk.save({"a": memory, "over": memory, "grown": memory})
    h5_file = h5py.File(folder / "data.h5", "w")
    more = {"chunks": (CHUNK, COLUMNS), "maxshape": (None, COLUMNS)}
    names: Dict[str, Any] = {
        "np": np,
        "npk": npk,
        "memory": memory,
        "lazy": npk.load("a", lazy=True),
        "npy": str(folder / "data.npy"),
        "saved": str(folder / "saved.npy"),
        "rows100": memory[:100].copy(),
        "rows1000": memory[:1000].copy(),
        "some": list(range(500, 600)),
        "distinct1000": random.permutation(ROWS)[:1000],
        "h5_file": h5_file,
        "h5": h5_file.create_dataset("a", data=memory, **more),
        "grown": h5_file.create_dataset("grown", data=memory, **more),
        "n": 0,
    }
    for count in (100, 1000, 10_000):
        names[f"random{count}"] = random.integers(0, ROWS, count)
        names[f"sorted{count}"] = np.sort(random.permutation(ROWS)[:count])
    np.save(names["npy"], memory)
    np.save(names["saved"], memory)
    names["mapped"] = np.load(names["saved"], mmap_mode="r")
    for name, key in (("z", "a.zarr"), ("zgrown", "grown.zarr")):
        names[name] = zarr.create_array(
            folder / key, shape=memory.shape, chunks=(CHUNK, COLUMNS), dtype=memory.dtype, compressors=None
        )
        names[name][:] = memory
    return names


def with_deleted_rows(names: Dict[str, Any], rounds: int) -> Timed:
    """Picked rows after a tenth of all rows was deleted at random, beside the undeleted array."""
    npk, random = names["npk"], np.random.default_rng(5)
    npk.save({"holes": names["memory"]})
    npk.drop("holes", random.permutation(ROWS)[: ROWS // 10])
    names["live1000"] = random.integers(0, ROWS - ROWS // 10, 1000)
    item = work(
        "getitem, 1,000 rows, 10 % deleted (beside none deleted)",
        "npk.getitem('holes', live1000)",
        "npk.getitem('a', live1000)",
        share=3.0,
    )
    times = measure(item, names, rounds)
    return Timed(item, times, judge(item, times))


def open_and_close(names: Dict[str, Any], folder: Path, rounds: int) -> Timed:
    """A store of one array that no other handle in the process holds."""
    path = folder / "alone.npk"
    with NumPack(path) as npk:
        npk.save({"a": names["memory"]})
    names.update(NumPack=NumPack, h5py=h5py, zarr=zarr, alone=path, h5_alone=folder / "alone.h5")
    with h5py.File(names["h5_alone"], "w") as file:
        file["a"] = names["rows1000"]
    item = work(
        "open and close",
        "s = NumPack(alone); s.open(); s.close()",
        "",
        "h5py.File(h5_alone, 'r').close()",
        "zarr.open_array(z.store)",
        at_most=60e-6,
    )
    times = measure(item, names, rounds)
    return Timed(item, times, judge(item, times))


def run(folder: Path, rounds: int) -> List[Timed]:
    """Every line of the table."""
    names, lines, plain = prepare(folder), [], 0.0
    for item in WORKS:
        times = measure(item, names, rounds)
        if item.statements.get("NumPy") == PLAIN_NPY:
            plain = times["NumPy"]
        if item.what.startswith("the same"):
            times["NumPy"] = plain
        lines.append(Timed(item, times, judge(item, times)))
        print(f"  {item.what}", file=sys.stderr, flush=True)
    lines.append(with_deleted_rows(names, rounds))
    lines.append(open_and_close(names, folder, rounds))
    names["npk"].close()
    names["h5_file"].close()
    return lines


def cells(line: Timed) -> Tuple[str, ...]:
    """A line of the table in words."""
    times, ours = line.times, line.times["NumPack"]
    ratio = times["NumPy"] / ours if "NumPy" in times else None
    reached = "-" if target_in_words(line.work) == "-" else "; ".join(line.misses) or "yes"
    formats = (in_words(times.get(name)) for name in FORMATS)
    return (line.work.what, *formats, ratio_in_words(ratio), target_in_words(line.work), reached)


HEAD = ("1,000,000 x 10 float32", *FORMATS, "NumPy / NumPack", "to reach", "reached")


def print_table(lines: List[Timed], markdown: bool) -> None:
    """The table, for a terminal or a document."""
    table = [HEAD, *(cells(line) for line in lines)]
    if markdown:
        table.insert(1, ("---", *("---:" for _ in HEAD[1:-2]), "---", "---"))
        for row in table:
            print("| " + " | ".join(row) + " |")
        return
    widths = [max(len(row[at]) for row in table) for at in range(len(HEAD))]
    for row in table:
        first = f"{row[0]:<{widths[0]}}"
        print("  ".join([first, *(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:]))]))


def machine() -> str:
    """What the figures were taken with."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    versions = f"NumPack {numpack.__version__}, NumPy {np.__version__}, h5py {h5py.__version__}"
    versions = f"CPython {platform.python_version()}, {versions}, Zarr {zarr.__version__}"
    return f"{model}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f} at the start; {versions}"


def main() -> int:
    """Measures, prints; 0 whether or not every target was reached."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of each piece of work (default: 9)")
    parser.add_argument(
        "--folder", type=Path, help="where the files go (default: the system's temporary folder)"
    )
    options = parser.parse_args()
    about = machine()
    with tempfile.TemporaryDirectory(prefix="numpack-bench-", dir=options.folder) as folder:
        lines = run(Path(folder), options.rounds)
    print(f"{about}\n")
    print_table(lines, options.markdown)
    missed = sum(bool(line.misses) for line in lines)
    print(f"\n{'every target is reached' if not missed else f'{missed} targets are missed'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
