//! Replaying a log: its records in order, up to the first that cannot be read, give the catalog.
//!
//! Nothing is decided here about damage: the walk says where it stopped and why.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use crate::disk::control::Control;
use crate::disk::data_file::FileCache;
use crate::disk::lock::WriterLock;
use crate::disk::{Access, Folder};
use crate::log::catalog::Catalog;
use crate::log::reader::{Cursor, LogFile, Next, Position, Record};
use crate::log::writer::Tail;
use crate::store::commit::state::{LogState, RedoStart, StoreState};
use crate::types::error::{NpkError, NpkResult};

/// A log replayed into a catalog.
pub(crate) struct Replayed {
    pub(crate) log: Arc<LogFile>,
    pub(crate) catalog: Catalog,
    pub(crate) position: Position,
    /// Every record since the snapshot, that one included, for choosing a shorter prefix.
    pub(crate) records: Vec<Record>,
    /// Why the walk stopped, unless it was at the end.
    pub(crate) bad: Option<String>,
    /// Checksum of an intact record behind `position` that does not count: a power cut took its data.
    pub(crate) refused: Option<u32>,
}

/// Walks the log from its snapshot to its end, changing over when a checkpoint takes its place.
///
/// # Errors
/// `Corrupted` for operations that cannot be; `Io`.
pub(crate) fn replay(folder: &dyn Folder, writable: bool, trusted_up_to: u64) -> NpkResult<Replayed> {
    let access = if writable { Access::Write } else { Access::Read };
    let mut log = Arc::new(LogFile::open(folder, access)?);
    loop {
        let replayed = replay_log(&log, trusted_up_to)?;
        let moved = replayed.records.last().is_some_and(Record::is_moved);
        if !moved {
            return Ok(replayed);
        }
        let now = LogFile::open(folder, access)?;
        if now.header == log.header {
            return Ok(replayed);
        }
        log = Arc::new(now);
    }
}

fn replay_log(log: &Arc<LogFile>, trusted_up_to: u64) -> NpkResult<Replayed> {
    let mut catalog = Catalog::default();
    let mut records = Vec::new();
    let mut cursor = Cursor::new(log, log.start())?;
    let mut position = cursor.position();
    let bad = loop {
        match cursor.next()? {
            Next::End => break None,
            Next::Bad(reason) => break Some(reason),
            Next::Record(record) if record.seq > trusted_up_to && !log.redo_is_whole(&record)? => {
                break Some("the redo bytes of the record are not whole".into());
            }
            Next::Record(record) => {
                apply(&mut catalog, log, &record)?;
                position = record.next;
                records.push(record);
            }
        }
    };
    if records.is_empty() {
        let reason = bad.unwrap_or_else(|| "the log has no record".into());
        return Err(NpkError::corrupted(&log.path, position.offset, reason));
    }
    Ok(Replayed { log: Arc::clone(log), catalog, position, records, bad, refused: None })
}

/// Applies a record to a catalog.
///
/// # Errors
/// `Corrupted`, `OutOfMemory`.
pub(crate) fn apply(catalog: &mut Catalog, log: &LogFile, record: &Record) -> NpkResult<()> {
    catalog.reserve(&record.ops)?;
    for op in &record.ops {
        catalog.apply(record.seq, record.time_us, op).map_err(|reason| {
            NpkError::corrupted(&log.path, record.offset, format!("commit {}: {reason}", record.seq))
        })?;
    }
    Ok(())
}

/// A log that stops before what it is known to have held is damaged.
pub(crate) fn check_floor(replayed: &Replayed, floor: u64) -> NpkResult<()> {
    if replayed.catalog.seq < floor {
        let reason = replayed.bad.as_deref().unwrap_or("the log ends before a committed record");
        return Err(NpkError::corrupted(&replayed.log.path, replayed.position.offset, reason));
    }
    Ok(())
}

/// The core of a replayed store.
pub(crate) fn assemble(
    folder: Arc<dyn Folder>,
    writable: bool,
    lock: Option<WriterLock>,
    control: Control,
    replayed: Replayed,
) -> StoreState {
    let Replayed { log, mut catalog, position, records, refused, .. } = replayed;
    let synced = control.synced();
    let first = records.first().map_or(position, |snapshot| snapshot.next);
    // Only commits that the last sync did not cover are unsynced.
    let late = |record: &&Record| record.seq > synced;
    if records.iter().skip(1).find(late).is_none() {
        catalog.all_synced();
    }
    catalog.retired.retain(|file| file.generation <= synced && file.retired > synced);
    let redo_start = RedoStart { log: Arc::clone(&log), position: first };
    let allocated = log.file.len().unwrap_or(position.offset);
    let seen = AtomicU64::new(catalog.seq);
    let tail = Tail { log, position, snapshot_end: first.offset, allocated };
    let moved = records.last().is_some_and(Record::is_moved);
    let mut state = LogState { tail, redo_start, moved, refused };
    if control.is_shared() && control.applied().is_some_and(|applied| applied >= catalog.seq) {
        state.redo_start = RedoStart { log: Arc::clone(&state.tail.log), position };
    }
    StoreState {
        folder,
        writable,
        forks: crate::process::forks(),
        lock,
        control,
        catalog: RwLock::new(catalog),
        seen,
        log: Mutex::new(state),
        redo: Mutex::default(),
        files: FileCache::new(),
        poisoned: OnceLock::new(),
        looked: Mutex::new(None),
        names_checked: Mutex::new(None),
        untidy: AtomicBool::new(false),
        ingests: Mutex::default(),
        deferred: Mutex::new(None),
    }
}
