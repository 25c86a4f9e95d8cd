//! Where in a log the bytes of replaced rows are: an index that grows with the log, and the bytes themselves.
//!
//! The index holds for each replace its rows and the place of its bytes, never the bytes. It is of the records
//! between a place before which no replace matters and the end that was asked for last. The bytes of a record are
//! checked against their checksum before the first of them is handed out, once.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::op::Op;
use super::reader::{Cursor, LogFile, Next, Position, Record, read_exact};
use super::record::FileHeader;
use crate::rows::run::Run;
use crate::types::error::{NpkError, NpkResult};
use crate::types::room::reserve;

/// Bytes handed out at once.
const WINDOW: usize = 256 << 10;
/// Bytes read for a first piece; more when pieces follow one another.
const FIRST: usize = 4 << 10;
/// So many runs of a replace are kept, and more only where they take less than a tenth of what its bytes do; others
/// are read again when they are wanted.
const KEPT_RUNS: usize = 16;

/// Records of a log: from a place up to the committed end.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) log: Arc<LogFile>,
    pub(crate) from: Position,
    pub(crate) end: u64,
}

/// One replace of rows of a data file.
#[derive(Debug)]
pub(crate) struct Replace {
    generation: u64,
    row_bytes: u64,
    /// From the lowest row to behind the highest.
    rows: Range<u64>,
    /// Where its first byte is in the log.
    at: u64,
    runs: Option<Vec<Run>>,
    /// Which operation of its record it is.
    op: usize,
    logged: Arc<Logged>,
}

/// A record, without its operations.
#[derive(Debug)]
struct Logged {
    start: Position,
    record: Record,
    whole: AtomicBool,
}

/// The replaces of a log, by array.
#[derive(Debug, Default)]
pub(crate) struct RedoIndex {
    log: Option<FileHeader>,
    from: u64,
    end: Option<Position>,
    arrays: HashMap<u64, Vec<Arc<Replace>>>,
}

impl RedoIndex {
    /// The replaces of a data file in a part of the log that touch physical rows of a range, the oldest first.
    /// Reads records that it does not know yet, without their redo bytes.
    ///
    /// # Errors
    /// `Corrupted` when a record cannot be read; `OutOfMemory`, `Io`.
    pub(crate) fn find(
        &mut self,
        span: &Span,
        (id, generation): (u64, u64),
        rows: &Range<u64>,
    ) -> NpkResult<Vec<Arc<Replace>>> {
        self.begin(span);
        self.extend(span)?;
        let inside = span.from.offset..span.end;
        let wanted = self.arrays.get(&id).into_iter().flatten().filter(|replace| {
            replace.generation == generation
                && inside.contains(&replace.logged.start.offset)
                && replace.rows.start < rows.end
                && rows.start < replace.rows.end
        });
        let mut found = Vec::new();
        for replace in wanted {
            reserve(&mut found, 1)?;
            found.push(Arc::clone(replace));
        }
        Ok(found)
    }

    /// Forgets what lies before a span, and everything when it begins where nothing is known.
    fn begin(&mut self, span: &Span) {
        let from = span.from.offset;
        let known = self.end.is_some_and(|end| (self.from..=end.offset).contains(&from));
        if self.log != Some(span.log.header) || !known {
            *self =
                RedoIndex { log: Some(span.log.header), from, end: Some(span.from), ..RedoIndex::default() };
        } else if from > self.from {
            self.from = from;
            self.arrays.retain(|_, replaces| {
                replaces.retain(|replace| replace.logged.start.offset >= from);
                !replaces.is_empty()
            });
        }
    }

    fn extend(&mut self, span: &Span) -> NpkResult<()> {
        let mut position = self.end.unwrap_or(span.from);
        if position.offset >= span.end {
            return Ok(());
        }
        let mut cursor = Cursor::new(&span.log, position)?;
        while position.offset < span.end {
            let Next::Record(record) = cursor.next()? else {
                let reason = "a committed record cannot be read";
                return Err(NpkError::corrupted(&span.log.path, position.offset, reason));
            };
            let next = record.next;
            self.add(&span.log, position, record)?;
            position = next;
            self.end = Some(next);
        }
        Ok(())
    }

    fn add(&mut self, log: &LogFile, start: Position, mut record: Record) -> NpkResult<()> {
        let ops = std::mem::take(&mut record.ops);
        let logged = Arc::new(Logged { start, record, whole: AtomicBool::new(false) });
        for (op, found) in ops.into_iter().enumerate() {
            let Op::Replace { id, generation, redo_offset, row_bytes, runs, .. } = found else { continue };
            let record = &logged.record;
            let bytes = bytes_of(&runs, row_bytes)
                .filter(|&bytes| redo_offset.checked_add(bytes).is_some_and(|end| end <= record.redo_len))
                .ok_or_else(|| {
                    let reason = "a replace reaches behind its redo bytes";
                    NpkError::corrupted(&log.path, record.offset, reason)
                })?;
            let low = runs.iter().map(|run| run.start).min().unwrap_or(0);
            let high = runs.iter().map(|run| run.start + run.len).max().unwrap_or(0);
            if bytes == 0 {
                continue;
            }
            let light = runs.len() <= KEPT_RUNS || (runs.len() * size_of::<Run>()) as u64 <= bytes / 10;
            let at = record.redo_at + redo_offset;
            let (rows, runs, logged) = (low..high, light.then_some(runs), Arc::clone(&logged));
            let replace = Replace { generation, row_bytes, rows, at, runs, op, logged };
            let replaces = self.arrays.entry(id).or_default();
            reserve(replaces, 1)?;
            replaces.push(Arc::new(replace));
        }
        Ok(())
    }
}

/// Bytes of the rows of runs; `None` when there cannot be so many.
fn bytes_of(runs: &[Run], row_bytes: u64) -> Option<u64> {
    runs.iter().try_fold(0_u64, |rows, run| rows.checked_add(run.len))?.checked_mul(row_bytes)
}

impl Replace {
    /// Bytes of a row.
    pub(crate) fn row_bytes(&self) -> u64 {
        self.row_bytes
    }

    /// Calls `visit` with the runs that may touch a range of rows, in their order, and the place in the log of
    /// each one's bytes.
    ///
    /// # Errors
    /// `Corrupted` when the record or its redo bytes are damaged; `OutOfMemory`, `Io`; those of `visit`.
    pub(crate) fn each_run(
        &self,
        log: &LogFile,
        rows: &Range<u64>,
        mut visit: impl FnMut(Run, u64) -> NpkResult<()>,
    ) -> NpkResult<()> {
        self.check(log)?;
        let read;
        let runs = match &self.runs {
            Some(runs) => runs,
            None => {
                read = self.read_runs(log)?;
                &read
            }
        };
        let mut at = self.at;
        for &run in runs {
            if run.start < rows.end && rows.start < run.start + run.len {
                visit(run, at)?;
            }
            at += run.len * self.row_bytes;
        }
        Ok(())
    }

    fn check(&self, log: &LogFile) -> NpkResult<()> {
        let record = &self.logged.record;
        if !self.logged.whole.load(Ordering::Relaxed) {
            if !log.redo_is_whole(record)? {
                let reason = "the redo bytes of a record are damaged";
                return Err(NpkError::corrupted(&log.path, record.redo_at, reason));
            }
            self.logged.whole.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn read_runs(&self, log: &LogFile) -> NpkResult<Vec<Run>> {
        let found = Cursor::new(log, self.logged.start)?.next()?;
        match found {
            Next::Record(mut record) if self.op < record.ops.len() => match record.ops.swap_remove(self.op) {
                Op::Replace { runs, .. } => Ok(runs),
                _ => Err(self.unreadable(log)),
            },
            _ => Err(self.unreadable(log)),
        }
    }

    fn unreadable(&self, log: &LogFile) -> NpkError {
        NpkError::corrupted(&log.path, self.logged.start.offset, "a committed record cannot be read")
    }
}

/// Hands out bytes of a log through a window, which gets larger while pieces follow one another.
#[derive(Debug)]
pub(crate) struct Window<'a> {
    log: &'a LogFile,
    /// Where the bytes end that may be read.
    end: u64,
    bytes: Vec<u8>,
    at: u64,
    ahead: usize,
}

impl<'a> Window<'a> {
    /// Begins empty, in the log of a span.
    pub(crate) fn new(span: &'a Span) -> Window<'a> {
        Window { log: &span.log, end: span.end, bytes: Vec::new(), at: 0, ahead: FIRST }
    }

    /// Calls `visit` with the bytes `at..at + len`, a piece at a time.
    ///
    /// # Errors
    /// `OutOfMemory`, `Io`; those of `visit`.
    pub(crate) fn each(
        &mut self,
        mut at: u64,
        len: u64,
        mut visit: impl FnMut(&[u8]) -> NpkResult<()>,
    ) -> NpkResult<()> {
        let stop = at + len;
        while at < stop {
            let known = self.at + self.bytes.len() as u64;
            if !(self.at..known).contains(&at) {
                self.fill(at, stop - at)?;
                continue;
            }
            let from = (at - self.at) as usize;
            let piece = &self.bytes[from..self.bytes.len().min(from + (stop - at) as usize)];
            visit(piece)?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    fn fill(&mut self, at: u64, wanted: u64) -> NpkResult<()> {
        let behind = at.checked_sub(self.at + self.bytes.len() as u64);
        let follows = !self.bytes.is_empty() && behind.is_some_and(|gap| gap < self.ahead as u64);
        self.ahead = if follows { (self.ahead * 4).min(WINDOW) } else { FIRST };
        let len = wanted.max(self.ahead as u64).min(self.end.saturating_sub(at)).min(WINDOW as u64) as usize;
        self.bytes.clear();
        reserve(&mut self.bytes, len)?;
        self.bytes.resize(len, 0);
        self.at = at;
        read_exact(&*self.log.file, &mut self.bytes, at).map_err(|e| NpkError::io(&self.log.path, e))
    }
}
