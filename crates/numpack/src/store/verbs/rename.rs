//! Rename: another name for the same file, one record, no data written.

use crate::log::op::Op;
use crate::store::buffers::RawArray;
use crate::store::commit::transaction::Transaction;
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
        self.write(|tx| {
            tx.save(saved)?;
            tx.remove_alone(dropped)?;
            tx.rename_alone(renamed, true)
        })
    }

    /// Gives arrays other names, in one commit, and the names of their columns with them; with `overwrite` in place of the arrays that have them.
    ///
    /// # Errors
    /// `ArrayNotFound`, `InvalidName`; `ArrayExists` without `overwrite`; `InvalidArgument` for a name that
    /// stands twice, also as source and as target; `Locked`, `ReadOnly`, `Io`.
    pub fn rename_many(&self, names: &[(&str, &str)], overwrite: bool) -> NpkResult<()> {
        self.write(|tx| tx.rename(names, overwrite))
    }
}

impl Transaction<'_, '_> {
    fn rename(&mut self, names: &[(&str, &str)], overwrite: bool) -> NpkResult<()> {
        check_names_differ(names.iter().flat_map(|(source, target)| [*source, *target]))?;
        self.rename_alone(names, overwrite)?;
        self.rename_columns(names);
        Ok(())
    }

    /// Lets the names of columns follow arrays; those of arrays that were there before go.
    fn rename_columns(&mut self, names: &[(&str, &str)]) {
        let mut renames = Vec::new();
        for (source, target) in names {
            let target = columns_of(target);
            if let Some(old) = self.find(&target) {
                self.push(Op::Remove { id: old.id });
            }
            let own = self.find(&columns_of(source));
            renames.extend(own.map(|own| Op::Rename { id: own.id, name: target }));
        }
        renames.into_iter().for_each(|op| self.push(op));
    }

    /// Renames arrays, removes those that have the names, and leaves the names of columns.
    fn rename_alone(&mut self, names: &[(&str, &str)], overwrite: bool) -> NpkResult<()> {
        let mut renames = Vec::new();
        for (source, target) in names {
            check_name(target)?;
            let id = self.array(source)?.id;
            renames.push(Op::Rename { id, name: (*target).to_owned() });
            if let Some(there) = self.find(target) {
                if !overwrite {
                    return Err(NpkError::ArrayExists((*target).to_owned()));
                }
                self.push(Op::Remove { id: there.id });
            }
        }
        renames.into_iter().for_each(|op| self.push(op));
        Ok(())
    }
}
