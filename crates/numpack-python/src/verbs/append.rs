//! `append`: rows behind the last one.

use pyo3::intern;
use pyo3::prelude::*;

use crate::input::Inputs;
use crate::store::NumPack;

#[pymethods]
impl NumPack {
    /// append(arrays): appends rows to existing arrays, in one commit.
    ///
    /// arrays: dict of name: rows of shape (n, *row shape). Costs the new rows alone, however long the array
    /// is. Raises KeyError for an unknown name, ValueError for another row shape, TypeError for another dtype.
    fn append(&self, py: Python<'_>, arrays: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Some(batch) = self.batch(py)? {
            return batch.call_method1(intern!(py, "append"), (arrays,)).map(drop);
        }
        let open = self.opened(py)?;
        let inputs = Inputs::new(arrays, |name| open.dtype_of(name).map(Some))?;
        let raw = inputs.raw();
        open.write(py, |store| store.append_raw(&raw))
    }
}
