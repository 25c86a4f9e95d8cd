//! `save`, and what batches and imports end with: arrays saved, dropped and renamed in one commit.

use numpy::PyArrayDescr;
use pyo3::intern;
use pyo3::prelude::*;

use crate::errors::raise;
use crate::input::{Input, Inputs, dtype_of, name_of, refuse_labels};
use crate::store::NumPack;

#[pymethods]
impl NumPack {
    /// save(arrays): saves a dict of name: array in one commit; existing names get new contents.
    ///
    /// Values: anything `numpy.asarray` takes, of bool, int8-64, uint8-64, float16/32/64, complex64/128; any
    /// strides and byte order. Raises ValueError for something other than a dict and for names that are empty,
    /// longer than 1,024 bytes or contain NUL; TypeError for other dtypes. Costs one write of the data.
    pub(crate) fn save(&self, py: Python<'_>, arrays: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Some(batch) = self.batch(py)? {
            return batch.call_method1(intern!(py, "save"), (arrays,)).map(drop);
        }
        let open = self.opened(py)?;
        let inputs = Inputs::new(arrays, |_| Ok(None))?;
        let raw = inputs.raw();
        open.write(py, |store| store.save_raw(&raw))
    }

    /// Raises what saving this array under this name would raise.
    #[staticmethod]
    fn _check_saved(name: &Bound<'_, PyAny>, array: &Bound<'_, PyAny>) -> PyResult<()> {
        refuse_labels(array.py(), &name_of(name)?, array)?;
        Input::new(array, None)?;
        numpack::check_name(&name_of(name)?).map_err(raise)
    }

    /// A value as an array of a stored dtype, as append and replace take it.
    #[staticmethod]
    fn _fitting<'py>(
        name: &Bound<'py, PyAny>,
        value: &Bound<'py, PyAny>,
        dtype: &Bound<'py, PyArrayDescr>,
    ) -> PyResult<Bound<'py, PyAny>> {
        Inputs::one(name, value, dtype_of(dtype, "stored")?)?.into_array()
    }

    /// Saves a dict of arrays and removes the arrays `dropped`, in one commit: what batches end with.
    fn _exchange(&self, py: Python<'_>, arrays: &Bound<'_, PyAny>, dropped: Vec<String>) -> PyResult<()> {
        let open = self.opened(py)?;
        let inputs = Inputs::new(arrays, |_| Ok(None))?;
        let (raw, dropped) = (inputs.raw(), dropped.iter().map(String::as_str).collect::<Vec<_>>());
        open.write(py, |store| store.exchange(&raw, &dropped))
    }
}
