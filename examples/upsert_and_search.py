"""Upsert and search: vectors with identifiers change all the time, and exact search is right at once.

The same program in Rust: upsert_and_search.rs.
"""

import tempfile
from pathlib import Path

import numpy as np

from numpack import NumPack


def upsert(npk: NumPack, ids: np.ndarray, vectors: np.ndarray) -> int:
    """Replaces the vectors of identifiers that are there, appends the others; returns how many are new."""
    row_of = {stored: row for row, stored in enumerate(npk.load("id").tolist())}
    rows = np.array([row_of.get(wanted, -1) for wanted in ids.tolist()])
    new = rows < 0
    if not new.all():
        npk.replace({"vector": vectors[~new]}, rows[~new])
    if new.any():
        npk.append({"id": ids[new], "vector": vectors[new]})
    return int(new.sum())


def main() -> None:
    """Upserts twice, then asks for the nearest vectors, of all rows and of some."""
    random = np.random.default_rng(7)
    with tempfile.TemporaryDirectory() as folder, NumPack(Path(folder) / "items.npk") as npk:
        npk.save({"id": np.empty(0, np.int64), "vector": np.empty((0, 64), np.float32)})
        print(upsert(npk, np.arange(5000), random.standard_normal((5000, 64), np.float32)), "are new")

        changed = random.standard_normal((1000, 64), np.float32)
        new = upsert(npk, np.arange(4500, 5500), changed)
        print(new, "are new, the others were replaced")

        rows, scores = npk.search("vector", changed[:2], k=3, metric="cosine")
        print("nearest to two of them:", npk.load("id")[rows].tolist(), scores.round(3).tolist())
        some, _ = npk.search("vector", changed[:2], k=1, where=npk.load("id") % 2 == 0)
        assert new == 500
        assert rows[:, 0].tolist() == [4500, 4501]
        assert not (npk.load("id")[some] % 2).any()


if __name__ == "__main__":
    main()
