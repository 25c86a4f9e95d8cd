//! Writable views: a program writes rows of the live file itself, outside the log.
//!
//! Such writes are seen at once by everybody and survive the process, but they are not commits: a dying
//! process leaves what it had written, and a power cut may tear what was not flushed. So the log must not
//! claim anything about the bytes any more: before the memory is handed out, a record drops the file's
//! checksum and a checkpoint drops the redo bytes of earlier replaces, which recovery would write over them.

use std::sync::Arc;

use crate::disk::Mapping;
use crate::log::catalog::ArrayState;
use crate::store::commit::guard::WriteGuard;
use crate::store::commit::state::StoreState;
use crate::store::commit::transaction::Transaction;
use crate::store::handle::Store;
use crate::types::dtype::DataType;
use crate::types::error::{NpkError, NpkResult};

/// The live bytes of one array, mapped for writing.
#[derive(Debug)]
pub struct WritableView {
    store: Store,
    array: Arc<ArrayState>,
    mapping: Option<Arc<Mapping>>,
}

impl Store {
    /// Maps the live file of an array for writing. Costs a commit; the sync of a checkpoint too when rows of
    /// the array were replaced since the last one.
    ///
    /// # Errors
    /// `ArrayNotFound`; `InvalidArgument` for an array with deleted rows; `Io` (unsupported) on a file system
    /// where a store to mapped memory can fail; `Locked`, `ReadOnly`, `Corrupted`.
    pub fn writable_view(&self, name: &str) -> NpkResult<WritableView> {
        self.locked(|writing| {
            let array = writing.store.known_array(name)?;
            check(writing.store, &array)?;
            renounce(writing, &array)?;
            let file = writing.store.own_data_file(&array)?;
            let mapping = if array.bytes() > 0 { Some(file.write_mapping(array.bytes())?) } else { None };
            Ok(WritableView { store: self.clone(), array, mapping })
        })
    }
}

impl WritableView {
    /// Shape of the array.
    pub fn shape(&self) -> &[u64] {
        &self.array.shape
    }

    /// Element type.
    pub fn dtype(&self) -> DataType {
        self.array.dtype
    }

    /// Start of the array's bytes; `None` when it has none. The memory is readable and writable as long as
    /// the view lives, and live: others may write it at the same time.
    pub fn as_mut_ptr(&self) -> Option<*mut u8> {
        self.mapping.as_ref().map(|mapping| mapping.as_ptr().cast_mut())
    }

    /// Makes what was written durable and marks the array as modified.
    ///
    /// # Errors
    /// `InvalidArgument` when the array has been saved again, compacted or removed meanwhile, so that what was
    /// written is not in it; `Poisoned` when the disk failed; `Locked`, `Io`.
    pub fn flush(&self) -> NpkResult<()> {
        self.store.locked(|writing| {
            let (then, name) = (&self.array, &self.array.name);
            let now = writing.store.known_array(name).ok();
            let now = now.filter(|now| now.id == then.id && now.generation == then.generation);
            let Some(now) = now else {
                return Err(NpkError::InvalidArgument {
                    argument: "array",
                    value: format!("{name:?}"),
                    reason: "it was saved again or removed while it was mapped for writing",
                });
            };
            renounce(writing, &now)?;
            let data = writing.store.own_data_file(&now)?;
            data.file().touch();
            data.file().sync().map_err(|e| writing.store.poison(e))
        })
    }
}

/// Commits that the log says nothing about the bytes of this array any more.
fn renounce(writing: &WriteGuard<'_>, array: &ArrayState) -> NpkResult<()> {
    if writing.store.with_catalog(|catalog| catalog.replaced.contains(&array.id)) {
        writing.store.checkpoint(writing)?;
    }
    let mut tx = Transaction::new(writing);
    tx.push_replace(array, Vec::new(), &[], None);
    tx.commit()
}

fn check(core: &StoreState, array: &ArrayState) -> NpkResult<()> {
    if !array.deleted.is_empty() {
        return Err(NpkError::InvalidArgument {
            argument: "array",
            value: format!("{:?} with {} deleted rows", array.name, array.deleted.count()),
            reason: "rows are deleted: compact the array before mapping it for writing",
        });
    }
    if !core.folder.capabilities().mapped_writes {
        let reason = "this file system cannot promise room for stores to mapped memory";
        let error = std::io::Error::new(std::io::ErrorKind::Unsupported, reason);
        return Err(NpkError::io(core.folder.path(), error));
    }
    Ok(())
}
