//! Copying the rows of a plan out of a data file, torn or not: who calls makes sure that they are of one commit.
//!
//! Long runs are read by system call, where bad media and outside truncation are errors; what is short or
//! scattered comes from the mapping, as a call each would cost more. Large copies are spread over threads; memory
//! beside the target is that of the parts, however many runs there are.

use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::Arc;

use crate::disk::Mapping;
use crate::log::catalog::ArrayState;
use crate::parallel::{self, PARALLEL_BYTES};
use crate::rows::plan::{Piece, Plan};
use crate::store::reading::held::RowFile;
use crate::types::error::NpkResult;

/// Runs of at least this many bytes are read by system call.
pub(crate) const LONG_RUN: usize = 64 << 10;
/// Scattered rows are copied in parts of so many bytes, one thread each.
const GATHER_PART: usize = 256 << 10;
/// Neighbouring rows are copied in parts of so many bytes, one thread each.
const READ_PART: usize = 4 << 20;

/// An array as of one commit, with its file.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) array: Arc<ArrayState>,
    pub(crate) file: RowFile,
}

/// Fills `dst` with the rows of a plan.
///
/// # Errors
/// `Corrupted`, `Io`.
pub(crate) fn copy(source: &Source, plan: &Plan<'_>, dst: &mut [MaybeUninit<u8>]) -> NpkResult<()> {
    if dst.is_empty() {
        return Ok(());
    }
    let row_bytes = source.array.row_bytes() as usize;
    if dst.len() >= LONG_RUN
        && let Some(run) = plan.run()
    {
        return read_long(&source.file, run.start * row_bytes as u64, dst);
    }
    let mapping = source.file.mapping(source.array.bytes())?;
    let reader = Reader { file: &source.file, mapping: &mapping, row_bytes };
    if dst.len() < PARALLEL_BYTES {
        return reader.fill(plan, 0..plan.places(), dst);
    }
    let bytes = if plan.range().is_some() { READ_PART } else { GATHER_PART };
    let parts = parts(plan, (bytes / row_bytes).max(1) as u64, row_bytes, dst);
    parallel::map(parts, |(places, dst)| reader.fill(plan, places, dst)).into_iter().collect()
}

/// Cuts the places of a plan into parts of `size`, each with its part of the target.
fn parts<'d>(
    plan: &Plan<'_>,
    size: u64,
    row_bytes: usize,
    dst: &'d mut [MaybeUninit<u8>],
) -> Vec<(Range<u64>, &'d mut [MaybeUninit<u8>])> {
    let (mut start, mut rest, mut parts) = (0, dst, Vec::new());
    while start < plan.places() {
        let places = start..plan.places().min(start + size);
        start = places.end;
        let (target, after) = rest.split_at_mut(plan.count_at(places.clone()) as usize * row_bytes);
        rest = after;
        parts.push((places, target));
    }
    parts
}

/// Reads neighbouring bytes by system calls, several at once when there are many.
fn read_long(file: &RowFile, at: u64, dst: &mut [MaybeUninit<u8>]) -> NpkResult<()> {
    if dst.len() <= READ_PART {
        return file.read_at(dst, at);
    }
    let parts = (at..).step_by(READ_PART).zip(dst.chunks_mut(READ_PART)).collect();
    parallel::map(parts, |(at, part)| file.read_at(part, at)).into_iter().collect()
}

/// Where rows come from.
#[derive(Clone, Copy)]
struct Reader<'a> {
    file: &'a RowFile,
    mapping: &'a Mapping,
    row_bytes: usize,
}

impl Reader<'_> {
    /// Fills `dst` with the rows at some places of a plan.
    fn fill(&self, plan: &Plan<'_>, places: Range<u64>, dst: &mut [MaybeUninit<u8>]) -> NpkResult<()> {
        let mut rest = dst;
        plan.each_piece(places, |piece| {
            let rows = match piece {
                Piece::Run(run) => run.len as usize,
                Piece::Rows(rows) => rows.len(),
            };
            let (target, after) = std::mem::take(&mut rest).split_at_mut(rows * self.row_bytes);
            rest = after;
            match piece {
                Piece::Rows(rows) => self.mapping.gather(self.row_bytes, rows, target),
                Piece::Run(run) => {
                    let at = run.start * self.row_bytes as u64;
                    if target.len() >= LONG_RUN {
                        return read_long(self.file, at, target);
                    }
                    self.mapping.read(at, target);
                }
            }
            Ok(())
        })
    }
}
