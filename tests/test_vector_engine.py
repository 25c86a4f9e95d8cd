"""Vector search from Python, against the formulas in plain NumPy and against SciPy and scikit-learn."""

import multiprocessing
import os
import platform
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numpack import ArrayNotFoundError, NumPack
from numpack.vector_engine import StreamingVectorEngine, VectorEngine

SIMILARITIES = {"dot", "cosine"}
NUMBERS = [
    "float16",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
]


def score(a, b, metric):
    """One score by the formula, in float64."""
    if metric in ("hamming", "jaccard"):
        if a.dtype == np.uint8:
            a, b = np.unpackbits(a), np.unpackbits(b)
        a, b = a.astype(bool), b.astype(bool)
        if metric == "hamming":
            return float((a != b).sum())
        union = (a | b).sum()
        return 1 - (a & b).sum() / union if union else 0.0
    a, b = a.astype(np.float64), b.astype(np.float64)
    if metric == "dot":
        return (a * b).sum()
    if metric == "cosine":
        norms = np.sqrt((a * a).sum()) * np.sqrt((b * b).sum())
        return (a * b).sum() / norms if norms else 0.0
    if metric in ("l2", "l2sq"):
        square = ((a - b) ** 2).sum()
        return np.sqrt(square) if metric == "l2" else square
    if metric == "kl":
        return (a * np.log(a / b)).sum()
    m = (a + b) / 2
    return (a * np.log(a / m)).sum() / 2 + (b * np.log(b / m)).sum() / 2


def all_scores(queries, rows, metric):
    return np.array([[score(query, row, metric) for row in rows] for query in queries])


def best(scores, metric, k):
    """Indices of the best k of each line, ties by the lower row."""
    key = -scores if metric in SIMILARITIES else scores
    return np.argsort(key, axis=1, kind="stable")[:, :k]


def vectors(count, dims, dtype, seed=0):
    random = np.random.default_rng(seed)
    if dtype == "bool":
        return random.random((count, dims)) < 0.5
    if np.dtype(dtype).kind == "f":
        return (random.random((count, dims)) + 0.01).astype(dtype)
    return random.integers(0, 100, (count, dims)).astype(dtype)


CASES = (
    [(metric, dtype) for metric in ("dot", "cosine", "l2", "l2sq") for dtype in NUMBERS]
    + [(metric, dtype) for metric in ("hamming", "jaccard") for dtype in ("uint8", "bool")]
    + [(metric, dtype) for metric in ("kl", "js") for dtype in ("float16", "float32", "float64")]
)


@pytest.mark.parametrize(("metric", "dtype"), CASES)
def test_every_metric_and_dtype_gives_the_formula(metric, dtype, tmp_path):
    queries, rows = vectors(5, 33, dtype, 1), vectors(200, 33, dtype, 2)
    expected = all_scores(queries, rows, metric)
    engine = VectorEngine()
    scores = engine.batch_compute(queries, rows, metric)
    assert scores.dtype == np.float64
    np.testing.assert_allclose(scores, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(engine.batch_compute(queries[0], rows, metric), scores[0])
    assert engine.compute_metric(queries[1], rows[7], metric) == scores[1, 7]
    wanted = best(scores, metric, 7)
    indices, found = engine.multi_query_top_k(queries, rows, metric, 7)
    assert (indices.dtype, found.dtype) == (np.uint64, np.float64)
    np.testing.assert_array_equal(indices, wanted.reshape(-1))
    np.testing.assert_array_equal(found, np.take_along_axis(scores, wanted, 1).reshape(-1))
    with NumPack(tmp_path / "v") as npk:
        npk.save({"v": rows})
        indices, found = npk.search("v", queries, 7, metric)
        np.testing.assert_array_equal(indices, wanted)
        np.testing.assert_array_equal(found, np.take_along_axis(scores, wanted, 1))


ALIASES = {
    "dot": ["dot_product", "dotproduct", "inner", "inner_product"],
    "cosine": ["cos", "cosine_similarity"],
    "l2": ["euclidean", "l2_distance"],
    "l2sq": ["l2_squared", "squared_euclidean"],
    "kl": ["kl_divergence"],
    "js": ["js_divergence"],
}


def test_every_alias_is_its_metric():
    a, b = vectors(2, 9, "float64")
    engine = VectorEngine()
    for metric, names in ALIASES.items():
        for name in names:
            assert engine.compute_metric(a, b, name) == engine.compute_metric(a, b, metric)


@pytest.mark.slow
def test_accuracy_against_scipy_and_scikit_learn():
    from scipy.spatial import distance
    from scipy.special import rel_entr
    from sklearn.metrics import pairwise_distances
    from sklearn.metrics.pairwise import cosine_similarity

    engine = VectorEngine()
    for dtype, tolerance in (("float32", 1e-6), ("float64", 1e-12)):
        queries, rows = vectors(4, 50, dtype, 3), vectors(60, 50, dtype, 4)
        wide = (queries.astype(np.float64), rows.astype(np.float64))
        expected = {
            "l2": distance.cdist(*wide),
            "l2sq": distance.cdist(*wide, "sqeuclidean"),
            "cosine": cosine_similarity(*wide),
            "kl": np.array([[rel_entr(a, b).sum() for b in wide[1]] for a in wide[0]]),
        }
        for metric, scores in expected.items():
            np.testing.assert_allclose(engine.batch_compute(queries, rows, metric), scores, rtol=tolerance)
        normal = wide[0] / wide[0].sum(1, keepdims=True), wide[1] / wide[1].sum(1, keepdims=True)
        np.testing.assert_allclose(
            np.sqrt(engine.batch_compute(*normal, "js")), distance.cdist(*normal, "jensenshannon"), rtol=1e-9
        )
    flags = vectors(4, 40, "bool", 5), vectors(30, 40, "bool", 6)
    np.testing.assert_allclose(engine.batch_compute(*flags, "jaccard"), pairwise_distances(*flags, "jaccard"))
    np.testing.assert_allclose(
        engine.batch_compute(*flags, "hamming"), distance.cdist(*flags, "hamming") * 40
    )


def test_mixed_dtypes_compute_in_float64():
    query, rows = vectors(1, 8, "float32")[0], vectors(20, 8, "int16", 1)
    np.testing.assert_allclose(
        VectorEngine().batch_compute(query, rows, "l2"), all_scores([query], rows, "l2")[0], rtol=1e-12
    )


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(0, 90),
    dims=st.integers(1, 40),
    count=st.integers(1, 20),
    k=st.integers(0, 100),
    metric=st.sampled_from(["dot", "cosine", "l2", "l2sq"]),
    dtype=st.sampled_from(["float32", "float64", "float16", "int8"]),
    values=st.sampled_from([2, 3, 1000]),
    seed=st.integers(0, 1000),
)
def test_top_k_is_the_head_of_all_scores(rows, dims, count, k, metric, dtype, values, seed):
    """Few different values make many equal scores, whose order is by row."""
    random = np.random.default_rng(seed)
    data = random.integers(0, values, (rows, dims)).astype(dtype)
    queries = random.integers(0, values, (count, dims)).astype(dtype)
    engine = VectorEngine()
    scores = engine.batch_compute(queries, data, metric).reshape(count, rows)
    wanted = best(scores, metric, min(k, rows))
    indices, found = engine.multi_query_top_k(queries, data, metric, k)
    np.testing.assert_array_equal(indices, wanted.reshape(-1))
    np.testing.assert_array_equal(found, np.take_along_axis(scores, wanted, 1).reshape(-1))
    one, _ = engine.top_k_search(queries[0], data, metric, k)
    np.testing.assert_array_equal(one, wanted[0])


def test_many_queries_find_what_one_finds():
    rows, queries = vectors(20_000, 64, "float32", 7), vectors(100, 64, "float32", 8)
    engine = VectorEngine()
    for metric in ("dot", "cosine", "l2"):
        indices, scores = engine.multi_query_top_k(queries, rows, metric, 10)
        for i in (0, 50, 99):
            one = engine.top_k_search(queries[i], rows, metric, 10)
            np.testing.assert_array_equal(indices.reshape(-1, 10)[i], one[0])
            np.testing.assert_array_equal(scores.reshape(-1, 10)[i], one[1])


def test_nan_and_infinity_never_come_before_a_number():
    rows = np.array([[np.nan, 0], [1, 0], [np.inf, 0], [0, 1]], np.float32)
    indices, scores = VectorEngine().top_k_search(np.array([1, 0], np.float32), rows, "dot", 4)
    assert indices.tolist() == [2, 1, 3, 0]
    assert np.isnan(scores[-1])


def test_segments_join_to_the_whole():
    rows, query = vectors(100, 16, "float32", 9), vectors(1, 16, "float32", 10)[0]
    engine = VectorEngine()
    for metric, similar in (("cosine", True), ("l2", False)):
        indices, scores = np.empty(0, np.uint64), np.empty(0)
        for start in range(0, 100, 30):
            segment = rows[start : start + 30]
            indices, scores = engine.segmented_top_k_search(
                query, segment, metric, start, indices, scores, 7, similar
            )
        whole = engine.top_k_search(query, rows, metric, 7)
        np.testing.assert_array_equal(indices, whole[0])
        np.testing.assert_array_equal(scores, whole[1])


def test_the_snippet_of_the_readme(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    candidates, queries = vectors(50, 8, "float32"), vectors(3, 8, "float32", 1)
    query = queries[0]
    with NumPack("vectors.npk") as npk:
        npk.save({"embeddings": candidates})
    engine = VectorEngine()
    indices, scores = engine.top_k_search(query, candidates, "cosine", k=10)
    all_indices, all_scores = engine.multi_query_top_k(queries, candidates, "cosine", k=10)
    np.testing.assert_array_equal(all_indices[:10], indices)
    streaming = StreamingVectorEngine()
    found = streaming.streaming_top_k_from_file(query, "vectors.npk", "embeddings", "cosine", k=10)
    np.testing.assert_array_equal(found[0], indices)
    np.testing.assert_array_equal(found[1], scores)


@pytest.fixture
def stored(tmp_path):
    """An open store whose array has deleted rows, and its live rows."""
    rows = vectors(500, 12, "float32", 11)
    with NumPack(tmp_path / "v.npk") as npk:
        npk.save({"v": rows})
        deleted = [0, 1, 2, 77, 300, 499]
        npk.drop("v", deleted)
        yield npk, np.delete(rows, deleted, axis=0), tmp_path / "v.npk"


def test_deleted_rows_are_not_there(stored):
    npk, live, path = stored
    queries = live[[5, 80, 400]]
    indices, scores = npk.search("v", queries, 4, "l2")
    np.testing.assert_array_equal(indices[:, 0], [5, 80, 400])
    assert (scores[:, 0] == 0).all()
    streaming = StreamingVectorEngine()
    np.testing.assert_array_equal(
        streaming.streaming_multi_query_top_k(queries, path, "v", "l2", 4)[0], indices.reshape(-1)
    )
    every = streaming.streaming_batch_compute(queries, path, "v", "l2", batch_size=64)
    np.testing.assert_array_equal(every, VectorEngine().batch_compute(queries, live, "l2"))
    assert streaming.streaming_batch_compute(queries[0], path, "v", "l2").shape == (len(live),)


def test_where_keeps_the_rows_it_names(stored):
    npk, live, _ = stored
    query = live[3]
    mask = np.zeros(len(live), bool)
    mask[[9, 3, 200]] = True
    scores = VectorEngine().batch_compute(query, live, "cosine")
    for where, rows in [
        (mask, [3, 9, 200]),
        (mask.tolist(), [3, 9, 200]),
        ([200, 9, 3, 3], [3, 9, 200]),
        (np.array([-1, 3], np.int32), [3, len(live) - 1]),
        (slice(100, 130, 7), range(100, 130, 7)),
        (slice(None, None, -100), range(len(live) - 1, -1, -100)),
        (slice(5, 5), []),
        ([], []),
    ]:
        wanted = sorted(rows, key=lambda row: (-scores[row], row))[:10]
        indices, found = npk.search("v", query, 10, where=where)
        assert indices.tolist() == [wanted]
        np.testing.assert_array_equal(found[0], scores[wanted])


def test_errors_name_what_is_wrong(stored):
    npk, live, path = stored
    query, engine = live[0], VectorEngine()
    with pytest.raises(ValueError, match="'nearest'|\"nearest\""):
        npk.search("v", query, metric="nearest")
    with pytest.raises(ValueError, match="11"):
        npk.search("v", query[:11])
    with pytest.raises(ValueError, match="-1"):
        npk.search("v", query, k=-1)
    with pytest.raises(ArrayNotFoundError, match="w"):
        npk.search("w", query)
    with pytest.raises(TypeError, match="hamming"):
        npk.search("v", query, metric="hamming")
    with pytest.raises(TypeError, match="complex64"):
        engine.compute_metric(query.astype(np.complex64), query, "dot")
    with pytest.raises(IndexError, match="5000"):
        npk.search("v", query, where=[5000])
    with pytest.raises(IndexError, match="the mask 3"):
        npk.search("v", query, where=np.ones(3, bool))
    with pytest.raises(ValueError, match="several"):
        engine.top_k_search(live[:2], live, "dot", 3)
    with pytest.raises(ValueError, match="rows, dimensions"):
        engine.top_k_search(query, query, "dot", 3)
    with pytest.raises(ValueError, match="is_similarity"):
        engine.segmented_top_k_search(query, live, "l2", 0, np.empty(0, np.uint64), np.empty(0), 3, True)
    with pytest.raises(ValueError, match="batch_size"):
        StreamingVectorEngine().streaming_top_k_from_file(query, path, "v", "dot", 3, batch_size=0)


def test_plain_lists_are_taken_as_they_are(tmp_path):
    with NumPack(tmp_path / "lists.npk") as npk:
        npk.save(
            {
                "int": np.array([[1, 0], [0, 1], [1, 1]], np.int8),
                "half": np.ones((2, 2), np.float16),
                "bits": np.array([[1, 2], [255, 0]], np.uint8),
            }
        )
        assert npk.search("int", [0.9, 0.4], 3, "dot")[1].tolist() == [[0.9 + 0.4, 0.9, 0.4]]
        assert npk.search("int", [300, 1], 1, "dot")[1].tolist() == [[301]]
        assert npk.search("half", [1e5, 1], 1, "dot")[1].tolist() == [[100_001]]
        assert npk.search("bits", [1, 3], 2, "hamming")[1].tolist() == [[1, 9]]
        assert npk.search("half", [1, 0], 1, "kl")[1].tolist() == [[0]]
        with pytest.raises(TypeError, match="int64"):
            npk.search("bits", [1, 256], 2, "hamming")


def test_ends_of_slices_may_be_any_number(stored):
    npk, live, _ = stored
    found = npk.search("v", live[0], 3, "dot", where=slice(-(10**30), 10**30))
    assert np.array_equal(found[0], npk.search("v", live[0], 3, "dot")[0])


def test_segments_take_lists():
    engine, rows = VectorEngine(), np.eye(3, dtype=np.float32)
    found = engine.segmented_top_k_search(rows[0], rows, "dot", 10, [4], [0.5], 2)
    assert found[0].tolist() == [10, 4]
    for offset in (-1, 2**64 - 1, "x"):
        with pytest.raises(ValueError, match="global_offset"):
            engine.segmented_top_k_search(rows[0], rows, "dot", offset, [], [], 2)


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_scores_of_a_batch_can_be_interrupted():
    program = """
        import numpy as np
        from numpack.vector_engine import VectorEngine
        rows = np.random.default_rng(0).random((60_000, 256))
        print("ready", flush=True)
        VectorEngine().batch_compute(rows[:600], rows, "kl")
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "ready\n"
        time.sleep(0.3)
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors


def test_no_rows_and_no_k():
    engine, query = VectorEngine(), np.ones(4, np.float32)
    assert engine.top_k_search(query, np.empty((0, 4), np.float32), "dot", 5)[0].shape == (0,)
    assert engine.top_k_search(query, np.ones((3, 4), np.float32), "dot", 0)[0].shape == (0,)
    assert engine.batch_compute(query, np.empty((0, 4), np.float32), "dot").shape == (0,)


def test_capabilities_tell_what_is_used():
    found = VectorEngine().capabilities()
    assert set(found) == {"exact", "product", "threads"}
    assert found["threads"] >= 1


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
def test_no_level_and_no_number_of_threads_changes_an_answer(dtype):
    rows, queries = vectors(3000, 70, dtype), vectors(6, 70, dtype)
    wanted = VectorEngine().multi_query_top_k(queries, rows, "l2", 7)
    for level in ["serial", "avx2", "avx512", "amx"]:
        engine = VectorEngine(level=level, threads=3)
        found = engine.multi_query_top_k(queries, rows, "l2", 7)
        assert all(np.array_equal(a, b) for a, b in zip(found, wanted))
    if platform.machine() == "x86_64":
        assert VectorEngine(level="serial").capabilities()["exact"] == "serial"
    assert VectorEngine(threads=1).capabilities()["threads"] == 1
    with pytest.raises(ValueError, match="sse9"):
        VectorEngine(level="sse9")
    with pytest.raises(ValueError, match="-1"):
        VectorEngine(threads=-1)


def _search_in_child(path, expected, queue):
    with NumPack(path, mode="r") as npk:
        queue.put(npk.search("v", expected["query"], 5, "dot")[0].tolist() == expected["indices"])


# CPython 3.12 and later warn of a fork beside threads, which is what is tried here.
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_search_works_in_children(method, stored):
    npk, live, path = stored
    # The parent has used its threads before the fork.
    VectorEngine().multi_query_top_k(vectors(64, 64, "float32"), vectors(20_000, 64, "float32"), "dot", 3)
    expected = {"query": live[0], "indices": npk.search("v", live[0], 5, "dot")[0].tolist()}
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=_search_in_child, args=(str(path), expected, queue))
    child.start()
    assert queue.get(timeout=60) is True
    child.join()


def test_threads_share_one_store_while_rows_are_replaced(tmp_path):
    """Every row is constant, so a torn row would give a score that no whole row has."""
    with NumPack(tmp_path / "v") as npk:
        npk.save({"v": np.full((3000, 32), 1, np.float32)})
        stop, wrong = threading.Event(), []

        def search():
            query = np.ones(32, np.float32)
            while not stop.is_set():
                scores = npk.search("v", query, 3000, "dot")[1]
                wrong.extend(value for value in np.unique(scores) if value % 32)

        threads = [threading.Thread(target=search) for _ in range(2)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 2
        value = 1
        while time.monotonic() < deadline:
            value = value % 100 + 1
            npk.replace({"v": np.full((500, 32), value, np.float32)}, slice(value * 20, value * 20 + 500))
        stop.set()
        for thread in threads:
            thread.join()
        assert not wrong


LONG_SEARCH = """
import numpy as np
from numpack.vector_engine import VectorEngine
rows = np.random.default_rng(0).random((200_000, 96)).astype(np.float64)
print("ready", flush=True)
while True:
    VectorEngine().multi_query_top_k(rows[:5000], rows, "l2", 10)
"""


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
def test_ctrl_c_ends_a_long_search():
    child = subprocess.Popen(
        [sys.executable, "-c", LONG_SEARCH], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "ready\n"
    time.sleep(1)
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors
    assert child.returncode != 0


def test_masked_queries_are_refused(tmp_path):
    path = tmp_path / "v.npk"
    with NumPack(path) as npk:
        npk.save({"v": np.ones((3, 4))})
    query = np.ma.array(np.ones(4), mask=[True, False, False, False])
    streaming = StreamingVectorEngine()
    with pytest.raises(TypeError, match="would lose its mask"):
        streaming.streaming_top_k_from_file(query, path, "v", "dot", 1)
    with pytest.raises(TypeError, match="would lose its mask"):
        streaming.streaming_batch_compute(query, path, "v", "dot")


def test_a_search_without_a_thread_to_be_had_runs_on_the_callers(tmp_path):
    code = """
import resource
import numpy as np
from numpack import NumPack
rows = np.ones((16384, 128), np.float32)
rows[7] = 2
with NumPack("s.npk") as store:
    store.save({"x": rows})
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    print(store.search("x", rows[:128], 3, "dot")[0][0].tolist())
"""
    # Stacks of 64 GiB stand for threads that cannot be made.
    env = {**os.environ, "RUST_MIN_STACK": str(1 << 36), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "[7, 0, 1]\n"), done.stderr
