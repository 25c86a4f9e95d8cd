//! Verification: reads the log and every data file as they are on disk, and reports. Changes nothing.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::disk::{Access, FileName, is_nobodys};
use crate::log::catalog::ArrayState;
use crate::store::commit::ingests::is_living;
use crate::store::commit::state::StoreState;
use crate::store::recovery::contents::matches_checksum;
use crate::store::recovery::replay::{Replayed, replay};
use crate::types::error::{NpkError, NpkResult};

/// Looks at a store that writers are changing before they have to wait for one.
const TRIES: u32 = 4;

/// One thing that is wrong, or only strange.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// The log cannot be read to its end.
    Log(String),
    /// A data file is missing, or shorter than what was committed.
    File {
        /// The array.
        array: String,
        /// Its data file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// The bytes of a data file are not those that were written.
    Contents {
        /// The array.
        array: String,
        /// Its data file.
        file: String,
    },
    /// A file in the folder belongs to no array: left by an interrupted call, or put there by someone else.
    Stray(String),
}

impl Finding {
    /// Whether data is damaged, rather than a file too many.
    pub fn is_damage(&self) -> bool {
        !matches!(self, Finding::Stray(_))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::Log(reason) => write!(f, "log: {reason}"),
            Finding::File { array, file, reason } => write!(f, "array {array:?} ({file}): {reason}"),
            Finding::Contents { array, file } => {
                write!(f, "array {array:?} ({file}): the checksum does not match")
            }
            Finding::Stray(file) => write!(f, "{file}: belongs to no array"),
        }
    }
}

/// What [`crate::Store::verify`] found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Arrays looked at.
    pub arrays: usize,
    /// Arrays whose every byte was checked against a checksum. An array that was mapped for writing has none,
    /// and one that was replaced into during the check counts only if it matched its checksum all the same.
    pub checksummed: usize,
    /// Everything found, damage first.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether no data is damaged.
    pub fn is_intact(&self) -> bool {
        !self.findings.iter().any(Finding::is_damage)
    }
}

/// Verifies the store. What is found while writers are at work may be their doing: it is looked at again, at last
/// with writers kept out, for which `timeout` bounds the wait.
///
/// # Errors
/// `Io` when the folder cannot be read; `Locked`, `OutOfMemory`.
pub(crate) fn verify(core: &StoreState, timeout: Option<Duration>) -> NpkResult<Report> {
    for _ in 0..TRIES {
        let before = core.control.committed();
        let report = look(core)?;
        // A file that a writer retired meanwhile is missing without being lost.
        if report.findings.is_empty() || core.control.committed() == before {
            return Ok(report);
        }
    }
    let _guard = core.lock.as_ref().map(|lock| lock.acquire(&*core.folder, timeout)).transpose()?;
    look(core)
}

fn look(core: &StoreState) -> NpkResult<Report> {
    let mut report = Report::default();
    // First: what is in the files now stays there.
    let applied = if core.control.is_shared() { core.control.applied().unwrap_or(0) } else { 0 };
    let floor = core.control.committed().unwrap_or(0);
    let replayed = match replay(&*core.folder, false, floor) {
        Ok(replayed) => replayed,
        Err(error @ NpkError::OutOfMemory { .. }) => return Err(error),
        Err(error) => {
            report.findings.push(Finding::Log(error.to_string()));
            return Ok(report);
        }
    };
    if replayed.catalog.seq < floor {
        let reason = replayed.bad.as_deref().unwrap_or("it ends before a committed record");
        report.findings.push(Finding::Log(format!("byte {}: {reason}", replayed.position.offset)));
    }
    for record in &replayed.records {
        if !replayed.log.redo_is_whole(record)? {
            report.findings.push(Finding::Log(format!("byte {}: redo bytes are damaged", record.redo_at)));
        }
    }
    for array in replayed.catalog.arrays() {
        report.arrays += 1;
        let (name, file) = (array.name.to_string(), array.file().to_string());
        if let Some(reason) = file_problem(core, array.file(), array.bytes())? {
            report.findings.push(Finding::File { array: name, file, reason });
        } else if array.checksum.is_some() {
            check_contents(core, &replayed, array, applied, &mut report)?;
        }
    }
    find_strays(core, &replayed.catalog.files().into_iter().collect(), &mut report)?;
    Ok(report)
}

fn check_contents(
    core: &StoreState,
    replayed: &Replayed,
    array: &ArrayState,
    applied: u64,
    report: &mut Report,
) -> NpkResult<()> {
    let matches = match matches_checksum(&*core.folder, replayed, array, applied) {
        Err(error @ NpkError::Corrupted { .. }) => {
            report.findings.push(Finding::Log(error.to_string()));
            return Ok(());
        }
        other => other?,
    };
    // A file whose rows are replaced meanwhile is of no one state.
    let checked = matches || is_unchanged(core, array)?;
    report.checksummed += usize::from(checked);
    if checked && !matches {
        let (array, file) = (array.name.to_string(), array.file().to_string());
        report.findings.push(Finding::Contents { array, file });
    }
    Ok(())
}

/// Whether no commit has changed the bytes of an array since `then`: its record would have come before them.
fn is_unchanged(core: &StoreState, then: &ArrayState) -> NpkResult<bool> {
    let floor = core.control.committed().unwrap_or(0);
    let now = match replay(&*core.folder, false, floor) {
        Ok(now) => now,
        Err(error @ NpkError::OutOfMemory { .. }) => return Err(error),
        // Where the log cannot be read any more, what was found stands.
        Err(_) => return Ok(true),
    };
    let same = |now: &Arc<ArrayState>| now.generation == then.generation && now.checksum == then.checksum;
    Ok(now.catalog.by_id(then.id).is_some_and(same))
}

fn file_problem(core: &StoreState, name: FileName, committed: u64) -> NpkResult<Option<String>> {
    let len = core.folder.open(name, Access::Read).and_then(|file| file.len());
    Ok(match len {
        Err(error) => Some(error.to_string()),
        Ok(len) if len < committed => Some(format!("the file has {len} bytes; {committed} were committed")),
        Ok(_) => None,
    })
}

fn find_strays(core: &StoreState, needed: &HashSet<FileName>, report: &mut Report) -> NpkResult<()> {
    let names = core.folder.list().map_err(|e| NpkError::io(core.folder.path(), e))?;
    for name in names {
        let known = match FileName::parse(&name) {
            Some(FileName::NextLog) => false,
            None => is_nobodys(&name),
            Some(data @ FileName::Data { .. }) => needed.contains(&data),
            Some(incoming @ FileName::Incoming { ingest, .. }) => {
                match core.folder.open(FileName::Incoming { ingest, number: 0 }, Access::Read) {
                    Ok(anchor) => is_living(&*anchor),
                    // Of an ingest that has ended meanwhile nothing is there.
                    Err(_) => core.folder.open(incoming, Access::Read).is_err(),
                }
            }
            Some(_) => true,
        };
        if !known {
            report.findings.push(Finding::Stray(name));
        }
    }
    Ok(())
}
