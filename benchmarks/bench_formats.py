"""How long conversions of numpack.io take, beside copying the file or the format's own library on the same data.

    make bench-formats
    .venv/bin/python benchmarks/bench_formats.py [--markdown] [--rounds N] [--size MB] [--only TEXT] [--folder FOLDER]

The base of a .npy is shutil.copyfile of that file into the same folder. The base of every other import is the
library reading the whole file into memory, which is less than an import does, whose bytes also go to a file:
"with a file" is the library reading and then ndarray.tofile. The base of an export is the library writing the
same data from memory with the same settings. All work in one folder on targets that are new each time, on files
that are in the page cache. In a round all take turns; ratios are those of the medians and of the fastest rounds.
What is above its aim says so; that is not a failure.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Optional, Tuple

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import safetensors.numpy
import zarr

import numpack.io as io
from numpack import NumPack

COLUMNS = 128
COPY, LIBRARY = 1.3, 1.2

Step = Callable[[Path], object]


class Work(NamedTuple):
    """A conversion: each step gets a path that is not there yet."""

    what: str
    ours: Step
    alone: Step
    with_file: Optional[Step] = None
    aim: Optional[float] = None
    suffix: str = ""


class Timed(NamedTuple):
    """Seconds of each round."""

    work: Work
    ours: List[float]
    alone: List[float]
    with_file: List[float]


def seconds(step: Step, target: Path) -> float:
    """How long a step takes; what it made is removed."""
    start = time.perf_counter()
    step(target)
    taken = time.perf_counter() - start
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)
    return taken


def measure(work: Work, folder: Path, rounds: int) -> Timed:
    """The steps take turns; a first round, which finds caches cold, does not count."""
    found = Timed(work, [], [], [])
    for number in range(rounds + 1):
        for step, times in (
            (work.ours, found.ours),
            (work.alone, found.alone),
            (work.with_file, found.with_file),
        ):
            if step is not None:
                taken = seconds(step, folder / f"target{work.suffix}")
                if number:
                    times.append(taken)
    return found


def reading(
    what: str, file: Path, ours: Step, read: Callable[[Path], np.ndarray], aim: Optional[float]
) -> Work:
    """An import beside the library's reading."""
    return Work(what, ours, lambda _: read(file), lambda target: read(file).tofile(target), aim)


def npy(folder: Path, array: np.ndarray, store: Path) -> List[Work]:
    """Both ways, beside a copy."""
    file = folder / "x.npy"
    np.save(file, array)

    def copy(target: Path) -> object:
        return shutil.copyfile(file, target)

    return [
        Work("from_npy", lambda target: io.from_npy(file, target), copy, aim=COPY),
        Work("to_npy", lambda target: io.to_npy(store, target), copy, aim=COPY, suffix=".npy"),
    ]


def hdf5(folder: Path, array: np.ndarray, store: Path, compression: Optional[str]) -> List[Work]:
    """Contiguous, or in the chunks that to_hdf5 makes."""
    file = folder / f"{compression}.h5"
    io.to_hdf5(store, file, compression=compression)
    with h5py.File(file) as found:
        settings = {"chunks": found["x"].chunks, "compression": compression}
        settings["compression_opts"] = found["x"].compression_opts

    def read(path: Path) -> np.ndarray:
        with h5py.File(path, "r") as found:
            return np.asarray(found["x"][:])

    def write(target: Path) -> None:
        with h5py.File(target, "w") as found:
            found.create_dataset("x", data=array, **settings)

    name = f"{compression or 'plain'} HDF5"
    return [
        reading(f"from_hdf5, {name}", file, lambda target: io.from_hdf5(file, target), read, LIBRARY),
        Work(
            f"to_hdf5, {name}",
            lambda target: io.to_hdf5(store, target, compression=compression),
            write,
            aim=LIBRARY,
        ),
    ]


def zarrs(folder: Path, array: np.ndarray, store: Path, compressors: Optional[str]) -> List[Work]:
    """In the chunks that to_zarr makes."""
    file = folder / f"{compressors}.zarr"
    io.to_zarr(store, file, compressors=compressors)
    chunks = zarr.open_group(file)["x"].chunks

    def write(target: Path) -> None:
        group = zarr.open_group(target, mode="w")
        group.create_array("x", data=array, chunks=chunks, compressors=compressors)

    name = "plain Zarr" if compressors is None else "Zarr"
    return [
        reading(
            f"from_zarr, {name}",
            file,
            lambda target: io.from_zarr(file, target),
            lambda path: np.asarray(zarr.open_group(path, mode="r")["x"][:]),
            LIBRARY,
        ),
        Work(
            f"to_zarr, {name}",
            lambda target: io.to_zarr(store, target, compressors=compressors),
            write,
            aim=LIBRARY,
        ),
    ]


def stacked(table: pa.Table) -> np.ndarray:
    """Rows of the columns of a table."""
    return np.column_stack([column.to_numpy() for column in table.columns])


def parquet(folder: Path, table: pa.Table, store: Path) -> List[Work]:
    """The library's own file, and writing with to_parquet's settings."""
    file = folder / "x.parquet"
    io.to_parquet(store, file)
    rows = pa.parquet.ParquetFile(file).metadata.row_group(0).num_rows
    return [
        Work(
            "from_parquet",
            lambda target: io.from_parquet(file, target),
            lambda _: pa.parquet.read_table(file),
            lambda target: stacked(pa.parquet.read_table(file)).tofile(target),
            LIBRARY,
        ),
        Work(
            "to_parquet",
            lambda target: io.to_parquet(store, target),
            lambda target: pa.parquet.write_table(table, target, row_group_size=rows),
            aim=LIBRARY,
        ),
    ]


def feather(folder: Path, table: pa.Table, store: Path) -> List[Work]:
    """As Parquet; no aim."""
    file = folder / "x.feather"
    io.to_feather(store, file)
    with pa.ipc.open_file(str(file)) as reader:
        rows = reader.get_batch(0).num_rows

    def read(path: Path) -> pa.Table:
        return pa.feather.read_table(path, memory_map=False)

    return [
        Work(
            "from_feather",
            lambda target: io.from_feather(file, target),
            lambda _: read(file),
            lambda target: stacked(read(file)).tofile(target),
        ),
        Work(
            "to_feather",
            lambda target: io.to_feather(store, target),
            lambda target: pa.feather.write_feather(table, target, compression="zstd", chunksize=rows),
        ),
    ]


def tensors(folder: Path, array: np.ndarray, store: Path) -> List[Work]:
    """SafeTensors; no aim."""
    file = folder / "x.safetensors"
    safetensors.numpy.save_file({"x": array}, file)
    return [
        reading(
            "from_safetensors_file",
            file,
            lambda target: io.from_safetensors_file(file, target),
            lambda path: safetensors.numpy.load_file(path)["x"],
            None,
        ),
        Work(
            "to_safetensors_file",
            lambda target: io.to_safetensors_file(store, target),
            lambda target: safetensors.numpy.save_file({"x": array}, target),
        ),
    ]


def text(folder: Path, array: np.ndarray) -> List[Work]:
    """CSV beside NumPy; no aim."""
    file, store = folder / "x.csv", folder / "text.npk"
    np.savetxt(file, array, delimiter=",")
    with NumPack(store) as npk:
        npk.save({"x": array})
    return [
        reading(
            "from_csv",
            file,
            lambda target: io.from_csv(file, target, dtype=array.dtype),
            lambda path: np.loadtxt(path, array.dtype, delimiter=","),
            None,
        ),
        Work(
            "to_csv",
            lambda target: io.to_csv(store, target),
            lambda target: np.savetxt(target, array, delimiter=","),
        ),
    ]


def works(folder: Path, size: int) -> Dict[str, Callable[[], List[Work]]]:
    """What to measure; files are made when their turn comes."""
    array = np.random.default_rng(3).random((size * 1_000_000 // (4 * COLUMNS), COLUMNS), dtype=np.float32)
    store = folder / "data.npk"
    with NumPack(store) as npk:
        npk.save({"x": array})
    columns = {f"col{at}": np.ascontiguousarray(array[:, at]) for at in range(COLUMNS)}
    table = pa.table(columns)
    return {
        "npy": lambda: npy(folder, array, store),
        "hdf5 plain": lambda: hdf5(folder, array, store, None),
        "hdf5 gzip": lambda: hdf5(folder, array, store, "gzip"),
        "zarr": lambda: zarrs(folder, array, store, "auto"),
        "zarr plain": lambda: zarrs(folder, array, store, None),
        "parquet": lambda: parquet(folder, table, store),
        "feather": lambda: feather(folder, table, store),
        "safetensors": lambda: tensors(folder, array, store),
        "csv": lambda: text(folder, array[: len(array) // 50]),
    }


HEAD = ("conversion", "ours", "base alone", "ratio", "fastest", "with a file", "aim", "reached")


def cells(timed: Timed) -> Tuple[str, ...]:
    """A line of the table in words."""
    ours, alone = statistics.median(timed.ours), statistics.median(timed.alone)
    aim = timed.work.aim
    file = f"{ours / statistics.median(timed.with_file):.2f}" if timed.with_file else "-"
    return (
        timed.work.what,
        f"{ours:.3f} s",
        f"{alone:.3f} s",
        f"{ours / alone:.2f}",
        f"{min(timed.ours) / min(timed.alone):.2f}",
        file,
        "-" if aim is None else f"{aim:.1f}",
        "-" if aim is None else "yes" if ours <= aim * alone else "no",
    )


def print_table(lines: List[Tuple[str, ...]], markdown: bool) -> None:
    """The table, for a terminal or a document."""
    if markdown:
        for row in (HEAD, ("---", *("---:" for _ in HEAD[1:])), *lines):
            print("| " + " | ".join(row) + " |")
        return
    widths = [max(len(row[at]) for row in (HEAD, *lines)) for at in range(len(HEAD))]
    for row in (HEAD, *lines):
        print("  ".join([f"{row[0]:<{widths[0]}}", *(f"{c:>{w}}" for c, w in zip(row[1:], widths[1:]))]))


def main() -> int:
    """Measures, prints; 0 whether or not every aim was reached."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each conversion (default: 5)")
    parser.add_argument("--size", type=int, default=512, help="MB of the array (default: 512)")
    parser.add_argument("--only", default="", help="only formats with this in their names")
    parser.add_argument("--folder", type=Path, help="where the files go (default: the temporary folder)")
    options = parser.parse_args()
    lines = []
    with tempfile.TemporaryDirectory(prefix="numpack-bench-", dir=options.folder) as folder:
        for name, make in works(Path(folder), options.size).items():
            if options.only in name:
                for work in make():
                    lines.append(cells(measure(work, Path(folder), options.rounds)))
                    print("  " + "  ".join(lines[-1]), file=sys.stderr, flush=True)
    print(
        f"{options.size} MB of float32, {COLUMNS} columns; {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}\n"
    )
    print_table(lines, options.markdown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
