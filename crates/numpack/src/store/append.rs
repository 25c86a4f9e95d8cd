//! Append: rows behind the committed end, where no reader looks, then one record.

use super::core::{Core, Writing};
use super::raw::RawArray;
use super::save::{check_names_differ, check_rows};
use crate::core::checksum::crc32c;
use crate::core::error::NpkResult;
use crate::log::op::Op;
use crate::options::Durability;

impl Core {
    /// Appends rows to existing arrays in one commit.
    ///
    /// # Errors
    /// `ArrayNotFound`, `InvalidDtype`, `InvalidShape`, and those of a commit.
    pub(crate) fn append(&self, writing: &Writing<'_>, rows: &[RawArray<'_>]) -> NpkResult<()> {
        check_names_differ(rows)?;
        let arrays = rows.iter().map(|rows| self.known_array(rows.name)).collect::<NpkResult<Vec<_>>>()?;
        arrays.iter().zip(rows).try_for_each(|(array, rows)| check_rows(array, rows))?;
        let mut ops = Vec::with_capacity(rows.len());
        for (array, rows) in arrays.iter().zip(rows).filter(|(_, rows)| rows.shape[0] > 0) {
            let file = self.own_data_file(array)?;
            file.file().write_at(&[rows.bytes], array.bytes()).map_err(|e| file.io(e))?;
            if writing.durability == Durability::Power {
                file.file().sync().map_err(|e| self.poison(e))?;
            }
            let checksum = array.checksum.map(|sum| crc32c(sum, rows.bytes));
            ops.push(Op::Append { id: array.id, rows: rows.shape[0], checksum });
        }
        if ops.is_empty() {
            return Ok(());
        }
        self.commit(writing, &ops, &[])?;
        self.after_commit(writing);
        Ok(())
    }
}
