//! The writers' lock: one mutex for the threads of a process, one OS lock between processes.
//!
//! The OS lock is on a file that holds nothing and is never renamed or removed. The system releases it when
//! its holder dies. It is given back by an explicit unlock, and a forked child does not share the
//! open file: a child neither gives it back nor keeps it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use crate::disk::name::FileName;
use crate::disk::seam::{Access, Folder, LockKind, StorageFile};
use crate::types::error::{NpkError, NpkResult};

/// Longest sleep between two tries of a lock with a timeout.
const LONGEST_SLEEP: Duration = Duration::from_millis(2);

/// Longest time between two looks of somebody who watches a wait.
const WATCH: Duration = Duration::from_millis(50);

/// The lock of one store in one process.
#[derive(Debug)]
pub(crate) struct WriterLock {
    file: Arc<dyn StorageFile>,
    turn: Mutex<()>,
}

/// The lock held. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct WriterGuard<'a> {
    file: &'a dyn StorageFile,
    _turn: MutexGuard<'a, ()>,
}

impl WriterLock {
    /// Opens the lock's file, making it when `create` says so.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn open(folder: &dyn Folder, create: bool) -> NpkResult<WriterLock> {
        let access = if create { Access::OpenOrCreate } else { Access::Read };
        let file = folder
            .open(FileName::Lock, access)
            .map_err(|e| NpkError::io(folder.path().join(FileName::Lock.to_string()), e))?;
        Ok(WriterLock { file, turn: Mutex::new(()) })
    }

    /// The file that is locked.
    pub(crate) fn file(&self) -> &dyn StorageFile {
        &*self.file
    }

    /// Waits for the lock, at most for `timeout`.
    ///
    /// # Errors
    /// `Locked` after the timeout; `Io`.
    pub(crate) fn acquire(
        &self,
        folder: &dyn Folder,
        timeout: Option<Duration>,
    ) -> NpkResult<WriterGuard<'_>> {
        let io = |e| NpkError::io(folder.path().join(FileName::Lock.to_string()), e);
        let Some(timeout) = timeout else {
            let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
            if !self.file.try_lock(LockKind::Exclusive).map_err(io)? {
                self.file.lock(LockKind::Exclusive).map_err(io)?;
            }
            return Ok(WriterGuard { file: &*self.file, _turn: turn });
        };
        let start = Instant::now();
        let mut sleep = Duration::from_micros(20);
        loop {
            if let Some(guard) = self.try_acquire(folder)? {
                return Ok(guard);
            }
            let waited = start.elapsed();
            if waited >= timeout {
                return Err(NpkError::Locked { path: folder.path().to_owned(), waited });
            }
            thread::sleep(sleep.min(timeout - waited));
            sleep = (sleep * 2).min(LONGEST_SLEEP);
        }
    }

    /// As [`WriterLock::acquire`], and calls `watch` now and then while it waits; an error of it ends the wait.
    ///
    /// # Errors
    /// `Locked` after the timeout; `Io`; those of `watch`.
    pub(crate) fn acquire_watched(
        &self,
        folder: &dyn Folder,
        timeout: Option<Duration>,
        mut watch: impl FnMut() -> NpkResult<()>,
    ) -> NpkResult<WriterGuard<'_>> {
        let start = Instant::now();
        loop {
            let left = timeout.map(|timeout| timeout.saturating_sub(start.elapsed()));
            match self.acquire(folder, Some(left.map_or(WATCH, |left| left.min(WATCH)))) {
                Err(NpkError::Locked { path, .. }) => {
                    let waited = start.elapsed();
                    if timeout.is_some_and(|timeout| waited >= timeout) {
                        return Err(NpkError::Locked { path, waited });
                    }
                    watch()?;
                }
                other => return other,
            }
        }
    }

    /// Takes the lock if it is free right now.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn try_acquire(&self, folder: &dyn Folder) -> NpkResult<Option<WriterGuard<'_>>> {
        let turn = match self.turn.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(None),
        };
        let io = |e| NpkError::io(folder.path().join(FileName::Lock.to_string()), e);
        let locked = self.file.try_lock(LockKind::Exclusive).map_err(io)?;
        Ok(locked.then_some(WriterGuard { file: &*self.file, _turn: turn }))
    }
}

impl Drop for WriterGuard<'_> {
    fn drop(&mut self) {
        // Unlocking an open file does not fail; if it did, closing the store gives the lock back.
        self.file.unlock().unwrap_or_default();
    }
}
