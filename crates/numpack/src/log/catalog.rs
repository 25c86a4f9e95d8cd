//! The state that the log describes: arrays by name, and the files it names.
//!
//! [`Catalog::apply`] is the only way in, for live commits and for recovery alike. It touches no file.
//! States are immutable and shared: a reader keeps the one it began with.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::disk::FileName;
use crate::log::op::{ArrayRecord, FileRecord, Op, Put};
use crate::rows::deleted::DeletedRows;
use crate::rows::run::Run;
use crate::types::dtype::DataType;
use crate::types::error::NpkResult;
use crate::types::room::reserve;
use crate::types::shape::{DELETABLE_ROWS, MAX_ROWS, checked_bytes};

/// Ids of arrays stay below this, so that there is always a next one.
const ID_END: u64 = 1 << 63;

/// Retired files of this size are kept to be used again: below, making a file is as cheap; above, the disk
/// space matters more than the time.
const RECYCLED_BYTES: std::ops::RangeInclusive<u64> = (1 << 20)..=(256 << 20);

/// One array as of one commit.
#[derive(Clone, Debug)]
pub(crate) struct ArrayState {
    pub(crate) id: u64,
    pub(crate) name: Arc<str>,
    /// Commit that made the data file.
    pub(crate) generation: u64,
    pub(crate) dtype: DataType,
    /// Physical shape; empty for a scalar.
    pub(crate) shape: Vec<u64>,
    pub(crate) deleted: Arc<DeletedRows>,
    pub(crate) modified_us: u64,
    /// CRC-32C of the committed bytes, unless they were written outside the log.
    pub(crate) checksum: Option<u32>,
}

impl ArrayState {
    /// Physical rows; a scalar is one row.
    pub(crate) fn physical_rows(&self) -> u64 {
        self.shape.first().copied().unwrap_or(1)
    }

    /// Rows that are not deleted.
    pub(crate) fn rows(&self) -> u64 {
        self.physical_rows() - self.deleted.count()
    }

    /// Bytes of one row.
    pub(crate) fn row_bytes(&self) -> u64 {
        self.row_elements() * self.dtype.size_bytes() as u64
    }

    /// Elements of one row.
    pub(crate) fn row_elements(&self) -> u64 {
        self.shape.iter().skip(1).product()
    }

    /// Committed bytes of the data file.
    pub(crate) fn bytes(&self) -> u64 {
        self.physical_rows() * self.row_bytes()
    }

    /// The shape that users see.
    pub(crate) fn logical_shape(&self) -> Vec<u64> {
        self.shape_of(self.rows())
    }

    /// The shape of so many rows; that of a scalar is empty.
    pub(crate) fn shape_of(&self, count: u64) -> Vec<u64> {
        let mut shape = self.shape.clone();
        if let Some(rows) = shape.first_mut() {
            *rows = count;
        }
        shape
    }

    /// The array's data file.
    pub(crate) fn file(&self) -> FileName {
        FileName::Data { array: self.id, generation: self.generation }
    }
}

/// Every array, and what is known about the files around them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Catalog {
    /// Last commit that was applied.
    pub(crate) seq: u64,
    by_name: HashMap<Arc<str>, Arc<ArrayState>>,
    names: HashMap<u64, Arc<str>>,
    next_id: u64,
    /// A retired file kept to be used again.
    pub(crate) recycled: Option<FileRecord>,
    /// Files out of use, to be removed when no durable state needs them.
    pub(crate) retired: Vec<FileRecord>,
    /// Arrays with rows written and not yet synced.
    pub(crate) unsynced: BTreeSet<u64>,
    /// Bytes written to them since.
    pub(crate) unsynced_bytes: u64,
    /// Arrays with rows replaced since the last checkpoint; only their redo bytes are durable.
    pub(crate) replaced: BTreeSet<u64>,
}

/// What makes an operation impossible in the state it meets.
pub(crate) type Impossible = &'static str;

/// A file is named by the commit that makes it, so that no two commits write to one name.
const WRONG_GENERATION: Impossible = "a data file is named by another commit than its own";

impl Catalog {
    /// The array of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<ArrayState>> {
        self.by_name.get(name)
    }

    /// The array of this id.
    pub(crate) fn by_id(&self, id: u64) -> Option<&Arc<ArrayState>> {
        self.by_name.get(self.names.get(&id)?)
    }

    /// Every array, the oldest first.
    pub(crate) fn arrays(&self) -> Vec<&Arc<ArrayState>> {
        let mut arrays: Vec<_> = self.by_name.values().collect();
        arrays.sort_unstable_by_key(|array| array.id);
        arrays
    }

    /// The id that the next new array gets.
    pub(crate) fn next_id(&self) -> u64 {
        self.next_id
    }

    /// Asks for the memory that deletions among these operations need, before any of them is applied: a commit is
    /// applied whole or not at all.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn reserve(&mut self, ops: &[Op]) -> NpkResult<()> {
        let ends = |runs: &[Run]| {
            let ends = runs.iter().map(|run| run.start.saturating_add(run.len));
            ends.max().unwrap_or(0).min(DELETABLE_ROWS)
        };
        // Arrays that are not there yet begin without deletions: whether there is room for those is tried out.
        let try_out = |end| DeletedRows::default().reserve(end);
        for op in ops {
            match op {
                Op::Snapshot { arrays, .. } => {
                    let arrays =
                        arrays.iter().filter(|array| array.put.shape.iter().skip(1).all(|&dim| dim > 0));
                    arrays.map(|array| ends(&array.deleted)).try_for_each(try_out)?;
                }
                Op::Delete { id, runs } => {
                    let Some(array) = self.names.get(id).and_then(|name| self.by_name.get_mut(name)) else {
                        try_out(ends(runs))?;
                        continue;
                    };
                    if array.row_bytes() > 0 {
                        let mut deleted = array.deleted.try_clone()?;
                        deleted.reserve(ends(runs).min(array.physical_rows()))?;
                        Arc::make_mut(array).deleted = Arc::new(deleted);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Applies one operation of commit `seq`.
    ///
    /// # Errors
    /// Why it cannot follow the state so far; only a damaged or foreign log holds such an operation.
    pub(crate) fn apply(&mut self, seq: u64, time_us: u64, op: &Op) -> Result<(), Impossible> {
        match op {
            Op::Snapshot { next_id, recycled, arrays } => self.restore(seq, *next_id, *recycled, arrays)?,
            Op::Put(put) if put.generation != seq => return Err(WRONG_GENERATION),
            Op::Put(put) => self.put(seq, time_us, put)?,
            Op::Append { id, rows, checksum } => self.append(time_us, *id, *rows, *checksum)?,
            Op::Replace { id, generation, row_bytes, checksum, runs, .. } => {
                let array = self.change(*id, time_us)?;
                let same = array.generation == *generation && array.row_bytes() == *row_bytes;
                if !same || !inside(runs, array.physical_rows()) {
                    return Err("rows were replaced that are not there");
                }
                array.checksum = *checksum;
                if runs.is_empty() {
                    // A writable view: bytes change without redo, and only a sync makes them durable.
                    self.unsynced.insert(*id);
                } else {
                    self.replaced.insert(*id);
                }
            }
            Op::Delete { id, runs } => {
                delete(self.change(*id, time_us)?, runs)?;
            }
            Op::Compact { generation, .. } if *generation != seq => return Err(WRONG_GENERATION),
            Op::Compact { id, rows, checksum, .. } => {
                self.compact(seq, time_us, *id, *rows, *checksum)?;
            }
            Op::Remove { id } => {
                let name = self.names.get(id).cloned().ok_or("an array was removed that is not there")?;
                self.remove(seq, &name);
            }
            Op::Reset => {
                for name in self.by_name.keys().cloned().collect::<Vec<_>>() {
                    self.remove(seq, &name);
                }
                self.retired.extend(self.recycled.take());
            }
            Op::Moved => {}
            Op::Rename { id, name } => self.rename(time_us, *id, name)?,
            Op::Durable => self.all_synced(),
        }
        self.seq = seq;
        Ok(())
    }

    /// Every row written so far is durable.
    pub(crate) fn all_synced(&mut self) {
        self.unsynced.clear();
        self.unsynced_bytes = 0;
    }

    /// The operation that restores this state.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn snapshot(&self) -> NpkResult<Op> {
        let mut arrays = Vec::new();
        reserve(&mut arrays, self.by_name.len())?;
        for array in self.arrays() {
            arrays.push(snapshot_array(array)?);
        }
        Ok(Op::Snapshot { next_id: self.next_id, recycled: self.recycled, arrays })
    }

    /// Every file that the state needs, the recycled one included.
    pub(crate) fn files(&self) -> Vec<FileName> {
        let kept = self.recycled.iter().chain(&self.retired);
        let kept = kept.map(|file| FileName::Data { array: file.array, generation: file.generation });
        self.by_name.values().map(|array| array.file()).chain(kept).collect()
    }

    fn restore(
        &mut self,
        seq: u64,
        next_id: u64,
        recycled: Option<FileRecord>,
        arrays: &[ArrayRecord],
    ) -> Result<(), Impossible> {
        *self = Catalog { next_id, recycled, ..Catalog::default() };
        for ArrayRecord { put, modified_us, deleted } in arrays {
            if put.generation > seq {
                return Err(WRONG_GENERATION);
            }
            self.put(seq, *modified_us, put)?;
            if deleted.is_empty() {
                continue;
            }
            delete(self.change(put.id, *modified_us)?, deleted)?;
        }
        let is_recycled = |file: &FileRecord| {
            self.by_id(file.array).is_some_and(|array| array.generation == file.generation)
        };
        if next_id > ID_END || self.recycled.as_ref().is_some_and(is_recycled) {
            return Err("the recycled file or the next id is one in use");
        }
        // A checkpoint syncs what it describes before it takes its place.
        self.all_synced();
        self.next_id = self.next_id.max(next_id);
        self.seq = seq;
        Ok(())
    }

    fn put(&mut self, seq: u64, time_us: u64, put: &Put) -> Result<(), Impossible> {
        let bytes = checked_bytes(put.dtype, &put.shape)?;
        if put.id >= ID_END {
            return Err("the id of an array is beyond all that are given");
        }
        if put.reuses_recycled {
            self.recycled = None;
        }
        let name: Arc<str> = put.name.as_str().into();
        if let Some(old) = self.by_name.get(&name) {
            if old.id != put.id {
                return Err("two arrays have the same name");
            }
            let bytes = old.bytes();
            let file = FileRecord { array: old.id, generation: old.generation, bytes, retired: seq };
            // Once written over, a file of unknown checksum could not be told from what a power cut brings back.
            if RECYCLED_BYTES.contains(&bytes) && old.checksum.is_some() {
                self.retired.extend(self.recycled.replace(file));
            } else {
                self.retired.push(file);
            }
        } else if self.names.contains_key(&put.id) {
            return Err("two arrays have the same id");
        }
        let state = ArrayState {
            id: put.id,
            name: Arc::clone(&name),
            generation: put.generation,
            dtype: put.dtype,
            shape: put.shape.clone(),
            deleted: Arc::default(),
            modified_us: time_us,
            checksum: put.checksum,
        };
        self.names.insert(put.id, Arc::clone(&name));
        self.by_name.insert(name, Arc::new(state));
        self.next_id = self.next_id.max(put.id + 1);
        self.unsynced.insert(put.id);
        self.unsynced_bytes = self.unsynced_bytes.saturating_add(bytes);
        self.replaced.remove(&put.id);
        Ok(())
    }

    fn append(&mut self, time_us: u64, id: u64, rows: u64, checksum: Option<u32>) -> Result<(), Impossible> {
        let array = self.change(id, time_us)?;
        let dim = array.shape.first_mut().ok_or("rows were appended to a scalar")?;
        *dim = dim.checked_add(rows).filter(|&rows| rows < MAX_ROWS).ok_or("an array has too many rows")?;
        array.checksum = checksum;
        checked_bytes(array.dtype, &array.shape)?;
        let bytes = rows.saturating_mul(array.row_bytes());
        self.unsynced.insert(id);
        self.unsynced_bytes = self.unsynced_bytes.saturating_add(bytes);
        Ok(())
    }

    fn compact(
        &mut self,
        seq: u64,
        time_us: u64,
        id: u64,
        rows: u64,
        checksum: Option<u32>,
    ) -> Result<(), Impossible> {
        let array = self.change(id, time_us)?;
        if array.shape.is_empty() || rows != array.rows() {
            return Err("an array was compacted to another number of rows");
        }
        let old = FileRecord { array: id, generation: array.generation, bytes: array.bytes(), retired: seq };
        array.shape[0] = rows;
        array.generation = seq;
        array.checksum = checksum;
        array.deleted = Arc::default();
        let bytes = array.bytes();
        self.retired.push(old);
        self.unsynced.insert(id);
        self.unsynced_bytes = self.unsynced_bytes.saturating_add(bytes);
        self.replaced.remove(&id);
        Ok(())
    }

    fn remove(&mut self, seq: u64, name: &str) {
        let Some(old) = self.by_name.remove(name) else { return };
        let file = FileRecord { array: old.id, generation: old.generation, bytes: old.bytes(), retired: seq };
        self.retired.push(file);
        self.names.remove(&old.id);
        self.unsynced.remove(&old.id);
        self.replaced.remove(&old.id);
    }

    fn rename(&mut self, time_us: u64, id: u64, name: &str) -> Result<(), Impossible> {
        self.change(id, time_us)?;
        if self.by_name.contains_key(name) {
            return Err("two arrays have the same name");
        }
        let old = self.names.get(&id).ok_or("an operation is about an array that is not there")?;
        let mut array = self.by_name.remove(old).ok_or("an operation is about an array that is not there")?;
        let name: Arc<str> = name.into();
        Arc::make_mut(&mut array).name = Arc::clone(&name);
        self.names.insert(id, Arc::clone(&name));
        self.by_name.insert(name, array);
        Ok(())
    }

    fn change(&mut self, id: u64, time_us: u64) -> Result<&mut ArrayState, Impossible> {
        let name = self.names.get(&id).ok_or("an operation is about an array that is not there")?;
        let array = self.by_name.get_mut(name).ok_or("an operation is about an array that is not there")?;
        let array = Arc::make_mut(array);
        array.modified_us = time_us;
        Ok(array)
    }
}

/// Deletes physical rows. Rows without bytes are all alike: there, only their number gets smaller.
fn delete(array: &mut ArrayState, runs: &[Run]) -> Result<(), Impossible> {
    const MISSING: Impossible = "rows were deleted that are not there";
    if array.shape.is_empty() || !inside(runs, array.physical_rows().min(DELETABLE_ROWS)) {
        return Err(MISSING);
    }
    if array.row_bytes() == 0 {
        let gone = runs.iter().try_fold(0_u64, |sum, run| sum.checked_add(run.len));
        array.shape[0] = gone.and_then(|gone| array.shape[0].checked_sub(gone)).ok_or(MISSING)?;
        return Ok(());
    }
    let deleted = Arc::make_mut(&mut array.deleted);
    for run in runs {
        deleted.insert_run(run.start, run.start + run.len);
    }
    Ok(())
}

fn snapshot_array(array: &ArrayState) -> NpkResult<ArrayRecord> {
    let put = Put {
        id: array.id,
        generation: array.generation,
        dtype: array.dtype,
        shape: array.shape.clone(),
        checksum: array.checksum,
        reuses_recycled: false,
        name: array.name.to_string(),
    };
    Ok(ArrayRecord { put, modified_us: array.modified_us, deleted: array.deleted.to_runs()? })
}

fn inside(runs: &[Run], rows: u64) -> bool {
    runs.iter().all(|run| run.start.checked_add(run.len).is_some_and(|end| end <= rows))
}
