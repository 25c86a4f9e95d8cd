//! Rename: another name for the same file, one record, no data written.

use crate::log::op::Op;
use crate::store::buffers::RawArray;
use crate::store::commit::state::{StoreState, WriteGuard};
use crate::store::handle::Store;
use crate::store::metadata::columns_of;
use crate::store::verbs::save::{check_name, check_names_differ};
use crate::types::error::{NpkError, NpkResult};

impl Store {
    /// Gives an array another name.
    ///
    /// # Errors
    /// `ArrayNotFound`, `ArrayExists`, `InvalidName`, `Locked`, `ReadOnly`, `Io`.
    pub fn rename_array(&self, source: &str, target: &str) -> NpkResult<()> {
        self.rename_many(&[(source, target)], false)
    }

    /// Saves arrays given as bytes, removes others, and gives arrays other names, in place of those that have
    /// them: all in one commit.
    ///
    /// # Errors
    /// As for [`Store::save_raw`], [`Store::drop_many`] and [`Store::rename_many`].
    pub fn exchange(
        &self,
        saved: &[RawArray<'_>],
        dropped: &[&str],
        renamed: &[(&str, &str)],
    ) -> NpkResult<()> {
        let names = saved.iter().map(|array| array.name).chain(dropped.iter().copied());
        check_names_differ(names.chain(renamed.iter().flat_map(|(source, target)| [*source, *target])))?;
        self.write(|core, writing| {
            let mut after = core.removes(dropped)?;
            after.append(&mut core.renames(renamed, true)?);
            core.save(writing, saved, after)
        })
    }

    /// Gives arrays other names, in one commit, and the names of their columns with them; with `overwrite` in place of the arrays that have them.
    ///
    /// # Errors
    /// `ArrayNotFound`, `InvalidName`; `ArrayExists` without `overwrite`; `InvalidArgument` for a name that
    /// stands twice, also as source and as target; `Locked`, `ReadOnly`, `Io`.
    pub fn rename_many(&self, names: &[(&str, &str)], overwrite: bool) -> NpkResult<()> {
        self.write(|core, writing| core.rename(writing, names, overwrite))
    }
}

impl StoreState {
    fn rename(&self, writing: &WriteGuard<'_>, names: &[(&str, &str)], overwrite: bool) -> NpkResult<()> {
        check_names_differ(names.iter().flat_map(|(source, target)| [*source, *target]))?;
        let mut ops = self.renames(names, overwrite)?;
        ops.append(&mut self.column_renames(names));
        if ops.is_empty() {
            return Ok(());
        }
        self.commit(writing, &ops, &[])?;
        self.after_commit(writing);
        Ok(())
    }

    /// The operations by which the names of columns follow arrays; those of arrays that were there before go.
    fn column_renames(&self, names: &[(&str, &str)]) -> Vec<Op> {
        let (mut ops, mut renames) = (Vec::new(), Vec::new());
        for (source, target) in names {
            let target = columns_of(target);
            let old = self.known_array(&target).ok();
            ops.extend(old.map(|old| Op::Remove { id: old.id }));
            let own = self.known_array(&columns_of(source)).ok();
            renames.extend(own.map(|own| Op::Rename { id: own.id, name: target }));
        }
        ops.append(&mut renames);
        ops
    }

    /// The operations that rename these arrays, and remove those that have the names.
    fn renames(&self, names: &[(&str, &str)], overwrite: bool) -> NpkResult<Vec<Op>> {
        let (mut ops, mut renames) = (Vec::new(), Vec::new());
        for (source, target) in names {
            check_name(target)?;
            let id = self.known_array(source)?.id;
            renames.push(Op::Rename { id, name: (*target).to_owned() });
            if let Ok(there) = self.known_array(target) {
                if !overwrite {
                    return Err(NpkError::ArrayExists((*target).to_owned()));
                }
                ops.push(Op::Remove { id: there.id });
            }
        }
        ops.append(&mut renames);
        Ok(ops)
    }
}
