"""Exact vector search beside NumPy, FAISS IndexFlat and usearch, with the floor: reading the data once.

    python benchmarks/bench_vector.py [--rows 500000] [--dims 128] [--markdown]

All run in one process with the same number of threads. Every answer is checked against a float64 product, and
the recall of ours must be 1. Times are the least of several runs, in milliseconds.
"""

import argparse
import os
import tempfile
import threading
import time

import numpy as np

from numpack import NumPack
from numpack.vector_engine import VectorEngine

K = 10


def least(call, runs=7):
    """Milliseconds of the fastest of several runs."""
    best = float("inf")
    for _ in range(runs):
        begin = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - begin)
    return best * 1e3


def read_once(rows, threads):
    """Milliseconds in which the threads read the bytes once: a sum of 64-bit words each."""
    words = rows.reshape(-1).view(np.uint64)
    parts = np.array_split(words, threads)

    def run():
        workers = [threading.Thread(target=np.max, args=(part,)) for part in parts]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    return least(run)


class Table:
    """Lines of work, time, and ratios to rivals."""

    def __init__(self, markdown):
        self.markdown = markdown
        self.line("work", "ours ms", "floor", "numpy", "FAISS", "usearch", "recall")
        if markdown:
            print("|---|---:|---:|---:|---:|---:|---:|")

    def line(self, *cells):
        """Prints one line."""
        text = [f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in cells]
        print(
            "| " + " | ".join(text) + " |" if self.markdown else "  ".join(f"{cell:>12}" for cell in text),
            flush=True,
        )

    def add(self, work, ours, floor=None, rivals=(), recall=None):
        """Rivals are times; they are shown as multiples of ours."""
        ratios = [f"{rival / ours:.1f}x" if rival else "-" for rival in rivals] + ["-"] * (3 - len(rivals))
        self.line(
            work, ours, f"{ours / floor:.2f}x" if floor else "-", *ratios, "-" if recall is None else recall
        )


def oracle(queries, rows, metric):
    """Scores in float64, higher is better; only for a few queries."""
    if metric == "hamming":
        counts = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(1, dtype=np.uint16)
        return np.array([-counts[rows ^ query].sum(1, dtype=np.float64) for query in queries])
    wide = rows.astype(np.float64)
    products = queries.astype(np.float64) @ wide.T
    if metric == "dot":
        return products
    squares = (wide**2).sum(1)
    if metric == "cosine":
        return products / np.sqrt(squares)
    return 2 * products - squares


def recall(indices, queries, rows, metric, where=None, checked=5):
    """Share of the true best K, among the rows of a mask, that were found, for the first queries."""
    scores = oracle(queries[:checked], rows, metric)
    if where is not None:
        scores[:, ~where] = -np.inf
    worst = np.partition(scores, -K, axis=1)[:, -K]
    found = indices.reshape(-1, K)[:checked].astype(np.int64)
    reached = np.take_along_axis(scores, found, axis=1) >= worst[:, None] - 1e-9 * np.abs(worst[:, None])
    distinct = [len(set(row)) == K for row in found.tolist()]
    return float((reached & np.array(distinct)[:, None]).mean())


def numpy_search(query, rows, metric):
    """The usual way: a product and argpartition."""
    scores = rows @ query
    if metric == "cosine":
        scores = scores / np.linalg.norm(rows, axis=1)
    elif metric == "l2":
        scores = 2 * scores - np.einsum("ij,ij->i", rows, rows)
    return np.argpartition(-scores, K)[:K]


def faiss_index(rows, metric, threads):
    """A flat index, or None without FAISS."""
    try:
        import faiss
    except ImportError:
        return None
    faiss.omp_set_num_threads(threads)
    index = faiss.IndexFlatL2(rows.shape[1]) if metric == "l2" else faiss.IndexFlatIP(rows.shape[1])
    index.add(rows / np.linalg.norm(rows, axis=1, keepdims=True) if metric == "cosine" else rows)
    return index


def usearch_exact(queries, rows, metric, threads):
    """Milliseconds of usearch's exact search, or None without it."""
    try:
        from usearch.index import MetricKind, search
    except ImportError:
        return None
    kind = {"dot": MetricKind.IP, "cosine": MetricKind.Cos, "l2": MetricKind.L2sq}[metric]
    return least(lambda: search(rows, queries, K, kind, exact=True, threads=threads), 3)


def resident():
    """Resident bytes of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def main():
    """Runs the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--dims", type=int, default=128)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args()
    random = np.random.default_rng(0)
    rows = random.standard_normal((options.rows, options.dims), dtype=np.float32)
    many = random.standard_normal((1000, options.dims), dtype=np.float32)
    engine = VectorEngine()
    threads = engine.capabilities()["threads"]
    print(f"{options.rows} x {options.dims} float32, k = {K}, {threads} threads, {engine.capabilities()}")
    floor = read_once(rows, threads)
    print(f"floor, reading the bytes once: {floor:.2f} ms")
    table = Table(options.markdown)
    with tempfile.TemporaryDirectory() as folder, NumPack(os.path.join(folder, "v.npk")) as npk:
        npk.save({"v": rows})
        in_memory(table, engine, rows, many, floor, threads)
        stored(table, engine, npk, rows, many)
    other_dtypes(table, engine, random, threads)


def in_memory(table, engine, rows, many, floor, threads):
    """One query, a hundred, a thousand."""
    for metric in ("dot", "cosine", "l2"):
        index = faiss_index(rows, metric, threads)
        one = many[0]
        found = engine.top_k_search(one, rows, metric, K)[0]
        ours = least(lambda: engine.top_k_search(one, rows, metric, K))
        faiss_one = least(lambda: index.search(one[None], K)) if index else None
        rivals = (
            least(lambda: numpy_search(one, rows, metric), 3),
            faiss_one,
            usearch_exact(one, rows, metric, threads),
        )
        table.add(f"1 {metric}", ours, floor, rivals, recall(found, many[:1], rows, metric))
        hundred = many[:100]
        found = engine.multi_query_top_k(hundred, rows, metric, K)[0]
        ours = least(lambda: engine.multi_query_top_k(hundred, rows, metric, K))
        faiss_hundred = least(lambda: index.search(hundred, K), 2) if index else None
        table.add(f"100 {metric}", ours, floor, (None, faiss_hundred), recall(found, hundred, rows, metric))
        plainer = VectorEngine(level="avx512")
        if plainer.capabilities() != engine.capabilities():
            found = plainer.multi_query_top_k(hundred, rows, metric, K)[0]
            plain = least(lambda: plainer.multi_query_top_k(hundred, rows, metric, K))
            rivals = (None, faiss_hundred)
            table.add(f"100 {metric}, no AMX", plain, floor, rivals, recall(found, hundred, rows, metric))
        before = resident()
        found = engine.multi_query_top_k(many, rows, metric, K)[0]
        thousand = least(lambda: engine.multi_query_top_k(many, rows, metric, K), 3)
        table.add(f"1000 {metric}", thousand, floor, (), recall(found, many, rows, metric))
        print(
            f"    queries/s: {1e5 / ours:.0f} of 100, {1e6 / thousand:.0f} of 1000; "
            f"extra memory {(resident() - before) / 1e6:.0f} MB"
        )


def stored(table, engine, npk, rows, many):
    """The stored array, and filters; the ratio is to the same search in memory or without the filter."""
    one, hundred, count = many[0], many[:100], len(rows)
    for queries in (one, hundred):
        memory = least(lambda queries=queries: engine.multi_query_top_k(queries, rows, "dot", K))
        table.add(
            f"{len(np.atleast_2d(queries))} dot, stored",
            least(lambda queries=queries: npk.search("v", queries, K, "dot")),
            memory,
            (),
            recall(npk.search("v", queries, K, "dot")[0], np.atleast_2d(queries), rows, "dot"),
        )
    whole = least(lambda: npk.search("v", one, K, "dot"))
    mask = np.random.default_rng(1).random(count) < 0.01
    part = slice(count // 2, count // 2 + count // 100)
    inside = np.zeros(count, bool)
    inside[part] = True
    filters = [("mask", mask, mask), ("rows", np.flatnonzero(mask), mask), ("slice", part, inside)]
    for name, where, kept in filters:
        found = npk.search("v", one, K, "dot", where=where)[0]
        time_of = least(lambda where=where: npk.search("v", one, K, "dot", where=where))
        table.add(f"where 1 %, {name}", time_of, whole, (), recall(found, many[:1], rows, "dot", kept))


def other_dtypes(table, engine, random, threads):
    """Bits, bytes and half floats, one query each, beside their own floor."""
    bits = random.integers(0, 256, (1_000_000, 96), dtype=np.uint8)
    small = bits.view(np.int8)
    half = random.standard_normal((500_000, 96), dtype=np.float32).astype(np.float16)
    cases = [
        ("bits", bits, "hamming"),
        ("int8", small, "dot"),
        ("int8", small, "cosine"),
        ("int8", small, "l2"),
    ]
    cases += [("float16", half, "dot"), ("float16", half, "cosine"), ("float16", half, "l2")]
    for name, rows, metric in cases:
        floor = read_once(rows, threads)
        found = engine.top_k_search(rows[5], rows, metric, K)[0]
        ours = least(lambda: engine.top_k_search(rows[5], rows, metric, K))
        table.add(
            f"1 {name} {metric} x{rows.shape[1]}", ours, floor, (), recall(found, rows[5:6], rows, metric)
        )


if __name__ == "__main__":
    main()
