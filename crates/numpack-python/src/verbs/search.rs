//! `search`: exact top-k over a stored array.

use numpack::vector::{Filter, SearchOptions};
use numpy::{PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyIndexError, PyOverflowError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::PySlice;

use crate::errors::raise;
use crate::input::{Input, numpy};
use crate::memory::bytes_of;
use crate::row_indexes::Rows;
use crate::search::{flat, k_of, metric_of, run};
use crate::store::NumPack;

/// Which rows to search, as a program gave them.
enum Where<'py> {
    All,
    Mask(Vec<bool>),
    Rows(Rows<'py>),
    Slice([Option<i64>; 3]),
}

impl<'py> Where<'py> {
    fn new(rows: Option<&Bound<'py, PyAny>>) -> PyResult<Self> {
        let Some(rows) = rows else { return Ok(Where::All) };
        if let Ok(slice) = rows.cast::<PySlice>() {
            let part = |name| end_of(&slice.getattr(name)?);
            return Ok(Where::Slice([part("start")?, part("stop")?, part("step")?]));
        }
        let array = match rows.cast::<PyUntypedArray>() {
            Ok(array) => array.clone(),
            Err(_) => numpy(rows.py())?.call_method1(intern!(rows.py(), "asarray"), (rows,))?.cast_into()?,
        };
        if array.dtype().kind() != b'b' {
            return Rows::new(&array, || Ok(0)).map(Where::Rows);
        }
        if array.ndim() != 1 {
            let text = format!("a mask has one flag for every row, got shape {:?}", array.shape());
            return Err(PyIndexError::new_err(text));
        }
        let array = numpy(rows.py())?.call_method1(intern!(rows.py(), "ascontiguousarray"), (array,))?;
        let flags = bytes_of(&array.cast_into()?).iter().map(|&flag| flag != 0).collect();
        Ok(Where::Mask(flags))
    }

    /// An error for a mask that is about another number of rows.
    fn check(&self, rows: u64) -> PyResult<()> {
        match self {
            Where::Mask(flags) if flags.len() as u64 != rows => Err(PyIndexError::new_err(format!(
                "boolean index did not match: the array has {rows} rows, the mask {}",
                flags.len()
            ))),
            _ => Ok(()),
        }
    }

    fn filter(&self) -> Option<Filter<'_>> {
        match self {
            Where::All => None,
            Where::Mask(flags) => Some(Filter::Mask(flags)),
            Where::Rows(rows) => Some(Filter::Rows(rows.as_slice())),
            Where::Slice([start, stop, step]) => {
                Some(Filter::Slice { start: *start, stop: *stop, step: *step })
            }
        }
    }
}

/// An end of a slice; numbers beyond all rows are as good as the largest.
fn end_of(end: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
    match end.extract::<Option<i64>>() {
        Err(error) if error.is_instance_of::<PyOverflowError>(end.py()) => {
            Ok(Some(if end.lt(0)? { i64::MIN } else { i64::MAX }))
        }
        other => other,
    }
}

#[pymethods]
impl NumPack {
    /// search(array_name, queries, k=10, metric="cosine", where=None): the best k rows of a stored array.
    ///
    /// queries: one vector (d,) or several (n, d); the array has shape (rows, d). Returns (indices, scores) of
    /// shape (n, k), uint64 and float64, the best first; fewer columns when there are fewer rows. The answer is
    /// exact: equal scores are ordered by the lower row, NaN comes last. metric: dot, cosine (higher is better),
    /// l2, l2sq, hamming, jaccard, kl, js (lower is better), and their long names. where: the rows to search, as
    /// boolean mask, row numbers or slice. Rows are logical: deleted ones are not there.
    ///
    /// Reads the mapped file once, without a copy. Raises KeyError; ValueError for another dimension, metric or
    /// k; TypeError for a dtype that the metric does not take; IndexError for row numbers out of range.
    #[pyo3(signature = (array_name, queries, k=10, metric="cosine".into(), r#where=None),
           text_signature = "($self, array_name, queries, k=10, metric='cosine', where=None)")]
    fn search<'py>(
        &self,
        py: Python<'py>,
        array_name: PyBackedStr,
        queries: &Bound<'py, PyAny>,
        k: i64,
        metric: std::borrow::Cow<'_, str>,
        r#where: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        if let Some(batch) = self.batch(py)? {
            let args = (&*array_name, queries, k, &*metric, r#where);
            return batch.call_method1(intern!(py, "search"), args)?.extract();
        }
        let (open, metric, k) = (self.opened(py)?, metric_of(&metric)?, k_of(k)?);
        let stored = open.store.get_array_metadata(&array_name).map_err(raise)?;
        let (input, rows) = (Input::question(queries, stored.dtype)?, Where::new(r#where)?);
        rows.check(stored.shape.first().copied().unwrap_or(0))?;
        let vectors = input.vectors()?;
        let work = stored.shape.iter().product::<u64>().saturating_mul(vectors.rows() as u64);
        let filter = rows.filter();
        let hits = run(py, work, |cancel| {
            let options = SearchOptions { filter, cancel: Some(cancel) };
            open.store.search(&array_name, &vectors, k, metric, &options)
        })?;
        let shape = (vectors.rows(), hits.k);
        let (indices, scores) = flat(py, hits);
        let reshape = intern!(py, "reshape");
        Ok((indices.call_method1(reshape, shape)?, scores.call_method1(reshape, shape)?))
    }
}
