//! Who may write: the writers' lock held, with the catalog up to date and a crashed writer's work finished.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::disk::FileName;
use crate::disk::lock::WriterGuard;
use crate::options::Durability;
use crate::store::commit::state::StoreState;
use crate::types::error::{NpkError, NpkResult};

/// The writers' lock held, with the catalog up to date.
pub(crate) struct WriteGuard<'a> {
    pub(crate) store: &'a StoreState,
    pub(crate) durability: Durability,
    _guard: WriterGuard<'a>,
}

impl Drop for WriteGuard<'_> {
    fn drop(&mut self) {
        // A replace that is committed and not applied leaves the mark, and so do files that are of no use
        // and still there: the next writer finishes it. After a failed sync they may be of use.
        let (control, seen) = (&self.store.control, Some(self.store.seen.load(Ordering::Acquire)));
        let applied = control.applied() == seen && control.committed() == seen;
        let tidy = !self.store.untidy.load(Ordering::Acquire) && self.store.poisoned.get().is_none();
        if applied && tidy {
            self.store.hinted(control.set_busy(false));
        }
    }
}

impl StoreState {
    /// Takes the writers' lock and brings the catalog up to date, after whatever a crashed writer left.
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

    /// Turns the lock, just taken, into the right to write.
    ///
    /// # Errors
    /// `Corrupted`, `Io`.
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
        // Damaged words count as a crashed writer: doing its work again changes nothing.
        let died = self.control.is_busy() || self.control.applied() != Some(log.tail.seq());
        // Where words are written, a full disk shows here, before anything has changed.
        self.control.set_busy(true).map_err(|e| self.file_error(FileName::Control, e))?;
        if died {
            self.finish_crashed_writer(&mut log)?;
        }
        drop(log);
        self.look_after_ingests();
        Ok(WriteGuard { store: self, durability, _guard: guard })
    }
}
