//! `replace`: rows in place.

use numpack::RawRows;
use pyo3::intern;
use pyo3::prelude::*;

use crate::input::Inputs;
use crate::row_indexes::Rows;
use crate::store::NumPack;

#[pymethods]
impl NumPack {
    /// replace(arrays, indexes): replaces rows in place, in one commit; of an index given twice the last row
    /// wins.
    ///
    /// arrays: dict of name: rows of shape (n, *row shape), a single row also without the first dimension.
    /// indexes: n row numbers (int, list, ndarray, slice, boolean mask), the same for every array. Costs the
    /// rows alone. Raises ValueError for a wrong shape or other indexes, IndexError out of range, TypeError for
    /// another dtype, KeyError for an unknown name.
    fn replace(&self, py: Python<'_>, arrays: &Bound<'_, PyAny>, indexes: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Some(batch) = self.batch(py)? {
            return batch.call_method1(intern!(py, "replace"), (arrays, indexes)).map(drop);
        }
        let open = self.opened(py)?;
        let inputs = Inputs::new(arrays, |name| open.dtype_of(name).map(Some))?;
        let rows = Rows::new(indexes)?;
        let (selection, one) = (rows.selection(), rows.may_be_one());
        let mut parts = Vec::with_capacity(inputs.0.len());
        for (name, input) in inputs.0 {
            let single = one && input.ndim() + 1 == open.shape_of(&name)?.len();
            parts.push((name, if single { input.into_one_row() } else { input }.into_copied()));
        }
        let raw: Vec<RawRows<'_>> =
            parts.iter().map(|(name, input)| RawRows { rows: input.raw(name), selection }).collect();
        open.write(py, |store| store.replace_raw(&raw))
    }
}
