//! How a process follows the commits of others: it reads the records behind the end it knows.
//!
//! Nothing here takes the writers' lock or changes a file. When a checkpoint has put another log in place of the
//! one that was read, this changes over to it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::disk::{Access, FileName};
use crate::log::reader::{Cursor, LogFile, Next, Record};
use crate::log::record;
use crate::log::writer::Tail;
use crate::store::commit::state::{LogState, RedoStart, StoreState};
use crate::types::error::{NpkError, NpkResult};

impl StoreState {
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
                catalog.all_synced();
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
        self.files.cached.clear();
        let synced = self.control.synced();
        self.with_catalog_mut(|catalog| {
            for file in &catalog.retired {
                self.files.remove(FileName::Data { array: file.array, generation: file.generation });
            }
            // An open recycled file could not be used again.
            if let Some(recycled) = &catalog.recycled {
                self.files.remove(FileName::Data { array: recycled.array, generation: recycled.generation });
            }
            // Whoever retired a file that no durable state needs removes it.
            catalog.retired.retain(|file| file.generation <= synced && file.retired > synced);
        });
    }
}
