//! What only the holder of the writers' lock may mend: a crashed writer's replace, a power cut's leftovers.
//!
//! Every step can be killed and done again: redo is idempotent, and the new log takes its name last.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::disk::control::{Control, Hints};
use crate::disk::lock::WriterLock;
use crate::disk::{Access, FileName, Folder};
use crate::log::catalog::{ArrayState, Catalog};
use crate::log::op::Op;
use crate::log::reader::{Cursor, LogFile, Next, Record, read_exact};
use crate::log::record::{HEADER, Header, chain};
use crate::store::commit::state::{LogState, RedoStart, StoreState};
use crate::store::recovery::contents::matches_checksum;
use crate::store::recovery::replay::{Replayed, apply, assemble, check_floor, replay};
use crate::types::error::{NpkError, NpkResult};
use crate::types::room::reserve;

/// Bytes of a log that are looked through at once.
const WINDOW: usize = 1 << 20;

/// Opens a store whose control page is missing, damaged or of another boot.
///
/// # Errors
/// `Corrupted` when a commit that was synced cannot be read; `Locked`, `Io`.
pub(crate) fn recover(
    folder: Arc<dyn Folder>,
    lock: WriterLock,
    timeout: Option<Duration>,
) -> NpkResult<Arc<StoreState>> {
    let guard = lock.acquire(&*folder, timeout)?;
    let store_id = LogFile::open(&*folder, Access::Read)?.header.store_id;
    let coherent = folder.capabilities().coherent;
    let control = if coherent { Control::open(&*folder, &store_id, true)? } else { None };
    let same_boot = control.as_ref().is_some_and(|control| *control.boot_id() == folder.boot_id());
    let control = match control {
        Some(control) if same_boot && control.committed().is_some() => {
            // Another process was faster.
            let floor = control.committed().unwrap_or(0);
            let replayed = replay(&*folder, true, floor)?;
            check_floor(&replayed, floor)?;
            drop(guard);
            return Ok(Arc::new(assemble(folder, true, Some(lock), control, replayed)));
        }
        other => other,
    };
    let cut_possible = control.is_some() && !same_boot;
    let synced = control.as_ref().map_or(0, Control::synced);
    let mut replayed = replay(&*folder, true, 0)?;
    check_floor(&replayed, synced)?;
    if cut_possible {
        keep_intact_prefix(&*folder, &mut replayed, synced)?;
        erase_cut(&replayed)?;
    } else {
        refuse_damage(&*folder, &replayed)?;
    }
    let seq = replayed.catalog.seq;
    // Should this process die from here on, the next one to write mends.
    let hints = Hints { committed: seq, applied: 0, synced, busy: true };
    drop(control);
    let page = if coherent {
        // Until the replaces are in the data files again, readers overlay them on what they read.
        Control::create(&*folder, &store_id, hints, replayed.catalog.replaced.iter().copied())?
    } else {
        Control::local(folder.boot_id(), hints)
    };
    drop(guard);
    let core = assemble(folder, true, Some(lock), page, replayed);
    mend(&core, timeout)?;
    Ok(Arc::new(core))
}

/// Applies every replace since the snapshot, then starts a new log.
fn mend(core: &StoreState, timeout: Option<Duration>) -> NpkResult<()> {
    let writing = core.begin(crate::options::Durability::Process, timeout)?;
    core.checkpoint(&writing)
}

/// An error when records stand behind the place where the walk stopped: that is damage, not a torn tail.
///
/// # Errors
/// `Corrupted`, `Io`.
pub(crate) fn refuse_damage(folder: &dyn Folder, replayed: &Replayed) -> NpkResult<()> {
    let Some(reason) = replayed.bad.as_ref() else { return Ok(()) };
    if is_continued(&replayed.log, replayed)? {
        let path = folder.path().join(FileName::Log.to_string());
        return Err(NpkError::corrupted(path, replayed.position.offset, reason.as_str()));
    }
    Ok(())
}

/// Whether some record behind the bad one continues its chain, by the checksum it holds or should hold.
fn is_continued(log: &LogFile, replayed: &Replayed) -> NpkResult<bool> {
    let len = log.file.len().map_err(|e| NpkError::io(&log.path, e))?;
    let at = replayed.position.offset;
    // When the length of its payload is absurd, its header alone counts.
    let Some((head, bad, payload)) = record_at(log, at, len)? else { return Ok(false) };
    let seeds = [bad.crc, chain(replayed.position.crc, &head, &payload.unwrap_or_default())];
    let expected = replayed.catalog.seq + 2;
    let mut window = Vec::new();
    reserve(&mut window, WINDOW)?;
    let mut from = at + 8;
    while from + HEADER as u64 <= len {
        window.resize(WINDOW.min((len - from) as usize), 0);
        read_exact(&*log.file, &mut window, from).map_err(|e| NpkError::io(&log.path, e))?;
        // Windows overlap by a header.
        let starts = (0..window.len() - HEADER + 1).step_by(8);
        for start in starts.clone() {
            let mut head = [0; HEADER];
            head.copy_from_slice(&window[start..start + HEADER]);
            if Header::decode(&head).seq != expected {
                continue;
            }
            if let Some((head, header, Some(payload))) = record_at(log, from + start as u64, len)?
                && seeds.iter().any(|&seed| chain(seed, &head, &payload) == header.crc)
            {
                return Ok(true);
            }
        }
        from += 8 * starts.len() as u64;
    }
    Ok(false)
}

/// The header of what may be a record, and its payload as far as the file has one.
type Found = ([u8; HEADER], Header, Option<Vec<u8>>);

fn record_at(log: &LogFile, at: u64, len: u64) -> NpkResult<Option<Found>> {
    let io = |e| NpkError::io(&log.path, e);
    let mut head = [0; HEADER];
    if len.saturating_sub(at) < HEADER as u64 {
        return Ok(None);
    }
    read_exact(&*log.file, &mut head, at).map_err(io)?;
    let header = Header::decode(&head);
    let start = at + HEADER as u64;
    if len - start < u64::from(header.payload_len) {
        return Ok(Some((head, header, None)));
    }
    let mut payload = Vec::new();
    reserve(&mut payload, header.payload_len as usize)?;
    payload.resize(header.payload_len as usize, 0);
    read_exact(&*log.file, &mut payload, start).map_err(io)?;
    Ok(Some((head, header, Some(payload))))
}

/// Takes what was cut off out of the log, so that nobody reads it back in.
fn erase_cut(replayed: &Replayed) -> NpkResult<()> {
    let log = &replayed.log;
    let io = |e| NpkError::io(&log.path, e);
    let at = replayed.position.offset;
    if at + HEADER as u64 <= log.file.len().map_err(io)? {
        log.file.write_at(&[&[0; HEADER]], at).map_err(io)?;
    }
    Ok(())
}

/// Cuts the replay back to the longest prefix whose data files hold what was committed.
///
/// # Errors
/// `Corrupted` when what was synced is not there; `Io`.
pub(crate) fn keep_intact_prefix(folder: &dyn Folder, replayed: &mut Replayed, synced: u64) -> NpkResult<()> {
    let mut intact = HashSet::new();
    replayed.catalog = replay_again(replayed, synced)?;
    loop {
        let Some(array) = first_damaged(folder, replayed, &mut intact)? else { return Ok(()) };
        let touches = |record: &Record| {
            record.ops.iter().any(|op| match op {
                Op::Put(put) => put.id == array.id,
                Op::Append { id, .. } | Op::Compact { id, .. } => *id == array.id,
                _ => false,
            })
        };
        let last = replayed
            .records
            .iter()
            .rposition(touches)
            .filter(|&at| at > 0 && replayed.records[at].seq > synced);
        let Some(cut) = last else {
            let path = folder.path().join(array.file().to_string());
            return Err(NpkError::corrupted(
                path,
                0,
                format!("array {:?} does not hold what was synced", array.name),
            ));
        };
        replayed.refused = Some(replayed.records[cut].next.crc);
        replayed.records.truncate(cut);
        replayed.position = replayed.records[cut - 1].next;
        replayed.catalog = replay_again(replayed, synced)?;
    }
}

/// The catalog of the records that are left; only what came after the last sync counts as unsynced.
fn replay_again(replayed: &Replayed, synced: u64) -> NpkResult<Catalog> {
    let mut catalog = Catalog::default();
    for record in &replayed.records {
        apply(&mut catalog, &replayed.log, record)?;
        if record.seq <= synced {
            catalog.all_synced();
        }
    }
    Ok(catalog)
}

type Checked = HashSet<(FileName, u64, Option<u32>)>;

fn first_damaged(
    folder: &dyn Folder,
    replayed: &Replayed,
    intact: &mut Checked,
) -> NpkResult<Option<Arc<ArrayState>>> {
    let catalog = &replayed.catalog;
    for array in catalog.unsynced.iter().filter_map(|&id| catalog.by_id(id)) {
        let key = (array.file(), array.bytes(), array.checksum);
        if intact.contains(&key) {
            continue;
        }
        if !matches_checksum(folder, replayed, array, 0)? {
            return Ok(Some(Arc::clone(array)));
        }
        intact.insert(key);
    }
    Ok(None)
}

impl StoreState {
    /// Does again what a crashed writer may have left half done, and removes the files that it never committed.
    ///
    /// # Errors
    /// `Corrupted`, `Io`.
    pub(crate) fn finish_crashed_writer(&self, log: &mut LogState) -> NpkResult<()> {
        let applied = if self.control.is_shared() { self.control.applied() } else { None };
        self.for_each_redo(log, applied.unwrap_or(0), |op, bytes| self.write_in_place(op, bytes))?;
        let (control, seq) = (&self.control, log.tail.seq());
        let hints = control.end_all_replacing().and_then(|()| control.publish(seq));
        let hints = hints.and_then(|()| control.set_applied(seq));
        hints.map_err(|e| self.file_error(FileName::Control, e))?;
        log.redo_start = RedoStart { log: Arc::clone(&log.tail.log), position: log.tail.position };
        self.sweep();
        // It may have died in a checkpoint: what is synced from now on goes to a log that must keep its name.
        self.folder.sync().map_err(|e| self.poison(e))
    }

    /// Calls `each` with every replace after the redo start whose commit is later than `after`.
    ///
    /// # Errors
    /// `Corrupted` when redo bytes are damaged; `Io`; those of `each`.
    pub(crate) fn for_each_redo(
        &self,
        log: &LogState,
        after: u64,
        mut each: impl FnMut(&Op, &[u8]) -> NpkResult<()>,
    ) -> NpkResult<()> {
        let mut cursor = Cursor::new(&log.tail.log, log.pending().from)?;
        while cursor.position().offset < log.tail.position.offset {
            let Next::Record(record) = cursor.next()? else {
                let at = cursor.position().offset;
                return Err(NpkError::corrupted(&log.tail.log.path, at, "a committed record cannot be read"));
            };
            let replaces = record.ops.iter().filter(|op| matches!(op, Op::Replace { .. }));
            if record.seq <= after || record.redo_len == 0 {
                continue;
            }
            let redo = log.tail.log.redo(&record)?.ok_or_else(|| {
                NpkError::corrupted(
                    &log.tail.log.path,
                    record.redo_at,
                    "the redo bytes of a record are damaged",
                )
            })?;
            for op in replaces {
                let bytes = redo_of(op, &redo).ok_or_else(|| {
                    NpkError::corrupted(
                        &log.tail.log.path,
                        record.offset,
                        "a replace reaches behind its redo bytes",
                    )
                })?;
                each(op, bytes)?;
            }
        }
        Ok(())
    }

    /// Removes files that no state needs: what interrupted and refused calls left. What cannot be removed now
    /// is left to the next writer.
    pub(crate) fn sweep(&self) {
        let needed: HashSet<FileName> = self.with_catalog(|catalog| catalog.files().into_iter().collect());
        let stray = |name: &FileName| {
            matches!(name, FileName::Data { .. } | FileName::NextLog) && !needed.contains(name)
        };
        self.untidy.store(false, Ordering::Release);
        match self.folder.list() {
            Ok(names) => {
                let strays = names.iter().filter_map(|name| FileName::parse(name).filter(stray));
                strays.for_each(|name| self.remove_stray(name));
                self.sweep_ingests(&names);
            }
            Err(_) => self.untidy.store(true, Ordering::Release),
        }
    }

    /// Removes a file that somebody else left; one who may tries again, and nobody needs to hear of it.
    pub(crate) fn remove_stray(&self, name: FileName) {
        self.files.remove(name);
        if self.folder.remove(name).is_err_and(|error| error.kind() != ErrorKind::NotFound) {
            self.untidy.store(true, Ordering::Release);
        }
    }

    /// Removes a file that is of no use; if that fails, the next writer tries again.
    pub(crate) fn remove(&self, name: FileName) {
        self.files.remove(name);
        match self.folder.remove(name) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                self.untidy.store(true, Ordering::Release);
                self.defer(NpkError::io(self.folder.path().join(name.to_string()), error));
            }
            _ => {}
        }
    }
}

/// The part of a record's redo bytes that a replace refers to.
fn redo_of<'a>(op: &Op, redo: &'a [u8]) -> Option<&'a [u8]> {
    let Op::Replace { redo_offset, row_bytes, runs, .. } = op else { return None };
    let rows = runs.iter().try_fold(0_u64, |rows, run| rows.checked_add(run.len))?;
    let start = usize::try_from(*redo_offset).ok()?;
    let end = start.checked_add(usize::try_from(rows.checked_mul(*row_bytes)?).ok()?)?;
    redo.get(start..end)
}
