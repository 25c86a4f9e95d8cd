//! `sync`: what was committed survives a power cut.

use numpack::Store;
use pyo3::prelude::*;

use crate::store::NumPack;

#[pymethods]
impl NumPack {
    /// sync(): makes every commit so far survive a power cut. Raises OSError when the disk fails.
    fn sync(&self, py: Python<'_>) -> PyResult<()> {
        self.opened(py)?.write(py, Store::sync_metadata)
    }
}
