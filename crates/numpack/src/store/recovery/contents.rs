//! Whether a data file holds what was committed, with the replaces that it may lack overlaid on it.
//!
//! After a power cut, and while a replace is under way, replaced rows are whole in the log alone. So their
//! bytes are summed from there and all others from the file; nothing is written and little is held.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::checksum::crc32c;
use crate::disk::{Access, Folder, StorageFile};
use crate::log::catalog::ArrayState;
use crate::log::op::Op;
use crate::log::reader::{Record, read_exact};
use crate::store::recovery::replay::Replayed;
use crate::types::error::{NpkError, NpkResult};
use crate::types::room::zeros;

/// Bytes read at once.
const WINDOW: usize = 1 << 20;

/// Whether the data file of an array of `replayed` is long enough and, when that is known, has the checksum it
/// should have; replaces later than `applied` may not be in it.
///
/// # Errors
/// `Corrupted` when a replace reaches behind its redo bytes; `Io`.
pub(crate) fn matches_checksum(
    folder: &dyn Folder,
    replayed: &Replayed,
    array: &ArrayState,
    applied: u64,
) -> NpkResult<bool> {
    let path = folder.path().join(array.file().to_string());
    let io = |e| NpkError::io(&path, e);
    let file = match folder.open(array.file(), Access::Read) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        other => other.map_err(io)?,
    };
    if file.len().map_err(io)? < array.bytes() {
        return Ok(false);
    }
    let Some(expected) = array.checksum else { return Ok(true) };
    let mut crc = 0;
    for_each_piece(folder, replayed, array, applied, |bytes| {
        crc = crc32c(crc, bytes);
        ControlFlow::Continue(())
    })?;
    Ok(crc == expected)
}

/// Calls `each` with the committed bytes of an array, piece by piece from the first to the last, until it breaks;
/// replaces later than `applied` are taken from the log.
///
/// # Errors
/// `Corrupted` when a replace reaches behind its redo bytes; `Io`, also when a file ends too early.
pub(crate) fn for_each_piece(
    folder: &dyn Folder,
    replayed: &Replayed,
    array: &ArrayState,
    applied: u64,
    each: impl FnMut(&[u8]) -> ControlFlow<()>,
) -> NpkResult<()> {
    let path = folder.path().join(array.file().to_string());
    let io = |e| NpkError::io(&path, e);
    let file = folder.open(array.file(), Access::Read).map_err(io)?;
    let mut walk = Walk { each, ended: false, window: zeros(WINDOW.min(array.bytes() as usize))? };
    let mut at = 0;
    for (start, piece) in replaced(replayed, array, applied)?.0 {
        walk.read(&*file, at, start - at).map_err(io)?;
        let log = &replayed.log;
        walk.read(&*log.file, piece.place, piece.end - start).map_err(|e| NpkError::io(&log.path, e))?;
        at = piece.end;
    }
    walk.read(&*file, at, array.bytes() - at).map_err(io)
}

/// A walk that goes on from one range of a file to the next.
struct Walk<F> {
    each: F,
    ended: bool,
    window: Vec<u8>,
}

impl<F: FnMut(&[u8]) -> ControlFlow<()>> Walk<F> {
    fn read(&mut self, file: &dyn StorageFile, mut at: u64, mut left: u64) -> std::io::Result<()> {
        while left > 0 && !self.ended {
            let part = self.window.len().min(left as usize);
            read_exact(file, &mut self.window[..part], at)?;
            self.ended = (self.each)(&self.window[..part]).is_break();
            (at, left) = (at + part as u64, left - part as u64);
        }
        Ok(())
    }
}

/// Replaced bytes up to `end`, and where in the log they are.
#[derive(Debug, PartialEq, Eq)]
struct Piece {
    end: u64,
    place: u64,
}

/// Replaced parts of a file by their first byte; none lies over another.
#[derive(Debug, Default)]
struct Pieces(BTreeMap<u64, Piece>);

impl Pieces {
    /// Lays the bytes at `place` over `start..end`.
    fn lay(&mut self, start: u64, end: u64, place: u64) {
        let first = self.0.range(..start).next_back().filter(|(_, piece)| piece.end > start);
        let from = first.map_or(start, |(&at, _)| at);
        let under: Vec<u64> = self.0.range(from..end).map(|(&at, _)| at).collect();
        for at in under {
            let Some(old) = self.0.remove(&at) else { continue };
            if old.end > end {
                self.0.insert(end, Piece { end: old.end, place: old.place + (end - at) });
            }
            if at < start {
                self.0.insert(at, Piece { end: start, place: old.place });
            }
        }
        self.0.insert(start, Piece { end, place });
    }
}

/// What replaces later than `applied` have changed in the file of an array.
fn replaced(replayed: &Replayed, array: &ArrayState, applied: u64) -> NpkResult<Pieces> {
    let mut pieces = Pieces::default();
    // Without this look, a store of many arrays would go through its whole log for each.
    if !replayed.catalog.replaced.contains(&array.id) || array.bytes() == 0 {
        return Ok(pieces);
    }
    for record in replayed.records.iter().filter(|record| record.seq > applied) {
        for op in &record.ops {
            if lay_over(&mut pieces, record, op, array).is_none() {
                let reason = "a replace reaches behind its redo bytes";
                return Err(NpkError::corrupted(&replayed.log.path, record.offset, reason));
            }
        }
    }
    Ok(pieces)
}

/// Lays a replace of this array's file over it; `None` when it has too few redo bytes.
fn lay_over(pieces: &mut Pieces, record: &Record, op: &Op, array: &ArrayState) -> Option<()> {
    let Op::Replace { id, generation, redo_offset, runs, .. } = op else { return Some(()) };
    if *id != array.id || *generation != array.generation {
        return Some(());
    }
    let mut at = *redo_offset;
    for run in runs.iter().filter(|run| run.len > 0) {
        let len = run.len.checked_mul(array.row_bytes())?;
        let start = run.start.checked_mul(array.row_bytes())?;
        let end = at.checked_add(len).filter(|&end| end <= record.redo_len)?;
        pieces.lay(start, start.checked_add(len)?, record.redo_at + at);
        at = end;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_read_as_if_each_had_been_copied(
            copies in proptest::collection::vec((0_u64..200, 1_u64..60), 0..40),
        ) {
            let (mut plain, mut pieces) = (vec![None; 260], Pieces::default());
            for (i, &(start, len)) in copies.iter().enumerate() {
                let place = 1000 * i as u64;
                (0..len).for_each(|byte| plain[(start + byte) as usize] = Some(place + byte));
                pieces.lay(start, start + len, place);
            }
            let mut laid = vec![None; 260];
            for (&start, &Piece { end, place }) in &pieces.0 {
                for byte in start..end {
                    prop_assert!(laid[byte as usize].is_none(), "two pieces hold byte {}", byte);
                    laid[byte as usize] = Some(place + (byte - start));
                }
            }
            prop_assert_eq!(laid, plain);
        }
    }
}
