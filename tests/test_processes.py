"""Forks, worker processes, threads and signals, all with real processes."""

import copy
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from contextlib import suppress

import numpy as np
import pytest
from data_sets import Rows, append_rows, load_rows

from numpack import ClosedError, LazyArray, NumPack

DATA = np.arange(3000.0).reshape(1000, 3)


@pytest.fixture(params=["whole", "with deleted rows"])
def stored(request, npk):
    """A store with the rows of DATA as "x"."""
    npk.save({"x": DATA})
    if request.param != "whole":
        npk.append({"x": -DATA[:10]})
        npk.drop("x", slice(1000, 1010))
    return npk


# Forks.


def test_a_forked_child_reads_and_writes_with_what_it_inherits(stored, in_child):
    lazy, stream = stored.load("x", lazy=True), stored.stream_load("x", 400)
    next(stream)

    def child():
        assert np.array_equal(stored.load("x"), DATA) and np.array_equal(lazy[:], DATA)
        assert np.array_equal(lazy[[5, -1]], DATA[[5, -1]]) and (lazy + 1)[0, 0] == 1
        assert np.array_equal(next(stream), DATA[400:800])
        stored.append({"x": np.ones((1, 3))})
        stored.replace({"x": np.full((1, 3), 7.0)}, 0)
        stored.save({"child": np.arange(3)})
        stored.drop("x", 1)
        stored.close()

    assert in_child(child) == 0
    assert stored.get_shape("x") == (1000, 3) and stored.load("child").tolist() == [0, 1, 2]
    assert stored.getitem("x", 0).tolist() == [[7, 7, 7]] and stored.getitem("x", -1).tolist() == [[1, 1, 1]]
    # The child has deleted one of the rows that were read already.
    assert np.array_equal(next(stream), stored.load("x")[399:799])
    stored.append({"x": np.zeros((1, 3))})
    assert stored.verify()["sound"]


@pytest.mark.parametrize("options", [{"mode": "w"}, {"drop_if_exists": True}, {"mode": "x"}])
def test_a_fork_never_empties_the_store(path, in_child, options):
    with NumPack(path, **options) as store:
        store.save({"x": DATA})

        def child():
            assert list(store) == ["x"]
            store.append({"x": DATA[:1]})
            store.close()
            store.open()
            assert store.get_shape("x") == (1001, 3)

        assert in_child(child) == 0
        assert store.get_shape("x") == (1001, 3)


def test_a_lazy_array_alone_is_inherited_too(stored, in_child):
    lazy = stored.load("x", lazy=True)
    stored.close()

    def child():
        for _ in range(3):
            assert np.array_equal(lazy[[5, -1]], DATA[[5, -1]]) and np.array_equal(lazy[:], DATA)
            assert np.array_equal(lazy * 2, DATA * 2) and np.array_equal(lazy.copy(), DATA)

    assert in_child(child) == 0
    assert np.array_equal(lazy.copy(), DATA)


def test_a_child_of_a_child(stored, in_child):
    def grandchild():
        stored.append({"x": np.ones((1, 3))})

    def child():
        stored.append({"x": np.ones((1, 3))})
        assert in_child(grandchild) == 0

    assert in_child(child) == 0
    assert stored.get_shape("x") == (1002, 3)


def test_a_fork_while_threads_write(stored, in_child):
    """What a lock in another thread looked like at the fork must not matter to the child."""
    stop = threading.Event()

    def work():
        while not stop.is_set():
            stored.replace({"x": DATA[:50]}, slice(0, 50))
            stored.append({"x": DATA[:1]})

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()

    def child():
        for _ in range(5):
            assert np.array_equal(stored.getitem("x", slice(0, 1000)), DATA)
            stored.append({"x": DATA[:1]})

    try:
        assert [in_child(child) for _ in range(8)] == [0] * 8
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert stored.verify()["sound"] and np.array_equal(stored.load("x")[:1000], DATA)


def test_a_batch_that_is_inherited_is_the_parents(stored, in_child):
    with stored.batch_mode():
        stored.save({"y": np.arange(3)})
        assert in_child(lambda: stored.load("y")) == 0
    assert stored.load("y").tolist() == [0, 1, 2]


# Worker processes, as PyTorch's DataLoader starts them.


def context(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no start method {method} here")
    return multiprocessing.get_context(method)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_data_set_in_worker_processes(stored, path, method):
    start = context(method)
    rows, results = Rows(path), start.Queue()
    indexes = np.array_split(np.random.default_rng(5).permutation(1000)[:200], 2)
    workers = [start.Process(target=load_rows, args=(rows, part.tolist(), results)) for part in indexes]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for worker in workers:
            worker.start()
    answers = [results.get(timeout=50) for _ in workers]
    for worker in workers:
        worker.join(50)
        assert worker.exitcode == 0
    assert sum(total for total, _, _ in answers) == DATA[np.concatenate(indexes)].sum()
    assert all(opened and where == path for _, opened, where in answers)
    assert np.array_equal(rows.lazy[:], DATA)
    rows.store.close()


def test_pickles_are_by_reference(stored, path):
    lazy = stored.load("x", lazy=True)
    assert len(pickle.dumps(lazy)) < 1000 and len(pickle.dumps(stored)) < 1000
    other = pickle.loads(pickle.dumps(stored))
    assert isinstance(other, NumPack) and other.is_opened and other.filename == path
    other.append({"x": np.ones((1, 3))})
    assert stored.get_shape("x") == (1001, 3)
    again = pickle.loads(pickle.dumps(lazy))
    assert isinstance(again, LazyArray) and again.shape == (1001, 3) and again.name == "x"
    assert copy.copy(lazy).shape == copy.deepcopy(lazy).shape == (1001, 3)
    assert np.array_equal(pickle.loads(pickle.dumps(lazy[:5])), DATA[:5])
    other.close()
    assert not pickle.loads(pickle.dumps(other)).is_opened and stored.is_opened
    stored.drop("x")
    with pytest.raises(KeyError):
        pickle.loads(pickle.dumps(lazy))
    lazy.close()
    with pytest.raises(ClosedError):
        pickle.dumps(lazy)


def test_unpickling_makes_no_store_where_there_is_none_any_more(path):
    with NumPack(path) as store:
        store.save({"x": DATA})
        pickled = pickle.dumps(store)
    shutil.rmtree(path)
    with pytest.raises(FileNotFoundError):
        pickle.loads(pickled)
    assert not os.path.exists(path)


def test_pickles_keep_options_and_never_empty_the_store(path):
    class Own(NumPack):
        pass

    globals()["Own"], Own.__qualname__ = Own, "Own"
    store = Own(path, mode="w", durability="power", lock_timeout=3.5, strict_context_mode=True)
    with store:
        store.save({"x": DATA})
        with pickle.loads(pickle.dumps(store)) as other:
            assert type(other) is Own and other.mode == "a" and other.durability == "power"
            assert list(other) == ["x"]
        with pytest.raises(RuntimeError, match="strict"):
            other.load("x")
    for options in ({"drop_if_exists": True}, {"mode": "x"}, {"mode": "r"}):
        with pickle.loads(pickle.dumps(NumPack(path, **options))) as other:
            assert list(other) == ["x"]


# Writers.


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_writers_in_several_processes_lose_nothing(npk, path, method):
    npk.save({"log": np.zeros((0, 2), int), "own": np.zeros(3, int)})
    start, count = context(method), 60
    workers = [start.Process(target=append_rows, args=(path, writer, count)) for writer in range(3)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        for worker in workers:
            worker.start()
    while any(worker.is_alive() for worker in workers):
        seen = npk.load("log")
        for writer in range(3):
            numbers = seen[seen[:, 0] == writer, 1]
            assert np.array_equal(numbers, np.arange(len(numbers)))
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    log = npk.load("log")
    assert sorted(map(tuple, log.tolist())) == [(writer, i) for writer in range(3) for i in range(count)]
    assert npk.load("own").tolist() == [count] * 3
    assert npk.get_member_list()[2:] and all(npk.load(f"w{i}")[0] == count - 10 for i in range(3))
    assert npk.verify()["sound"]


def test_a_writer_that_is_killed_leaves_whole_commits(npk, path):
    npk.save({"x": np.zeros((1000, 10), int), "y": np.zeros((0, 10), int)})
    writing = """
import sys, numpy as np
from numpack import NumPack
with NumPack(sys.argv[1]) as npk:
    i = 0
    while True:
        i += 1
        npk.replace({"x": np.full((1000, 10), i)}, slice(None))
        npk.append({"y": np.full((7, 10), i)})
        print(i, flush=True)
"""
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", writing, path], stdout=subprocess.PIPE, text=True
        ) as writer:
            done = [int(writer.stdout.readline()) for _ in range(25)][-1]
            writer.kill()
        x, y = npk.load("x"), npk.load("y")
        assert x.min() == x.max() >= done and len(y) % 7 == 0
        assert np.array_equal(y[::7, 0], y[6::7, 9])
        npk.append({"y": np.zeros((7, 10), int)})
    assert npk.verify()["sound"]


# Threads.


def run_threads(*targets):
    """Runs functions in threads of their own and raises what they raised."""
    errors = []

    def guarded(target):
        try:
            target()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def test_threads_share_one_instance(npk):
    """Whole rows and whole commits in every read, nothing lost of what was written."""
    npk.save({"x": np.zeros((500, 20), int), "log": np.zeros((0, 2), int)})
    lazy, running = npk.load("x", lazy=True), [4]

    def write(writer):
        for i in range(60):
            npk.append({"log": np.array([[writer, i]])})
            npk.replace({"x": np.full((500, 20), i)}, slice(None))
            npk.save({f"t{writer}": np.full(50, i)})
        running.pop() if len(running) > 1 else running.__setitem__(0, 0)

    def read():
        for _ in range(150):
            for whole in (
                npk.load("x"),
                npk.getitem("x", slice(0, 500)),
                lazy.copy(),
                lazy[np.arange(500)],
                lazy + 0,
            ):
                assert whole.min() == whole.max()
            assert len(list(npk.stream_load("log", 50))) <= 6
            for name in npk:
                assert npk.load(name).ndim in (1, 2)

    run_threads(*[lambda writer=writer: write(writer) for writer in range(3)], read, read)
    log = npk.load("log")
    assert sorted(map(tuple, log.tolist())) == [(writer, i) for writer in range(3) for i in range(60)]
    assert npk.verify()["sound"]


def test_slices_and_masks_are_of_one_commit(npk):
    """The number of rows that they are about must be that of the rows that are read."""
    npk.save({"x": np.arange(100)})
    stop = threading.Event()

    def change():
        for _ in range(1500):
            npk.drop("x", slice(50, 100))
            npk.save({"x": np.arange(100)})
        stop.set()

    def read():
        while not stop.is_set():
            assert len(npk.getitem("x", slice(None))) in (50, 100)
            assert npk.getitem("x", slice(None, None, -1))[-1] == 0

    run_threads(change, read)


def test_slices_and_masks_of_writers_are_worked_out_under_the_lock(path):
    """Whatever number of rows they are for when a call begins, they are for those that it changes."""
    stop, short, long = threading.Event(), np.zeros((100, 2)), np.zeros((200, 2))
    with NumPack(path) as one, NumPack(path) as two:
        one.save({"x": short})

        def change():
            for i in range(4000):
                one.save({"x": long if i % 2 else short})
            stop.set()

        def replace():
            while not stop.is_set():
                with suppress(ValueError):
                    two.replace({"x": np.ones((100, 2))}, slice(None))
                found = two.load("x")
                assert len(found) == 100 or not found.any()
                with suppress(IndexError):
                    two.drop("x", np.ones(100, bool))
                assert two.get_shape("x")[0] in (0, 100, 200)
                two.drop("x", slice(None))

        run_threads(change, replace)


def test_threads_share_a_stream(npk):
    npk.save({"x": np.arange(3000)})
    stream, seen = npk.stream_load("x", 7), []

    def take():
        for batch in stream:
            seen.extend(batch.tolist())

    run_threads(*[take] * 4)
    assert sorted(seen) == list(range(3000))


def test_threads_open_and_close_beside_readers(npk, path):
    npk.save({"x": DATA})
    store, stop = NumPack(path), threading.Event()

    def toggle():
        for _ in range(200):
            store.open()
            store.close()
        stop.set()

    def read():
        while not stop.is_set():
            try:
                assert store.load("x", lazy=True)[5].tolist() == DATA[5].tolist()
                assert store.getitem("x", [1, 2]).shape == (2, 3)
            except ClosedError:
                pass

    run_threads(toggle, read, read)


@pytest.mark.parametrize("call", ["load", "save", "getitem", "append", "lazy"])
def test_the_gil_is_released_in_long_calls(npk, call):
    """Beside calls on 64 MB, another thread counts on: more than the switches between the calls allow."""
    big = np.zeros((64, 1 << 17))
    npk.save({"x": big})
    lazy, order = npk.load("x", lazy=True), np.random.default_rng(1).permutation(64)
    calls = {
        "load": lambda: npk.load("x"),
        "save": lambda: npk.save({"y": big}),
        "getitem": lambda: npk.getitem("x", order),
        "append": lambda: npk.append({"x": big}),
        "lazy": lambda: lazy[order],
    }
    count, inside, stop = [0], [0], threading.Event()

    def tick():
        while not stop.is_set():
            count[0] += 1
            time.sleep(0)

    thread = threading.Thread(target=tick)
    interval = sys.getswitchinterval()
    # Without a release of its own, the main thread now never gives the GIL away inside a call or between two.
    sys.setswitchinterval(100)
    try:
        thread.start()
        for _ in range(3):
            before = count[0]
            calls[call]()
            inside[0] = max(inside[0], count[0] - before)
    finally:
        sys.setswitchinterval(interval)
        stop.set()
        thread.join()
    assert inside[0] > 10


# What outlives the store.


def test_views_survive_close_and_removal(stored, path):
    lazy = stored.load("x", lazy=True)
    part, whole, mapped = lazy[10:20], np.asarray(lazy), stored.load("x", mmap_mode="r")
    stream, private = stored.stream_load("x", 10), stored.load("x", mmap_mode="c")
    stored.close()
    for found in (lazy[:], whole, mapped, private, lazy.copy(), lazy[np.arange(1000)]):
        assert np.array_equal(found, DATA)
    shutil.rmtree(path)
    lazy_part = lazy[30:40]
    for found in (lazy[:], whole, mapped, private, lazy.copy(), lazy[np.arange(1000)], lazy[lazy[:, 0] >= 0]):
        assert np.array_equal(found, DATA)
    assert (lazy * 2)[5].tolist() == (DATA[5] * 2).tolist() and len(list(lazy)) == 1000
    lazy.close()
    del lazy, stored, stream, whole, mapped
    assert np.array_equal(part, DATA[10:20]) and np.array_equal(lazy_part, DATA[30:40])
    private[...] = 1


def test_views_survive_what_becomes_of_the_array(stored):
    lazy = stored.load("x", lazy=True)
    view = lazy[:]
    stored.save({"x": np.zeros((2, 2))})
    stored.save({"x": np.ones(DATA.shape)})
    stored.drop("x")
    stored.save({"x": np.full(DATA.shape, 5.0)})
    stored.update("x")
    assert np.array_equal(lazy.copy(), DATA) and np.array_equal(view, DATA)


# Signals.


WAITING = """
import sys
from numpack import NumPack
{call}
"""


@pytest.mark.parametrize(
    "call",
    [
        "with NumPack(sys.argv[1]) as s: print('open', flush=True); s.append({'x': [[1.0, 2, 3]]})",
        "with NumPack(sys.argv[1], lock_timeout=1000) as s: print('open', flush=True); s.reset()",
        "print('open', flush=True); NumPack(sys.argv[1], mode='w').open()",
        "with NumPack(sys.argv[1]) as s: print('open', flush=True); "
        "s.writable_batch_mode().__enter__().load('x')",
    ],
)
def test_ctrl_c_ends_the_wait_for_the_lock(npk, path, call):
    import fcntl

    npk.save({"x": DATA})
    lock = os.open(path / "writer.lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        command = [sys.executable, "-c", WAITING.format(call=call), path]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as waiting:
            assert waiting.stdout.readline() == "open\n"
            with pytest.raises(subprocess.TimeoutExpired):
                waiting.wait(0.4)
            waiting.send_signal(signal.SIGINT)
            _, errors = waiting.communicate(timeout=30)
        assert "KeyboardInterrupt" in errors and waiting.returncode == -signal.SIGINT
    finally:
        os.close(lock)
    assert npk.get_shape("x") == (1000, 3)
    npk.append({"x": DATA[:1]})
