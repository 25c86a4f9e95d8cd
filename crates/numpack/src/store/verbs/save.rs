//! Save: whole new data files, then one record for all arrays of the call.

use std::collections::HashSet;
use std::sync::Arc;

use crate::disk::cached::WholeFile;
use crate::disk::parts::{self, BLOCK};
use crate::disk::{Access, FileName, LockKind, StorageFile};
use crate::log::catalog::ArrayState;
use crate::log::op::{FileRecord, Op, Put};
use crate::parallel::{self, PARALLEL_BYTES};
use crate::store::MAX_NAME;
use crate::store::buffers::RawArray;
use crate::store::commit::state::StoreState;
use crate::store::commit::transaction::Transaction;
use crate::types::error::{NpkError, NpkResult};
use crate::types::shape::checked_bytes;

impl Transaction<'_, '_> {
    /// Saves arrays; existing names get new contents.
    ///
    /// # Errors
    /// `InvalidName`, `InvalidArgument` for a name given twice, `InvalidShape`, `Io`, `Poisoned`.
    pub(crate) fn save(&mut self, arrays: &[RawArray<'_>]) -> NpkResult<()> {
        arrays.iter().try_for_each(check)?;
        check_names_differ(arrays.iter().map(|array| array.name))?;
        let mut puts = self.write_all(arrays)?;
        // The catalog frees the place of the recycled file before another retired file can take it.
        puts.sort_by_key(|put| !put.reuses_recycled);
        puts.into_iter().for_each(|put| self.push(Op::Put(put)));
        Ok(())
    }

    fn write_all(&mut self, arrays: &[RawArray<'_>]) -> NpkResult<Vec<Put>> {
        let mut recycled = self.store.usable_recycled();
        let mut jobs = Vec::with_capacity(arrays.len());
        for array in arrays {
            let size = array.bytes.len() as u64;
            // A little longer is fine: committed bytes are what counts, and no file is ever shortened.
            let fits = recycled.filter(|recycled| {
                (recycled.bytes.saturating_sub(recycled.bytes / 8)..=recycled.bytes).contains(&size)
            });
            if fits.is_some() {
                recycled = None;
            }
            jobs.push((self.new_put(array.name, array.dtype, array.shape), array.bytes, fits));
        }
        let parallel =
            jobs.len() > 1 && arrays.iter().map(|a| a.bytes.len()).sum::<usize>() > 10 * PARALLEL_BYTES;
        let write = |(put, bytes, recycled)| self.write(put, bytes, recycled);
        if parallel {
            parallel::map(jobs, write).into_iter().collect()
        } else {
            jobs.into_iter().map(write).collect()
        }
    }

    /// Writes the bytes of an array into the recycled file, or into a new one.
    fn write(&self, mut put: Put, bytes: &[u8], recycled: Option<FileRecord>) -> NpkResult<Put> {
        let name = put.file();
        let reused = recycled.and_then(|recycled| self.store.reuse(recycled, name, bytes));
        put.reuses_recycled = reused.is_some();
        put.checksum = Some(match reused {
            Some((file, checksum)) => self.written(&*file).map(|()| checksum)?,
            None => self.write_file(name, |file| {
                let allocated =
                    if bytes.len() > BLOCK { file.allocate(0, bytes.len() as u64) } else { Ok(()) };
                allocated
                    .and_then(|()| parts::write(&*file, 0, bytes))
                    .map_err(|e| self.store.file_error(name, e))
            })?,
        });
        Ok(put)
    }
}

impl StoreState {
    /// The recycled file, unless a state that a power cut may bring back needs it.
    fn usable_recycled(&self) -> Option<FileRecord> {
        let synced = self.control.synced();
        let recycled = self.with_catalog(|catalog| catalog.recycled)?;
        let free = recycled.generation > synced || recycled.retired <= synced;
        (free && self.folder.capabilities().locks_follow_mappings).then_some(recycled)
    }

    /// Writes `bytes` into the retired file under its new name; `None` when a reader still holds it or
    /// anything else speaks against it. A new file is always as good.
    fn reuse(
        &self,
        recycled: FileRecord,
        name: FileName,
        bytes: &[u8],
    ) -> Option<(Arc<dyn StorageFile>, u32)> {
        let old = FileName::Data { array: recycled.array, generation: recycled.generation };
        let kept = self.files.cached.take(old);
        self.files.remove(old);
        let file = self.folder.open(old, Access::Write).ok()?;
        let len = bytes.len() as u64;
        if !file.try_lock(LockKind::Exclusive).ok()? || file.len().ok()? < len {
            return None;
        }
        self.folder.rename(old, name).ok()?;
        let checksum = if self.folder.capabilities().mapped_writes {
            let whole = WholeFile::of(&*file, kept).ok()?;
            let mapping = whole.as_ref().map(|whole| &whole.mapping);
            let checksum = parts::overwrite(&*file, mapping, bytes).ok()?;
            // Before the mapping is kept: it must not pass for a reader.
            file.unlock().ok()?;
            if let Some(whole) = whole {
                self.files.cached.keep(name, whole);
            }
            checksum
        } else {
            let checksum = parts::write(&*file, 0, bytes).ok()?;
            file.unlock().ok()?;
            checksum
        };
        Some((file, checksum))
    }
}

fn check(array: &RawArray<'_>) -> NpkResult<()> {
    check_name(array.name)?;
    let bytes = checked_bytes(array.dtype, array.shape).ok().filter(|_| array.shape.len() <= 255);
    if bytes != Some(array.bytes.len() as u64) {
        return Err(NpkError::InvalidShape {
            array: array.name.to_owned(),
            reason: "the data does not fill the shape",
            expected: format!("{} bytes of {}", array.bytes.len(), array.dtype),
            found: array.shape.to_vec(),
        });
    }
    Ok(())
}

/// An error for what cannot name an array: names are 1 to 1,024 bytes of UTF-8 without NUL.
///
/// # Errors
/// `InvalidName`.
pub fn check_name(name: &str) -> NpkResult<()> {
    let reason = if name.is_empty() {
        "it is empty"
    } else if name.len() > MAX_NAME {
        "it is longer than 1024 bytes"
    } else if name.contains('\0') {
        "it contains a NUL"
    } else {
        return Ok(());
    };
    Err(NpkError::InvalidName { name: name.to_owned(), reason })
}

/// An error when a name stands twice.
pub(crate) fn check_names_differ<'a>(names: impl IntoIterator<Item = &'a str>) -> NpkResult<()> {
    let mut seen = HashSet::new();
    match names.into_iter().find(|name| !seen.insert(*name)) {
        Some(twice) => Err(NpkError::InvalidArgument {
            argument: "arrays",
            value: format!("{twice:?}"),
            reason: "the name is given twice",
        }),
        None => Ok(()),
    }
}

/// An error when rows do not fit an array: dtype, dimensions, bytes.
pub(crate) fn check_rows(array: &ArrayState, rows: &RawArray<'_>) -> NpkResult<()> {
    crate::store::reading::read::require_rows(array)?;
    if rows.dtype != array.dtype {
        return Err(NpkError::InvalidDtype {
            array: array.name.to_string(),
            expected: array.dtype,
            found: rows.dtype,
        });
    }
    let same = rows.shape.len() == array.shape.len() && rows.shape[1..] == array.shape[1..];
    if !same {
        let tail: Vec<String> = array.shape[1..].iter().map(u64::to_string).collect();
        return Err(NpkError::InvalidShape {
            array: array.name.to_string(),
            reason: "the rows do not have the array's row shape",
            expected: format!("({})", [vec!["..".to_owned()], tail].concat().join(", ")),
            found: rows.shape.to_vec(),
        });
    }
    check(rows)
}
