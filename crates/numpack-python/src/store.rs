//! The class `NumPack`: an open store as Python sees it. One method a verb; the verbs are in `verbs/`.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use numpack::{DataType, Durability, Mode, NpkError, NpkResult, OpenOptions, Store};
use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::{closed, outside_context, raise, warn};

/// How long a call waits for other writers before it looks whether the user has pressed Ctrl-C.
pub(crate) const SLICE: Duration = Duration::from_millis(200);

/// How a store is opened, as the user said it.
#[derive(Clone, Debug)]
struct Choices {
    path: PathBuf,
    mode: Mode,
    /// The first open removes what is there.
    drop_if_exists: bool,
    durability: Durability,
    lock_timeout: Option<Duration>,
    strict: bool,
    collect_on_close: bool,
}

/// A store of named arrays in a folder.
///
/// NumPack(filename, drop_if_exists=False, strict_context_mode=False, warn_no_context=None,
///         force_gc_on_close=False, *, mode="a", durability="process", lock_timeout=None)
///
/// The constructor touches no file: call `open()` or use `with`. Every call that changes the store is one
/// commit: all of it or nothing is there, whenever the process dies, and every other thread and process sees
/// it at its next call.
///
/// filename: path of the folder. drop_if_exists: the first open removes every array that is there.
/// strict_context_mode: calls outside `with` raise RuntimeError. warn_no_context: True warns when strict
/// context mode is off. force_gc_on_close: `close()` runs the garbage collector.
/// mode: "a" (read and write, made when missing), "r" (read), "r+" (read and write, must exist), "w" (made
/// when missing, emptied otherwise), "x" (must not exist). durability: "process" (what a call wrote survives
/// the death of the process; after `sync()` also a power cut) or "power" (each call waits for the disk).
/// lock_timeout: seconds that a call waits for other writers before LockedError; None waits without end.
#[pyclass(module = "numpack", frozen, subclass, weakref, mapping)]
pub(crate) struct NumPack {
    choices: Choices,
    store: RwLock<Option<Store>>,
    /// Not opened yet: "w", "x" and drop_if_exists act on the first open alone.
    fresh: AtomicBool,
    contexts: AtomicUsize,
    batch: RwLock<Option<Py<PyAny>>>,
}

/// A store ready for a call.
pub(crate) struct Open {
    pub(crate) store: Store,
    pub(crate) lock_timeout: Option<Duration>,
}

impl Open {
    /// Runs a reading call without the GIL.
    pub(crate) fn read<R: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&Store) -> NpkResult<R> + Send,
    ) -> PyResult<R> {
        py.detach(|| call(&self.store)).map_err(raise)
    }

    /// Runs a call that may wait for writers without the GIL. While it waits, Ctrl-C ends it.
    pub(crate) fn write<R: Send>(
        &self,
        py: Python<'_>,
        call: impl Fn(&Store) -> NpkResult<R> + Send + Sync,
    ) -> PyResult<R> {
        until_unlocked(py, self.lock_timeout, || call(&self.store))
    }

    /// Goes on after a slice of a wait that began at `begin`, unless Ctrl-C or the timeout ends it.
    pub(crate) fn wait_on(&self, py: Python<'_>, path: PathBuf, begin: Instant) -> PyResult<()> {
        wait_on(py, self.lock_timeout, path, begin)
    }

    /// dtype of an array.
    pub(crate) fn dtype_of(&self, name: &str) -> PyResult<DataType> {
        self.store.get_array_metadata(name).map(|metadata| metadata.dtype).map_err(raise)
    }

    /// Shape of an array.
    pub(crate) fn shape_of(&self, name: &str) -> PyResult<Vec<u64>> {
        self.store.get_shape(name).map_err(raise)
    }
}

/// Tries a call, which itself waits for a slice of time, without the GIL until no other writer is in its way.
///
/// # Errors
/// Those of the call; `LockedError` after the timeout; what Ctrl-C raises.
pub(crate) fn until_unlocked<R: Send>(
    py: Python<'_>,
    timeout: Option<Duration>,
    call: impl Fn() -> NpkResult<R> + Send + Sync,
) -> PyResult<R> {
    let begin = Instant::now();
    loop {
        match py.detach(&call) {
            Err(NpkError::Locked { path, .. }) => wait_on(py, timeout, path, begin)?,
            other => return other.map_err(raise),
        }
    }
}

fn wait_on(py: Python<'_>, timeout: Option<Duration>, path: PathBuf, begin: Instant) -> PyResult<()> {
    py.check_signals()?;
    let waited = begin.elapsed();
    if timeout.is_some_and(|timeout| waited >= timeout) {
        return Err(raise(NpkError::Locked { path, waited }));
    }
    Ok(())
}

impl NumPack {
    /// The open store.
    ///
    /// # Errors
    /// `ClosedError`; `RuntimeError` outside `with` in strict context mode.
    pub(crate) fn opened(&self, py: Python<'_>) -> PyResult<Open> {
        if self.choices.strict && self.contexts.load(Ordering::Relaxed) == 0 {
            return Err(outside_context(&self.choices.path));
        }
        let store = self.store.read().unwrap_or_else(PoisonError::into_inner).clone();
        let store = store.ok_or_else(|| closed(py, &self.choices.path))?;
        Ok(Open { store, lock_timeout: self.choices.lock_timeout })
    }

    /// The batch under way, which takes every call in the store's place.
    ///
    /// # Errors
    /// Those of [`NumPack::opened`].
    pub(crate) fn batch<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let batch = self.batch.read().unwrap_or_else(PoisonError::into_inner);
        let batch = batch.as_ref().map(|batch| batch.bind(py).clone());
        batch.map(|batch| self.opened(py).map(|_| batch)).transpose()
    }

    fn options(&self) -> OpenOptions {
        let fresh = self.fresh.load(Ordering::Acquire);
        let mode = match self.choices.mode {
            Mode::Truncate | Mode::CreateNew if !fresh => Mode::ReadWrite,
            Mode::Append | Mode::ReadWrite if fresh && self.choices.drop_if_exists => Mode::Truncate,
            mode => mode,
        };
        let timeout = self.choices.lock_timeout.map_or(SLICE, |timeout| timeout.min(SLICE));
        OpenOptions::new().mode(mode).durability(self.choices.durability).lock_timeout(Some(timeout))
    }

    fn open_store(&self, py: Python<'_>) -> PyResult<()> {
        if self.store.read().unwrap_or_else(PoisonError::into_inner).is_some() {
            return Ok(());
        }
        let (options, path) = (self.options(), &self.choices.path);
        let store = until_unlocked(py, self.choices.lock_timeout, || options.open(path))?;
        let mut slot = self.store.write().unwrap_or_else(PoisonError::into_inner);
        slot.get_or_insert(store);
        self.fresh.store(false, Ordering::Release);
        Ok(())
    }

    fn mode_name(&self) -> &'static str {
        match self.choices.mode {
            Mode::Read => "r",
            Mode::ReadWrite => "r+",
            Mode::Append => "a",
            Mode::Truncate => "w",
            Mode::CreateNew => "x",
        }
    }

    fn durability_name(&self) -> &'static str {
        match self.choices.durability {
            Durability::Process => "process",
            Durability::Power => "power",
        }
    }
}

#[pymethods]
impl NumPack {
    #[new]
    #[pyo3(signature = (filename, drop_if_exists=false, strict_context_mode=false, warn_no_context=None,
                        force_gc_on_close=false, *, mode="a".into(), durability="process".into(),
                        lock_timeout=None),
           text_signature = "(filename, drop_if_exists=False, strict_context_mode=False, warn_no_context=None, \
                             force_gc_on_close=False, *, mode='a', durability='process', lock_timeout=None)")]
    #[expect(clippy::too_many_arguments, reason = "the constructor that existing programs call")]
    fn new(
        py: Python<'_>,
        filename: PathBuf,
        drop_if_exists: bool,
        strict_context_mode: bool,
        warn_no_context: Option<bool>,
        force_gc_on_close: bool,
        mode: std::borrow::Cow<'_, str>,
        durability: std::borrow::Cow<'_, str>,
        lock_timeout: Option<f64>,
    ) -> PyResult<Self> {
        if warn_no_context == Some(true) && !strict_context_mode {
            warn(py, c"NumPack is used without strict context mode: close() must be called, or `with` used")?;
        }
        let mode = mode_of(&mode)?;
        if drop_if_exists && mode == Mode::Read {
            return Err(PyValueError::new_err("drop_if_exists=True needs a mode that writes, got 'r'"));
        }
        let choices = Choices {
            path: std::path::absolute(&filename).unwrap_or(filename),
            mode,
            drop_if_exists,
            durability: durability_of(&durability)?,
            lock_timeout: lock_timeout.map(timeout_of).transpose()?,
            strict: strict_context_mode,
            collect_on_close: force_gc_on_close,
        };
        Ok(NumPack {
            choices,
            store: RwLock::new(None),
            fresh: AtomicBool::new(true),
            contexts: AtomicUsize::new(0),
            batch: RwLock::new(None),
        })
    }

    /// Opens the store and returns it; does nothing else when it is open. A closed store can be opened again.
    fn open<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        slf.get().open_store(slf.py())?;
        Ok(slf.clone())
    }

    /// close(force_gc=None): closes the store; does nothing when it is closed.
    ///
    /// Arrays and views that were loaded stay usable. force_gc: whether the garbage collector runs; None: as
    /// `force_gc_on_close` says.
    #[pyo3(signature = (force_gc=None))]
    fn close(&self, py: Python<'_>, force_gc: Option<bool>) -> PyResult<()> {
        let store = self.store.write().unwrap_or_else(PoisonError::into_inner).take();
        let finished = store.map_or(Ok(()), |store| py.detach(|| store.close()));
        if force_gc.unwrap_or(self.choices.collect_on_close) {
            py.import(intern!(py, "gc"))?.call_method0(intern!(py, "collect"))?;
        }
        finished.map_err(raise)
    }

    fn __enter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, Self>> {
        slf.get().open_store(slf.py())?;
        slf.get().contexts.fetch_add(1, Ordering::Relaxed);
        Ok(slf.clone())
    }

    #[pyo3(signature = (*_error))]
    fn __exit__(&self, py: Python<'_>, _error: &Bound<'_, PyAny>) -> PyResult<()> {
        let left = self.contexts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        if left == Ok(1) { self.close(py, None) } else { Ok(()) }
    }

    /// Whether the store is open.
    #[getter]
    fn is_opened(&self) -> bool {
        self.store.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Whether the store is not open: before the first `open()`, and after `close()`.
    #[getter]
    fn is_closed(&self) -> bool {
        !self.is_opened()
    }

    /// The store's folder, absolute.
    #[getter]
    fn filename<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import(intern!(py, "pathlib"))?.call_method1(intern!(py, "Path"), (self.choices.path.as_os_str(),))
    }

    /// The mode that the store was made with: "r", "r+", "a", "w" or "x".
    #[getter]
    fn mode(&self) -> &'static str {
        self.mode_name()
    }

    /// "process" or "power".
    #[getter]
    fn durability(&self) -> &'static str {
        self.durability_name()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let path = self.choices.path.display();
        let state = match self.opened(py) {
            Ok(open) => match open.store.list_arrays().len() {
                1 => "1 array".to_owned(),
                n => format!("{n} arrays"),
            },
            Err(_) => "closed".to_owned(),
        };
        Ok(format!("<NumPack {path:?} mode={:?} durability={:?}: {state}>", self.mode(), self.durability()))
    }

    fn _repr_html_<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        py.import(intern!(py, "numpack._html"))?.call_method1(intern!(py, "store_table"), (slf,))
    }

    /// Pickles by reference: the copy opens the same folder, and is open when this one is.
    fn __reduce__<'py>(slf: &Bound<'py, Self>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let (py, this) = (slf.py(), slf.get());
        let options = PyDict::new(py);
        let mode = match this.choices.mode {
            // The copy must never empty what this one wrote.
            Mode::Truncate | Mode::CreateNew => "a",
            _ => this.mode_name(),
        };
        options.set_item("mode", mode)?;
        options.set_item("durability", this.durability_name())?;
        options.set_item("lock_timeout", this.choices.lock_timeout.map(|timeout| timeout.as_secs_f64()))?;
        options.set_item("strict_context_mode", this.choices.strict)?;
        options.set_item("force_gc_on_close", this.choices.collect_on_close)?;
        let restore = py.import(intern!(py, "numpack._pickle"))?.getattr(intern!(py, "restore_store"))?;
        let path = this.choices.path.as_os_str();
        let args = (slf.get_type(), path, options, this.is_opened()).into_pyobject(py)?;
        Ok((restore, args.into_any()))
    }

    /// A second handle on the open store, which no batch stands in front of.
    fn _plain(&self, py: Python<'_>) -> PyResult<NumPack> {
        let open = self.opened(py)?;
        let choices = Choices { strict: false, ..self.choices.clone() };
        Ok(NumPack {
            choices,
            store: RwLock::new(Some(open.store)),
            fresh: AtomicBool::new(false),
            contexts: AtomicUsize::new(0),
            batch: RwLock::new(None),
        })
    }

    /// Puts a batch in front of the store (or, with None, takes it away) and returns the one before.
    fn _set_batch(&self, batch: Option<Py<PyAny>>) -> Option<Py<PyAny>> {
        std::mem::replace(&mut *self.batch.write().unwrap_or_else(PoisonError::into_inner), batch)
    }
}

fn mode_of(mode: &str) -> PyResult<Mode> {
    match mode {
        "r" => Ok(Mode::Read),
        "r+" => Ok(Mode::ReadWrite),
        "a" => Ok(Mode::Append),
        "w" => Ok(Mode::Truncate),
        "x" => Ok(Mode::CreateNew),
        _ => Err(PyValueError::new_err(format!("mode must be 'r', 'r+', 'a', 'w' or 'x', got {mode:?}"))),
    }
}

fn durability_of(durability: &str) -> PyResult<Durability> {
    match durability {
        "process" => Ok(Durability::Process),
        "power" => Ok(Durability::Power),
        _ => {
            Err(PyValueError::new_err(format!("durability must be 'process' or 'power', got {durability:?}")))
        }
    }
}

pub(crate) fn timeout_of(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        PyValueError::new_err(format!("lock_timeout must be None or seconds, zero or more, got {seconds}"))
    })
}
