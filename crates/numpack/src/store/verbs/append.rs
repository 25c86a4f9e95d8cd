//! Append: rows behind the committed end, where no reader looks, then one record.

use crate::checksum::combine;
use crate::log::catalog::ArrayState;
use crate::log::op::Op;
use crate::store::buffers::RawArray;
use crate::store::commit::transaction::Transaction;
use crate::store::verbs::save::{check_names_differ, check_rows};
use crate::types::error::{NpkError, NpkResult};
use crate::types::shape::checked_bytes;

impl Transaction<'_, '_> {
    /// Appends rows to existing arrays.
    ///
    /// # Errors
    /// `ArrayNotFound`, `InvalidDtype`, `InvalidShape`, `Corrupted`, `Io`, `Poisoned`.
    pub(crate) fn append(&mut self, rows: &[RawArray<'_>]) -> NpkResult<()> {
        check_names_differ(rows.iter().map(|rows| rows.name))?;
        let arrays = rows.iter().map(|rows| self.array(rows.name)).collect::<NpkResult<Vec<_>>>()?;
        arrays.iter().zip(rows).try_for_each(|(array, rows)| check_rows(array, rows))?;
        arrays.iter().zip(rows).try_for_each(|(array, rows)| check_total(array, rows))?;
        for (array, rows) in arrays.iter().zip(rows).filter(|(_, rows)| rows.shape[0] > 0) {
            let file = self.store.own_data_file(array)?;
            let added = file.append(rows.bytes, array.bytes())?;
            self.written(file.file())?;
            let checksum = array.checksum.map(|sum| combine(sum, added, rows.bytes.len() as u64));
            self.push(Op::Append { id: array.id, rows: rows.shape[0], checksum });
        }
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
