"""Memory stays under chunk_size + 100 MB for files of 300 MB, both ways; measured in a process of its own."""

import sys

import numpy as np
import pytest
from io_arrays import save
from io_memory import CHUNK, MB, growth

from numpack import NumPack
from numpack.io import to_npy

pytestmark = pytest.mark.slow

ROWS, COLUMNS = 1_500_000, 50


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
@pytest.mark.parametrize(("name", "suffix", "options"), FORMATS, ids=[one[1] for one in FORMATS])
def test_both_ways(stores, tmp_path, name, suffix, options):
    needed = {"h5": "h5py", "parquet": "pyarrow", "feather": "pyarrow", "npy": "numpy", "npz": "numpy"}
    pytest.importorskip(needed.get(suffix, suffix))
    file, small = tmp_path / f"x.{suffix}", stores / "small.npk"
    out = growth(f"to_{name}", stores / "large.npk", file, small, **options)
    assert max(out) < CHUNK + 100 * MB
    warm = tmp_path / f"warm-x.{suffix}"
    into = growth(f"from_{name}", file, tmp_path / "back.npk", warm)
    assert max(into) < CHUNK + 100 * MB
    with NumPack(tmp_path / "back.npk", mode="r") as store:
        (found,) = store.get_member_list()
        assert store.get_shape(found) == (ROWS, COLUMNS)


def written_parquet(path, columns):
    """One row group; each column has a dictionary of 1 MiB, pages that use it and pages that do not."""
    pq = pytest.importorskip("pyarrow.parquet")
    pq.write_table(columns, path, row_group_size=len(columns))


def written_feather(path, columns):
    """One record batch, compressed."""
    feather = pytest.importorskip("pyarrow.feather")
    feather.write_feather(columns, path, chunksize=len(columns))


def written_hdf5(path, columns):
    """Chunks of one column each."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        shape = len(columns), columns.num_columns
        dataset = file.create_dataset(
            "x", shape, "f4", chunks=(min(len(columns), 500_000), 1), compression="lzf"
        )
        for at, column in enumerate(columns.columns):
            dataset[:, at] = column.to_numpy()


def written_zarr(path, columns):
    """Chunks of five columns, as long as Zarr makes them by itself."""
    zarr = pytest.importorskip("zarr")
    shape, chunks = (len(columns), columns.num_columns), (min(len(columns), 75_000), 5)
    array = zarr.create_array(path, shape=shape, dtype="f4", chunks=chunks)
    for at in range(0, columns.num_columns, 5):
        array[:, at : at + 5] = np.stack([one.to_numpy() for one in columns.columns[at : at + 5]], axis=1)


BY_COLUMNS = [written_parquet, written_feather, written_hdf5, written_zarr]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("write", BY_COLUMNS, ids=lambda write: write.__name__)
def test_files_that_are_kept_by_columns(tmp_path, write):
    """300 MB whose rows lie far apart."""
    pa = pytest.importorskip("pyarrow")
    random = np.random.default_rng(3)
    columns = pa.table({f"c{at}": random.random(ROWS, np.float32) for at in range(COLUMNS)})
    write(tmp_path / "large", columns)
    write(tmp_path / "warm", columns.slice(0, 100))
    into = growth(f"from_{write.__name__[8:]}", tmp_path / "large", tmp_path / "x.npk", tmp_path / "warm")
    assert max(into) < CHUNK + 100 * MB
    with NumPack(tmp_path / "x.npk", mode="r") as store:
        assert store.get_shape("large" if store.has_array("large") else "x") == (ROWS, COLUMNS)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("chunk", [4 * MB, 100 * MB])
def test_narrow_columns_that_are_stored_as_wide_ones(tmp_path, chunk):
    """Row groups that are small enough to be read whole, and would be eight times as large in NumPy."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    count = 25 if chunk > 4 * MB else 6
    numbers = np.random.default_rng(3).integers(0, 100, (count, 1_000_000), dtype="i1")
    columns = pa.table({f"c{at}": pa.array(one, mask=one == 7) for at, one in enumerate(numbers)})
    pq.write_table(columns, tmp_path / "large", row_group_size=len(columns))
    pq.write_table(columns.slice(0, 100), tmp_path / "warm")
    into = growth(
        "from_parquet",
        tmp_path / "large",
        tmp_path / "x.npk",
        tmp_path / "warm",
        dtype="float64",
        chunk_size=chunk,
    )
    assert max(into) < chunk + 100 * MB
    with NumPack(tmp_path / "x.npk", mode="r") as store:
        assert store.get_shape("large") == (1_000_000, count)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_into_a_store_that_is_there(stores, tmp_path):
    to_npy(stores / "large.npk", tmp_path / "x.npy")
    np.save(tmp_path / "warm.npy", np.zeros(3))
    save(tmp_path / "old.npk", x=np.zeros(3))
    # What the engine maps of its own files is the system's cache, which it takes back when it needs to.
    own, _ = growth("from_npy", tmp_path / "x.npy", tmp_path / "old.npk", tmp_path / "warm.npy")
    assert own < CHUNK + 100 * MB
    with NumPack(tmp_path / "old.npk", mode="r") as store:
        assert store.get_shape("x") == (ROWS, COLUMNS)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("shape", [(ROWS, COLUMNS), (COLUMNS, ROWS), (COLUMNS, 3, ROWS // 3)])
def test_fortran_order(tmp_path, shape):
    """300 MB whose rows lie far apart; zeros that take no room on the disk."""
    np.save(tmp_path / "warm.npy", np.zeros((3, 3), "f4", "F"))
    with open(tmp_path / "x.npy", "wb") as file:
        header = {"descr": "<f4", "fortran_order": True, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + ROWS * COLUMNS * 4)
    into = growth("from_npy", tmp_path / "x.npy", tmp_path / "x.npk", tmp_path / "warm.npy")
    assert max(into) < CHUNK + 100 * MB


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_text(tmp_path):
    """80 MB of text, which would show in less: growth stays under 40 MB."""
    save(tmp_path / "large.npk", x=np.random.default_rng(1).random((400_000, 8)))
    save(tmp_path / "small.npk", x=np.zeros((10, 8)))
    out = growth("to_csv", tmp_path / "large.npk", tmp_path / "x.csv", tmp_path / "small.npk")
    assert (tmp_path / "x.csv").stat().st_size > 79 * MB
    into = growth("from_csv", tmp_path / "x.csv", tmp_path / "back.npk", tmp_path / "warm-x.csv")
    assert max(*out, *into) < 40 * MB
