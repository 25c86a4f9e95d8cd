//! Batches of rows, one after the other, in the memory of one batch.

use std::marker::PhantomData;

use ndarray::ArrayD;

use crate::catalog::ArrayState;
use crate::core::element::NpkElement;
use crate::core::error::{NpkError, NpkResult};
use crate::store::ParallelIO;

/// Iterator over batches of an array's rows; see [`ParallelIO::stream_load`].
///
/// Each batch is of one commit. The position is a logical row number, so rows appended while the stream runs
/// are seen, and deleting rows before the position moves it over as many others. After an error it ends.
#[derive(Debug)]
pub struct StreamIterator<T> {
    store: ParallelIO,
    name: String,
    id: u64,
    next: u64,
    rows: u64,
    done: bool,
    element: PhantomData<fn() -> T>,
}

impl<T: NpkElement> StreamIterator<T> {
    pub(crate) fn new(store: ParallelIO, array: &ArrayState, rows: usize) -> NpkResult<Self> {
        if rows == 0 {
            return Err(NpkError::InvalidArgument {
                argument: "rows",
                value: "0".into(),
                reason: "a batch has at least one row",
            });
        }
        crate::store::internal::require_rows(array)?;
        let name = array.name.to_string();
        Ok(StreamIterator {
            store,
            name,
            id: array.id,
            next: 0,
            rows: rows as u64,
            done: false,
            element: PhantomData,
        })
    }
}

impl<T: NpkElement> Iterator for StreamIterator<T> {
    type Item = NpkResult<ArrayD<T>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let batch = self.store.batch(&self.name, self.id, self.next, self.rows);
        match &batch {
            Ok(rows) if rows.shape()[0] == 0 => {
                self.done = true;
                return None;
            }
            Ok(rows) => self.next += rows.shape()[0] as u64,
            Err(_) => self.done = true,
        }
        Some(batch)
    }
}
