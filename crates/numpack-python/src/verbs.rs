//! The verbs of `NumPack`: convert, release the GIL, call the engine, wrap.
//!
//! While a batch is under way each verb hands its arguments to it (`python/numpack/batch.py`).

use numpack::{DataType, NpkError, NpkResult, RawArray, RawDrop, RawRows, Store};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedStr;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

use crate::array::Input;
use crate::errors::raise;
use crate::index::Rows;
use crate::lazy::LazyArray;
use crate::memory::NewArray;
use crate::pack::{NumPack, Open};
use crate::stream::StreamLoader;
use crate::writable::WritableArray;

/// Allocates the array that the engine fills while the GIL is released.
pub(crate) fn allocate(dtype: DataType, shape: &[u64]) -> NpkResult<NewArray> {
    Python::attach(|py| NewArray::new(py, dtype, shape))
}

/// Names and arrays of a dict that a program gave.
struct Inputs<'py>(Vec<(PyBackedStr, Input<'py>)>);

impl<'py> Inputs<'py> {
    /// `stored` tells the dtype for values that have none of their own.
    fn new(
        arrays: &Bound<'py, PyAny>,
        stored: impl Fn(&PyBackedStr) -> PyResult<Option<DataType>>,
    ) -> PyResult<Self> {
        let dict = arrays.cast::<PyDict>().map_err(|_| {
            let name = arrays.get_type().name().map_or("?".to_owned(), |name| name.to_string());
            PyValueError::new_err(format!("arrays must be a dictionary of name: array, got {name}"))
        })?;
        // A list of its own: converting a value may run code that changes the dict.
        let inputs = dict.items().into_iter().map(|item| {
            let (name, value): (Bound<'py, PyAny>, Bound<'py, PyAny>) = item.extract()?;
            let name = name_of(&name)?;
            let typed = value.cast::<numpy::PyUntypedArray>().is_ok();
            let stored = if typed { None } else { stored(&name)? };
            Ok((name, Input::new(&value, stored)?))
        });
        inputs.collect::<PyResult<_>>().map(Inputs)
    }

    fn raw(&self) -> Vec<RawArray<'_>> {
        self.0.iter().map(|(name, input)| input.raw(name)).collect()
    }
}

fn name_of(name: &Bound<'_, PyAny>) -> PyResult<PyBackedStr> {
    let text = name.cast::<PyString>().map_err(|_| {
        let found = name.get_type().name().map_or("?".to_owned(), |name| name.to_string());
        PyTypeError::new_err(format!("array names are str, got {found}"))
    })?;
    text.extract()
}

/// One name or several.
fn names_of(names: &Bound<'_, PyAny>) -> PyResult<Vec<PyBackedStr>> {
    if names.is_instance_of::<PyString>() {
        return Ok(vec![name_of(names)?]);
    }
    if names.is_instance_of::<PyList>() || names.is_instance_of::<PyTuple>() {
        return names.try_iter()?.map(|name| name_of(&name?)).collect();
    }
    Err(PyTypeError::new_err(format!(
        "array_name must be str or a list of str, got {}",
        names.get_type().name()?
    )))
}

fn dtype_of(store: &Store, name: &str) -> PyResult<DataType> {
    store.get_array_metadata(name).map(|metadata| metadata.dtype).map_err(raise)
}

fn shape_of(store: &Store, name: &str) -> PyResult<Vec<u64>> {
    store.get_shape(name).map_err(raise)
}

/// Rows of an array, for slices and masks; a scalar has none, which the verb then says.
fn rows_of(store: &Store, name: &str) -> PyResult<u64> {
    Ok(shape_of(store, name)?.first().copied().unwrap_or(0))
}

/// Slices and masks are about a number of rows. `attempt` works them out and makes its call, which is refused
/// when the array has another number by then; it then returns `None` and is made again.
fn until_rows_stay<R>(mut attempt: impl FnMut() -> PyResult<Option<R>>) -> PyResult<R> {
    loop {
        if let Some(done) = attempt()? {
            return Ok(done);
        }
    }
}

/// `None` for a call that was refused because the array has another number of rows.
fn unless_rows_changed<R>(result: NpkResult<R>) -> NpkResult<Option<R>> {
    match result {
        Err(NpkError::RowsChanged { .. }) => Ok(None),
        other => other.map(Some),
    }
}

fn load<'py>(open: &Open, py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    Ok(open.read(py, |store| store.load_into(name, allocate))?.into_py(py))
}

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

    /// Row numbers of `indexes` for an array of so many rows, as an int64 array; bounds are not checked.
    #[staticmethod]
    fn _row_numbers<'py>(indexes: &Bound<'py, PyAny>, rows: u64) -> PyResult<Bound<'py, PyAny>> {
        let numbers = Rows::new(indexes, || Ok(rows))?;
        Ok(numpy::PyArray1::from_slice(indexes.py(), numbers.as_slice()).into_any())
    }

    /// Raises what saving this array under this name would raise.
    #[staticmethod]
    fn _check_saved(name: &Bound<'_, PyAny>, array: &Bound<'_, PyAny>) -> PyResult<()> {
        Input::new(array, None)?;
        numpack::check_name(&name_of(name)?).map_err(raise)
    }

    /// Saves a dict of arrays, removes the arrays `dropped` and renames others, in one commit: what batches and
    /// imports end with.
    #[pyo3(signature = (arrays, dropped, renamed=Vec::new()))]
    fn _exchange(
        &self,
        py: Python<'_>,
        arrays: &Bound<'_, PyAny>,
        dropped: Vec<String>,
        renamed: Vec<(String, String)>,
    ) -> PyResult<()> {
        let open = self.opened(py)?;
        let inputs = Inputs::new(arrays, |_| Ok(None))?;
        let (raw, dropped) = (inputs.raw(), dropped.iter().map(String::as_str).collect::<Vec<_>>());
        let renamed: Vec<_> = renamed.iter().map(|(old, new)| (old.as_str(), new.as_str())).collect();
        open.write(py, |store| store.exchange(&raw, &dropped, &renamed))
    }

    /// load(name, lazy=False, *, mmap_mode=None): the array, as of one commit.
    ///
    /// Returns a writable ndarray of its own memory; with lazy=True a LazyArray over the mapped file, which
    /// costs no read. mmap_mode="r" gives a read-only ndarray over the mapped file, mmap_mode="c" one that is
    /// writable and copied page by page when written, never back into the file; with deleted rows both are
    /// copies. Raises KeyError (ArrayNotFoundError) for an unknown name.
    #[pyo3(signature = (array_name, lazy=false, *, mmap_mode=None))]
    pub(crate) fn load<'py>(
        &self,
        py: Python<'py>,
        array_name: PyBackedStr,
        lazy: bool,
        mmap_mode: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Some(batch) = self.batch(py)? {
            return batch.call_method1(intern!(py, "load"), (&*array_name, lazy, mmap_mode));
        }
        let open = self.opened(py)?;
        match mmap_mode {
            None if lazy => Ok(Bound::new(py, LazyArray::new(py, &open.store, &array_name)?)?.into_any()),
            None => load(&open, py, &array_name),
            Some(mode) => {
                let mode = mode.str()?.to_cow()?.into_owned();
                let mapped = LazyArray::new(py, &open.store, &array_name)?.mapped(py, &mode)?;
                if let Some(mapped) = mapped {
                    return Ok(mapped);
                }
                let array = load(&open, py, &array_name)?;
                if mode == "r" {
                    array.call_method1(intern!(py, "setflags"), (false,))?;
                }
                Ok(array)
            }
        }
    }

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
        let inputs = Inputs::new(arrays, |name| dtype_of(&open.store, name).map(Some))?;
        let mut parts = Vec::with_capacity(inputs.0.len());
        for (name, input) in inputs.0 {
            let rows = Rows::new(indexes, || rows_of(&open.store, &name))?;
            let one = rows.as_slice().len() == 1;
            let single = one && input.ndim() + 1 == shape_of(&open.store, &name)?.len();
            parts.push((name, if single { input.into_one_row() } else { input }.into_copied(), rows));
        }
        until_rows_stay(|| {
            let raw: Vec<RawRows<'_>> = parts
                .iter()
                .map(|(name, input, rows)| RawRows {
                    rows: input.raw(name),
                    indexes: rows.as_slice(),
                    of: rows.of(),
                })
                .collect();
            if let Some(done) = open.write(py, |store| unless_rows_changed(store.replace_raw(&raw)))? {
                return Ok(Some(done));
            }
            for (name, _, rows) in &mut parts {
                *rows = Rows::new(indexes, || rows_of(&open.store, name))?;
            }
            Ok(None)
        })
    }

    /// append(arrays): appends rows to existing arrays, in one commit.
    ///
    /// arrays: dict of name: rows of shape (n, *row shape). Costs the new rows alone, however long the array
    /// is. Raises KeyError for an unknown name, ValueError for another row shape, TypeError for another dtype.
    fn append(&self, py: Python<'_>, arrays: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Some(batch) = self.batch(py)? {
            return batch.call_method1(intern!(py, "append"), (arrays,)).map(drop);
        }
        let open = self.opened(py)?;
        let inputs = Inputs::new(arrays, |name| dtype_of(&open.store, name).map(Some))?;
        let raw = inputs.raw();
        open.write(py, |store| store.append_raw(&raw))
    }

    /// drop(array_name, indexes=None): removes arrays, or deletes rows of them, in one commit.
    ///
    /// array_name: a name or a list of names. indexes: rows to delete logically (int, list, ndarray, slice,
    /// boolean mask); the rows behind them move up, and `update(name)` gives their room back. With an
    /// array go the names of its columns. Raises KeyError, IndexError, ValueError.
    #[pyo3(signature = (array_name, indexes=None))]
    pub(crate) fn drop(
        &self,
        py: Python<'_>,
        array_name: &Bound<'_, PyAny>,
        indexes: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        if let Some(batch) = self.batch(py)? {
            return batch.call_method1(intern!(py, "drop"), (array_name, indexes)).map(drop);
        }
        let open = self.opened(py)?;
        let names = names_of(array_name)?;
        let Some(indexes) = indexes else {
            let names: Vec<&str> = names.iter().map(|name| &**name).collect();
            return open.write(py, |store| store.drop_many(&names));
        };
        until_rows_stay(|| {
            let rows = names
                .iter()
                .map(|name| Rows::new(indexes, || rows_of(&open.store, name)))
                .collect::<PyResult<Vec<_>>>()?;
            let drops: Vec<_> = names
                .iter()
                .zip(&rows)
                .map(|(name, rows)| RawDrop { name, indexes: rows.as_slice(), of: rows.of() })
                .collect();
            open.write(py, |store| unless_rows_changed(store.drop_rows_raw(&drops)))
        })
    }

    /// update(array_name): rewrites the array without its deleted rows, in constant memory.
    fn update(&self, py: Python<'_>, array_name: PyBackedStr) -> PyResult<()> {
        if let Some(batch) = self.batch(py)? {
            return batch.call_method1(intern!(py, "update"), (&*array_name,)).map(drop);
        }
        self.opened(py)?.write(py, |store| store.compact_array(&array_name))
    }

    /// getitem(array_name, indexes): rows as an ndarray of shape (n, *row shape), as of one commit.
    ///
    /// indexes: int (gives one row, n = 1), list, ndarray, slice or boolean mask; negative numbers count from
    /// the end, any order, any number of times. Raises KeyError, IndexError, ValueError.
    fn getitem<'py>(
        &self,
        py: Python<'py>,
        array_name: PyBackedStr,
        indexes: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if let Some(batch) = self.batch(py)? {
            return batch.call_method1(intern!(py, "getitem"), (&*array_name, indexes));
        }
        let open = self.opened(py)?;
        until_rows_stay(|| {
            let rows = Rows::new(indexes, || rows_of(&open.store, &array_name))?;
            let (numbers, of) = (rows.as_slice(), rows.of());
            let read = |store: &Store| store.getitem_into(&array_name, numbers, of, allocate);
            let found = open.read(py, |store| unless_rows_changed(read(store)))?;
            Ok(found.map(|found| found.into_py(py)))
        })
    }

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

    /// get_shape(array_name): the shape as a tuple; deleted rows do not count.
    fn get_shape<'py>(&self, py: Python<'py>, array_name: PyBackedStr) -> PyResult<Bound<'py, PyAny>> {
        if let Some(batch) = self.batch(py)? {
            return batch.call_method1(intern!(py, "get_shape"), (&*array_name,));
        }
        let shape = self.opened(py)?.read(py, |store| store.get_shape(&array_name))?;
        Ok(PyTuple::new(py, shape)?.into_any())
    }

    /// get_member_list(*, hidden=False): the names of the arrays, the oldest first.
    ///
    /// hidden: also of those whose names begin with ".numpack/", in which conversions keep what belongs to
    /// other arrays, such as the names of their columns.
    #[pyo3(signature = (*, hidden=false))]
    pub(crate) fn get_member_list<'py>(&self, py: Python<'py>, hidden: bool) -> PyResult<Bound<'py, PyAny>> {
        if let Some(batch) = self.batch(py)? {
            return batch.call_method1(intern!(py, "get_member_list"), (hidden,));
        }
        let list = if hidden { Store::list_all_arrays } else { Store::list_arrays };
        let names = self.opened(py)?.read(py, |store| Ok(list(store)))?;
        Ok(PyList::new(py, names)?.into_any())
    }

    /// has_array(array_name): whether an array has this name.
    pub(crate) fn has_array(&self, py: Python<'_>, array_name: PyBackedStr) -> PyResult<bool> {
        if let Some(batch) = self.batch(py)? {
            return batch.call_method1(intern!(py, "has_array"), (&*array_name,))?.extract();
        }
        let open = self.opened(py)?;
        open.read(py, |store| match store.get_shape(&array_name) {
            Ok(_) => Ok(true),
            Err(NpkError::ArrayNotFound(_)) => Ok(false),
            Err(error) => Err(error),
        })
    }

    /// get_modify_time(array_name): time of the last change in microseconds since 1970; None if unknown.
    fn get_modify_time(&self, py: Python<'_>, array_name: PyBackedStr) -> PyResult<Option<u64>> {
        self.opened(py)?.read(py, |store| Ok(store.get_modify_time(&array_name)))
    }

    /// clone(source_name, target_name): copies the live rows of an array to a new one.
    ///
    /// Raises KeyError when the source is not there, ValueError when the target is.
    fn clone(&self, py: Python<'_>, source_name: PyBackedStr, target_name: PyBackedStr) -> PyResult<()> {
        if let Some(batch) = self.batch(py)? {
            return batch.call_method1(intern!(py, "clone"), (&*source_name, &*target_name)).map(drop);
        }
        self.opened(py)?.write(py, |store| store.clone_array(&source_name, &target_name))
    }

    /// rename(old_name, new_name, overwrite=False): gives an array another name, without touching its rows.
    ///
    /// Names of columns that a conversion keeps with the array go along, in the same commit.
    /// Raises KeyError for an unknown name; ValueError when the new name is taken, unless `overwrite` is true:
    /// then that array goes in the same commit.
    #[pyo3(signature = (old_name, new_name, overwrite=false))]
    fn rename(
        &self,
        py: Python<'_>,
        old_name: PyBackedStr,
        new_name: PyBackedStr,
        overwrite: bool,
    ) -> PyResult<()> {
        if let Some(batch) = self.batch(py)? {
            return batch.call_method1(intern!(py, "rename"), (&*old_name, &*new_name, overwrite)).map(drop);
        }
        let names = [(&*old_name, &*new_name)];
        self.opened(py)?.write(py, |store| store.rename_many(&names, overwrite))
    }

    /// reset(): removes every array, in one commit.
    fn reset(&self, py: Python<'_>) -> PyResult<()> {
        if let Some(batch) = self.batch(py)? {
            return batch.call_method0(intern!(py, "reset")).map(drop);
        }
        self.opened(py)?.write(py, Store::reset)
    }

    /// sync(): makes every commit so far survive a power cut. Raises OSError when the disk fails.
    fn sync(&self, py: Python<'_>) -> PyResult<()> {
        self.opened(py)?.write(py, Store::sync_metadata)
    }

    /// batch_mode(memory_limit=None): a context in which arrays are kept in memory and `save` only marks them.
    ///
    /// `load` returns the same object each time; what was marked is one commit at the end of the block, also
    /// when the block raises. Other methods see the arrays in memory. Over the limit (in MB) what is marked is
    /// committed early and memory given back.
    #[pyo3(signature = (memory_limit=None))]
    fn batch_mode<'py>(
        slf: &Bound<'py, Self>,
        memory_limit: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        slf.get().opened(py)?;
        let module = py.import(intern!(py, "numpack.batch"))?;
        module.call_method1(intern!(py, "BatchModeContext"), (slf, memory_limit))
    }

    /// writable_batch_mode(): a context whose `load(name)` maps the live file for writing.
    ///
    /// What is written to the arrays is in the file at once, seen by everybody, and flushed to the disk at the
    /// end of the block; `save` does nothing. Such writes are no commits: a dying process leaves what it had
    /// written. Raises ValueError for arrays with deleted rows.
    fn writable_batch_mode<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        slf.get().opened(py)?;
        let module = py.import(intern!(py, "numpack.batch"))?;
        module.call_method1(intern!(py, "WritableBatchMode"), (slf,))
    }

    /// The live file of an array, mapped for writing.
    fn _writable(&self, py: Python<'_>, array_name: PyBackedStr) -> PyResult<WritableArray> {
        let open = self.opened(py)?;
        let view = open.write(py, |store| store.writable_view(&array_name))?;
        Ok(WritableArray::new(view, open.lock_timeout))
    }
}
