"""Output appears whole or not at all: exceptions and kills in the middle, what they leave, and who cleans up."""

import os
import signal
import stat
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from io_arrays import assert_same, load, names, save

from numpack import NumPack
from numpack.io import from_npy, from_tensor_dict, to_csv, to_hdf5, to_npy, to_zarr
from numpack.io._partial import new_file, new_folder


class Stop(Exception):
    """Raised by a progress callable."""


def stop_after(count):
    """A progress callable that raises at its call number `count`."""
    calls = iter(range(count - 1))

    def progress(done, total):
        if next(calls, None) is None:
            raise Stop

    return progress


@pytest.fixture
def large(tmp_path):
    """A .npz with three arrays of many blocks each."""
    np.savez(tmp_path / "large.npz", a=np.arange(1000), b=np.arange(1000.0), old=np.arange(1000, dtype="i2"))
    return tmp_path / "large.npz"


@pytest.mark.parametrize("count", [1, 2, 5, 8, 9])
@pytest.mark.parametrize("drop", [False, True])
def test_exception_leaves_the_store(large, old, count, drop):
    with pytest.raises(Stop):
        from_npy(large, old, drop_if_exists=drop, chunk_size=8000, progress=stop_after(count))
    assert names(old) == ["old"]
    assert_same(load(old, "old"), np.arange(5))


@pytest.mark.parametrize("count", [1, 5, 9])
def test_exception_leaves_no_new_store(tmp_path, large, npk, count):
    with pytest.raises(Stop):
        from_npy(large, npk, chunk_size=8000, progress=stop_after(count))
    assert list(tmp_path.iterdir()) == [large]


@pytest.mark.parametrize("chunk", [100, 8000, 1 << 20])
def test_replaces_and_drops_in_one_commit(large, old, chunk):
    save(old, other=np.arange(3))
    from_npy(large, old, chunk_size=chunk)
    assert names(old) == ["a", "b", "old", "other"]
    assert_same(load(old, "old"), np.arange(1000, dtype="i2"))
    from_npy(large, old, drop_if_exists=True, array_names=["b"], chunk_size=chunk)
    assert names(old) == ["b"]
    assert_same(load(old, "b"), np.arange(1000.0))


def test_readers_see_all_or_none(large, old):
    seen = []
    with NumPack(old, mode="r") as reader:

        def progress(done, total):
            seen.append((reader.get_member_list(), reader.get_shape("old")))

        from_npy(large, old, chunk_size=4000, progress=progress)
        assert set(reader.get_member_list()) == {"a", "b", "old"}
    assert len(seen) > 10
    assert all(one == (["old"], (5,)) for one in seen)


def test_several_at_once(tmp_path, old):
    arrays = {f"x{at}": np.full(20_000, at) for at in range(8)}
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: from_npy(tmp_path / f"{name}.npy", old, chunk_size=40_000), arrays))
    assert names(old) == ["old", *arrays]
    for name, array in arrays.items():
        assert_same(load(old, name), array)


@pytest.mark.parametrize("suffix", ["npy", "npz", "h5", "zarr"])
def test_exception_leaves_the_file(tmp_path, npk, suffix):
    pytest.importorskip({"h5": "h5py", "zarr": "zarr"}.get(suffix, "numpy"))
    save(npk, x=np.arange(500_000))
    write = {"npy": to_npy, "npz": to_npy, "h5": to_hdf5, "zarr": to_zarr}[suffix]
    target = tmp_path / f"a.{suffix}"
    with pytest.raises(Stop):
        write(npk, target, chunk_size=400, progress=stop_after(3))
    assert not target.exists()
    write(npk, target)
    before = {path: path.read_bytes() for path in [target, *target.rglob("*")] if path.is_file()}
    save(npk, x=np.arange(600_000))
    with pytest.raises(Stop):
        write(npk, target, chunk_size=400, progress=stop_after(3))
    assert {path: path.read_bytes() for path in [target, *target.rglob("*")] if path.is_file()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [target.name, npk.name]


CHILD = """
    import sys, time
    import numpack.io
    def wait(done, total):
        if done > total // 2:
            print("halfway", flush=True)
            time.sleep(60)
    getattr(numpack.io, sys.argv[1])(sys.argv[2], sys.argv[3], chunk_size=4000, progress=wait)
"""


def killed_halfway(function, source, target):
    """Runs a conversion in a process that is killed when half of it is done."""
    command = [sys.executable, "-c", textwrap.dedent(CHILD), function, os.fspath(source), os.fspath(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "halfway\n"
        child.send_signal(signal.SIGKILL)


def test_kill_leaves_the_store(large, old):
    killed_halfway("from_npy", large, old)
    shown = [name for name in names(old) if not name.startswith(".numpack/")]
    assert shown == ["old"]
    assert_same(load(old, "old"), np.arange(5))
    with NumPack(old) as store:
        assert store.verify()["sound"]
    to_npy(old, old.parent / "b.npz")
    with np.load(old.parent / "b.npz") as found:
        assert found.files == ["old"]
    from_npy(large, old, array_names=["a"])
    assert names(old) == ["a", "old"]


def test_kill_leaves_no_new_store(tmp_path, large, npk):
    killed_halfway("from_npy", large, npk)
    assert not npk.exists()
    from_npy(large, npk)
    assert names(npk) == ["a", "b", "old"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.npk", "large.npz"]


@pytest.mark.parametrize(("function", "suffix"), [("to_npy", "npz"), ("to_hdf5", "h5"), ("to_zarr", "zarr")])
def test_kill_leaves_the_file(tmp_path, npk, function, suffix):
    pytest.importorskip({"h5": "h5py", "zarr": "zarr"}.get(suffix, "numpy"))
    save(npk, x=np.arange(500_000))
    target = tmp_path / f"a.{suffix}"
    killed_halfway(function, npk, target)
    assert not target.exists()
    assert len(list(tmp_path.iterdir())) == 2
    {"npz": to_npy, "h5": to_hdf5, "zarr": to_zarr}[suffix](npk, target)
    assert sorted(path.name for path in tmp_path.iterdir()) == [target.name, npk.name]


def test_what_is_in_memory_is_written_once(old):
    array = np.zeros(3_000_000)
    seen = []
    from_tensor_dict({"big": array, "small": np.arange(3)}, old, progress=lambda *call: seen.append(call))
    assert_same(load(old, "big"), array)
    assert seen == [(24_000_000, 24_000_024), (24_000_024, 24_000_024)]
    with NumPack(old, mode="r") as store:
        # Files are named after their commit: the first made `old`, the next one both others.
        commits = [entry["data_file"].split(".")[1] for entry in store.get_metadata()["arrays"].values()]
    assert commits == ["1", "2", "2"]


def incoming(path):
    """Files of imports that are under way, or were."""
    return [name for name in os.listdir(path) if name.endswith(".npki")]


def test_the_next_commit_takes_what_a_killed_import_left(large, old):
    killed_halfway("from_npy", large, old)
    assert incoming(old)
    save(old, other=np.arange(3))
    assert incoming(old) == []
    assert names(old) == ["old", "other"]


def test_others_write_while_an_import_is_under_way(large, old):
    """They neither wait for it nor take its files."""
    counts = []

    def write(done, total):
        with NumPack(old, lock_timeout=1.0) as store:
            store.save({"other": np.arange(len(counts))})
            store.append({"old": np.arange(1)})
            counts.append(len(incoming(old)))
            assert store.verify()["sound"]

    from_npy(large, old, array_names=["a", "b"], chunk_size=8000, progress=write)
    assert names(old) == ["a", "b", "old", "other"]
    assert_same(load(old, "a"), np.arange(1000))
    assert len(load(old, "old")) == 5 + len(counts)
    assert min(counts) >= 2 and incoming(old) == []


def test_what_replaces_a_file_keeps_its_mode(tmp_path, old):
    for mode in [0o600, 0o640, 0o444]:
        target = tmp_path / f"{mode:o}.npy"
        target.write_text("secret")
        target.chmod(mode)
        to_npy(old, target)
        assert target.stat().st_mode & 0o7777 == mode
        assert_same(np.load(target), np.arange(5))


@pytest.mark.parametrize("suffix", ["npy", "csv", "h5"])
def test_a_pipe_stays_a_pipe(tmp_path, old, suffix):
    pytest.importorskip({"h5": "h5py"}.get(suffix, "numpy"))
    pipe = tmp_path / f"pipe.{suffix}"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_bytes)
        if suffix == "h5":  # HDF5 goes back and forth.
            with pytest.raises(OSError):
                to_hdf5(old, pipe)
        else:
            (to_npy if suffix == "npy" else to_csv)(old, pipe)
        found = read.result(30)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert {"npy": b"NUMPY", "csv": b"3", "h5": b""}[suffix] in found


def test_standard_output_is_written_to(tmp_path, old):
    """Also where it goes to a file, which the shell made and holds open."""
    program = "import sys; from numpack import io; io.to_csv(sys.argv[1], '/dev/stdout')"
    command = [sys.executable, "-c", program, os.fspath(old)]
    through = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    with open(tmp_path / "out.csv", "wb") as out:
        subprocess.run(command, stdout=out, check=True)
        assert os.fstat(out.fileno()).st_nlink == 1
    assert through == (tmp_path / "out.csv").read_bytes()
    assert through.split() == [b"0", b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize("letter", ["a", "\u6570"])
def test_names_of_the_greatest_length(tmp_path, old, letter):
    size = len(os.fsencode(letter))
    to_npy(old, tmp_path / (letter * (250 // size) + ".npy"))
    to_npy(old, tmp_path / (letter * (250 // size) + ".npy"))
    new = tmp_path / (letter * (250 // size) + ".npk")
    from_npy(tmp_path / (letter * (250 // size) + ".npy"), new, "x")
    assert names(new) == ["x"]
    assert len(list(tmp_path.iterdir())) == 3


def test_a_folder_that_a_file_system_was_mounted_at(tmp_path, old):
    np.save(tmp_path / "a.npy", np.arange(3))
    mounted = tmp_path / "mounted"
    (mounted / "lost+found").mkdir(parents=True)
    from_npy(tmp_path / "a.npy", mounted)
    assert names(mounted) == ["a"]
    with NumPack(mounted) as store:
        assert store.verify()["findings"] == []
    assert (mounted / "lost+found").is_dir()


def test_targets_that_are_in_the_way(tmp_path, old):
    with pytest.raises(IsADirectoryError):
        to_npy(old, (tmp_path / "folder.npy").mkdir() or tmp_path / "folder.npy")
    with pytest.raises(FileNotFoundError, match="no folder|not a folder"):
        to_npy(old, tmp_path / "nowhere" / "a.npy")
    with pytest.raises(FileNotFoundError):
        to_npy(tmp_path / "none.npk", tmp_path / "a.npy")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("keep me")
    np.save(tmp_path / "a.npy", np.arange(3))
    with pytest.raises(ValueError, match="other files"):
        from_npy(tmp_path / "a.npy", tmp_path / "other", drop_if_exists=True)
    assert os.listdir(tmp_path / "other") == ["letter.txt"]
    (tmp_path / "empty").mkdir()
    from_npy(tmp_path / "a.npy", tmp_path / "empty")
    assert names(tmp_path / "empty") == ["a"]
    from_npy(tmp_path / "a.npy", tmp_path / "new" / "deep" / "b.npk")
    assert names(tmp_path / "new" / "deep" / "b.npk") == ["a"]


def test_a_store_that_came_in_between_is_not_replaced(tmp_path):
    with pytest.raises(OSError):
        with new_folder(tmp_path / "a"):
            save(tmp_path / "a", x=np.arange(3))
    assert names(tmp_path / "a") == ["x"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_links_are_written_through(tmp_path):
    (tmp_path / "real").write_text("before")
    (tmp_path / "link").symlink_to("real")
    with new_file(tmp_path / "link") as partial:
        partial.write_text("after")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "after"


def test_names_that_are_taken(old):
    with pytest.raises(ValueError, match="begin with"):
        from_tensor_dict({".numpack/columns/old": np.arange(3)}, old)
    with pytest.raises(ValueError, match="1024|1,024|long"):
        from_tensor_dict({"x" * 2000: np.arange(3)}, old)
    with pytest.raises(ValueError, match="chunk_size must be"):
        from_npy("missing.npy", old, chunk_size=0)
    assert names(old) == ["old"]


@pytest.mark.parametrize(
    ("format", "suffix"), [("npy", ".npy"), ("safetensors_file", ".safetensors"), ("npy", ".npz")]
)
def test_a_last_block_that_the_disk_takes_a_part_of(tmp_path, npk, format, suffix):
    """The system takes what there is room for and says nothing; only the next write would be refused."""
    save(npk, x=np.ones(3 << 20, "u1"))
    program = textwrap.dedent(
        f"""
        import resource, signal, sys
        from numpack import io
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (5 << 19, resource.RLIM_INFINITY))
        io.to_{format}(sys.argv[1], sys.argv[2], {"compressed=False" if suffix == ".npz" else ""})
        """
    )
    target = tmp_path / f"a{suffix}"
    done = subprocess.run(
        [sys.executable, "-c", program, str(npk), str(target)], stderr=subprocess.PIPE, text=True
    )
    assert done.returncode == 1 and "OSError: [Errno 27] File too large" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["data.npk"]
