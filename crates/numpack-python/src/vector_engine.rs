//! The class `VectorEngine`: scores and exact top-k over arrays in memory.

use numpack::vector::{self, Hits, Metric, SearchOptions};
use numpy::IntoPyArray;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::raise;
use crate::input::{Input, numpy};
use crate::search::{IndexDtype, flat, k_of, metric_of, run};

type Arrays<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

/// Exact vector scores and nearest neighbours over arrays in memory.
///
/// Every score is the float64 value of the metric's formula, summed in a fixed order: it does not depend on
/// the machine, on threads or on how many queries are asked at once. Vectors are float16/32/64 or integers for
/// dot, cosine, l2 and l2sq; packed bits (uint8) or bool for hamming and jaccard; floats for kl and js. Numeric
/// dtypes may be mixed. With a, b vectors:
///
/// dot: sum(a*b). cosine: sum(a*b) / sqrt(sum(a*a) * sum(b*b)), 0 for a zero vector.
/// l2: sqrt(sum((a-b)**2)). l2sq: sum((a-b)**2). hamming: number of differing bits (uint8) or elements (bool).
/// jaccard: 1 - |a and b| / |a or b|, 0 for two empty sets. kl: sum(a*ln(a/b)).
/// js: sum(a*ln(a/m))/2 + sum(b*ln(b/m))/2 with m = (a+b)/2.
///
/// level: the highest instruction set to use, one of "serial", "avx2", "avx512", "amx"; threads: parts that a
/// search is split into at most. None: what the machine has. The answers are the same.
#[pyclass(module = "numpack.vector_engine", frozen)]
pub(crate) struct VectorEngine {
    engine: vector::VectorEngine,
}

/// Multiplications of a question.
fn work(queries: &Input<'_>, candidates: &Input<'_>) -> u64 {
    let count = if queries.ndim() == 2 { queries.shape()[0] } else { 1 };
    candidates.shape().iter().product::<u64>().saturating_mul(count)
}

/// What an element costs, in multiplications.
fn cost_of(metric: Metric) -> u64 {
    if matches!(metric, Metric::KullbackLeibler | Metric::JensenShannon) { 32 } else { 1 }
}

#[pymethods]
impl VectorEngine {
    #[new]
    #[pyo3(signature = (*, level=None, threads=None))]
    fn new(level: Option<std::borrow::Cow<'_, str>>, threads: Option<i64>) -> PyResult<Self> {
        let mut engine = vector::VectorEngine::new();
        if let Some(level) = level {
            engine = engine.with_level(level.parse().map_err(raise)?);
        }
        if let Some(threads) = threads {
            let wanted = usize::try_from(threads).ok().filter(|&wanted| wanted > 0);
            engine = engine.with_threads(wanted.ok_or_else(|| {
                PyValueError::new_err(format!("threads must be greater than 0, got {threads}"))
            })?);
        }
        Ok(VectorEngine { engine })
    }

    /// capabilities(): {"exact": instruction sets of the exact kernels, "product": of the first stage of many
    /// queries, "threads": threads of a large search}.
    fn capabilities<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let found = self.engine.capabilities();
        let result = PyDict::new(py);
        result.set_item("exact", found.exact)?;
        result.set_item("product", found.product)?;
        result.set_item("threads", found.threads)?;
        Ok(result)
    }

    /// compute_metric(a, b, metric): the score of one pair of vectors of shape (d,), as a float.
    fn compute_metric(
        &self,
        py: Python<'_>,
        a: &Bound<'_, PyAny>,
        b: &Bound<'_, PyAny>,
        metric: std::borrow::Cow<'_, str>,
    ) -> PyResult<f64> {
        let (a, b, metric) = (Input::vector(a)?, Input::vector(b)?, metric_of(&metric)?);
        let (a, b) = (a.vectors()?, b.vectors()?);
        run(py, 0, |_| self.engine.compute_metric(&a, &b, metric))
    }

    /// batch_compute(query, candidates, metric): every score, float64.
    ///
    /// query: (d,) gives scores of shape (rows,); (n, d) gives (n, rows). candidates: (rows, d).
    fn batch_compute<'py>(
        &self,
        py: Python<'py>,
        query: &Bound<'py, PyAny>,
        candidates: &Bound<'py, PyAny>,
        metric: std::borrow::Cow<'_, str>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let (query, rows, metric) = (Input::vector(query)?, matrix(candidates)?, metric_of(&metric)?);
        let (queries, candidates) = (query.vectors()?, rows.vectors()?);
        let work = work(&query, &rows).saturating_mul(cost_of(metric));
        let scores =
            run(py, work, |cancel| self.engine.batch_compute_until(cancel, &queries, &candidates, metric))?;
        let scores = scores.into_pyarray(py).into_any();
        if query.ndim() == 1 {
            return Ok(scores);
        }
        scores.call_method1(intern!(py, "reshape"), (queries.rows(), candidates.rows()))
    }

    /// top_k_search(query, candidates, metric, k=10, *, index_dtype=None): the best k rows for one query.
    ///
    /// Returns (indices, scores) of shape (k,), uint64 and float64, the best first; fewer when there are fewer
    /// rows. Exact; equal scores are ordered by the lower row. index_dtype="int64" for row numbers to compute with,
    /// see `NumPack.search`.
    #[pyo3(signature = (query, candidates, metric, k=10, *, index_dtype=None))]
    fn top_k_search<'py>(
        &self,
        py: Python<'py>,
        query: &Bound<'py, PyAny>,
        candidates: &Bound<'py, PyAny>,
        metric: std::borrow::Cow<'_, str>,
        k: i64,
        index_dtype: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Arrays<'py>> {
        let index_dtype = IndexDtype::new(py, index_dtype)?;
        let (query, candidates) = (Input::vector(query)?, matrix(candidates)?);
        if query.ndim() == 2 && query.shape()[0] != 1 {
            return Err(PyValueError::new_err(format!(
                "query must be one vector, got shape {:?}: multi_query_top_k takes several",
                query.shape()
            )));
        }
        flat(py, self.found(py, &query, &candidates, &metric, k)?, index_dtype)
    }

    /// multi_query_top_k(queries, candidates, metric, k=10, *, index_dtype=None): the best k rows for every query of (n, d).
    ///
    /// Returns (indices, scores) of shape (n*k,): k for the first query, then k for the second, and so on.
    /// uint64 and float64; index_dtype="int64" for row numbers to compute with, see `NumPack.search`.
    #[pyo3(signature = (queries, candidates, metric, k=10, *, index_dtype=None))]
    fn multi_query_top_k<'py>(
        &self,
        py: Python<'py>,
        queries: &Bound<'py, PyAny>,
        candidates: &Bound<'py, PyAny>,
        metric: std::borrow::Cow<'_, str>,
        k: i64,
        index_dtype: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Arrays<'py>> {
        let index_dtype = IndexDtype::new(py, index_dtype)?;
        let (queries, candidates) = (Input::vector(queries)?, matrix(candidates)?);
        flat(py, self.found(py, &queries, &candidates, &metric, k)?, index_dtype)
    }

    /// segmented_top_k_search(query, candidates, metric, global_offset, current_indices, current_scores, k,
    /// is_similarity=None, *, index_dtype=None): joins the best rows so far with those of a further segment.
    ///
    /// The rows of the segment are numbered from global_offset. current_indices and current_scores are what the
    /// call for the segment before returned, empty arrays at first. is_similarity must be what the metric is.
    /// Returns (indices, scores), uint64 and float64; index_dtype="int64" for row numbers to compute with, see
    /// `NumPack.search`.
    #[expect(clippy::too_many_arguments, reason = "the signature that existing programs call")]
    #[pyo3(signature = (query, candidates, metric, global_offset, current_indices, current_scores, k,
                        is_similarity=None, *, index_dtype=None))]
    fn segmented_top_k_search<'py>(
        &self,
        py: Python<'py>,
        query: &Bound<'py, PyAny>,
        candidates: &Bound<'py, PyAny>,
        metric: std::borrow::Cow<'_, str>,
        global_offset: &Bound<'py, PyAny>,
        current_indices: &Bound<'py, PyAny>,
        current_scores: &Bound<'py, PyAny>,
        k: i64,
        is_similarity: Option<bool>,
        index_dtype: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Arrays<'py>> {
        let (query, candidates, k) = (Input::vector(query)?, matrix(candidates)?, k_of(k)?);
        let (metric, index_dtype) = (metric_of(&metric)?, IndexDtype::new(py, index_dtype)?);
        if is_similarity.is_some_and(|given| given != metric.is_similarity()) {
            let text = format!("is_similarity must be {} for {metric}", metric.is_similarity());
            return Err(PyValueError::new_err(text));
        }
        let end = |offset: u64| offset.checked_add(candidates.shape()[0]).map(|_| offset);
        let global_offset = global_offset.extract().ok().and_then(end).ok_or_else(|| {
            PyValueError::new_err(format!("global_offset must be a row number, got {global_offset}"))
        })?;
        let list = |values| numpy(py)?.call_method1("asarray", (values,))?.call_method0("tolist");
        let (indices, scores): (Vec<u64>, Vec<f64>) =
            (list(current_indices)?.extract()?, list(current_scores)?.extract()?);
        let (query, rows) = (query.vectors()?, candidates.vectors()?);
        let hits = run(py, 0, |_| {
            self.engine.merge_segment(&query, &rows, metric, k, global_offset, &indices, &scores)
        })?;
        flat(py, hits, index_dtype)
    }
}

impl VectorEngine {
    fn found(
        &self,
        py: Python<'_>,
        queries: &Input<'_>,
        candidates: &Input<'_>,
        metric: &str,
        k: i64,
    ) -> PyResult<Hits> {
        let (metric, k) = (metric_of(metric)?, k_of(k)?);
        let work = work(queries, candidates).saturating_mul(cost_of(metric));
        let (queries, rows) = (queries.vectors()?, candidates.vectors()?);
        run(py, work, |cancel| {
            let options = SearchOptions { cancel: Some(cancel), ..SearchOptions::default() };
            self.engine.search(&queries, &rows, metric, k, &options)
        })
    }
}

/// Candidates are the rows of a matrix.
fn matrix<'py>(candidates: &Bound<'py, PyAny>) -> PyResult<Input<'py>> {
    let input = Input::vector(candidates)?;
    if input.ndim() == 2 {
        return Ok(input);
    }
    let text = format!("candidates must have shape (rows, dimensions), got {:?}", input.shape());
    Err(PyValueError::new_err(text))
}
