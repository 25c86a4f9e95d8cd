"""Data sets as training programs have them; a module of its own, so that spawned processes find it."""

import numpy as np

from numpack import NumPack


class Rows:
    """A data set that holds an open store and a LazyArray, and is given to worker processes."""

    def __init__(self, path):
        self.store = NumPack(path)
        self.store.open()
        self.lazy = self.store.load("x", lazy=True)

    def __len__(self):
        return len(self.lazy)

    def __getitem__(self, index):
        row = self.lazy[index]
        assert np.array_equal(row, self.store.getitem("x", index)[0])
        return row, self.lazy[[index, 0]].sum()


def load_rows(rows, indexes, results):
    """A worker: answers with the sum of its rows."""
    total = 0.0
    for index in indexes:
        row, both = rows[index]
        assert both == row.sum() + rows.lazy[0].sum()
        total += float(row.sum())
    results.put((total, rows.store.is_opened, rows.store.filename))


def append_rows(path, writer, count):
    """A worker: appends rows that name it, and replaces a row of its own."""
    with NumPack(path) as store:
        for i in range(count):
            store.append({"log": np.array([[writer, i]])})
            store.replace({"own": np.array([i + 1])}, writer)
            if i % 10 == 0:
                store.save({f"w{writer}": np.full(3, i)})
