"""An append log: measurements arrive a few at a time, and a reader follows the writer.

The same program in Rust: append_log.rs.
"""

import tempfile
from pathlib import Path

import numpy as np

from numpack import NumPack


def record(npk: NumPack, start: int, count: int) -> None:
    """Appends times and values in one commit: no reader ever sees one without the other."""
    times = np.arange(start, start + count)
    values = np.sin(times[:, None] * [0.1, 0.2, 0.3])
    npk.append({"time": times, "value": values})


def main() -> None:
    """Records a thousand measurements in steps of ten, and reads on from where it stopped last time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.npk"
        with NumPack(path) as writer, NumPack(path) as reader:
            writer.save({"time": np.empty(0, np.int64), "value": np.empty((0, 3))})
            seen, total = 0, 0.0
            for start in range(0, 1000, 10):
                record(writer, start, 10)
                if start % 250 == 240:  # the reader looks less often than the writer writes
                    rows = reader.get_shape("time")[0]
                    total += reader.load("value", lazy=True)[seen:rows].sum()
                    print(f"read rows {seen} to {rows}")
                    seen = rows

        with NumPack(path, mode="r") as npk:  # another day, another process
            time, value = npk.load("time"), npk.load("value")
            assert np.array_equal(time, np.arange(1000))
            assert np.isclose(value.sum(), total)
            print("the last measurement, at time", time[-1], "was", value[-1].round(3))


if __name__ == "__main__":
    main()
