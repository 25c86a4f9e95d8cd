//! Repair: what a damaged store still proves, in a new store. The old one is read and never written.
//!
//! The log says which arrays there are ([`salvage`](super::salvage)); an array comes over when its bytes have the
//! checksum that they were committed with, and is named with the reason when they have not. One commit shows them.

use std::collections::HashSet;
use std::fs;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::contents::for_each_piece;
use super::replay::Replayed;
use super::salvage::{Salvage, salvage};
use crate::checksum::crc32c;
use crate::disk::control::Control;
use crate::disk::{Access, FileName, Folder, LockKind, OsFolder, StorageFile, is_vacant};
use crate::log::catalog::ArrayState;
use crate::log::op::Op;
use crate::options::{Mode, OpenOptions};
use crate::rows::run::Run;
use crate::store::verbs::ingest::{Existing, Ingest, NewArray};
use crate::types::error::{NpkError, NpkResult};

/// How long a writer at work in the damaged store is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// An array that [`repair`] brought over.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepairedArray {
    /// Its name.
    pub name: String,
    /// Live rows; a scalar is one.
    pub rows: u64,
    /// Whether its bytes have the checksum that they were committed with. An array that was mapped for writing has
    /// none: what is in its file is taken as it is.
    pub is_proven: bool,
    /// The commit as of which it is; a later one may have changed it when that is before the last.
    pub commit: u64,
}

/// An array that [`repair`] left out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LostArray {
    /// Its name.
    pub name: String,
    /// What is wrong.
    pub reason: String,
}

/// What [`repair`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepairReport {
    /// Arrays of the new store.
    pub recovered: Vec<RepairedArray>,
    /// Arrays that are not in it.
    pub left_out: Vec<LostArray>,
    /// What is wrong with the log, with the place.
    pub log_problems: Vec<String>,
    /// Bytes of the log that nothing could be made of.
    pub log_bytes_lost: u64,
    /// Data files that no readable commit names: their rows cannot be told.
    pub unknown_files: Vec<String>,
    /// The last commit that could be read; `None` when none could.
    pub last_commit: Option<u64>,
    /// Whether every commit could be read that is known to have been made; otherwise arrays may be as of an earlier
    /// one, or missing.
    pub is_last_state: bool,
}

impl RepairReport {
    /// Whether nothing is missing: every commit was read and every array came over.
    pub fn is_complete(&self) -> bool {
        self.is_last_state && self.left_out.is_empty()
    }
}

/// Rebuilds the store at `source`, which may be damaged or refused, as a new store at `target`: every array that is
/// provably intact, in one commit, with its deleted rows deleted. The old store is never written to.
///
/// An array is intact when its bytes have the checksum that they were committed with. Where records of the log cannot
/// be read, those behind them are looked for; an array that only earlier records describe is recovered as of the last
/// of them, if its file still holds that. `progress` gets the bytes that are done and those there are in all. Reads
/// all data once; takes the memory of the log's records.
///
/// # Errors
/// `InvalidArgument` when `source` holds no store or the target lies in it; `Locked` when a writer is at work in the
/// source for two seconds; `UnsupportedVersion`; `Io` of kind `NotFound` when nothing is at `source`, of kind
/// `AlreadyExists` when something is at `target`, of kind `Interrupted` when `progress` breaks.
pub fn repair(
    source: impl AsRef<Path>,
    target: impl AsRef<Path>,
    mut progress: impl FnMut(u64, u64) -> ControlFlow<()>,
) -> NpkResult<RepairReport> {
    let (source, target) = (source.as_ref(), target.as_ref());
    let folder = open_source(source)?;
    check_target(source, target)?;
    let mut step = |done, total| match progress(done, total) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => {
            let stopped = std::io::Error::new(ErrorKind::Interrupted, "stopped by the progress callback");
            Err(NpkError::io(source, stopped))
        }
    };
    let _still = hold_still(&folder, &mut || step(0, 0))?;
    let found = read_log(&folder, &mut || step(0, 0))?;
    let mut work = Work { folder: &folder, report: describe(&folder, &found), done: 0, total: 0 };
    work.total = found.arrays.iter().map(|(_, array)| array.bytes()).fold(0, u64::saturating_add);
    let mut ingest = OpenOptions::new().mode(Mode::CreateNew).ingest(target)?;
    for (number, array) in &found.arrays {
        let is_last = number + 1 == found.stretches.len();
        work.bring(&mut ingest, &found.stretches[*number], array, is_last, &mut step)?;
    }
    ingest.commit(Existing::RemoveAll)?;
    Ok(work.report)
}

fn open_source(source: &Path) -> NpkResult<OsFolder> {
    let metadata = source.metadata().map_err(|e| NpkError::io(source, e))?;
    let none = || refused("source", source, "there is no NumPack store");
    if !metadata.is_dir() {
        return Err(none());
    }
    let folder = OsFolder::open(source).map_err(|e| NpkError::io(source, e))?;
    let names = folder.list().map_err(|e| NpkError::io(source, e))?;
    let is_of_a_store = |name: &String| {
        matches!(FileName::parse(name), Some(FileName::Log | FileName::NextLog | FileName::Data { .. }))
    };
    if names.iter().any(is_of_a_store) { Ok(folder) } else { Err(none()) }
}

fn check_target(source: &Path, target: &Path) -> NpkResult<()> {
    let there = target.symlink_metadata().is_ok();
    if there && !is_vacant(target).is_ok_and(|vacant| vacant) {
        return Err(NpkError::io(target, rustix::io::Errno::EXIST.into()));
    }
    let absolute = std::path::absolute(target).map_err(|e| NpkError::io(target, e))?;
    let above = absolute.ancestors().find_map(|folder| fs::canonicalize(folder).ok());
    let source = fs::canonicalize(source).map_err(|e| NpkError::io(source, e))?;
    if above.is_some_and(|above| above.starts_with(&source)) {
        return Err(refused("target", target, "it lies in the store"));
    }
    Ok(())
}

fn refused(argument: &'static str, path: &Path, reason: &'static str) -> NpkError {
    NpkError::InvalidArgument { argument, value: path.display().to_string(), reason }
}

/// Keeps writers out as long as what is returned lives; there are none where the lock's file is missing.
fn hold_still(
    folder: &OsFolder,
    alive: &mut dyn FnMut() -> NpkResult<()>,
) -> NpkResult<Option<Arc<dyn StorageFile>>> {
    let io = |e| NpkError::io(folder.path().join(FileName::Lock.to_string()), e);
    let file = match folder.open(FileName::Lock, Access::Read) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidInput) => {
            return Ok(None);
        }
        other => other.map_err(io)?,
    };
    let start = Instant::now();
    while !file.try_lock(LockKind::Shared).map_err(io)? {
        let waited = start.elapsed();
        if waited >= PATIENCE {
            return Err(NpkError::Locked { path: folder.path().to_owned(), waited });
        }
        alive()?;
        thread::sleep(Duration::from_millis(5));
    }
    Ok(Some(file))
}

/// What the log proves; of a store whose log is gone, what the next one does that a checkpoint was writing.
fn read_log(folder: &OsFolder, alive: &mut dyn FnMut() -> NpkResult<()>) -> NpkResult<Salvage> {
    let log = salvage(folder, FileName::Log, alive)?;
    if let Some(found) = log.filter(|found| found.seq().is_some()) {
        return Ok(found);
    }
    let next = salvage(folder, FileName::NextLog, alive)?;
    let mut found = next.unwrap_or_else(Salvage::nothing);
    found.problems.insert(0, format!("{} is missing or has no readable record", FileName::Log));
    Ok(found)
}

/// The report before any array has been looked at.
fn describe(folder: &OsFolder, found: &Salvage) -> RepairReport {
    let mut report = RepairReport {
        log_problems: found.problems.clone(),
        log_bytes_lost: found.lost_bytes,
        last_commit: found.seq(),
        ..RepairReport::default()
    };
    report.is_last_state = is_last_state(folder, found);
    let mut named: HashSet<FileName> = found.arrays.iter().map(|(_, array)| array.file()).collect();
    named.extend(found.stretches.iter().flat_map(|stretch| stretch.catalog.files()));
    for name in folder.list().unwrap_or_default() {
        let file = FileName::parse(&name);
        if file.is_some_and(|file| matches!(file, FileName::Data { .. }) && !named.contains(&file)) {
            report.unknown_files.push(name);
        }
    }
    report.unknown_files.sort_unstable();
    report
}

/// Whether all was read that the control page knows of and, should the log end in damage, no less.
fn is_last_state(folder: &OsFolder, found: &Salvage) -> bool {
    let ([stretch], Some(seq)) = (found.stretches.as_slice(), found.seq()) else { return false };
    let control = Control::open(folder, &stretch.log.header.store_id, false).ok().flatten();
    let floor = control.and_then(|control| match *control.boot_id() == folder.boot_id() {
        true => control.committed(),
        false => Some(control.synced()),
    });
    let is_log = stretch.log.path.ends_with(FileName::Log.to_string());
    is_log && floor.map_or(found.problems.is_empty(), |floor| seq >= floor)
}

/// The copying of arrays.
struct Work<'a> {
    folder: &'a OsFolder,
    report: RepairReport,
    done: u64,
    total: u64,
}

impl Work<'_> {
    /// Brings an array into the new store, or says why not.
    fn bring(
        &mut self,
        ingest: &mut Ingest,
        stretch: &Replayed,
        array: &ArrayState,
        is_last: bool,
        step: &mut dyn FnMut(u64, u64) -> NpkResult<()>,
    ) -> NpkResult<()> {
        let outcome = match self.obstacle(stretch, array, is_last)? {
            Some(reason) => Some(reason),
            None => self.copy(ingest, stretch, array, step)?,
        };
        let name = array.name.to_string();
        match outcome {
            Some(reason) => self.report.left_out.push(LostArray { name, reason }),
            None => self.report.recovered.push(RepairedArray {
                name,
                rows: array.rows(),
                is_proven: array.checksum.is_some(),
                commit: stretch.catalog.seq,
            }),
        }
        Ok(())
    }

    /// Why an array cannot be brought over, as far as that is seen without reading its rows.
    fn obstacle(&self, stretch: &Replayed, array: &ArrayState, is_last: bool) -> NpkResult<Option<String>> {
        let file = array.file();
        let len = match self.folder.open(file, Access::Read).and_then(|file| file.len()) {
            Ok(len) => len,
            Err(error) => return Ok(Some(format!("{file}: {error}"))),
        };
        if len < array.bytes() {
            let committed = array.bytes();
            return Ok(Some(format!("{file} has {len} bytes; {committed} were committed")));
        }
        if array.checksum.is_some() {
            return Ok(None);
        }
        // Nothing would tell if its rows are not those of the commit.
        let torn = damaged_redo(stretch, array)? > 0;
        Ok((torn || !is_last).then(|| "it has no checksum, and what changed it cannot be read".to_owned()))
    }

    /// Copies and checks the rows of an array; returns what is wrong with them.
    fn copy(
        &mut self,
        ingest: &mut Ingest,
        stretch: &Replayed,
        array: &ArrayState,
        step: &mut dyn FnMut(u64, u64) -> NpkResult<()>,
    ) -> NpkResult<Option<String>> {
        // A damaged replace is made good by the file if that has it, and then it has those before it too.
        let applied = damaged_redo(stretch, array)?;
        let file = ingest.file(array.bytes())?;
        let (mut at, mut crc, mut failed) = (0, 0, None);
        let read = for_each_piece(self.folder, stretch, array, applied, |bytes| {
            let written = file.with_room(|file| file.write_at(&[bytes], at));
            (at, crc) = (at + bytes.len() as u64, crc32c(crc, bytes));
            match written.and_then(|()| step(self.done.saturating_add(at), self.total)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        self.done = self.done.saturating_add(array.bytes());
        if let Err(error) = read {
            return Ok(Some(error.to_string()));
        }
        if array.checksum.is_some_and(|expected| expected != crc) {
            return Ok(Some(format!("the checksum of {} does not match", array.file())));
        }
        let deleted = array.deleted.runs().map(|(start, end)| Run { start, len: end - start }).collect();
        let (name, dtype, shape) = (array.name.to_string(), array.dtype, array.shape.clone());
        match ingest.put(NewArray { name, dtype, shape, deleted }, file, crc) {
            Err(error @ (NpkError::InvalidName { .. } | NpkError::InvalidShape { .. })) => {
                Ok(Some(error.to_string()))
            }
            other => other.map(|()| None),
        }
    }
}

/// The last commit that replaced rows of this file and whose redo bytes are damaged; 0 when there is none.
fn damaged_redo(stretch: &Replayed, array: &ArrayState) -> NpkResult<u64> {
    let touches = |op: &Op| {
        matches!(op, Op::Replace { id, generation, runs, .. }
            if *id == array.id && *generation == array.generation && !runs.is_empty())
    };
    if !stretch.catalog.replaced.contains(&array.id) {
        return Ok(0);
    }
    for record in stretch.records.iter().rev().filter(|record| record.ops.iter().any(touches)) {
        if !stretch.log.redo_is_whole(record)? {
            return Ok(record.seq);
        }
    }
    Ok(0)
}
