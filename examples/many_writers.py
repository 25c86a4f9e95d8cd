"""Many writers: processes append to one store at once, and none loses what another wrote.

The same program, with threads, in Rust: many_writers.rs.
"""

import multiprocessing
import tempfile
from pathlib import Path

import numpy as np

from numpack import NumPack

WRITERS, CALLS, ROWS = 4, 25, 40


def write(path: Path, writer: int) -> None:
    """Appends blocks of rows, each of which names its writer and the call that wrote it."""
    with NumPack(path) as npk:
        for call in range(CALLS):
            npk.append({"events": np.full((ROWS, 2), (writer, call))})


def main() -> None:
    """Starts the writers, waits for them, and checks what the store holds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shared.npk"
        with NumPack(path) as npk:
            npk.save({"events": np.empty((0, 2), np.int64)})
            start = multiprocessing.get_context("spawn").Process
            processes = [start(target=write, args=(path, writer)) for writer in range(WRITERS)]
            for process in processes:
                process.start()
            for process in processes:
                process.join()
            assert all(process.exitcode == 0 for process in processes)

            events = npk.load("events")  # a store that is open sees what others have committed
            print(f"{len(events)} rows of {WRITERS} processes")
            blocks = events.reshape(-1, ROWS, 2)
            assert (blocks == blocks[:, :1]).all()  # no call was torn apart
            for writer in range(WRITERS):
                assert blocks[blocks[:, 0, 0] == writer, 0, 1].tolist() == list(range(CALLS))


if __name__ == "__main__":
    main()
