"""Memory stays under chunk_size + 100 MB for files of 300 MB, both ways; measured in a process of its own."""

import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from io_arrays import save

from numpack import NumPack

MB = 1_000_000
CHUNK = 16 * MB
ROWS, COLUMNS = 1_500_000, 50

CHILD = """
    import json, os, re, resource, sys, threading
    import numpack.io
    function, source, target, options = sys.argv[1:]
    options = json.loads(options)
    warm = options.pop("warm")
    # Libraries and their first buffers are no part of what grows with the file.
    getattr(numpack.io, function)(warm, os.path.join(os.path.dirname(target), "warm-" + os.path.basename(target)), **options)
    peak, done = 0, threading.Event()
    def own():
        text = open("/proc/self/status").read()
        return 1024 * sum(int(found) for found in re.findall(r"Rss(?:Anon|Shmem):\\s+(\\d+)", text))
    def watch():
        global peak
        while not done.wait(0.002):
            peak = max(peak, own())
    before = own(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    watcher = threading.Thread(target=watch)
    watcher.start()
    getattr(numpack.io, function)(source, target, **options)
    done.set()
    watcher.join()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps([peak - before[0], after - before[1]]))
"""


def growth(function, source, target, warm, **options):
    """Bytes by which a conversion makes a process grow: memory of its own, and all that was resident."""
    given = json.dumps({"chunk_size": CHUNK, "warm": os.fspath(warm), **options})
    command = [sys.executable, "-c", textwrap.dedent(CHILD), function, os.fspath(source), os.fspath(target), given]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(found)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """A store of 300 MB and a small one."""
    folder = tmp_path_factory.mktemp("memory")
    array = np.tile(np.arange(COLUMNS, dtype="f4"), (ROWS, 1))
    save(folder / "large.npk", x=array)
    save(folder / "small.npk", x=array[:100])
    yield folder
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()


FORMATS = [
    ("npy", "npy", {}),
    ("npy", "npz", {"compressed": False}),
    ("hdf5", "h5", {"compression": "lzf"}),
    ("zarr", "zarr", {}),
    ("parquet", "parquet", {}),
    ("feather", "feather", {}),
    ("safetensors_file", "safetensors", {}),
]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name, suffix, options", FORMATS, ids=[one[1] for one in FORMATS])
def test_both_ways(stores, tmp_path, name, suffix, options):
    file, small = tmp_path / f"x.{suffix}", stores / "small.npk"
    out = growth(f"to_{name}", stores / "large.npk", file, small, **options)
    assert max(out) < CHUNK + 100 * MB
    warm = tmp_path / f"warm-x.{suffix}"
    into = growth(f"from_{name}", file, tmp_path / "back.npk", warm)
    assert max(into) < CHUNK + 100 * MB
    with NumPack(tmp_path / "back.npk", mode="r") as store:
        (found,) = [one for one in store.get_member_list() if not one.startswith(".numpack/")]
        assert store.get_shape(found) == (ROWS, COLUMNS)
