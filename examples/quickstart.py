"""Quickstart: save arrays, change rows where they lie, read only what is needed.

The same program in Rust: quickstart.rs.
"""

import tempfile
from pathlib import Path

import numpy as np

from numpack import NumPack


def main() -> None:
    """Every call below that changes something is one commit: it happens as a whole or not at all."""
    with tempfile.TemporaryDirectory() as folder, NumPack(Path(folder) / "data.npk") as npk:
        npk.save(
            {
                "embeddings": np.random.default_rng(1).random((1000, 128), dtype=np.float32),
                "labels": np.arange(1000),
            }
        )
        npk.append({"embeddings": np.ones((50, 128), np.float32), "labels": np.arange(1000, 1050)})
        npk.replace({"embeddings": np.zeros((2, 128), np.float32)}, [0, -1])
        npk.drop("embeddings", [5, 6, 7])
        npk.drop("labels", [5, 6, 7])
        print("embeddings have the shape", npk.get_shape("embeddings"))

        lazy = npk.load("embeddings", lazy=True)  # reads nothing yet; indexes as NumPy does
        print("rows 3 to 5 begin with", lazy[3:6, 0])
        print("labels there are", npk.getitem("labels", [3, 4, 5]))

        npk.sync()  # from here on a power cut cannot take it either
        assert npk.get_shape("embeddings") == (1047, 128)
        assert npk.getitem("labels", [3, 4, 5]).tolist() == [3, 4, 8]
        assert not lazy[0].any()
        assert not lazy[-1].any()


if __name__ == "__main__":
    main()
