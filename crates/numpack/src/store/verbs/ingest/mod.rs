//! Ingest, the one door for bulk: bytes come piece by piece into files of their own, then one commit shows them all.
//!
//! The writers' lock is held at the beginning and for the commit, not while bytes come: others write meanwhile, and
//! several ingests are under way at once. Until the commit nobody sees the files; dropping an ingest removes them,
//! and those of a crashed one the next writer ([`ingests`](crate::store::commit::ingests)).

mod new_store;
mod writer;

use std::collections::HashSet;
use std::sync::Arc;

use crate::disk::{Access, FileName};
use crate::log::op::Op;
use crate::options::Durability;
use crate::rows::run::Run;
use crate::store::commit::ingests::Anchor;
use crate::store::commit::transaction::Transaction;
use crate::store::handle::Store;
use crate::store::metadata::columns_of;
use crate::store::verbs::save::check_name;
use crate::types::dtype::DataType;
use crate::types::error::{NpkError, NpkResult};
use crate::types::shape::{DELETABLE_ROWS, checked_bytes};
use new_store::NewStore;
pub use writer::ArrayWriter;
pub(crate) use writer::IncomingFile;

/// What becomes of the arrays that a store holds when an ingest is committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// All stay: a name that is taken is an error.
    #[default]
    Keep,
    /// Those of the same names go, and the names of their columns with them.
    Replace,
    /// All go.
    RemoveAll,
}

/// Arrays that are brought into a store piece by piece and appear in one commit, see [`Store::ingest`].
///
/// Dropping it before that leaves the store as it was.
#[derive(Debug)]
pub struct Ingest {
    context: Context,
    arrays: Vec<Arrived>,
    names: HashSet<String>,
    state: State,
    /// The store, as long as it does not have its name.
    new_store: Option<NewStore>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Collecting,
    Committed,
    Ended,
}

/// What an ingest and its writers share.
#[derive(Clone, Debug)]
struct Context {
    store: Store,
    anchor: Arc<Anchor>,
}

/// An array as it will be.
#[derive(Clone, Debug)]
pub(crate) struct NewArray {
    pub(crate) name: String,
    pub(crate) dtype: DataType,
    /// Physical shape.
    pub(crate) shape: Vec<u64>,
    pub(crate) deleted: Vec<Run>,
}

/// An array whose bytes are all there.
#[derive(Debug)]
struct Arrived {
    array: NewArray,
    file: FileName,
    checksum: u32,
}

impl Store {
    /// Begins to bring arrays into the store whose bytes come piece by piece, in the memory of one piece.
    ///
    /// ```
    /// use numpack::prelude::*;
    /// use numpack::Existing;
    ///
    /// # fn main() -> NpkResult<()> {
    /// # let dir = tempfile::tempdir()?;
    /// let store = Store::new(dir.path().join("data.npk"))?;
    /// let mut ingest = store.ingest()?;
    /// let mut squares = ingest.array("squares", DataType::Uint64, &[1000])?;
    /// (0..1000_u64).try_for_each(|i| squares.write(&(i * i).to_le_bytes()))?;
    /// ingest.add(squares)?;
    /// assert!(!store.has_array("squares"));
    /// ingest.commit(Existing::Keep)?;
    /// assert_eq!(store.getitem::<u64>("squares", &[-1])?[[0]], 998_001);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Locked`, `ReadOnly`, `Poisoned`, `Corrupted`, `Io`.
    pub fn ingest(&self) -> NpkResult<Ingest> {
        let core = self.core()?;
        let anchor = self.locked(|writing| Anchor::new(&core, writing))?;
        let context = Context { store: self.clone(), anchor: Arc::new(anchor) };
        let (arrays, names) = (Vec::new(), HashSet::new());
        Ok(Ingest { context, arrays, names, state: State::Collecting, new_store: None })
    }
}

impl Ingest {
    /// A writer for an array of this shape, which is empty for a scalar.
    ///
    /// # Errors
    /// `InvalidName`; `InvalidShape` for a shape that no array has; `Io`.
    pub fn array(&self, name: &str, dtype: DataType, shape: &[u64]) -> NpkResult<ArrayWriter> {
        let array = NewArray { name: name.to_owned(), dtype, shape: shape.to_vec(), deleted: Vec::new() };
        let len = array.check()?;
        Ok(ArrayWriter { array, len: Some(len), written: 0, checksum: 0, file: self.file(len)? })
    }

    /// A writer for an array of as many rows of this shape as come.
    ///
    /// # Errors
    /// As for [`Ingest::array`]; `InvalidShape` also for rows of no bytes, which nobody can count.
    pub fn rows(&self, name: &str, dtype: DataType, row_shape: &[u64]) -> NpkResult<ArrayWriter> {
        let shape = [&[1], row_shape].concat();
        let mut array = NewArray { name: name.to_owned(), dtype, shape, deleted: Vec::new() };
        if array.check()? == 0 {
            return Err(array.refused("rows of no bytes cannot be counted as they come"));
        }
        array.shape[0] = 0;
        Ok(ArrayWriter { array, len: None, written: 0, checksum: 0, file: self.file(0)? })
    }

    /// Takes an array that has been written.
    ///
    /// # Errors
    /// `InvalidShape` when the shape is not filled, or the last row is not whole; `InvalidArgument` when the ingest
    /// has an array of this name; `Poisoned`.
    pub fn add(&mut self, writer: ArrayWriter) -> NpkResult<()> {
        let ArrayWriter { mut array, len, written, checksum, file } = writer;
        let row = array.shape.iter().skip(1).product::<u64>() * array.dtype.size_bytes() as u64;
        let whole = match len {
            Some(len) => len == written,
            None => written.is_multiple_of(row),
        };
        if !whole {
            return Err(NpkError::InvalidShape {
                array: array.name,
                reason: "the data does not fill the shape",
                expected: format!("one of {written} bytes of {}", array.dtype),
                found: array.shape,
            });
        }
        if len.is_none() {
            array.shape[0] = written / row;
            array.check()?;
        }
        self.put(array, file, checksum)
    }

    /// Shows all arrays that were added, in one commit; that ends the ingest. When it fails, it can be tried again.
    ///
    /// # Errors
    /// `ArrayExists`, with [`Existing::Keep`]; `InvalidArgument` when it has ended; `Locked`, `Poisoned`,
    /// `Corrupted`, `Io`.
    pub fn commit(&mut self, existing: Existing) -> NpkResult<()> {
        self.context.check_process()?;
        if self.state == State::Ended {
            return Err(self.context.refused("it has been committed"));
        }
        if self.state == State::Collecting {
            self.context.store.write(|tx| tx.show(&self.arrays, existing))?;
            self.arrays.clear();
            self.context.anchor.end();
            self.state = State::Committed;
        }
        self.show_store(existing)?;
        self.state = State::Ended;
        Ok(())
    }

    /// A new file that will have this many bytes, or more.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn file(&self, len: u64) -> NpkResult<IncomingFile> {
        if self.state != State::Collecting {
            return Err(self.context.refused("it has been committed"));
        }
        let name = self.context.anchor.next_name();
        let core = &self.context.anchor.store;
        let open = || core.folder.open(name, Access::Create).map_err(|e| core.file_error(name, e));
        let file = self.context.with_room(open).inspect_err(|_| self.context.anchor.remove(name))?;
        let made = IncomingFile { context: self.context.clone(), name, file, handed_over: false };
        if len > 0 {
            made.with_room(|file| file.allocate(0, len))?;
        }
        Ok(made)
    }

    /// Takes an array whose file was written in any order.
    ///
    /// # Errors
    /// `InvalidName`, `InvalidShape`; `InvalidArgument` when the ingest has an array of this name; `Poisoned`.
    pub(crate) fn put(&mut self, array: NewArray, mut file: IncomingFile, checksum: u32) -> NpkResult<()> {
        array.check()?;
        if !self.names.insert(array.name.clone()) {
            return Err(NpkError::InvalidArgument {
                argument: "arrays",
                value: format!("{:?}", array.name),
                reason: "the name is given twice",
            });
        }
        if self.context.store.durability() == Durability::Power {
            file.file.sync().map_err(|e| self.context.anchor.store.poison(e))?;
        }
        file.handed_over = true;
        self.arrays.push(Arrived { array, file: file.name, checksum });
        Ok(())
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        self.arrays.iter().for_each(|arrived| self.context.anchor.remove(arrived.file));
    }
}

impl Context {
    /// An error in a forked child: the files belong to its parent.
    fn check_process(&self) -> NpkResult<()> {
        if self.anchor.is_own() {
            return Ok(());
        }
        Err(self.refused("it was begun by the process that this one was forked from"))
    }

    fn refused(&self, reason: &'static str) -> NpkError {
        let value = format!("into {}", self.store.path().display());
        NpkError::InvalidArgument { argument: "ingest", value, reason }
    }

    /// Does it again when the disk was full and room could be made.
    fn with_room<R>(&self, work: impl Fn() -> NpkResult<R>) -> NpkResult<R> {
        match work() {
            Err(error) if error.is_disk_full() => match self.store.locked(|w| w.store.make_room()) {
                Ok(true) => work(),
                Ok(false) | Err(_) => Err(error),
            },
            other => other,
        }
    }
}

impl Transaction<'_, '_> {
    fn show(&mut self, arrays: &[Arrived], existing: Existing) -> NpkResult<()> {
        if existing == Existing::RemoveAll {
            self.push(Op::Reset);
        }
        let new: HashSet<&str> = arrays.iter().map(|arrived| arrived.array.name.as_str()).collect();
        for Arrived { array, file, checksum } in arrays {
            let columns = self.find(&columns_of(&array.name)).filter(|old| !new.contains(&*old.name));
            if existing == Existing::Keep && self.find(&array.name).is_some() {
                return Err(NpkError::ArrayExists(array.name.clone()));
            }
            let mut put = self.new_put(&array.name, array.dtype, &array.shape);
            self.take_over(*file)?;
            let (id, runs) = (put.id, array.deleted.clone());
            put.checksum = Some(*checksum);
            self.push(Op::Put(put));
            if !runs.is_empty() {
                self.push(Op::Delete { id, runs });
            }
            if let Some(columns) = columns {
                self.push(Op::Remove { id: columns.id });
            }
        }
        Ok(())
    }
}

impl NewArray {
    /// The bytes of the array.
    ///
    /// # Errors
    /// `InvalidName`; `InvalidShape` for what no array is.
    pub(crate) fn check(&self) -> NpkResult<u64> {
        check_name(&self.name)?;
        let bytes = checked_bytes(self.dtype, &self.shape).map_err(|reason| self.refused(reason))?;
        if self.shape.len() > 255 {
            return Err(self.refused("an array has at most 255 dimensions"));
        }
        let rows = self.shape.first().copied().unwrap_or(0).min(DELETABLE_ROWS);
        let inside = |run: &Run| run.start.checked_add(run.len).is_some_and(|end| end <= rows);
        if !self.deleted.iter().all(inside) {
            return Err(self.refused("rows are deleted that are not there"));
        }
        Ok(bytes)
    }

    fn refused(&self, reason: &'static str) -> NpkError {
        NpkError::InvalidShape {
            array: self.name.clone(),
            reason,
            expected: "one that a store can hold".into(),
            found: self.shape.clone(),
        }
    }
}
