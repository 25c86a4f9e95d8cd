//! Rename: another name for the same file, one record, no data written.

use crate::log::op::Op;
use crate::store::commit::transaction::Transaction;
use crate::store::handle::Store;
use crate::store::metadata::columns_of;
use crate::store::verbs::save::{check_name, check_names_differ};
use crate::types::error::{NpkError, NpkResult};

impl Store {
    /// Gives an array another name. Its own name is one that it keeps.
    ///
    /// # Errors
    /// `ArrayNotFound`, `ArrayExists`, `InvalidName`, `Locked`, `ReadOnly`, `Io`.
    pub fn rename_array(&self, source: &str, target: &str) -> NpkResult<()> {
        self.rename_many(&[(source, target)], false)
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
        // What has the name already keeps it.
        for (name, _) in names.iter().filter(|(source, target)| source == target) {
            self.array(name)?;
        }
        let names: Vec<_> = names.iter().copied().filter(|(source, target)| source != target).collect();
        check_names_differ(names.iter().flat_map(|(source, target)| [*source, *target]))?;
        let mut renames = Vec::new();
        for (source, target) in &names {
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
        self.rename_columns(&names);
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
}
