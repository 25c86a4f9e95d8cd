//! Who may write: the writers' lock held, with the catalog up to date and a crashed writer's work finished.

use std::io::{self, ErrorKind};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::disk::FileName;
use crate::disk::lock::WriterGuard;
use crate::options::Durability;
use crate::store::commit::state::{LogState, StoreState, now_us};
use crate::types::error::{NpkError, NpkResult};

/// Time after which a writer checks whether the folder is still there.
const LOOK: Duration = Duration::from_secs(1);
/// Nanoseconds after which a change of names shows in the folder's time: systems count it in steps of up to 10 ms.
const STEP: i128 = 100_000_000;
/// The same where times are whole hundredths of a second: FAT counts in steps of two seconds.
const COARSE_STEP: i128 = 3_000_000_000;

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
        self.check_names(&log, durability)?;
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

    /// An error when one of the files that writers share has been removed or replaced since it was opened: others
    /// would not see what is written, nor the lock. Whether the folder is there is looked at before what must be
    /// durable, and otherwise once a second.
    fn check_names(&self, log: &LogState, durability: Durability) -> NpkResult<()> {
        if durability == Durability::Power || self.is_time_to_look() {
            self.folder.check_present().map_err(|e| NpkError::io(self.folder.path(), e))?;
        }
        // One call in place of six as long as no file comes or goes.
        let changed = self.folder.names_changed().map_err(|e| NpkError::io(self.folder.path(), e))?;
        let mut checked = self.names_checked.lock().unwrap_or_else(PoisonError::into_inner);
        if changed.is_some() && changed == *checked {
            return Ok(());
        }
        let lock = self.lock.as_ref().map(|lock| (FileName::Lock, lock.file()));
        let page = self.control.file().map(|file| (FileName::Control, file));
        let log = Some((FileName::Log, &*log.tail.log.file));
        for (name, file) in [lock, log, page].into_iter().flatten() {
            let same = match self.folder.identity_of(name) {
                Err(error) if error.kind() == ErrorKind::NotFound => false,
                found => found
                    .and_then(|found| Ok(found == file.identity()?))
                    .map_err(|e| self.file_error(name, e))?,
            };
            if !same {
                // The whole folder may be gone.
                self.folder.check_present().map_err(|e| NpkError::io(self.folder.path(), e))?;
                // This state is of no use any more, and must not be shared with whoever opens the store again.
                self.poisoned.get_or_init(|| format!("{name} was removed or replaced"));
                let reason = "the file was removed or replaced while the store was open: open it again";
                return Err(self.file_error(name, io::Error::new(ErrorKind::NotFound, reason)));
            }
        }
        // A change in the same step of the clock would not show.
        let step = |changed: &i128| if changed % 10_000_000 == 0 { COARSE_STEP } else { STEP };
        *checked = changed.filter(|changed| i128::from(now_us()) * 1000 - changed > step(changed));
        Ok(())
    }

    fn is_time_to_look(&self) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let due = looked.is_none_or(|at| at.elapsed() >= LOOK);
        if due {
            *looked = Some(Instant::now());
        }
        due
    }
}
