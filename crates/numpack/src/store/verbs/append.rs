//! Append: rows behind the committed end, where no reader looks, then one record.

use crate::checksum::combine;
use crate::log::catalog::ArrayState;
use crate::log::op::Op;
use crate::options::Durability;
use crate::store::buffers::RawArray;
use crate::store::commit::state::{StoreState, WriteGuard};
use crate::store::verbs::save::{check_names_differ, check_rows};
use crate::types::error::{NpkError, NpkResult};
use crate::types::shape::checked_bytes;

impl StoreState {
    /// Appends rows to existing arrays in one commit.
    ///
    /// # Errors
    /// `ArrayNotFound`, `InvalidDtype`, `InvalidShape`, and those of a commit.
    pub(crate) fn append(&self, writing: &WriteGuard<'_>, rows: &[RawArray<'_>]) -> NpkResult<()> {
        check_names_differ(rows.iter().map(|rows| rows.name))?;
        let arrays = rows.iter().map(|rows| self.known_array(rows.name)).collect::<NpkResult<Vec<_>>>()?;
        arrays.iter().zip(rows).try_for_each(|(array, rows)| check_rows(array, rows))?;
        arrays.iter().zip(rows).try_for_each(|(array, rows)| check_total(array, rows))?;
        let mut ops = Vec::with_capacity(rows.len());
        for (array, rows) in arrays.iter().zip(rows).filter(|(_, rows)| rows.shape[0] > 0) {
            let file = self.own_data_file(array)?;
            let added = file.append(rows.bytes, array.bytes())?;
            if writing.durability == Durability::Power {
                file.file().sync().map_err(|e| self.poison(e))?;
            }
            let checksum = array.checksum.map(|sum| combine(sum, added, rows.bytes.len() as u64));
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

/// An error when the array would grow beyond what rows can be counted or addressed.
pub(crate) fn check_total(array: &ArrayState, rows: &RawArray<'_>) -> NpkResult<()> {
    let mut total = array.shape.clone();
    total[0] = total[0].saturating_add(rows.shape[0]);
    match checked_bytes(array.dtype, &total) {
        Ok(_) => Ok(()),
        Err(reason) => Err(NpkError::InvalidShape {
            array: array.name.to_string(),
            reason,
            expected: format!("at most 2^48 rows after the {} there are", array.physical_rows()),
            found: rows.shape.to_vec(),
        }),
    }
}
