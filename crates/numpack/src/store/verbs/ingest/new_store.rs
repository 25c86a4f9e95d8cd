//! An ingest into a store that is not there yet: the store is made and filled under a hidden name and appears with the
//! commit.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::{Existing, Ingest};
use crate::disk::{Partial, is_vacant};
use crate::log::catalog::ArrayState;
use crate::options::{Durability, Mode, OpenOptions};
use crate::rows::run::Run;
use crate::store::handle::Store;
use crate::types::error::{NpkError, NpkResult};

/// A store that has no name yet.
#[derive(Debug)]
pub(super) struct NewStore {
    partial: Partial,
    options: OpenOptions,
}

impl OpenOptions {
    /// Begins to bring arrays into the store at `path`, see [`Store::ingest`]. A store that is not there is made: it
    /// appears with the commit, and when something fails before that, nothing is left of it.
    ///
    /// In an empty folder that no rename can replace (something is mounted there, or the folder above may not be
    /// written to) an empty store is made first. The modes `a`, `r+` and `x` say what must be there; `w` is as `a`,
    /// since the commit says what goes.
    ///
    /// # Errors
    /// Those of [`OpenOptions::open`] and [`Store::ingest`].
    pub fn ingest(self, path: impl AsRef<Path>) -> NpkResult<Ingest> {
        let path = path.as_ref();
        let mut options = self;
        if options.mode == Mode::Truncate {
            options.mode = Mode::Append;
        }
        let makes = matches!(options.mode, Mode::Append | Mode::CreateNew);
        if !makes || !is_vacant(path).map_err(|e| NpkError::io(path, e))? {
            return options.open(path)?.ingest();
        }
        let partial = Partial::folder(path)?;
        if !partial.is_renamed() {
            drop(partial);
            return options.open(path)?.ingest();
        }
        let mut ingest = options.mode(Mode::CreateNew).open(partial.path())?.ingest()?;
        ingest.new_store = Some(NewStore { partial, options });
        Ok(ingest)
    }
}

impl Ingest {
    /// Gives a store that was made for this ingest its name. If another has come meanwhile, the arrays go there.
    pub(super) fn show_store(&mut self, existing: Existing) -> NpkResult<()> {
        let Some(NewStore { partial, options }) = &mut self.new_store else { return Ok(()) };
        let durable = options.durability == Durability::Power;
        if durable {
            self.context.store.sync_metadata()?;
        }
        match partial.show_at_target(false, durable) {
            Err(error) if is_taken(&error) && options.mode != Mode::CreateNew => {
                let store = options.mode(Mode::ReadWrite).open(partial.target())?;
                copy_all(&self.context.store, &store, existing)?;
            }
            other => other?,
        }
        self.new_store = None;
        Ok(())
    }
}

fn is_taken(error: &NpkError) -> bool {
    use ErrorKind::{AlreadyExists, DirectoryNotEmpty};
    matches!(error, NpkError::Io { source, .. } if matches!(source.kind(), AlreadyExists | DirectoryNotEmpty))
}

/// Brings all arrays of a store that nobody else knows into another.
fn copy_all(from: &Store, to: &Store, existing: Existing) -> NpkResult<()> {
    let mut ingest = to.ingest()?;
    let core = from.core()?;
    let arrays: Vec<Arc<ArrayState>> =
        core.with_catalog(|catalog| catalog.arrays().into_iter().cloned().collect());
    for array in arrays {
        let path = core.folder.path().join(array.file().to_string());
        let file = File::open(&path).map_err(|e| NpkError::io(&path, e))?;
        let mut writer = ingest.array(&array.name, array.dtype, &array.shape)?;
        writer.array.deleted =
            array.deleted.runs().map(|(start, end)| Run { start, len: end - start }).collect();
        writer.copy(&file, &path, 0, array.bytes())?;
        ingest.add(writer)?;
    }
    ingest.commit(existing)
}
