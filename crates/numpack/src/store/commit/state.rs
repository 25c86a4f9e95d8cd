//! The heart of an open store: the state of one process, how it follows other processes, how it commits.
//!
//! One `StoreState` serves all instances of a store in a process. Locks are taken in the order writers' lock,
//! `log`, `catalog`; a reader takes `log` only to read new records, never the writers' lock on its way.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::disk::control::Control;
use crate::disk::data_file::{DataFile, FileCache};
use crate::disk::lock::{WriterGuard, WriterLock};
use crate::disk::{Access, FileName, Folder};
use crate::log::catalog::{ArrayState, Catalog};
use crate::log::op::Op;
use crate::log::reader::{Cursor, LogFile, Next, Position, Record};
use crate::log::record;
use crate::log::writer::{Tail, too_large};
use crate::options::Durability;
use crate::rows::run::Run;
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
    pub(crate) files: FileCache,
    pub(crate) poisoned: OnceLock<String>,
    /// A file could not be removed: the next writer looks for it.
    pub(crate) untidy: AtomicBool,
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

/// The writers' lock held, with the catalog up to date.
pub(crate) struct WriteGuard<'a> {
    core: &'a StoreState,
    pub(crate) durability: Durability,
    _guard: WriterGuard<'a>,
}

impl Drop for WriteGuard<'_> {
    fn drop(&mut self) {
        // A replace that is committed and not applied leaves the mark, and so do files that are of no use
        // and still there: the next writer finishes it. After a failed sync they may be of use.
        let applied = self.core.control.applied() == Some(self.core.seen.load(Ordering::Acquire));
        let tidy = !self.core.untidy.load(Ordering::Acquire) && self.core.poisoned.get().is_none();
        if applied && tidy {
            self.core.control.set_busy(false);
        }
    }
}

impl WriteGuard<'_> {
    /// Sequence number of the commit to come.
    pub(crate) fn next_seq(&self) -> u64 {
        self.core.log().tail.seq() + 1
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

    /// Reads what other processes committed since the last call.
    ///
    /// # Errors
    /// `Corrupted`, `Io`.
    pub(crate) fn refresh(&self) -> NpkResult<()> {
        if self.control.is_shared() && self.control.committed() == Some(self.seen.load(Ordering::Acquire)) {
            return Ok(());
        }
        let mut log = self.log();
        if self.control.is_shared() && self.control.committed() == Some(self.seen.load(Ordering::Acquire)) {
            return Ok(());
        }
        self.catch_up(&mut log)
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
        let opened = DataFile::open(&*self.folder, name, access)?;
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
        let Some(file) = DataFile::open(&*self.folder, name, Access::Write)? else {
            return Err(self.missing_file(array));
        };
        let file = Arc::new(file);
        self.files.insert(name, Arc::clone(&file));
        Ok(file)
    }

    fn missing_file(&self, array: &ArrayState) -> NpkError {
        let path = self.folder.path().join(array.file().to_string());
        NpkError::corrupted(path, 0, format!("the data file of array {:?} is missing", array.name))
    }

    /// Takes the writers' lock and brings the catalog up to date, after whatever a dead writer left.
    ///
    /// # Errors
    /// `ReadOnly`, `Poisoned`, `Locked`, `Corrupted`, `Io`.
    pub(crate) fn begin(
        &self,
        durability: Durability,
        timeout: Option<Duration>,
    ) -> NpkResult<WriteGuard<'_>> {
        let lock = self.lock.as_ref().filter(|_| self.writable);
        let lock = lock.ok_or_else(|| NpkError::ReadOnly { path: self.folder.path().to_owned() })?;
        self.check_poison()?;
        let guard = lock.acquire(&*self.folder, timeout)?;
        self.enter(guard, durability)
    }

    pub(crate) fn enter<'a>(
        &'a self,
        guard: WriterGuard<'a>,
        durability: Durability,
    ) -> NpkResult<WriteGuard<'a>> {
        let mut log = self.log();
        if log.moved || log.tail.has_more()? {
            self.catch_up(&mut log)?;
            // Under the lock nobody is about to take this log's place.
            log.moved = false;
        }
        // Damaged words count as a dead writer: doing its work again changes nothing.
        let died = self.control.is_busy() || self.control.applied() != Some(log.tail.seq());
        self.control.set_busy(true);
        if died {
            self.finish_dead_writer(&mut log)?;
        }
        drop(log);
        Ok(WriteGuard { core: self, durability, _guard: guard })
    }

    pub(crate) fn check_poison(&self) -> NpkResult<()> {
        match self.poisoned.get() {
            Some(reason) => {
                Err(NpkError::Poisoned { path: self.folder.path().to_owned(), reason: reason.clone() })
            }
            None => Ok(()),
        }
    }

    /// Commits `ops`: one record, then their effects. `redo` are the bytes of the replaces, in order.
    ///
    /// # Errors
    /// `Io` or `Corrupted` before the commit point, with nothing changed; `Poisoned` when a sync failed.
    pub(crate) fn commit(&self, writing: &WriteGuard<'_>, ops: &[Op], redo: &[&[u8]]) -> NpkResult<()> {
        let marked;
        let ops = match writing.durability {
            Durability::Process => ops,
            Durability::Power => {
                self.sync_data()?;
                marked = [ops, &[Op::Durable]].concat();
                &marked
            }
        };
        let mut log = self.log();
        let (seq, time_us) = (log.tail.next_seq()?, now_us());
        let framed = record::frame(log.tail.position.crc, seq, time_us, ops, redo).ok_or_else(too_large)?;
        log.tail.reserve(framed.total)?;
        self.mark_replacing(ops, true);
        if let Err(error) = log.tail.append(&framed, redo, seq) {
            self.mark_replacing(ops, false);
            if let NpkError::Poisoned { reason, .. } = &error {
                self.poisoned.get_or_init(|| reason.clone());
            }
            return Err(error);
        }
        let synced = match writing.durability {
            Durability::Process => Ok(()),
            Durability::Power => log.tail.log.file.sync().map_err(|e| self.poison(e)),
        };
        self.control.publish(seq);
        self.apply_ops(seq, time_us, ops, &log.tail.log)?;
        self.apply_redo(&mut log, seq, ops, redo);
        synced?;
        if writing.durability == Durability::Power {
            // Only sharpens what damage is told from a cut; the log itself is durable already.
            self.control.set_synced(seq, false).unwrap_or_default();
        }
        Ok(())
    }

    /// A failed sync: what the kernel dropped cannot be had back, so no write may build on it.
    pub(crate) fn poison(&self, error: std::io::Error) -> NpkError {
        let reason = self.poisoned.get_or_init(|| error.to_string());
        NpkError::Poisoned { path: self.folder.path().to_owned(), reason: reason.clone() }
    }

    /// Keeps an error of work after a commit for the next call that may report it.
    pub(crate) fn defer(&self, error: NpkError) {
        *self.deferred.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// The error kept by [`StoreState::defer`].
    pub(crate) fn take_deferred(&self) -> Option<NpkError> {
        self.deferred.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn mark_replacing(&self, ops: &[Op], replacing: bool) {
        for op in ops {
            if let Op::Replace { id, .. } = op {
                self.control.set_replacing(*id, replacing);
            }
        }
    }

    fn apply_ops(&self, seq: u64, time_us: u64, ops: &[Op], log: &LogFile) -> NpkResult<()> {
        self.with_catalog_mut(|catalog| {
            for op in ops {
                let applied = catalog.apply(seq, time_us, op);
                applied
                    .map_err(|reason| NpkError::corrupted(&log.path, 0, format!("commit {seq}: {reason}")))?;
            }
            self.seen.store(seq, Ordering::Release);
            Ok(())
        })
    }

    fn apply_redo(&self, log: &mut LogState, seq: u64, ops: &[Op], redo: &[&[u8]]) {
        let parts = redo.iter();
        let replaces = ops.iter().filter(|op| matches!(op, Op::Replace { .. }));
        for (op, bytes) in replaces.zip(parts) {
            if let Err(error) = self.write_in_place(op, bytes) {
                // Committed, in the log and laid over every read; the next writer tries again.
                return self.defer(error);
            }
        }
        self.mark_replacing(ops, false);
        self.control.set_applied(seq);
        log.redo_start = RedoStart { log: Arc::clone(&log.tail.log), position: log.tail.position };
    }

    /// Writes the rows of a replace into the data file.
    ///
    /// # Errors
    /// `Corrupted`, `Io`.
    pub(crate) fn write_in_place(&self, op: &Op, bytes: &[u8]) -> NpkResult<()> {
        let Op::Replace { id, generation, row_bytes, runs, .. } = op else { return Ok(()) };
        let array = self.with_catalog(|catalog| catalog.by_id(*id).cloned());
        let Some(array) = array.filter(|array| array.generation == *generation) else { return Ok(()) };
        let file = self.own_data_file(&array)?;
        let mapping = if self.folder.capabilities().mapped_writes {
            Some(file.write_mapping(array.bytes())?)
        } else {
            None
        };
        let mut rest = bytes;
        for Run { start, len } in runs {
            let (row, after) = rest.split_at((len * row_bytes) as usize);
            let at = start * row_bytes;
            match &mapping {
                Some(mapping) => file.file().store(mapping, at, row),
                None => file.file().write_at(&[row], at),
            }
            .map_err(|e| file.io(e))?;
            rest = after;
        }
        Ok(())
    }

    /// Reads records behind the known end and applies them to the catalog.
    ///
    /// # Errors
    /// `Corrupted` when published commits cannot be read; `Io`.
    pub(crate) fn catch_up(&self, log: &mut LogState) -> NpkResult<()> {
        loop {
            let published = if self.control.is_shared() { self.control.committed().unwrap_or(0) } else { 0 };
            let file = Arc::clone(&log.tail.log);
            let mut cursor = Cursor::new(&file, log.tail.position)?;
            let reason = loop {
                match cursor.next()? {
                    Next::Record(record) if Some(record.next.crc) == log.refused => {
                        break "a published commit lost its data".to_owned();
                    }
                    Next::Record(record) if record.seq > published && !file.redo_is_whole(&record)? => {
                        break "the redo bytes of a record are not whole".to_owned();
                    }
                    Next::Record(record) => self.follow(log, &record)?,
                    Next::End => break "the log ends before a published commit".to_owned(),
                    Next::Bad(reason) => break reason,
                }
            };
            if !(log.moved && self.move_on(log)?) {
                // Published before the name was looked at, so it is in this log or lost.
                self.check_reached(log, published, &reason)?;
                break;
            }
        }
        self.after_catch_up(log);
        Ok(())
    }

    /// Whether every replace up to this commit is known to be in the data files.
    fn is_applied(&self, seq: u64) -> bool {
        self.control.is_shared() && self.control.applied().is_some_and(|applied| applied >= seq)
    }

    fn check_reached(&self, log: &LogState, published: u64, reason: &str) -> NpkResult<()> {
        if log.tail.seq() < published {
            return Err(NpkError::corrupted(&log.tail.log.path, log.tail.position.offset, reason));
        }
        Ok(())
    }

    fn follow(&self, log: &mut LogState, record: &Record) -> NpkResult<()> {
        self.apply_ops(record.seq, record.time_us, &record.ops, &log.tail.log)?;
        log.moved = record.is_moved();
        log.tail.position = record.next;
        log.tail.allocated = log.tail.allocated.max(record.next.offset);
        if self.is_applied(record.seq) {
            log.redo_start = RedoStart { log: Arc::clone(&log.tail.log), position: record.next };
        }
        Ok(())
    }

    /// After a `Moved` record: changes over to the log that has the name now, if it is another one.
    fn move_on(&self, log: &mut LogState) -> NpkResult<bool> {
        let access = if self.writable { Access::Write } else { Access::Read };
        let next = LogFile::open(&*self.folder, access)?;
        if next.header == log.tail.log.header {
            return Ok(false);
        }
        if next.header.store_id != log.tail.log.header.store_id {
            return Err(NpkError::corrupted(next.path, 16, "the log belongs to another store than before"));
        }
        let next = Arc::new(next);
        let mut cursor = Cursor::new(&next, next.start())?;
        let Next::Record(snapshot) = cursor.next()? else {
            return Err(NpkError::corrupted(
                &next.path,
                record::FILE_HEADER,
                "the log does not begin with a snapshot",
            ));
        };
        if snapshot.seq != log.tail.seq() {
            self.apply_ops(snapshot.seq, snapshot.time_us, &snapshot.ops, &next)?;
        } else {
            self.with_catalog_mut(|catalog| {
                catalog.unsynced.clear();
                catalog.replaced.clear();
            });
        }
        let allocated = next.file.len().map_err(|e| NpkError::io(&next.path, e))?;
        log.moved = false;
        log.tail = Tail { log: next, position: snapshot.next, snapshot_end: snapshot.next.offset, allocated };
        Ok(true)
    }

    fn after_catch_up(&self, log: &mut LogState) {
        if self.is_applied(log.tail.seq()) {
            log.redo_start = RedoStart { log: Arc::clone(&log.tail.log), position: log.tail.position };
        }
        if log.redo_start.log.header != log.tail.log.header {
            // A checkpoint applied everything before it; what came since may be under way.
            let position = log.tail.log.start();
            log.redo_start = RedoStart { log: Arc::clone(&log.tail.log), position };
        }
        // Somebody else writes here and may have taken the files over.
        self.files.kept.clear();
        let synced = self.control.synced();
        self.with_catalog_mut(|catalog| {
            for file in &catalog.retired {
                self.files.remove(FileName::Data { array: file.array, generation: file.generation });
            }
            // An open spare file could not be used again.
            if let Some(spare) = &catalog.spare {
                self.files.remove(FileName::Data { array: spare.array, generation: spare.generation });
            }
            // Whoever retired a file that no durable state needs removes it.
            catalog.retired.retain(|file| file.generation <= synced && file.retired > synced);
        });
    }
}

/// Microseconds since 1970.
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
