"""What reading Zarr costs by each way there is: this package's own reader of row chunks, zarr, and zarr with zarrs.

    .venv/bin/pip install zarrs
    .venv/bin/python benchmarks/bench_zarr.py [--rounds N] [--megabytes N] [--folder FOLDER]

Times `numpack.io.from_zarr` of one array of float32 in chunks of whole rows of about 1 MiB, and `to_zarr` of the same
array, beside copying the file that holds its elements. The ways take turns, and none is always the first.
To measure what an older tree had, put its `python` folder, with its compiled module, on PYTHONPATH.
docs/decisions/0009-zarr.md has what came of it.
"""

import argparse
import contextlib
import functools
import importlib.util
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple
from unittest import mock

import numpy as np
import zarr

import numpack.io.zarr as own
from numpack import NumPack
from numpack.io import from_zarr, to_zarr

COLUMNS = 100
COMPRESSORS: Dict[str, Any] = {
    "none": None,
    "zstd": zarr.codecs.ZstdCodec(level=3),
    "blosc": zarr.codecs.BloscCodec(cname="lz4", clevel=5),
}


@contextlib.contextmanager
def by_zarr() -> Iterator[None]:
    """Without the reader of row chunks."""
    with mock.patch.object(own, "row_chunks", return_value=None):
        yield


@contextlib.contextmanager
def by_zarrs() -> Iterator[None]:
    """Without it, and with the pipeline of zarrs."""
    with by_zarr(), zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
        yield


def ways() -> Dict[str, Callable[[], Any]]:
    """The ways that are installed."""
    found: Dict[str, Callable[[], Any]] = {"own": contextlib.nullcontext, "zarr": by_zarr}
    if importlib.util.find_spec("zarrs") is not None:
        found["zarrs"] = by_zarrs
    return found


class Timed(NamedTuple):
    """One run: seconds by the clock, and of all processors."""

    clock: float
    processors: float


def timed(work: Callable[[], object]) -> Timed:
    """What one run takes."""
    clock, processors = time.perf_counter(), time.process_time()
    work()
    return Timed(time.perf_counter() - clock, time.process_time() - processors)


def take_turns(work: Callable[[], object], made: Path, rounds: int, found: Dict[str, List[Timed]]) -> None:
    """Does the work in every way, each round beginning with another one; a first round is not counted."""
    order = list(ways())
    for at in range(rounds + 1):
        for way in order[at % len(order) :] + order[: at % len(order)]:
            with ways()[way]():
                taken = timed(work)
            shutil.rmtree(made)
            if at:
                found.setdefault(way, []).append(taken)


def line(what: str, found: Dict[str, List[Timed]]) -> None:
    """Prints the median, the fastest run and the median of processor time of each way."""
    for way, runs in found.items():
        clock = [run.clock for run in runs]
        processors = statistics.median(run.processors for run in runs)
        middle, fastest = statistics.median(clock), min(clock)
        print(f"{what:<18}{way:<7}{middle:>8.3f}{fastest:>9.3f}{processors:>12.3f}", flush=True)


def measure(folder: Path, rounds: int, megabytes: int) -> None:
    """Prints a line for each work and way."""
    rows = megabytes * 1_000_000 // (4 * COLUMNS)
    # As data are: neighbours are alike, and the last bits are noise.
    walk = np.cumsum(np.random.default_rng(0).normal(size=(rows, COLUMNS)), axis=0).astype(np.float32)
    array = np.round(walk, 2)
    np.save(folder / "plain.npy", array)
    with NumPack(folder / "store.npk") as store:
        store.save({"a": array})
    print(f"{'seconds':<25}{'median':>8}{'fastest':>9}{'processors':>12}")
    copied = folder / "copy.npy"
    copies = [timed(lambda: shutil.copyfile(folder / "plain.npy", copied)) for _ in range(rounds)]
    line("copy of the file", {"": copies})
    for name, compressor in COMPRESSORS.items():
        source, target, made = folder / f"{name}.zarr", folder / "target.npk", folder / "made.zarr"
        group = zarr.open_group(source, mode="w")
        chunk = max(1, (1 << 20) // (4 * COLUMNS))
        group.create_array("a", data=array, chunks=(chunk, COLUMNS), compressors=compressor)
        read: Dict[str, List[Timed]] = {}
        take_turns(lambda s=source, t=target: from_zarr(s, t), target, rounds, read)
        line(f"from_zarr, {name}", read)
        wrote: Dict[str, List[Timed]] = {}
        write = functools.partial(to_zarr, folder / "store.npk", made, compressors=compressor)
        take_turns(write, made, rounds, wrote)
        line(f"to_zarr, {name}", wrote)


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--folder", help="where the files are written")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        measure(Path(folder), options.rounds, options.megabytes)


if __name__ == "__main__":
    main()
