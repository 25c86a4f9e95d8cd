//! A lazy view of an array: metadata now, rows when they are asked for, from the file's mapping.
//!
//! A view keeps the generation of the array that it was made from: its shape and its deleted rows never
//! change, and the mapping lives as long as the view, also when the array is dropped. Rows replaced in place
//! are seen by the copying calls only whole; memory behind [`ArrayView::as_ptr`] is live.

use std::ops::Range;
use std::sync::Arc;

use ndarray::ArrayD;

use crate::core::dtype::DataType;
use crate::core::element::NpkElement;
use crate::core::error::{NpkError, NpkResult};
use crate::rows::{Plan, live_runs, physical_rows};
use crate::storage::Mapping;
use crate::store::Source;
use crate::store::internal::{self, Core, Elements, Target};

/// A lazy, memory-mapped view of one array as of one commit.
#[derive(Clone, Debug)]
pub struct ArrayView {
    core: Arc<Core>,
    source: Source,
    mapping: Arc<Mapping>,
    shape: Vec<u64>,
}

impl ArrayView {
    pub(crate) fn new(core: Arc<Core>, name: &str) -> NpkResult<ArrayView> {
        let source = core.view_source(name)?;
        let mapping = source.file.mapping(source.array.bytes())?;
        let shape = source.array.logical_shape();
        Ok(ArrayView { core, source, mapping, shape })
    }

    /// Logical shape: deleted rows do not count.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Element type.
    pub fn dtype(&self) -> DataType {
        self.source.array.dtype
    }

    /// Logical rows; 1 for a scalar.
    pub fn len(&self) -> u64 {
        self.source.array.rows()
    }

    /// Whether the view has no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The logical rows `range`, copied.
    ///
    /// # Errors
    /// `IndexOutOfBounds` when the range ends behind the rows; `InvalidDtype`; `Corrupted`, `Io`.
    pub fn rows<T: NpkElement>(&self, range: Range<u64>) -> NpkResult<ArrayD<T>> {
        internal::require_rows(&self.source.array)?;
        let rows = self.len();
        if range.end > rows || range.start > range.end {
            let index = i64::try_from(range.end.max(range.start)).unwrap_or(i64::MAX);
            return Err(NpkError::IndexOutOfBounds { index, rows });
        }
        self.copy(Plan::Runs(&live_runs(&self.source.array, range.start, range.end)))
    }

    /// Rows by index, copied: negative ones count from the end; any order, any number of times.
    ///
    /// # Errors
    /// `IndexOutOfBounds`, `InvalidDtype`, `InvalidShape` for a scalar; `Corrupted`, `Io`.
    pub fn gather<T: NpkElement>(&self, indexes: &[i64]) -> NpkResult<ArrayD<T>> {
        internal::require_rows(&self.source.array)?;
        self.copy(Plan::Rows(&physical_rows(&self.source.array, indexes)?))
    }

    /// All rows, copied.
    ///
    /// # Errors
    /// `InvalidDtype`, `OutOfMemory`, `Corrupted`, `Io`.
    pub fn to_array<T: NpkElement>(&self) -> NpkResult<ArrayD<T>> {
        self.copy(Plan::Runs(&live_runs(&self.source.array, 0, self.len())))
    }

    /// Start of the array's bytes when its rows lie one behind the other, that is, when none is deleted.
    ///
    /// The memory is readable as long as the view lives and for as many bytes as the shape says. Another
    /// handle may replace rows in it at any time: reading through the pointer is for callers that can live
    /// with rows changing while they look.
    pub fn as_ptr(&self) -> Option<*const u8> {
        self.source.array.deleted.is_empty().then(|| self.mapping.as_ptr())
    }

    fn copy<T: NpkElement>(&self, plan: Plan<'_>) -> NpkResult<ArrayD<T>> {
        internal::check_dtype_of::<T>(&self.source.array)?;
        let mut shape = self.source.array.shape.clone();
        if let Some(rows) = shape.first_mut() {
            *rows = plan.rows();
        }
        let mut target =
            Elements::<T>::with_len(plan.rows().saturating_mul(self.source.array.row_elements()))?;
        // A forked child must not touch locks that its parent's threads may have held.
        let own = self.core.in_this_process()?;
        let core = own.as_ref().unwrap_or(&self.core);
        core.read_view(&self.source, plan, target.bytes())?;
        internal::into_array(core, &self.source.array, &shape, target)
    }
}
