//! `stream_load`, and the iterator that it returns.

use std::sync::{Mutex, PoisonError};

use numpack::RowStream;
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;

use crate::errors::raise;
use crate::memory::allocate;
use crate::store::NumPack;

#[pymethods]
impl NumPack {
    /// stream_load(array_name, buffer_size=None): an iterator over batches of `buffer_size` rows (None: one).
    ///
    /// Each batch is an ndarray of one commit; rows appended meanwhile are seen, and rows deleted meanwhile make
    /// it step over no other. Memory: one batch. Raises
    /// KeyError, ValueError for a size of zero or less.
    #[pyo3(signature = (array_name, buffer_size=None))]
    fn stream_load<'py>(
        &self,
        py: Python<'py>,
        array_name: PyBackedStr,
        buffer_size: Option<i64>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let rows =
            usize::try_from(buffer_size.unwrap_or(1)).ok().filter(|&rows| rows > 0).ok_or_else(|| {
                PyValueError::new_err(format!(
                    "buffer_size must be greater than 0, got {}",
                    buffer_size.unwrap_or(0)
                ))
            })?;
        if let Some(batch) = self.batch(py)? {
            return batch.call_method1(intern!(py, "stream_load"), (&*array_name, rows));
        }
        let open = self.opened(py)?;
        let stream = open.read(py, |store| store.stream_rows(&array_name, rows))?;
        Ok(Bound::new(py, StreamLoader::new(stream))?.into_any())
    }
}

/// Iterator over batches of an array's rows; see `NumPack.stream_load`.
#[pyclass(module = "numpack", frozen)]
pub(crate) struct StreamLoader {
    stream: Mutex<RowStream>,
}

impl StreamLoader {
    pub(crate) fn new(stream: RowStream) -> StreamLoader {
        StreamLoader { stream: Mutex::new(stream) }
    }
}

#[pymethods]
impl StreamLoader {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        // Locked without the GIL: the thread that has the stream may need it to allocate.
        let batch = py.detach(|| {
            let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
            stream.next_into(allocate)
        });
        Ok(batch.transpose().map_err(raise)?.map(|batch| batch.into_py(py)))
    }
}
