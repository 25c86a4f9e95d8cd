//! A lazy view of an array: metadata now, rows when they are asked for, from the file's mapping.
//!
//! A view keeps the generation of the array that it was made from: its shape and its deleted rows never
//! change, and the mapping lives as long as the view, also when the array is dropped. Rows replaced in place
//! are seen by the copying calls only whole; memory behind [`ArrayView::as_ptr`] is live.

use std::mem::MaybeUninit;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ndarray::ArrayD;

use crate::disk::Mapping;
use crate::rows::Selection;
use crate::rows::plan::Plan;
use crate::store::buffers::Elements;
use crate::store::commit::state::StoreState;
use crate::store::fill::Filled;
use crate::store::handle::Store;
use crate::store::reading::held::Held;
use crate::store::reading::read::{Target, require_rows};
use crate::store::recovery::open::own_core;
use crate::store::typed::{check_dtype_of, finish, into_array};
use crate::types::dtype::DataType;
use crate::types::element::NpkElement;
use crate::types::error::{NpkError, NpkResult};

impl Store {
    /// A lazy view of the array: nothing is read until it is asked for.
    ///
    /// # Errors
    /// `ArrayNotFound`, `Corrupted`, `Io`.
    pub fn get_array_view(&self, name: &str) -> NpkResult<ArrayView> {
        ArrayView::new(self.core()?, name)
    }

    /// Views of the arrays that `wanted` picks by their names, hidden ones among them: all as of one commit, the
    /// oldest array first.
    ///
    /// # Errors
    /// `Locked`, `Corrupted`, `Io`.
    pub fn get_array_views(&self, wanted: impl Fn(&str) -> bool) -> NpkResult<Vec<ArrayView>> {
        ArrayView::of_one_commit(self.core()?, self.lock_timeout(), wanted)
    }
}

/// A lazy, memory-mapped view of one array as of one commit.
#[derive(Debug)]
pub struct ArrayView {
    /// A forked child puts its own here.
    core: ArcSwap<StoreState>,
    source: Held,
    mapping: Arc<Mapping>,
    shape: Vec<u64>,
}

impl Clone for ArrayView {
    fn clone(&self) -> Self {
        ArrayView {
            core: ArcSwap::new(self.core.load_full()),
            source: self.source.clone(),
            mapping: Arc::clone(&self.mapping),
            shape: self.shape.clone(),
        }
    }
}

impl ArrayView {
    pub(crate) fn new(core: Arc<StoreState>, name: &str) -> NpkResult<ArrayView> {
        let source = core.view_source(name)?;
        Self::over(core, source)
    }

    pub(crate) fn of_one_commit(
        core: Arc<StoreState>,
        timeout: Option<Duration>,
        wanted: impl Fn(&str) -> bool,
    ) -> NpkResult<Vec<ArrayView>> {
        let sources = core.view_sources(timeout, wanted)?;
        sources.into_iter().map(|source| Self::over(Arc::clone(&core), source)).collect()
    }

    fn over(core: Arc<StoreState>, source: Held) -> NpkResult<ArrayView> {
        let mapping = source.mapped.file.mapping(source.array.bytes())?;
        let shape = source.array.logical_shape();
        Ok(ArrayView { core: ArcSwap::new(core), source, mapping, shape })
    }

    /// Name of the array when the view was made.
    pub fn name(&self) -> &str {
        &self.source.array.name
    }

    /// Folder of the store.
    pub fn store_path(&self) -> PathBuf {
        self.core.load().path()
    }

    fn core(&self) -> NpkResult<Arc<StoreState>> {
        own_core(&self.core)
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

    /// Rows that are deleted and still lie in the file; a compaction removes them.
    pub fn deleted_rows(&self) -> u64 {
        self.source.array.deleted.count()
    }

    /// Whether the view has no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A word for what the array holds now, for caches: it is another one after every commit that changes the array.
    ///
    /// It names the store, the array, its file, the time of its last change and the checksum of its bytes. `None`
    /// when nothing can be promised: the array was removed, renamed or saved again since the view was made, or it was
    /// written outside of commits.
    ///
    /// # Errors
    /// `Corrupted`, `Io`.
    pub fn version(&self) -> NpkResult<Option<String>> {
        let (core, then) = (self.core()?, &self.source.array);
        let now = match core.array(&then.name) {
            Err(NpkError::ArrayNotFound(_)) => return Ok(None),
            found => found?,
        };
        let (true, Some(checksum)) = ((now.id, now.generation) == (then.id, then.generation), now.checksum)
        else {
            return Ok(None);
        };
        let store = u128::from_le_bytes(core.log().tail.log.header.store_id);
        Ok(Some(format!(
            "{store:032x}.{}.{}.{}.{checksum:08x}.{:?}.{}",
            now.id,
            now.generation,
            now.modified_us,
            self.shape,
            then.deleted.count()
        )))
    }

    /// The logical rows `range`, copied.
    ///
    /// # Errors
    /// `IndexOutOfBounds` when the range ends behind the rows; `InvalidDtype`; `Corrupted`, `Io`.
    pub fn rows<T: NpkElement>(&self, range: Range<u64>) -> NpkResult<ArrayD<T>> {
        require_rows(&self.source.array)?;
        let rows = self.len();
        if range.end > rows || range.start > range.end {
            let index = i64::try_from(range.end.max(range.start)).unwrap_or(i64::MAX);
            return Err(NpkError::IndexOutOfBounds { index, rows });
        }
        self.copy(&Plan::of_range(range, &self.source.array))
    }

    /// Some rows, copied.
    ///
    /// # Errors
    /// `IndexOutOfBounds`, `MaskMismatch`, `InvalidArgument` for what selects no rows; `InvalidDtype`,
    /// `InvalidShape` for a scalar; `OutOfMemory`, `Corrupted`, `Io`.
    pub fn gather<'s, T: NpkElement>(&self, rows: impl Into<Selection<'s>>) -> NpkResult<ArrayD<T>> {
        self.copy(&self.plan(rows.into())?)
    }

    fn plan<'s>(&self, rows: Selection<'s>) -> NpkResult<Plan<'s>> {
        require_rows(&self.source.array)?;
        Plan::of(rows, &self.source.array)
    }

    /// All rows, copied.
    ///
    /// # Errors
    /// `InvalidDtype`, `OutOfMemory`, `Corrupted`, `Io`.
    pub fn to_array<T: NpkElement>(&self) -> NpkResult<ArrayD<T>> {
        self.copy(&Plan::of_range(0..self.len(), &self.source.array))
    }

    /// Start of the array's bytes when its rows lie one behind the other, that is, when none is deleted.
    ///
    /// The memory is readable as long as the view lives and for as many bytes as the shape says. Another
    /// handle may replace rows in it at any time: reading through the pointer is for callers that can live
    /// with rows changing while they look.
    pub fn as_ptr(&self) -> Option<*const u8> {
        self.source.array.deleted.is_empty().then(|| self.mapping.as_ptr())
    }

    /// Calls `read`, which copies from the memory behind [`ArrayView::as_ptr`], until no replace came in
    /// between; `None` after a few tries. The copying calls of the view are then the way to go.
    pub fn consistent<R>(&self, read: impl FnMut() -> R) -> Option<R> {
        self.core().ok()?.undisturbed(self.source.array.id, read)
    }

    /// Some rows in memory that `allocate` returns for their dtype and shape; see [`ArrayView::gather`].
    ///
    /// # Errors
    /// As for [`ArrayView::gather`]; `InvalidArgument` when the memory has another size.
    pub fn gather_into<'s, B: AsMut<[MaybeUninit<u8>]>>(
        &self,
        rows: impl Into<Selection<'s>>,
        allocate: impl FnMut(DataType, &[u64]) -> NpkResult<B>,
    ) -> NpkResult<B> {
        self.fill(&self.plan(rows.into())?, allocate)
    }

    /// The logical rows `range`, as far as they exist, in memory that `allocate` returns for their dtype and
    /// shape. A scalar is one row.
    ///
    /// # Errors
    /// `InvalidArgument` when the memory has another size; `Corrupted`, `Io`, and those of `allocate`.
    pub fn rows_into<B: AsMut<[MaybeUninit<u8>]>>(
        &self,
        range: Range<u64>,
        allocate: impl FnMut(DataType, &[u64]) -> NpkResult<B>,
    ) -> NpkResult<B> {
        self.fill(&self.part(range), allocate)
    }

    /// The logical rows `range`, as far as they exist, as little-endian bytes in C order. A scalar is one row.
    ///
    /// # Errors
    /// `OutOfMemory`, `Corrupted`, `Io`.
    pub fn row_bytes(&self, range: Range<u64>) -> NpkResult<Vec<u8>> {
        let plan = self.part(range);
        let target = Elements::with_len(plan.count().saturating_mul(self.source.array.row_bytes()))?;
        self.bytes_of(&plan, target)
    }

    /// As [`ArrayView::row_bytes`], in the memory of a vector that is no longer needed.
    ///
    /// # Errors
    /// As for [`ArrayView::row_bytes`].
    pub(crate) fn row_bytes_in(&self, range: Range<u64>, room: Vec<u8>) -> NpkResult<Vec<u8>> {
        let plan = self.part(range);
        let len = plan.count().saturating_mul(self.source.array.row_bytes());
        self.bytes_of(&plan, Elements::reusing(room, len)?)
    }

    fn bytes_of(&self, plan: &Plan<'_>, mut target: Elements<u8>) -> NpkResult<Vec<u8>> {
        let core = self.core()?;
        core.read_view(&self.source, plan, target.bytes())?;
        finish(&core, &self.source.array, target)
    }

    fn part(&self, rows: Range<u64>) -> Plan<'static> {
        Plan::of_range(rows.start..rows.end.min(self.len()), &self.source.array)
    }

    /// A private, writable copy of the array's memory, copied page by page when it is written; `None` when
    /// rows are deleted, are being replaced, there is no byte, or the file has lost its name. Pages not written yet show rows that others replace.
    ///
    /// # Errors
    /// `Corrupted`, `Io`.
    pub fn private_copy(&self) -> NpkResult<Option<PrivateCopy>> {
        let array = &self.source.array;
        // Under a replace the file alone does not hold one commit.
        if !array.deleted.is_empty() || array.bytes() == 0 || self.consistent(|| ()).is_none() {
            return Ok(None);
        }
        let Some(file) = self.source.open(&*self.core()?) else { return Ok(None) };
        Ok(Some(PrivateCopy { mapping: file.private_mapping(array.bytes())? }))
    }

    fn fill<B: AsMut<[MaybeUninit<u8>]>>(
        &self,
        plan: &Plan<'_>,
        mut allocate: impl FnMut(DataType, &[u64]) -> NpkResult<B>,
    ) -> NpkResult<B> {
        let shape = self.source.array.shape_of(plan.count());
        let mut target = Filled::new(&mut allocate, self.dtype(), &shape)?;
        self.core()?.read_view(&self.source, plan, target.bytes())?;
        Ok(target.0)
    }

    fn copy<T: NpkElement>(&self, plan: &Plan<'_>) -> NpkResult<ArrayD<T>> {
        check_dtype_of::<T>(&self.source.array)?;
        let shape = self.source.array.shape_of(plan.count());
        let elements = plan.count().saturating_mul(self.source.array.row_elements());
        let mut target = Elements::<T>::with_len(elements)?;
        let core = self.core()?;
        core.read_view(&self.source, plan, target.bytes())?;
        into_array(&core, &self.source.array, &shape, target)
    }
}

/// Copy-on-write memory of an array; see [`ArrayView::private_copy`].
#[derive(Debug)]
pub struct PrivateCopy {
    mapping: Mapping,
}

impl PrivateCopy {
    /// Start of the array's bytes, readable and writable as long as this lives.
    pub fn as_mut_ptr(&self) -> *mut u8 {
        self.mapping.as_ptr().cast_mut()
    }
}
