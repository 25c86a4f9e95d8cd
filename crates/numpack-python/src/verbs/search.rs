//! `search`: exact top-k over a stored array.

use std::time::Instant;

use numpack::NpkError;
use numpack::rows::Selection;
use numpack::vector::SearchOptions;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;

use crate::errors::raise;
use crate::input::Input;
use crate::row_indexes::Rows;
use crate::search::{IndexDtype, flat, k_of, metric_of, run};
use crate::store::NumPack;

#[pymethods]
impl NumPack {
    /// search(array_name, queries, k=10, metric="cosine", where=None, *, index_dtype=None): the best k rows of a
    /// stored array.
    ///
    /// queries: one vector (d,) or several (n, d); the array has shape (rows, d). Returns (indices, scores) of
    /// shape (n, k), uint64 and float64, the best first; fewer columns when there are fewer rows. NumPy makes
    /// float64 of uint64 beside int64, and 2**64 - 1 of row 0 minus 1: index_dtype="int64" is for row numbers to
    /// compute with. The answer is exact: equal scores are ordered by the lower row, NaN comes last. metric: dot, cosine (higher is better),
    /// l2, l2sq, hamming, jaccard, kl, js (lower is better), and their long names. where: the rows to search, as
    /// boolean mask, row numbers or slice. Rows are logical: deleted ones are not there.
    ///
    /// Reads the mapped file once, without a copy. Raises KeyError; ValueError for another dimension, metric or
    /// k; TypeError for a dtype that the metric does not take; IndexError for row numbers out of range.
    #[pyo3(signature = (array_name, queries, k=10, metric="cosine".into(), r#where=None, *, index_dtype=None),
           text_signature = "($self, array_name, queries, k=10, metric='cosine', where=None, *, index_dtype=None)")]
    #[expect(clippy::too_many_arguments, reason = "the signature that existing programs call, and one more")]
    fn search<'py>(
        &self,
        py: Python<'py>,
        array_name: PyBackedStr,
        queries: &Bound<'py, PyAny>,
        k: i64,
        metric: std::borrow::Cow<'_, str>,
        r#where: Option<&Bound<'py, PyAny>>,
        index_dtype: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        if let Some(batch) = self.batch(py)? {
            let args = (&*array_name, queries, k, &*metric, r#where, index_dtype);
            return batch.call_method1(intern!(py, "search"), args)?.extract();
        }
        let index_dtype = IndexDtype::new(py, index_dtype)?;
        let (open, metric, k) = (self.opened(py)?, metric_of(&metric)?, k_of(k)?);
        let stored = open.store.get_array_metadata(&array_name).map_err(raise)?;
        let (input, rows) = (Input::question(queries, stored.dtype)?, r#where.map(Rows::new).transpose()?);
        let vectors = input.vectors()?;
        let work = stored.shape.iter().product::<u64>().saturating_mul(vectors.rows() as u64);
        let rows = rows.as_ref().map_or(Selection::All, Rows::selection);
        let begin = Instant::now();
        let hits = loop {
            let found = run(py, work, |cancel| {
                let options = SearchOptions { rows, cancel: Some(cancel), ..SearchOptions::default() };
                match open.store.search(&array_name, &vectors, k, metric, &options) {
                    Err(NpkError::Locked { path, .. }) => Ok(Err(path)),
                    other => other.map(Ok),
                }
            })?;
            match found {
                Ok(hits) => break hits,
                Err(path) => open.wait_on(py, path, begin)?,
            }
        };
        let shape = (vectors.rows(), hits.k);
        let (indices, scores) = flat(py, hits, index_dtype)?;
        let reshape = intern!(py, "reshape");
        Ok((indices.call_method1(reshape, shape)?, scores.call_method1(reshape, shape)?))
    }
}
