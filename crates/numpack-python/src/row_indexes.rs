//! Rows as Python programs name them: int, list, tuple, range, slice, ndarray, boolean mask.
//!
//! Slices and masks go to the engine as they are: only there is it known how many rows there are.

use numpack::rows::Selection;
use numpy::{PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::{PyIndexError, PyMemoryError, PyOverflowError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyInt, PyList, PyRange, PySlice, PyTuple};

use crate::errors::raise;
use crate::input::numpy;
use crate::memory::{bytes_of, i64s_of};

/// Rows that a program named, in memory that the engine can read.
pub(crate) enum Rows<'py> {
    /// Row numbers, converted.
    List(Vec<i64>),
    /// Row numbers of a C-contiguous int64 array, read where they are.
    Array(Bound<'py, PyUntypedArray>),
    /// One flag for every row: a copy, as in NumPy's memory a flag may be any byte.
    Mask(Vec<bool>),
    /// Start, stop and step.
    Slice([Option<i64>; 3]),
}

impl<'py> Rows<'py> {
    /// Reads `indexes`.
    ///
    /// # Errors
    /// `ValueError` for what is no index, `IndexError` as NumPy raises it.
    pub(crate) fn new(indexes: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(list) = indexes.cast::<PyList>()
            && let Some(rows) = plain_ints(list)
        {
            return Ok(Rows::List(rows));
        }
        if let Ok(array) = indexes.cast::<PyUntypedArray>() {
            return from_array(array.clone());
        }
        if let Ok(slice) = indexes.cast::<PySlice>() {
            return from_slice(slice);
        }
        if indexes.is_instance_of::<PyList>()
            || indexes.is_instance_of::<PyTuple>()
            || indexes.is_instance_of::<PyRange>()
        {
            if indexes.len()? == 0 {
                return Ok(Rows::List(Vec::new()));
            }
            return from_array(as_array(indexes)?);
        }
        if indexes.is_instance_of::<PyInt>() && !indexes.is_instance_of::<PyBool>() {
            return Ok(Rows::List(vec![int(indexes)?]));
        }
        if let Some(number) = integer(indexes)? {
            return Ok(Rows::List(vec![int(&number)?]));
        }
        if indexes.hasattr(intern!(indexes.py(), "__array__"))? {
            let array = as_array(indexes)?;
            // A number that is no integer is no index at all.
            if array.ndim() > 0 {
                return from_array(array);
            }
        }
        Err(PyValueError::new_err(format!(
            "The indexes must be int or list or numpy.ndarray or slice. Got {}.",
            indexes.get_type().name()?
        )))
    }

    /// As the engine takes them.
    pub(crate) fn selection(&self) -> Selection<'_> {
        match self {
            Rows::List(rows) => Selection::List(rows),
            Rows::Array(array) => Selection::List(i64s_of(array).unwrap_or_default()),
            Rows::Mask(flags) => Selection::Mask(flags),
            &Rows::Slice([start, stop, step]) => Selection::Slice { start, stop, step },
        }
    }

    /// The numbers of the rows among `rows` rows, for data that is not in a store.
    ///
    /// # Errors
    /// As the engine's calls: `IndexError`, `ValueError`, `MemoryError`.
    pub(crate) fn numbers(&self, rows: u64) -> PyResult<Vec<i64>> {
        let numbers = self.selection().numbers(rows).map_err(raise)?;
        Ok(numbers.into_iter().map(|row| row as i64).collect())
    }

    /// Whether this may name one row; of a slice only the engine can tell.
    pub(crate) fn may_be_one(&self) -> bool {
        match self.selection() {
            Selection::List(rows) => rows.len() == 1,
            Selection::Mask(flags) => flags.iter().filter(|&&flag| flag).count() == 1,
            Selection::Slice { .. } | Selection::All => true,
        }
    }
}

/// The int that a number such as `numpy.int64` stands for.
fn integer<'py>(index: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = index.py();
    if index.is_instance_of::<PyBool>() || !index.hasattr(intern!(py, "__index__"))? {
        return Ok(None);
    }
    let operator = py.import(intern!(py, "operator"))?;
    Ok(operator.call_method1(intern!(py, "index"), (index,)).ok())
}

/// The items of a list of plain ints that fit; anything else takes NumPy's way.
fn plain_ints(list: &Bound<'_, PyList>) -> Option<Vec<i64>> {
    let mut rows = Vec::with_capacity(list.len());
    for item in list.iter() {
        if !item.is_exact_instance_of::<PyInt>() {
            return None;
        }
        rows.push(item.extract().ok()?);
    }
    Some(rows)
}

fn int(index: &Bound<'_, PyAny>) -> PyResult<i64> {
    index
        .extract()
        .map_err(|_| PyIndexError::new_err(format!("index {index} is out of bounds for any array")))
}

fn from_slice<'py>(slice: &Bound<'py, PySlice>) -> PyResult<Rows<'py>> {
    let py = slice.py();
    let [start, stop, step] = [intern!(py, "start"), intern!(py, "stop"), intern!(py, "step")];
    let number = |name| number_of(&slice.getattr(name)?);
    Ok(Rows::Slice([number(start)?, number(stop)?, number(step)?]))
}

/// A number of a slice; those beyond all rows are as good as the largest.
fn number_of(number: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
    match number.extract::<Option<i64>>() {
        Err(error) if error.is_instance_of::<PyOverflowError>(number.py()) => {
            Ok(Some(if number.lt(0)? { i64::MIN } else { i64::MAX }))
        }
        other => other,
    }
}

fn as_array<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyUntypedArray>> {
    let py = value.py();
    Ok(numpy(py)?.call_method1(intern!(py, "asarray"), (value,))?.cast_into()?)
}

fn from_array(array: Bound<'_, PyUntypedArray>) -> PyResult<Rows<'_>> {
    let (py, kind) = (array.py(), array.dtype().kind());
    if array.ndim() > 1 {
        let shape = array.shape().to_vec();
        return Err(PyIndexError::new_err(format!("row indexes have one dimension, got shape {shape:?}")));
    }
    if kind == b'b' && array.ndim() == 1 {
        return from_mask(&array);
    }
    if array.len() == 0 {
        return Ok(Rows::List(Vec::new()));
    }
    if kind != b'i' && kind != b'u' {
        let text =
            format!("arrays used as indices must be of integer (or boolean) type, got {}", array.dtype());
        return Err(PyIndexError::new_err(text));
    }
    let borrowed = kind == b'i'
        && array.dtype().itemsize() == 8
        && array.is_c_contiguous()
        && array.dtype().is_native_byteorder() == Some(true)
        && i64s_of(&array).is_some();
    if borrowed {
        return Ok(Rows::Array(array));
    }
    if kind == b'u' && array.dtype().itemsize() == 8 {
        // Python's ints know values that int64 has no room for.
        let items = array.call_method0(intern!(py, "ravel"))?.call_method0(intern!(py, "tolist"))?;
        return Ok(Rows::List(items.try_iter()?.map(|item| int(&item?)).collect::<PyResult<_>>()?));
    }
    let kwargs = PyDict::new(py);
    kwargs.set_item("dtype", "int64")?;
    kwargs.set_item("order", "C")?;
    let array = numpy(py)?.call_method(intern!(py, "array"), (array,), Some(&kwargs))?;
    // A new int64 array of NumPy's is aligned and contiguous.
    Ok(Rows::Array(array.cast_into()?))
}

fn from_mask<'py>(mask: &Bound<'py, PyUntypedArray>) -> PyResult<Rows<'py>> {
    let py = mask.py();
    let plain = numpy(py)?.call_method1(intern!(py, "ascontiguousarray"), (mask,))?.cast_into()?;
    let bytes = bytes_of(&plain);
    let mut flags = Vec::new();
    flags.try_reserve_exact(bytes.len()).map_err(|error| PyMemoryError::new_err(error.to_string()))?;
    flags.extend(bytes.iter().map(|&flag| flag != 0));
    Ok(Rows::Mask(flags))
}
