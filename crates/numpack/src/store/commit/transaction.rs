//! A commit as one object: what calls have prepared, until the log shows it or a drop undoes it.
//!
//! A verb looks arrays up, writes new files or rows behind the committed ones, where nobody looks, and leaves its
//! operations here. [`Transaction::commit`] is the only way to the log: all that was left here is one record. What
//! is not committed is undone when the transaction is dropped.
//!
//! Several verbs may share a transaction if they are about different arrays: each of them sees the arrays as they
//! were before it, or none after a reset.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use crate::disk::{Access, FileName, StorageFile};
use crate::log::catalog::{ArrayState, Catalog};
use crate::log::op::{Op, Put};
use crate::log::record;
use crate::options::Durability;
use crate::rows::run::Run;
use crate::store::commit::guard::WriteGuard;
use crate::store::commit::state::{LogState, RedoStart, StoreState, now_us};
use crate::types::dtype::DataType;
use crate::types::error::{NpkError, NpkResult};

/// A commit that is prepared under the writers' lock. `'b` is the life of the bytes that replace others.
pub(crate) struct Transaction<'g, 'b> {
    pub(crate) store: &'g StoreState,
    guard: &'g WriteGuard<'g>,
    /// Sequence number of the commit to come, by which its files are named.
    generation: u64,
    next_id: u64,
    /// Every array goes, so no name is taken.
    reset: bool,
    ops: Vec<Op>,
    /// The bytes of the replaces, in order.
    redo: Vec<&'b [u8]>,
    redo_len: u64,
    /// New files, which go again unless they are committed.
    files: Vec<NewFile>,
    committed: bool,
}

/// A file that a commit shows.
struct NewFile {
    name: FileName,
    /// The name that it had before, if it was not made for this commit.
    from: Option<FileName>,
}

impl<'g, 'b> Transaction<'g, 'b> {
    pub(crate) fn new(guard: &'g WriteGuard<'g>) -> Self {
        let store = guard.store;
        Transaction {
            store,
            guard,
            generation: store.log().tail.seq() + 1,
            next_id: store.with_catalog(Catalog::next_id),
            reset: false,
            ops: Vec::new(),
            redo: Vec::new(),
            redo_len: 0,
            files: Vec::new(),
            committed: false,
        }
    }

    /// The array of this name, if there is one.
    pub(crate) fn find(&self, name: &str) -> Option<Arc<ArrayState>> {
        self.store.known_array(name).ok().filter(|_| !self.reset)
    }

    /// The array of this name.
    ///
    /// # Errors
    /// `ArrayNotFound`.
    pub(crate) fn array(&self, name: &str) -> NpkResult<Arc<ArrayState>> {
        self.find(name).ok_or_else(|| NpkError::ArrayNotFound(name.to_owned()))
    }

    /// What puts an array of a new file under `name`; to be filled with [`Transaction::write_file`] and pushed.
    pub(crate) fn new_put(&mut self, name: &str, dtype: DataType, shape: &[u64]) -> Put {
        let id = self.find(name).map_or(self.next_id, |old| old.id);
        self.next_id = self.next_id.max(id + 1);
        let generation = self.new_generation(id);
        let (shape, name) = (shape.to_vec(), name.to_owned());
        Put { id, generation, dtype, shape, checksum: None, reuses_recycled: false, name }
    }

    /// Takes charge of the file that this array gets by the commit; returns the generation that names it.
    pub(crate) fn new_generation(&mut self, id: u64) -> u64 {
        self.files
            .push(NewFile { name: FileName::Data { array: id, generation: self.generation }, from: None });
        self.generation
    }

    /// Makes a new file and has `write` fill it.
    ///
    /// # Errors
    /// `Io`, `Poisoned`, and those of `write`.
    pub(crate) fn write_file<R>(
        &self,
        name: FileName,
        write: impl FnOnce(Arc<dyn StorageFile>) -> NpkResult<R>,
    ) -> NpkResult<R> {
        let file =
            self.store.folder.open(name, Access::Create).map_err(|e| self.store.file_error(name, e))?;
        let written = write(Arc::clone(&file))?;
        self.written(&*file)?;
        Ok(written)
    }

    /// Takes over a file that was written before, as the file of the put that was made last. Unless it is committed
    /// it gets its name back.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn take_over(&mut self, incoming: FileName) -> NpkResult<()> {
        let Some(file) = self.files.last_mut() else { return Ok(()) };
        // Before the call: an error may come after the change.
        file.from = Some(incoming);
        self.store.folder.rename(incoming, file.name).map_err(|e| self.store.file_error(incoming, e))
    }

    /// Rows were written to this file: whoever commits for power cuts has them synced before.
    ///
    /// # Errors
    /// `Poisoned`.
    pub(crate) fn written(&self, file: &dyn StorageFile) -> NpkResult<()> {
        match self.guard.durability {
            Durability::Process => Ok(()),
            Durability::Power => file.sync().map_err(|e| self.store.poison(e)),
        }
    }

    /// Adds an operation. A [`Op::Replace`] is added with its bytes, by [`Transaction::push_replace`].
    pub(crate) fn push(&mut self, op: Op) {
        self.reset |= matches!(op, Op::Reset);
        self.ops.push(op);
    }

    /// Adds the operation that puts `bytes` in place of the rows `runs` (physical); `checksum` is that of the
    /// file after it.
    pub(crate) fn push_replace(
        &mut self,
        array: &ArrayState,
        runs: Vec<Run>,
        bytes: &'b [u8],
        checksum: Option<u32>,
    ) {
        let (id, generation, row_bytes) = (array.id, array.generation, array.row_bytes());
        let redo_offset = self.redo_len;
        self.ops.push(Op::Replace { id, generation, redo_offset, row_bytes, checksum, runs });
        self.redo.push(bytes);
        self.redo_len += bytes.len() as u64;
    }

    /// Commits what was added: one record, then its effects and the work that commits leave. Nothing to do when
    /// nothing was added.
    ///
    /// # Errors
    /// `Io` or `Corrupted` before the commit point, with nothing changed; `Poisoned` when a sync failed.
    pub(crate) fn commit(mut self) -> NpkResult<()> {
        if self.ops.is_empty() {
            return Ok(());
        }
        if self.guard.durability == Durability::Power {
            if !self.files.is_empty() {
                self.store.folder.sync().map_err(|e| self.store.poison(e))?;
            }
            self.store.sync_data()?;
            self.ops.push(Op::Durable);
        }
        self.write_record()?;
        self.store.after_commit(self.guard);
        Ok(())
    }

    fn undo(&self, file: &NewFile) {
        let Some(incoming) = file.from else { return self.store.remove(file.name) };
        match self.store.folder.rename(file.name, incoming) {
            // It never got its new name.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(_) => self.store.remove(file.name),
            Ok(()) => {}
        }
    }

    fn write_record(&mut self) -> NpkResult<()> {
        let (store, ops, redo) = (self.store, &self.ops, &self.redo);
        let mut log = store.log();
        let (seq, time_us) = (log.tail.next_seq()?, now_us());
        let framed = record::frame(log.tail.position.crc, seq, time_us, ops, redo)?;
        log.tail.reserve(framed.total)?;
        // What the commit needs of memory is asked for while it can still be refused.
        store.with_catalog_mut(|catalog| catalog.reserve(ops))?;
        let marked = store.mark_replacing(ops, true).map_err(|e| store.file_error(FileName::Control, e));
        if let Err(error) = marked.and_then(|()| log.tail.append(&framed, redo, seq)) {
            store.hinted(store.mark_replacing(ops, false));
            if let NpkError::Poisoned { reason, .. } = &error {
                store.poisoned.get_or_init(|| reason.clone());
            }
            return Err(error);
        }
        self.committed = true;
        let synced = match self.guard.durability {
            Durability::Process => Ok(()),
            Durability::Power => log.tail.log.file.sync().map_err(|e| store.poison(e)),
        };
        store.hinted(store.control.publish(seq));
        store.apply_ops(seq, time_us, ops, &log.tail.log)?;
        store.apply_redo(&mut log, seq, ops, redo);
        synced?;
        if self.guard.durability == Durability::Power {
            // Only sharpens what damage is told from a cut; the log itself is durable already.
            store.control.set_synced(seq, false).unwrap_or_default();
        }
        Ok(())
    }
}

impl Drop for Transaction<'_, '_> {
    fn drop(&mut self) {
        // After a failure in the log itself the record may stand there, and need its files.
        if !self.committed && self.store.poisoned.get().is_none() {
            self.files.iter().for_each(|file| self.undo(file));
        }
    }
}

impl StoreState {
    fn mark_replacing(&self, ops: &[Op], replacing: bool) -> io::Result<()> {
        for op in ops {
            if let Op::Replace { id, .. } = op {
                self.control.set_replacing(*id, replacing)?;
            }
        }
        Ok(())
    }

    fn apply_redo(&self, log: &mut LogState, seq: u64, ops: &[Op], redo: &[&[u8]]) {
        let parts = redo.iter();
        let replaces = ops.iter().filter(|op| matches!(op, Op::Replace { .. }));
        for (op, bytes) in replaces.zip(parts) {
            if let Err(error) = self.write_in_place(op, bytes) {
                // Committed, in the log and overlaid on every read; the next writer tries again.
                return self.defer(error);
            }
        }
        // Readers take the long way past a word that stays odd.
        self.hinted(self.mark_replacing(ops, false));
        self.hinted(self.control.set_applied(seq));
        log.redo_start = RedoStart { log: Arc::clone(&log.tail.log), position: log.tail.position };
    }

    /// Writes the rows of a replace into the data file.
    ///
    /// # Errors
    /// `Corrupted`, `Io`.
    pub(crate) fn write_in_place(&self, op: &Op, bytes: &[u8]) -> NpkResult<()> {
        let Op::Replace { id, generation, row_bytes, runs, .. } = op else { return Ok(()) };
        let array = self.with_catalog(|catalog| catalog.by_id(*id).cloned());
        let Some(array) = array.filter(|array| array.generation == *generation) else { return Ok(()) };
        let file = self.own_data_file(&array)?;
        let mapping = if self.folder.capabilities().mapped_writes {
            Some(file.write_mapping(array.bytes())?)
        } else {
            None
        };
        let mut rest = bytes;
        for Run { start, len } in runs {
            let (row, after) = rest.split_at((len * row_bytes) as usize);
            let at = start * row_bytes;
            match &mapping {
                Some(mapping) => file.file().store(mapping, at, row),
                None => file.file().write_at(&[row], at),
            }
            .map_err(|e| file.io(e))?;
            rest = after;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Selection;
    use crate::store::{RawArray, RawRows, Store};

    fn raw<'a>(name: &'a str, shape: &'a [u64], bytes: &'a [u8]) -> RawArray<'a> {
        RawArray { name, dtype: DataType::Uint8, shape, bytes }
    }

    fn files(store: &Store) -> usize {
        let names = std::fs::read_dir(store.path()).unwrap();
        names.filter(|name| name.as_ref().unwrap().file_name().to_str().unwrap().ends_with(".npkd")).count()
    }

    #[test]
    fn verbs_that_share_a_transaction_are_one_commit() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().join("s.npk")).unwrap();
        store.save_raw(&["a", "b", "c", "d", "e"].map(|name| raw(name, &[3], b"123"))).unwrap();
        let before = store.core().unwrap().log().tail.seq();
        store
            .write(|tx| {
                tx.save(&[raw("new", &[2], b"45")])?;
                tx.save(&[raw("a", &[1], b"6")])?;
                tx.append(&[raw("b", &[1], b"7")])?;
                let rows = raw("c", &[1], b"8");
                tx.replace(&[RawRows { rows, selection: Selection::List(&[0]) }])?;
                tx.replace(&[RawRows { rows: raw("b", &[1], b"9"), selection: Selection::List(&[1]) }])?;
                tx.drop_rows(&[("d", Selection::from(..1))])?;
                tx.clone_array("e", "copy")?;
                tx.remove_arrays(&["e"])
            })
            .unwrap();
        assert_eq!(store.core().unwrap().log().tail.seq(), before + 1);
        let expected: [(&str, &[u8]); 6] =
            [("new", b"45"), ("a", b"6"), ("b", b"1937"), ("c", b"823"), ("d", b"23"), ("copy", b"123")];
        for (name, bytes) in expected {
            assert_eq!(store.load_vec::<u8>(name).unwrap().1, bytes, "{name}");
        }
        assert!(!store.has_array("e"));
    }

    #[test]
    fn nothing_is_left_of_a_transaction_that_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().join("s.npk")).unwrap();
        store.save_raw(&[raw("a", &[3], b"123")]).unwrap();
        let refused = store.write(|tx| {
            tx.save(&[raw("a", &[1], b"4"), raw("new", &[1], b"5")])?;
            tx.clone_array("a", "copy")?;
            assert_eq!(files(&store), 4);
            tx.remove_arrays(&["missing"])
        });
        assert!(matches!(refused, Err(NpkError::ArrayNotFound(_))));
        assert_eq!(files(&store), 1);
        assert_eq!(store.list_arrays(), ["a"]);
        assert_eq!(store.load_vec::<u8>("a").unwrap().1, b"123");
    }

    #[test]
    fn a_reset_frees_the_names_for_the_verbs_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path().join("s.npk")).unwrap();
        store.save_raw(&[raw("a", &[3], b"123"), raw("b", &[3], b"123")]).unwrap();
        store
            .write(|tx| {
                tx.push(Op::Reset);
                tx.save(&[raw("a", &[1], b"4")])
            })
            .unwrap();
        assert_eq!(store.list_arrays(), ["a"]);
        assert_eq!(store.load_vec::<u8>("a").unwrap().1, b"4");
    }
}
