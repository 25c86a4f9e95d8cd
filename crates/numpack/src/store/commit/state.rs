//! The state of an open store in one process, which all instances of the store share.
//!
//! It is changed by commits ([`transaction`](super::transaction)), by following those of other processes
//! ([`follow`](super::follow)) and by checkpoints. Locks are taken in the order writers' lock, `log`, `catalog`; a
//! reader takes `log` only to read new records, never the writers' lock on its way.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::disk::control::Control;
use crate::disk::data_file::{DataFile, FileCache};
use crate::disk::lock::WriterLock;
use crate::disk::{Access, FileName, Folder};
use crate::log::catalog::{ArrayState, Catalog};
use crate::log::op::Op;
use crate::log::reader::{LogFile, Position};
use crate::log::redo::{RedoIndex, Span};
use crate::log::writer::Tail;
use crate::store::commit::ingests::Living;
use crate::types::error::{NpkError, NpkResult};

/// State of one store in one process.
#[derive(Debug)]
pub(crate) struct StoreState {
    pub(crate) folder: Arc<dyn Folder>,
    pub(crate) writable: bool,
    /// The process it belongs to, see [`crate::process::forks`].
    pub(crate) forks: u64,
    /// Missing only where a reader found no lock file.
    pub(crate) lock: Option<WriterLock>,
    pub(crate) control: Control,
    pub(crate) catalog: RwLock<Catalog>,
    /// Last commit in `catalog`.
    pub(crate) seen: AtomicU64,
    pub(crate) log: Mutex<LogState>,
    /// Where in the log the bytes of replaces are that a reader may need.
    pub(crate) redo: Mutex<RedoIndex>,
    pub(crate) files: FileCache,
    pub(crate) poisoned: OnceLock<String>,
    /// When a writer looked whether the folder is there.
    pub(crate) looked: Mutex<Option<Instant>>,
    /// What [`Folder::names_changed`] said when the names of the shared files were checked.
    pub(crate) names_checked: Mutex<Option<i128>>,
    /// A file could not be removed: the next writer looks for it.
    pub(crate) untidy: AtomicBool,
    /// Ingests that are under way.
    pub(crate) ingests: Mutex<Living>,
    /// An error of work after a commit, kept for the next call that may report it.
    pub(crate) deferred: Mutex<Option<NpkError>>,
}

/// The log as far as it was read.
#[derive(Debug)]
pub(crate) struct LogState {
    pub(crate) tail: Tail,
    /// A place before which every replace is in the data files.
    pub(crate) redo_start: RedoStart,
    /// The last record says that a checkpoint takes this log's place. It may do so at any time from then on,
    /// and nothing more is ever written here to tell of it: the name must be looked at.
    pub(crate) moved: bool,
    /// Checksum of a record that a reader must not follow: a power cut took its data, and no writer has
    /// taken it out of the log yet.
    pub(crate) refused: Option<u32>,
}

/// A place in a log.
#[derive(Clone, Debug)]
pub(crate) struct RedoStart {
    pub(crate) log: Arc<LogFile>,
    pub(crate) position: Position,
}

impl LogState {
    /// The records whose replaces may not be in the data files.
    pub(crate) fn pending(&self) -> Span {
        // A checkpoint applies everything before it takes its place.
        let same = self.redo_start.log.header == self.tail.log.header;
        let from = if same { self.redo_start.position } else { self.tail.log.start() };
        Span { log: Arc::clone(&self.tail.log), from, end: self.tail.position.offset }
    }
}

impl StoreState {
    pub(crate) fn log(&self) -> MutexGuard<'_, LogState> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn with_catalog<R>(&self, read: impl FnOnce(&Catalog) -> R) -> R {
        read(&self.catalog.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn with_catalog_mut<R>(&self, change: impl FnOnce(&mut Catalog) -> R) -> R {
        change(&mut self.catalog.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// The array of this name as of now.
    ///
    /// # Errors
    /// `ArrayNotFound`, and those of [`StoreState::refresh`].
    pub(crate) fn array(&self, name: &str) -> NpkResult<Arc<ArrayState>> {
        self.refresh()?;
        self.known_array(name)
    }

    /// The array of this name as of the last refresh.
    ///
    /// # Errors
    /// `ArrayNotFound`.
    pub(crate) fn known_array(&self, name: &str) -> NpkResult<Arc<ArrayState>> {
        self.with_catalog(|catalog| catalog.get(name).cloned())
            .ok_or_else(|| NpkError::ArrayNotFound(name.to_owned()))
    }

    /// The open data file of an array; `None` when a later commit has taken it out of use.
    ///
    /// # Errors
    /// `Corrupted` when the current file is missing; `Io`.
    pub(crate) fn data_file(&self, array: &ArrayState) -> NpkResult<Option<Arc<DataFile>>> {
        let name = array.file();
        if let Some(file) = self.files.get(name) {
            return Ok(Some(file));
        }
        let access = if self.writable { Access::Write } else { Access::Read };
        let opened = self.files.open(&*self.folder, name, access)?;
        // Only now, under the file's own lock, does "still in use" mean that it stays so.
        self.refresh()?;
        let current = self.known_array(&array.name).is_ok_and(|now| now.file() == name);
        match opened {
            Some(file) if current => {
                let file = Arc::new(file);
                self.files.insert(name, Arc::clone(&file));
                Ok(Some(file))
            }
            None if current => Err(self.missing_file(array)),
            _ => Ok(None),
        }
    }

    /// The open data file of an array, for the holder of the writers' lock: nobody else can retire it now.
    ///
    /// # Errors
    /// `Corrupted` when it is missing; `Io`.
    pub(crate) fn own_data_file(&self, array: &ArrayState) -> NpkResult<Arc<DataFile>> {
        let name = array.file();
        if let Some(file) = self.files.get(name) {
            return Ok(file);
        }
        let Some(file) = self.files.open(&*self.folder, name, Access::Write)? else {
            return Err(self.missing_file(array));
        };
        let file = Arc::new(file);
        self.files.insert(name, Arc::clone(&file));
        Ok(file)
    }

    /// What went wrong with a file of the folder.
    pub(crate) fn file_error(&self, name: FileName, error: io::Error) -> NpkError {
        NpkError::io(self.folder.path().join(name.to_string()), error)
    }

    fn missing_file(&self, array: &ArrayState) -> NpkError {
        let path = self.folder.path().join(array.file().to_string());
        NpkError::cut_off(path, 0, &format!("the data file of array {:?} is missing", array.name))
    }

    pub(crate) fn check_poison(&self) -> NpkResult<()> {
        match self.poisoned.get() {
            Some(reason) => {
                Err(NpkError::Poisoned { path: self.folder.path().to_owned(), reason: reason.clone() })
            }
            None => Ok(()),
        }
    }

    /// A failed sync: what the kernel dropped cannot be had back, so no write may build on it.
    pub(crate) fn poison(&self, error: io::Error) -> NpkError {
        let reason = self.poisoned.get_or_init(|| error.to_string());
        NpkError::Poisoned { path: self.folder.path().to_owned(), reason: reason.clone() }
    }

    /// Looks at whether a hint could be written. A commit stands without it, and the next writer writes it again.
    pub(crate) fn hinted(&self, written: io::Result<()>) {
        if let Err(error) = written {
            self.defer(self.file_error(FileName::Control, error));
        }
    }

    /// Keeps an error of work after a commit for the next call that may report it.
    pub(crate) fn defer(&self, error: NpkError) {
        *self.deferred.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// The error kept by [`StoreState::defer`].
    pub(crate) fn take_deferred(&self) -> Option<NpkError> {
        self.deferred.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Applies the operations of commit `seq` to the catalog.
    ///
    /// # Errors
    /// `Corrupted` when one cannot follow the state; `OutOfMemory`, with none of them applied.
    pub(super) fn apply_ops(&self, seq: u64, time_us: u64, ops: &[Op], log: &LogFile) -> NpkResult<()> {
        self.with_catalog_mut(|catalog| {
            catalog.reserve(ops)?;
            for op in ops {
                let applied = catalog.apply(seq, time_us, op);
                applied
                    .map_err(|reason| NpkError::corrupted(&log.path, 0, format!("commit {seq}: {reason}")))?;
            }
            self.seen.store(seq, Ordering::Release);
            Ok(())
        })
    }
}

/// Microseconds since 1970.
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
