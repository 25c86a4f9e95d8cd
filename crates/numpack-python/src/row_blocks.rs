//! The rows of a lazy array in blocks, for `numpack.io`.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use numpack::{ArrayView, NpkResult};
use pyo3::prelude::*;

use crate::errors::raise;
use crate::memory::{Pool, PooledArray};

/// Iterator over copies of a lazy array's rows, in order; see `LazyArray._blocks`.
///
/// The memory of a block that nobody has any more is that of a later one.
#[pyclass(module = "numpack", frozen)]
pub(crate) struct RowBlocks {
    view: Arc<ArrayView>,
    pool: Pool,
    rows: u64,
    /// First row of the block to come.
    start: Mutex<u64>,
}

impl RowBlocks {
    pub(crate) fn new(view: Arc<ArrayView>, rows: u64) -> RowBlocks {
        RowBlocks { view, pool: Pool::default(), rows, start: Mutex::new(0) }
    }

    fn next_range(&self) -> Option<Range<u64>> {
        let mut start = self.start.lock().unwrap_or_else(PoisonError::into_inner);
        let range = *start..start.saturating_add(self.rows).min(self.view.len());
        *start = range.end;
        (!range.is_empty()).then_some(range)
    }

    fn read(&self, range: Range<u64>) -> NpkResult<PooledArray> {
        self.view.rows_into(range, |dtype, shape| self.pool.take(dtype, shape))
    }
}

#[pymethods]
impl RowBlocks {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(range) = self.next_range() else { return Ok(None) };
        let block = py.detach(|| self.read(range)).map_err(raise)?;
        block.into_py(py).map(Some)
    }
}
