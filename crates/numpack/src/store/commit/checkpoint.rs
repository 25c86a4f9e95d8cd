//! Making commits durable, starting new logs, and removing files that no state needs any more.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::disk::FileName;
use crate::log::catalog::Catalog;
use crate::log::op::{FileRecord, Op};
use crate::log::record::{self, FileHeader};
use crate::log::writer::write_next;
use crate::store::commit::guard::WriteGuard;
use crate::store::commit::state::{LogState, RedoStart, StoreState, now_us};
use crate::types::error::{NpkError, NpkResult};

/// A log up to this long is never replaced: opening reads it in well under a millisecond.
const LOG_OPERATIONS: u64 = 1 << 20;
/// Redo bytes may pile up this far: replacing the log means syncing the data they protect.
const LOG_REDO: u64 = 64 << 20;
/// So many times the files from which on one call for all is faster are synced before a checkpoint is due, as long as
/// they hold no more than so many new bytes: some tens of milliseconds of a call now, and not seconds of one later.
const UNSYNCED_FILES: usize = 4;
const UNSYNCED_BYTES: u64 = 8 << 20;
/// Retired files that wait for a sync may hold this many bytes before one is made for their sake.
const RETIRED_BYTES: u64 = 4 << 30;

impl StoreState {
    /// Makes every commit so far durable.
    ///
    /// # Errors
    /// `Poisoned` when the disk failed; `Io` when the folder was removed; an error kept from earlier work.
    pub(crate) fn sync(&self, _locked: &WriteGuard<'_>) -> NpkResult<()> {
        self.folder.check_present().map_err(|e| NpkError::io(self.folder.path(), e))?;
        let seq = self.sync_everything()?;
        self.discard_retired(seq);
        self.take_deferred().map_or(Ok(()), Err)
    }

    fn sync_everything(&self) -> NpkResult<u64> {
        self.sync_data()?;
        self.touch_replaced();
        let (log, seq) = {
            let log = self.log();
            (Arc::clone(&log.tail.log), log.tail.seq())
        };
        log.file.sync().map_err(|e| self.poison(e))?;
        self.control.set_synced(seq, true).map_err(|e| self.poison(e))?;
        Ok(seq)
    }

    /// Syncs the files that hold rows not yet durable, and the folder's entries.
    ///
    /// # Errors
    /// `Poisoned`.
    pub(super) fn sync_data(&self) -> NpkResult<()> {
        let ids = self.with_catalog(|catalog| catalog.unsynced.clone());
        if ids.is_empty() {
            return Ok(());
        }
        self.sync_files(&ids)?;
        self.folder.sync().map_err(|e| self.poison(e))?;
        self.with_catalog_mut(Catalog::all_synced);
        Ok(())
    }

    /// Gives files in which rows were replaced a new time: the rows went through a map, and their redo bytes are what
    /// a sync writes. A file that cannot be opened is the next reader's error.
    fn touch_replaced(&self) {
        let arrays = self.with_catalog(|catalog| {
            catalog.replaced.iter().filter_map(|&id| catalog.by_id(id).cloned()).collect::<Vec<_>>()
        });
        for array in arrays {
            if let Ok(data) = self.own_data_file(&array) {
                data.file().touch();
            }
        }
    }

    fn sync_files(&self, ids: &BTreeSet<u64>) -> NpkResult<()> {
        // An error of the whole may be about a file of somebody else.
        if ids.len() >= self.folder.together_from() && self.folder.sync_together().is_ok() {
            return Ok(());
        }
        for &id in ids {
            let array = self.with_catalog(|catalog| catalog.by_id(id).cloned());
            if let Some(array) = array {
                let data = self.own_data_file(&array)?;
                data.file().touch();
                data.file().sync().map_err(|e| self.poison(e))?;
            }
        }
        Ok(())
    }

    /// Work after a commit: it may fail without harm, and the error waits for the next call that may say so.
    pub(super) fn after_commit(&self, writing: &WriteGuard<'_>) {
        if self.with_catalog(|catalog| !catalog.retired.is_empty()) {
            self.discard_retired(self.control.synced());
        }
        let waiting: u64 = self.with_catalog(|catalog| catalog.retired.iter().map(|file| file.bytes).sum());
        let due =
            if waiting > RETIRED_BYTES || self.many_are_unsynced() { self.sync(writing) } else { Ok(()) };
        let result =
            due.and_then(|()| if self.checkpoint_is_due() { self.checkpoint(writing) } else { Ok(()) });
        if let Err(error) = result {
            self.defer(error);
        }
    }

    /// Whether so many files wait for a sync that a checkpoint would take long with them, and it is short now.
    fn many_are_unsynced(&self) -> bool {
        let (files, bytes) = self.with_catalog(|catalog| (catalog.unsynced.len(), catalog.unsynced_bytes));
        files >= self.folder.together_from().saturating_mul(UNSYNCED_FILES) && bytes <= UNSYNCED_BYTES
    }

    fn checkpoint_is_due(&self) -> bool {
        let (length, snapshot) = {
            let tail = &self.log().tail;
            (tail.position.offset - tail.snapshot_end, tail.snapshot_end)
        };
        if length < LOG_OPERATIONS {
            return false;
        }
        let limit =
            if self.with_catalog(|catalog| catalog.replaced.is_empty()) { LOG_OPERATIONS } else { LOG_REDO };
        // Several times the state, so that a large one is not written again and again.
        length > limit.max(4 * snapshot)
    }

    /// Starts a new log that begins with the state as it is. Syncs all data first: the redo bytes go.
    ///
    /// # Errors
    /// `Poisoned`, `Io`, `Corrupted`; the old log stays in force.
    pub(crate) fn checkpoint(&self, _locked: &WriteGuard<'_>) -> NpkResult<()> {
        self.folder.check_present().map_err(|e| NpkError::io(self.folder.path(), e))?;
        let replaced = self.with_catalog(|catalog| catalog.replaced.clone());
        self.sync_files(&replaced)?;
        let synced = self.sync_everything()?;
        self.discard_retired(synced);
        let started = self.start_log(&mut self.log());
        if started.is_err() {
            // What was written of the next one is of no use.
            self.remove(FileName::NextLog);
        }
        let seq = started?;
        self.folder.sync().map_err(|e| self.poison(e))?;
        self.control.set_synced(seq, true).map_err(|e| self.poison(e))?;
        Ok(())
    }

    /// Writes a new log and gives it the name; returns the sequence number of its snapshot.
    fn start_log(&self, log: &mut LogState) -> NpkResult<u64> {
        let (seq, time_us) = (log.tail.next_seq()?, now_us());
        let FileHeader { store_id, epoch } = log.tail.log.header;
        // Only that it differs from the one before matters.
        let header = FileHeader { store_id, epoch: epoch.wrapping_add(1) };
        let snapshot = self.with_catalog(Catalog::snapshot)?;
        let next = write_next(&*self.folder, header, &snapshot, seq, time_us)?;
        // Tell those who have the old log open, then give the new one its name. A death in between leaves
        // the old log in force, with a note that says to look.
        let framed = record::frame(log.tail.position.crc, seq, time_us, &[Op::Moved], &[])?;
        log.tail.reserve(framed.total)?;
        log.tail.append(&framed, &[], seq)?;
        let renamed = self.folder.rename(FileName::NextLog, FileName::Log);
        // The error may have come after the change: the next writer looks which log has the name.
        log.moved = renamed.is_err();
        if renamed.is_ok() {
            log.tail = next;
        }
        log.redo_start = RedoStart { log: Arc::clone(&log.tail.log), position: log.tail.position };
        self.with_catalog_mut(|catalog| {
            catalog.seq = seq;
            if renamed.is_ok() {
                catalog.replaced.clear();
            }
            self.seen.store(seq, std::sync::atomic::Ordering::Release);
        });
        self.hinted(self.control.publish(seq));
        self.hinted(self.control.set_applied(seq));
        renamed.map_err(|e| NpkError::io(self.folder.path(), e))?;
        Ok(seq)
    }

    /// Gives back the space of files that only wait for a sync, the recycled one included; whether there were
    /// any. A call that found the disk full may then be tried again.
    ///
    /// # Errors
    /// `Poisoned`.
    pub(crate) fn make_room(&self) -> NpkResult<bool> {
        let waiting = self.with_catalog(|catalog| catalog.recycled.is_some() || !catalog.retired.is_empty());
        if waiting {
            let seq = self.sync_everything()?;
            self.with_catalog_mut(|catalog| catalog.retired.extend(catalog.recycled.take()));
            self.discard_retired(seq);
        }
        Ok(waiting)
    }

    /// Removes retired files that neither the state nor one that a power cut may bring back needs.
    fn discard_retired(&self, synced: u64) {
        let gone: Vec<FileRecord> = self.with_catalog_mut(|catalog| {
            let needed = |file: &FileRecord| file.generation <= synced && file.retired > synced;
            let (kept, gone) = std::mem::take(&mut catalog.retired).into_iter().partition(needed);
            catalog.retired = kept;
            gone
        });
        for file in gone {
            self.remove(FileName::Data { array: file.array, generation: file.generation });
        }
    }
}
