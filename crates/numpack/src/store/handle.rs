//! `Store`: the handle that programs hold. It converts types, takes the lock and calls the verb.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ndarray::ArrayD;

use crate::disk::Folder;
use crate::log::catalog::ArrayState;
use crate::log::op::Op;
use crate::options::{Durability, Mode, OpenOptions};
use crate::rows::Selection;
use crate::store::buffers::{Elements, RawArray, RawRows};
use crate::store::commit::guard::WriteGuard;
use crate::store::commit::state::StoreState;
use crate::store::commit::transaction::Transaction;
use crate::store::metadata::{ArrayMetadata, HIDDEN_PREFIX};
use crate::store::reading::read::rows_only;
use crate::store::recovery::open::{open_folder, open_path, own_core};
use crate::store::recovery::verify::{Report, verify};
use crate::store::typed::{check_dtype, check_dtype_of, elements, finish, shape_of, to_array};
use crate::store::verbs::save::check_names_differ;
use crate::types::dtype::DataType;
use crate::types::element::{NpkElement, bytes_of};
use crate::types::error::{NpkError, NpkResult};

/// An open store of named arrays.
///
/// Clones are cheap and share the store; any number of threads, handles and processes may use one store.
/// Every mutating call is one commit: all or nothing, whenever the process dies. A handle works on in a
/// forked child.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    options: OpenOptions,
    core: ArcSwap<StoreState>,
}

impl Store {
    /// Opens the store at `path`, making it when missing.
    ///
    /// # Errors
    /// Those of [`OpenOptions::open`].
    pub fn new(path: impl AsRef<Path>) -> NpkResult<Self> {
        Self::open(path.as_ref(), OpenOptions::new())
    }

    pub(crate) fn open(path: &Path, options: OpenOptions) -> NpkResult<Self> {
        let path = std::path::absolute(path).map_err(|e| NpkError::io(path, e))?;
        let core = open_path(&path, options)?;
        Self::with_core(core, path, options)
    }

    /// Opens the store in a folder of any kind, such as one that a test has made to fail.
    ///
    /// # Errors
    /// Those of [`OpenOptions::open`].
    pub fn open_folder(folder: Arc<dyn Folder>, options: OpenOptions) -> NpkResult<Self> {
        let path = folder.path().to_owned();
        let core = open_folder(folder, options)?;
        Self::with_core(core, path, options)
    }

    fn with_core(core: Arc<StoreState>, path: PathBuf, options: OpenOptions) -> NpkResult<Self> {
        let store = Store { shared: Arc::new(Shared { path, options, core: ArcSwap::new(core) }) };
        if options.mode == Mode::Truncate {
            store.reset()?;
        }
        Ok(store)
    }

    /// The core of this process; a forked child opens its own.
    pub(crate) fn core(&self) -> NpkResult<Arc<StoreState>> {
        own_core(&self.shared.core)
    }

    /// Commits what `verb` prepares.
    pub(crate) fn write<'b, R>(
        &self,
        verb: impl Fn(&mut Transaction<'_, 'b>) -> NpkResult<R>,
    ) -> NpkResult<R> {
        self.locked(|writing| {
            let mut transaction = Transaction::new(writing);
            let prepared = verb(&mut transaction)?;
            transaction.commit().map(|()| prepared)
        })
    }

    /// Calls `work` with the writers' lock held: twice when the disk was full and room could be made.
    pub(crate) fn locked<R>(&self, work: impl Fn(&WriteGuard<'_>) -> NpkResult<R>) -> NpkResult<R> {
        let core = self.core()?;
        let writing = core.begin(self.shared.options.durability, self.shared.options.lock_timeout)?;
        match work(&writing) {
            // A refused call has changed nothing, so it can be made again.
            Err(error) if error.is_disk_full() && core.make_room()? => work(&writing),
            other => other,
        }
    }

    /// What commits through this handle survive.
    pub(crate) fn durability(&self) -> Durability {
        self.shared.options.durability
    }

    /// How long calls wait for other writers; `None` without end.
    pub(crate) fn lock_timeout(&self) -> Option<Duration> {
        self.shared.options.lock_timeout
    }

    /// The store's folder.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Saves arrays in one commit; existing names get new contents. Large data is written by several threads.
    ///
    /// # Errors
    /// `InvalidDtype` when the dtype is not that of `T`; `InvalidName`; `InvalidArgument` for a name given
    /// twice; `Locked`, `ReadOnly`, `Io`.
    pub fn save_arrays<T: NpkElement>(&self, arrays: &[(String, ArrayD<T>, DataType)]) -> NpkResult<()> {
        let mut parts = Vec::with_capacity(arrays.len());
        for (name, array, dtype) in arrays {
            check_dtype::<T>(name, *dtype)?;
            parts.push((name, shape_of(array), array.as_standard_layout()));
        }
        let raw: Vec<RawArray<'_>> = parts
            .iter()
            .map(|(name, shape, array)| RawArray { name, dtype: T::DTYPE, shape, bytes: elements(array) })
            .collect();
        self.save_raw(&raw)
    }

    /// Saves one array from a slice in C order.
    ///
    /// # Errors
    /// `InvalidShape` when the slice does not fill the shape, and those of [`Store::save_arrays`].
    pub fn save_slice<T: NpkElement>(&self, name: &str, values: &[T], shape: &[u64]) -> NpkResult<()> {
        self.save_raw(&[RawArray { name, dtype: T::DTYPE, shape, bytes: bytes_of(values) }])
    }

    /// Saves arrays given as bytes, in one commit.
    ///
    /// # Errors
    /// As for [`Store::save_slice`].
    pub fn save_raw(&self, arrays: &[RawArray<'_>]) -> NpkResult<()> {
        self.write(|tx| tx.save(arrays))
    }

    /// Saves arrays given as bytes and removes others, in one commit.
    ///
    /// # Errors
    /// As for [`Store::save_raw`] and [`Store::drop_many`].
    pub fn exchange(&self, saved: &[RawArray<'_>], dropped: &[&str]) -> NpkResult<()> {
        check_names_differ(saved.iter().map(|array| array.name).chain(dropped.iter().copied()))?;
        self.write(|tx| {
            tx.save(saved)?;
            tx.remove_alone(dropped)
        })
    }

    /// The whole array, in memory of its own.
    ///
    /// # Errors
    /// `ArrayNotFound`; `InvalidDtype` when `T` is not the stored type; `OutOfMemory`, `Corrupted`, `Io`.
    pub fn load_array<T: NpkElement>(&self, name: &str) -> NpkResult<ArrayD<T>> {
        let (shape, values) = self.load_vec(name)?;
        to_array(name, &shape, values)
    }

    /// The whole array as its shape and its elements in C order.
    ///
    /// # Errors
    /// As for [`Store::load_array`].
    pub fn load_vec<T: NpkElement>(&self, name: &str) -> NpkResult<(Vec<u64>, Vec<T>)> {
        self.read(name, |_| Ok(Selection::All))
    }

    /// Some rows: by number, of a slice, or where a mask is set; see [`Selection`].
    ///
    /// # Errors
    /// `IndexOutOfBounds`, `MaskMismatch`, `InvalidArgument` for what selects no rows; `InvalidShape` for a scalar;
    /// those of [`Store::load_array`].
    pub fn getitem<'s, T: NpkElement>(
        &self,
        name: &str,
        rows: impl Into<Selection<'s>>,
    ) -> NpkResult<ArrayD<T>> {
        let (shape, values) = self.read(name, rows_only(rows.into()))?;
        to_array(name, &shape, values)
    }

    /// Some rows, as little-endian bytes in C order.
    ///
    /// # Errors
    /// As for [`Store::getitem`], without regard to types.
    pub fn read_rows<'s>(&self, name: &str, rows: impl Into<Selection<'s>>) -> NpkResult<Vec<u8>> {
        let core = self.core()?;
        let found = core.read(name, rows_only(rows.into()), |array, rows| {
            Elements::<u8>::with_len(rows.saturating_mul(array.row_bytes()))
        })?;
        finish(&core, &found.array, found.target)
    }

    /// Shape and elements of the rows that `choose` picks.
    fn read<'s, T: NpkElement>(
        &self,
        name: &str,
        choose: impl Fn(&ArrayState) -> NpkResult<Selection<'s>>,
    ) -> NpkResult<(Vec<u64>, Vec<T>)> {
        let core = self.core()?;
        let found = core.read(name, choose, |array, rows| {
            check_dtype_of::<T>(array)?;
            Elements::<T>::with_len(rows.saturating_mul(array.row_elements()))
        })?;
        Ok((found.shape(), finish(&core, &found.array, found.target)?))
    }

    /// Appends rows to an array. Costs the new rows alone, however long the array is.
    ///
    /// # Errors
    /// `ArrayNotFound`; `InvalidDtype`, `InvalidShape` when the rows do not fit; `Locked`, `ReadOnly`, `Io`.
    pub fn append_rows<T: NpkElement>(&self, name: &str, rows: &ArrayD<T>) -> NpkResult<()> {
        self.append_many(&[(name, rows)])
    }

    /// Appends rows to several arrays in one commit.
    ///
    /// # Errors
    /// As for [`Store::append_rows`]; `InvalidArgument` for a name given twice.
    pub fn append_many<T: NpkElement>(&self, rows: &[(&str, &ArrayD<T>)]) -> NpkResult<()> {
        let parts: Vec<_> =
            rows.iter().map(|(name, array)| (*name, shape_of(array), array.as_standard_layout())).collect();
        let raw: Vec<_> = parts
            .iter()
            .map(|(name, shape, array)| RawArray { name, dtype: T::DTYPE, shape, bytes: elements(array) })
            .collect();
        self.append_raw(&raw)
    }

    /// Appends whole rows given as a slice in C order; their number follows from the array's row shape.
    ///
    /// # Errors
    /// As for [`Store::append_rows`].
    pub fn append_slice<T: NpkElement>(&self, name: &str, values: &[T]) -> NpkResult<()> {
        let shape = self.shape_for(name, values.len())?;
        self.append_raw(&[RawArray { name, dtype: T::DTYPE, shape: &shape, bytes: bytes_of(values) }])
    }

    /// Appends rows given as bytes to several arrays, in one commit.
    ///
    /// # Errors
    /// As for [`Store::append_many`].
    pub fn append_raw(&self, rows: &[RawArray<'_>]) -> NpkResult<()> {
        self.write(|tx| tx.append(rows))
    }

    /// Replaces rows in place, one row for each that the selection names; of a row named twice the last one wins.
    ///
    /// # Errors
    /// `IndexOutOfBounds`, `MaskMismatch`, `InvalidArgument` for what selects no rows; those of
    /// [`Store::append_rows`].
    pub fn replace_rows<'s, T: NpkElement>(
        &self,
        name: &str,
        rows: &ArrayD<T>,
        selection: impl Into<Selection<'s>>,
    ) -> NpkResult<()> {
        self.replace_many(&[(name, rows, selection.into())])
    }

    /// Replaces rows of several arrays in one commit.
    ///
    /// # Errors
    /// As for [`Store::replace_rows`]; `InvalidArgument` for a name given twice.
    pub fn replace_many<T: NpkElement>(
        &self,
        replaces: &[(&str, &ArrayD<T>, Selection<'_>)],
    ) -> NpkResult<()> {
        let parts: Vec<_> = replaces
            .iter()
            .map(|&(name, array, selection)| (name, shape_of(array), array.as_standard_layout(), selection))
            .collect();
        let raw: Vec<_> = parts
            .iter()
            .map(|(name, shape, array, selection)| RawRows {
                rows: RawArray { name, dtype: T::DTYPE, shape, bytes: elements(array) },
                selection: *selection,
            })
            .collect();
        self.replace_raw(&raw)
    }

    /// Replaces rows by rows given as a slice in C order.
    ///
    /// # Errors
    /// As for [`Store::replace_rows`].
    pub fn replace_slice<'s, T: NpkElement>(
        &self,
        name: &str,
        values: &[T],
        selection: impl Into<Selection<'s>>,
    ) -> NpkResult<()> {
        let shape = self.shape_for(name, values.len())?;
        let rows = RawArray { name, dtype: T::DTYPE, shape: &shape, bytes: bytes_of(values) };
        self.replace_raw(&[RawRows { rows, selection: selection.into() }])
    }

    /// Replaces rows given as bytes in several arrays, in one commit.
    ///
    /// # Errors
    /// As for [`Store::replace_many`].
    pub fn replace_raw(&self, replaces: &[RawRows<'_>]) -> NpkResult<()> {
        self.write(|tx| tx.replace(replaces))
    }

    /// Deletes rows logically (`Some`), or the whole array (`None`).
    ///
    /// # Errors
    /// `ArrayNotFound`, `IndexOutOfBounds`, `InvalidShape` for rows of a scalar; `Locked`, `ReadOnly`, `Io`.
    pub fn drop_arrays(&self, name: &str, indexes: Option<&[i64]>) -> NpkResult<()> {
        match indexes {
            Some(indexes) => self.drop_rows(name, indexes),
            None => self.drop_many(&[name]),
        }
    }

    /// Removes several arrays in one commit.
    ///
    /// # Errors
    /// As for [`Store::drop_arrays`].
    pub fn drop_many(&self, names: &[&str]) -> NpkResult<()> {
        self.write(|tx| tx.remove_arrays(names))
    }

    /// Deletes rows logically: those behind them move up.
    ///
    /// # Errors
    /// `ArrayNotFound`; `IndexOutOfBounds`, `MaskMismatch`, `InvalidArgument` for what selects no rows;
    /// `InvalidShape` for a scalar; `Locked`, `ReadOnly`, `Io`.
    pub fn drop_rows<'s>(&self, name: &str, rows: impl Into<Selection<'s>>) -> NpkResult<()> {
        self.drop_rows_many(&[(name, rows.into())])
    }

    /// Deletes rows of several arrays logically, in one commit.
    ///
    /// # Errors
    /// As for [`Store::drop_rows`]; `InvalidArgument` for a name given twice.
    pub fn drop_rows_many(&self, drops: &[(&str, Selection<'_>)]) -> NpkResult<()> {
        self.write(|tx| tx.drop_rows(drops))
    }

    /// Rewrites an array without its deleted rows, in constant memory.
    ///
    /// # Errors
    /// `ArrayNotFound`, `Locked`, `ReadOnly`, `Io`.
    pub fn compact_array(&self, name: &str) -> NpkResult<()> {
        self.write(|tx| tx.compact(name))
    }

    /// Copies the live rows of an array to a new array.
    ///
    /// # Errors
    /// `ArrayNotFound`, `ArrayExists`, `InvalidName`, `Locked`, `ReadOnly`, `Io`.
    pub fn clone_array(&self, source: &str, target: &str) -> NpkResult<()> {
        self.write(|tx| tx.clone_array(source, target))
    }

    /// Whether an array has this name; false also when the store cannot be read.
    pub fn has_array(&self, name: &str) -> bool {
        self.core().and_then(|core| core.array(name)).is_ok()
    }

    /// The names of the arrays, the oldest first, without hidden ones ([`HIDDEN_PREFIX`](crate::HIDDEN_PREFIX));
    /// what is known when the store cannot be read any more.
    pub fn list_arrays(&self) -> Vec<String> {
        let mut names = self.list_all_arrays();
        names.retain(|name| !name.starts_with(HIDDEN_PREFIX));
        names
    }

    /// The names of all arrays, hidden ones among them, the oldest first.
    pub fn list_all_arrays(&self) -> Vec<String> {
        let Ok(core) = self.core() else { return Vec::new() };
        // Reading new commits failed: every call that returns a result says so.
        core.refresh().unwrap_or_default();
        core.with_catalog(|catalog| catalog.arrays().iter().map(|array| array.name.to_string()).collect())
    }

    /// Description of an array.
    ///
    /// # Errors
    /// `ArrayNotFound`, `Corrupted`, `Io`.
    pub fn get_array_metadata(&self, name: &str) -> NpkResult<ArrayMetadata> {
        Ok(ArrayMetadata::of(&*self.core()?.array(name)?))
    }

    /// Descriptions of all arrays as of one commit, hidden ones among them, the oldest first.
    ///
    /// # Errors
    /// `Corrupted`, `Io`.
    pub fn metadata(&self) -> NpkResult<Vec<ArrayMetadata>> {
        let core = self.core()?;
        core.refresh()?;
        Ok(core.with_catalog(|catalog| catalog.arrays().into_iter().map(|a| ArrayMetadata::of(a)).collect()))
    }

    /// Logical shape: deleted rows do not count.
    ///
    /// # Errors
    /// `ArrayNotFound`, `Corrupted`, `Io`.
    pub fn get_shape(&self, name: &str) -> NpkResult<Vec<u64>> {
        Ok(self.core()?.array(name)?.logical_shape())
    }

    /// Time of the last change in microseconds since 1970; `None` for an unknown array.
    pub fn get_modify_time(&self, name: &str) -> Option<u64> {
        self.core().and_then(|core| core.array(name)).ok().map(|array| array.modified_us)
    }

    /// Makes every commit so far survive a power cut.
    ///
    /// # Errors
    /// `Poisoned` when the disk failed: the store must then be opened again; an error kept from earlier work.
    pub fn sync_metadata(&self) -> NpkResult<()> {
        let core = self.core()?;
        let writing = core.begin(self.shared.options.durability, self.shared.options.lock_timeout)?;
        core.sync(&writing)
    }

    /// Ends the use of this handle. Dropping it does the same, but cannot tell of an error.
    ///
    /// # Errors
    /// One kept from work after an earlier commit, such as a checkpoint or the removal of a file; no commit
    /// is lost by it.
    pub fn close(self) -> NpkResult<()> {
        self.core()?.take_deferred().map_or(Ok(()), Err)
    }

    /// Removes every array, in one commit.
    ///
    /// # Errors
    /// `Locked`, `ReadOnly`, `Io`.
    pub fn reset(&self) -> NpkResult<()> {
        self.write(|tx| {
            tx.push(Op::Reset);
            Ok(())
        })
    }

    /// Checks log and data files against each other and reports every finding. Changes nothing.
    ///
    /// # Errors
    /// `Io` when the folder cannot be read; `Locked` when writers never rest and do not let go; `OutOfMemory`. What is
    /// wrong with the store's contents is in the report.
    pub fn verify(&self) -> NpkResult<Report> {
        let core = self.core()?;
        verify(&core, self.lock_timeout())
    }

    /// A shape of whole rows for `len` elements, or one that the verb will refuse with the right error.
    fn shape_for(&self, name: &str, len: usize) -> NpkResult<Vec<u64>> {
        let mut shape = self.core()?.array(name)?.shape.clone();
        let row: u64 = shape.iter().skip(1).product();
        match shape.first_mut() {
            Some(rows) if row > 0 && (len as u64).is_multiple_of(row) => *rows = len as u64 / row,
            _ => shape = vec![len as u64],
        }
        Ok(shape)
    }
}
