"""What reading Zarr costs by each way there is: this package's own reader of row chunks, zarr, and zarr with zarrs.

    .venv/bin/pip install zarrs
    .venv/bin/python benchmarks/bench_zarr.py [--rounds N] [--megabytes N] [--folder FOLDER]

Times `numpack.io.from_zarr` of one array of float32 in chunks of whole rows of about 1 MiB, and `to_zarr` of the same
array, beside copying the file that holds its elements. The ways take turns; the median of the rounds counts.
docs/decisions/0009-zarr.md has what came of it.
"""

import argparse
import contextlib
import importlib.util
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List
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


def timed(work: Callable[[], object]) -> float:
    """Seconds of one run."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def measure(folder: Path, rounds: int, megabytes: int) -> None:
    """Prints a line for each compressor."""
    rows = megabytes * 1_000_000 // (4 * COLUMNS)
    # As data are: neighbours are alike, and the last bits are noise.
    walk = np.cumsum(np.random.default_rng(0).normal(size=(rows, COLUMNS)), axis=0).astype(np.float32)
    array = np.round(walk, 2)
    np.save(folder / "plain.npy", array)
    with NumPack(folder / "store.npk") as store:
        store.save({"a": array})
    print(f"{'from_zarr':<12}{'copy':>8}" + "".join(f"{way:>8}" for way in ways()) + "   seconds")
    for name, compressor in COMPRESSORS.items():
        group = zarr.open_group(folder / f"{name}.zarr", mode="w")
        chunk = max(1, (1 << 20) // (4 * COLUMNS))
        group.create_array("a", data=array, chunks=(chunk, COLUMNS), compressors=compressor)
        times: Dict[str, List[float]] = {way: [] for way in ["copy", *ways()]}
        for _ in range(rounds):
            copied = folder / "copy.npy"
            times["copy"].append(timed(lambda copied=copied: shutil.copyfile(folder / "plain.npy", copied)))
            copied.unlink()
            for way, within in ways().items():
                with within():
                    target = folder / "target.npk"
                    times[way].append(
                        timed(lambda to=target, name=name: from_zarr(folder / f"{name}.zarr", to))
                    )
                    shutil.rmtree(target)
        print(f"{name:<12}" + "".join(f"{statistics.median(found):>8.3f}" for found in times.values()))
    print(f"{'to_zarr':<12}{'':>8}" + "".join(f"{way:>8}" for way in ways()))
    for name, compressor in COMPRESSORS.items():
        times = {way: [] for way in ways()}
        for _ in range(rounds):
            for way, within in ways().items():
                with within():
                    made = folder / "made.zarr"
                    options = {"compressors": compressor}
                    times[way].append(
                        timed(lambda made=made, o=options: to_zarr(folder / "store.npk", made, **o))
                    )
                    shutil.rmtree(made)
        print(f"{name:<12}{'':>8}" + "".join(f"{statistics.median(found):>8.3f}" for found in times.values()))


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
