//! The iterator that `stream_load` returns.

use std::sync::{Mutex, PoisonError};

use numpack::RowStream;
use pyo3::prelude::*;

use crate::errors::raise;
use crate::verbs::allocate;

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
