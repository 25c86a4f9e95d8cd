//! Batches of rows, one after the other, in the memory of one batch.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::Arc;

use ndarray::ArrayD;

use crate::log::catalog::ArrayState;
use crate::rows::Selection;
use crate::store::Store;
use crate::store::buffers::Elements;
use crate::store::fill::Filled;
use crate::store::reading::read::{Target, require_rows};
use crate::store::typed::{check_dtype_of, into_array};
use crate::types::dtype::DataType;
use crate::types::element::NpkElement;
use crate::types::error::{NpkError, NpkResult};

impl Store {
    /// An iterator over batches of `rows` rows, in constant memory. Each batch is of one commit; rows that
    /// are appended while it runs are seen.
    ///
    /// # Errors
    /// `InvalidArgument` when `rows` is 0, and those of [`Store::load_array`].
    pub fn stream_load<T: NpkElement>(&self, name: &str, rows: usize) -> NpkResult<StreamIterator<T>> {
        let array = self.core()?.array(name)?;
        check_dtype_of::<T>(&array)?;
        Ok(StreamIterator::new(RowStream::new(self.clone(), &array, rows)?))
    }

    /// As [`Store::stream_load`], for arrays of any dtype in memory of the caller.
    ///
    /// # Errors
    /// `InvalidArgument` when `rows` is 0, and those of [`Store::load_array`].
    pub fn stream_rows(&self, name: &str, rows: usize) -> NpkResult<RowStream> {
        RowStream::new(self.clone(), &*self.core()?.array(name)?, rows)
    }
}

/// Batches of an array's rows in memory of the caller; see [`Store::stream_rows`].
///
/// Each batch is of one commit. Rows appended while the stream runs are seen, and rows deleted before its
/// position move nothing out of sight. When the array is rewritten meanwhile (saved, compacted) the stream goes
/// on at the row of the same number. After an error it ends.
#[derive(Debug)]
pub struct RowStream {
    store: Store,
    name: String,
    id: u64,
    next: Position,
    rows: u64,
    done: bool,
}

/// Where a stream goes on: behind `logical` rows, which are those before a physical row of a generation.
#[derive(Clone, Copy, Debug, Default)]
struct Position {
    logical: u64,
    generation: u64,
    physical: u64,
}

impl Position {
    /// The logical row by now.
    fn in_array(&self, array: &ArrayState) -> u64 {
        if array.generation == self.generation && array.physical_rows() >= self.physical {
            array.deleted.live_before(self.physical)
        } else {
            self.logical
        }
    }

    /// Behind `logical` rows of an array, of which there is at least one.
    fn behind(array: &ArrayState, logical: u64) -> Position {
        let physical = array.deleted.select_live(logical - 1) + 1;
        Position { logical, generation: array.generation, physical }
    }
}

impl RowStream {
    pub(crate) fn new(store: Store, array: &ArrayState, rows: usize) -> NpkResult<Self> {
        if rows == 0 {
            return Err(NpkError::InvalidArgument {
                argument: "rows",
                value: "0".into(),
                reason: "a batch has at least one row",
            });
        }
        require_rows(array)?;
        let name = array.name.to_string();
        Ok(RowStream { store, name, id: array.id, next: Position::default(), rows: rows as u64, done: false })
    }

    /// The next batch, in memory that `allocate` returns for its dtype and shape; `None` behind the last row.
    ///
    /// # Errors
    /// `ArrayNotFound` when the array is gone or another one has its name; those of
    /// [`Store::load_into`].
    pub fn next_into<B: AsMut<[MaybeUninit<u8>]>>(
        &mut self,
        mut allocate: impl FnMut(DataType, &[u64]) -> NpkResult<B>,
    ) -> Option<NpkResult<B>> {
        let batch = self.next_batch(|array, shape| Filled::new(&mut allocate, array.dtype, shape))?;
        Some(batch.map(|batch| batch.target.0))
    }

    fn next_batch<T: Target>(
        &mut self,
        allocate: impl FnMut(&ArrayState, &[u64]) -> NpkResult<T>,
    ) -> Option<NpkResult<Batch<T>>> {
        if self.done {
            return None;
        }
        let batch = self.read(allocate);
        match &batch {
            Ok(None) | Err(_) => self.done = true,
            Ok(Some(batch)) => self.next = Position::behind(&batch.array, batch.end),
        }
        batch.transpose()
    }

    fn read<T: Target>(
        &self,
        mut allocate: impl FnMut(&ArrayState, &[u64]) -> NpkResult<T>,
    ) -> NpkResult<Option<Batch<T>>> {
        let choose = |array: &ArrayState| {
            if array.id != self.id {
                return Err(NpkError::ArrayNotFound(self.name.clone()));
            }
            let start = self.next.in_array(array);
            let end = start.saturating_add(self.rows).min(array.rows());
            Ok(Selection::from(start as i64..end as i64))
        };
        let found = self.store.core()?.read(&self.name, choose, |array, rows| {
            (rows > 0).then(|| allocate(array, &array.shape_of(rows))).transpose()
        })?;
        let (shape, end) = (found.shape(), self.next.in_array(&found.array) + found.rows);
        Ok(found.target.map(|target| Batch { array: found.array, shape, end, target }))
    }
}

/// Rows of one commit.
struct Batch<T> {
    array: Arc<ArrayState>,
    shape: Vec<u64>,
    /// The logical row behind the last one.
    end: u64,
    target: T,
}

impl<T: Target> Target for Option<T> {
    fn bytes(&mut self) -> &mut [MaybeUninit<u8>] {
        self.as_mut().map_or(&mut [], Target::bytes)
    }
}

/// Iterator over batches of an array's rows; see [`Store::stream_load`] and [`RowStream`].
#[derive(Debug)]
pub struct StreamIterator<T> {
    rows: RowStream,
    element: PhantomData<fn() -> T>,
}

impl<T: NpkElement> StreamIterator<T> {
    pub(crate) fn new(rows: RowStream) -> Self {
        StreamIterator { rows, element: PhantomData }
    }
}

impl<T: NpkElement> Iterator for StreamIterator<T> {
    type Item = NpkResult<ArrayD<T>>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.rows.next_batch(|array, shape| {
            check_dtype_of::<T>(array)?;
            Elements::<T>::with_len(shape.iter().product())
        })?;
        Some(batch.and_then(|batch| self.rows.typed(batch)))
    }
}

impl RowStream {
    fn typed<T: NpkElement>(&mut self, batch: Batch<Elements<T>>) -> NpkResult<ArrayD<T>> {
        let array = into_array(&*self.store.core()?, &batch.array, &batch.shape, batch.target);
        self.done |= array.is_err();
        array
    }
}
