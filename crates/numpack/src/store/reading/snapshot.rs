//! The arrays of one commit, held while they are read piece by piece, also beside writers.
//!
//! Appends, deletions, saves and compactions leave the bytes of an older commit where they are; only a replace
//! writes over them. So the first try reads without a lock and looks at the sequence word of an array after
//! its last byte: when a replace came in between, everything is read again with writers kept out.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::log::catalog::ArrayState;
use crate::log::reader::as_uninit;
use crate::rows::plan::live_runs;
use crate::store::commit::state::StoreState;
use crate::store::handle::Store;
use crate::store::reading::held::{Held, RowFile};
use crate::types::error::{NpkError, NpkResult};

/// Without the lock every file stays mapped, so that no writer uses it again: at most this many.
const HELD_FILES: usize = 256;
/// Shorter runs than this are copied from a mapping: a system call each would cost more.
const SHORT_RUN: usize = 64 << 10;
/// Tries without the lock to find no replace under way.
const TRIES: u32 = 3;

/// Every array as of one commit.
pub(crate) struct Snapshot<'a> {
    core: &'a StoreState,
    arrays: Vec<Arc<ArrayState>>,
    /// Held from the beginning; none while the lock keeps writers out.
    held: Vec<Held>,
    words: Vec<u64>,
}

/// One array of a snapshot, open for reading.
pub(crate) struct SnapshotArray {
    array: Arc<ArrayState>,
    /// Mapped alone where the mapping alone has the rows that a crashed writer was about to replace.
    file: RowFile,
    /// The file's path, for messages.
    path: PathBuf,
}

impl Store {
    /// Calls `read` with the arrays of one commit, again when it returns `None` because a replace came in
    /// between; writers then wait until it has returned. The wait for writers is bounded by `timeout`, and `watch` is
    /// called now and then meanwhile.
    ///
    /// # Errors
    /// `Locked`, `Corrupted`, `Io`, and those of `watch` and `read`.
    pub(crate) fn with_snapshot<R>(
        &self,
        timeout: Option<Duration>,
        watch: impl FnMut() -> NpkResult<()>,
        mut read: impl FnMut(&Snapshot<'_>) -> NpkResult<Option<R>>,
    ) -> NpkResult<R> {
        let core = self.core()?;
        if let Some(snapshot) = core.try_snapshot()?
            && let Some(result) = read(&snapshot)?
        {
            return Ok(result);
        }
        let lock = core.lock.as_ref();
        let _guard = lock.map(|lock| lock.acquire_watched(&*core.folder, timeout, watch)).transpose()?;
        loop {
            core.refresh()?;
            let arrays = core.all_arrays();
            let snapshot = Snapshot { words: core.words(&arrays), core: &core, arrays, held: Vec::new() };
            if let Some(result) = read(&snapshot)? {
                return Ok(result);
            }
        }
    }
}

impl StoreState {
    fn all_arrays(&self) -> Vec<Arc<ArrayState>> {
        self.with_catalog(|catalog| catalog.arrays().into_iter().cloned().collect())
    }

    fn words(&self, arrays: &[Arc<ArrayState>]) -> Vec<u64> {
        arrays.iter().map(|array| self.control.sequence(array.id)).collect()
    }

    /// A snapshot that keeps no writer out; `None` when writers are too busy, or cannot be watched.
    fn try_snapshot(&self) -> NpkResult<Option<Snapshot<'_>>> {
        if !self.control.is_shared() {
            return Ok(None);
        }
        for _ in 0..TRIES {
            self.refresh()?;
            let before = self.all_arrays();
            // Before the state is taken: a replace that the state has not is then seen in the word.
            let words = self.words(&before);
            self.refresh()?;
            let arrays = self.all_arrays();
            let same = arrays.iter().map(|array| array.id).eq(before.iter().map(|array| array.id));
            if !same || arrays.len() > HELD_FILES || words.iter().any(|word| word % 2 == 1) {
                continue;
            }
            let held = arrays.iter().map(|array| {
                let file = self.data_file(array)?;
                file.map(|file| Held::new(self, Arc::clone(array), file)).transpose()
            });
            if let Some(held) = held.collect::<NpkResult<Option<Vec<_>>>>()? {
                return Ok(Some(Snapshot { core: self, arrays, held, words }));
            }
        }
        Ok(None)
    }
}

impl Snapshot<'_> {
    /// The arrays, the oldest first.
    pub(crate) fn arrays(&self) -> &[Arc<ArrayState>] {
        &self.arrays
    }

    /// Opens an array for reading.
    ///
    /// # Errors
    /// `Corrupted`, `Io`.
    pub(crate) fn open(&self, index: usize) -> NpkResult<SnapshotArray> {
        let array = Arc::clone(&self.arrays[index]);
        let file = match self.held.get(index) {
            Some(held) => held.rows(self.core),
            None => {
                let control = &self.core.control;
                let quiet = control.is_shared() && control.sequence(array.id).is_multiple_of(2);
                let held = self.core.view_source(&array.name)?;
                if quiet { held.rows(self.core) } else { held.mapped.file }
            }
        };
        file.confirm(array.bytes())?;
        let path = self.core.folder.path().join(array.file().to_string());
        Ok(SnapshotArray { array, file, path })
    }

    /// Whether no row of the array was replaced since the snapshot was taken.
    pub(crate) fn is_undisturbed(&self, index: usize) -> bool {
        self.core.control.sequence_after_reads(self.arrays[index].id) == self.words[index]
    }
}

impl SnapshotArray {
    /// Reads bytes of the data file, deleted rows included.
    ///
    /// # Errors
    /// `Corrupted`, `Io`.
    pub(crate) fn read_physical(&self, at: u64, buf: &mut [u8]) -> NpkResult<()> {
        self.file.read_at(as_uninit(buf), at)
    }

    /// Reads bytes of the live rows, as if they stood one behind the other.
    ///
    /// # Errors
    /// `Corrupted`, `Io`.
    pub(crate) fn read_live(&self, at: u64, buf: &mut [u8]) -> NpkResult<()> {
        let row = self.array.row_bytes();
        if self.array.deleted.is_empty() || row == 0 || buf.is_empty() {
            return self.read_physical(at, buf);
        }
        let runs = live_runs(&self.array.deleted, at / row..(at + buf.len() as u64).div_ceil(row));
        // The first run may begin before the bytes that are wanted.
        let mut skip = at % row;
        let mut rest = buf;
        for run in runs {
            let wanted = (run.len * row - skip).min(rest.len() as u64) as usize;
            let (part, after) = rest.split_at_mut(wanted);
            let from = run.start * row + skip;
            if wanted < SHORT_RUN {
                self.read_mapped(from, part)?;
            } else {
                self.read_physical(from, part)?;
            }
            (rest, skip) = (after, 0);
        }
        Ok(())
    }

    /// What is wrong when the committed bytes do not have the committed checksum.
    pub(crate) fn damage(&self) -> NpkError {
        NpkError::corrupted(&self.path, 0, "the bytes are not those that were written: checksum")
    }

    fn read_mapped(&self, at: u64, buf: &mut [u8]) -> NpkResult<()> {
        self.file.mapping(self.array.bytes())?.read(at, as_uninit(buf));
        Ok(())
    }
}
