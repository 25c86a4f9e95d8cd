//! Which physical rows of one array are logically deleted.
//!
//! An array keeps the rows it deletes: a row has a *physical* number, its place in the data, and a
//! live row also has a *logical* number, its place among the live rows. [`DeletedRows`] is the set
//! of deleted physical rows and the translation between the two numberings (rank and select). It
//! knows nothing of how many rows the array has: a row never deleted is live, however high its
//! number, so appending rows touches nothing here. It is not a file format either.
//!
//! Rows are grouped into chunks of 65,536. A chunk without deletions, or with nothing else, costs
//! one enum tag; any other holds a bit per row and, per 64-bit word, the live rows before it. A
//! Fenwick tree holds the live rows per chunk, so that finding a chunk and changing one are both
//! `O(log n)`.
//!
//! # Invariants
//!
//! * Equal sets have equal representations, which makes the derived `PartialEq` set equality: a
//!   chunk without deletions is `Empty`, one without live rows is `Full`, the last chunk has a
//!   deletion, and the tree's size is a function of the number of chunks.
//! * The tree holds, per chunk, the number of rows not deleted in it.
//! * A clone never changes: chunks are shared, and copied before the first write to a shared one.

mod bits;
mod counts;

use std::fmt;
use std::iter;
use std::ops::Range;
use std::sync::Arc;

use bits::{Bits, NO_DELETIONS, select_in_word};
use counts::LiveCounts;

use crate::rows::run::Run;
use crate::types::error::NpkResult;
use crate::types::room::reserve;

/// Rows per chunk: the most for which the live rows before any of its words fit `u16`.
const CHUNK_ROWS: usize = 1 << 16;

/// Rows per word of a chunk's bitmap.
const WORD_ROWS: usize = u64::BITS as usize;

/// The end of the rows that can be deleted, so that a wrong row number panics and does not abort.
const ROWS_END: u64 = 1 << 48;

/// Words in a chunk's bitmap, a power of two, on which the binary search relies.
const CHUNK_WORDS: usize = CHUNK_ROWS / WORD_ROWS;

/// Searches that advance in lockstep. Each step of a search waits for the one before, so one search
/// alone leaves the CPU idle, while many do not fit its registers; 8 measured best.
const LANES: usize = 8;

/// The set of logically deleted physical rows of one array.
///
/// Memory is some 32 bytes per chunk up to the highest deleted row, plus 10 KiB per chunk of which
/// some rows are deleted and some are live. A clone costs one reference count per chunk.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct DeletedRows {
    /// The chunks up to the last one with a deletion; those after it are empty.
    chunks: Vec<Chunk>,
    /// The number of live rows of each chunk.
    live: LiveCounts,
}

impl DeletedRows {
    /// The number of deleted rows.
    pub(crate) fn count(&self) -> u64 {
        first_row(self.live.nodes.len()) - self.live.total()
    }

    /// Whether no row is deleted.
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Whether physical row `row` is deleted: the plain question, for tests.
    #[cfg(test)]
    pub(crate) fn contains(&self, row: u64) -> bool {
        let (chunk, offset) = split(row);
        match self.chunks.get(chunk) {
            None | Some(Chunk::Empty) => false,
            Some(Chunk::Full) => true,
            Some(Chunk::Mixed(bits)) => bits.contains(offset),
        }
    }

    /// Makes room for deletions before row `end`, so that [`insert_run`](Self::insert_run) needs no memory but
    /// for the bits of the chunks that it touches.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn reserve(&mut self, end: u64) -> NpkResult<()> {
        let chunks = end.div_ceil(CHUNK_ROWS as u64) as usize;
        let more = chunks.saturating_sub(self.chunks.len());
        reserve(&mut self.chunks, more)?;
        self.live.reserve(chunks)
    }

    /// A copy; chunks are shared.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn try_clone(&self) -> NpkResult<DeletedRows> {
        let mut chunks = Vec::new();
        reserve(&mut chunks, self.chunks.len())?;
        chunks.extend_from_slice(&self.chunks);
        Ok(DeletedRows { chunks, live: self.live.try_clone()? })
    }

    /// Deletes physical rows `start..end`, of which some or all may be deleted already; an empty or
    /// reversed range deletes nothing. Returns how many were live until now.
    ///
    /// # Panics
    ///
    /// If `end` is beyond [`ROWS_END`], which no array can hold.
    pub(crate) fn insert_run(&mut self, start: u64, end: u64) -> u64 {
        if start >= end {
            return 0;
        }
        assert!(end <= ROWS_END, "deleted rows end at {end}, beyond {ROWS_END}");
        let (first, first_offset) = split(start);
        let (last, last_offset) = split(end - 1);
        if last >= self.chunks.len() {
            self.chunks.resize(last + 1, Chunk::Empty);
            self.live.grow(last + 1);
        }
        let mut deleted = 0;
        for chunk in first..=last {
            let from = if chunk == first { first_offset } else { 0 };
            let to = if chunk == last { last_offset + 1 } else { CHUNK_ROWS };
            let added = self.chunks[chunk].insert(from..to) as u64;
            self.live.subtract(chunk, added);
            deleted += added;
        }
        deleted
    }

    /// The number of live rows before physical row `row`, which is the logical number of `row` if
    /// it is live.
    pub(crate) fn live_before(&self, row: u64) -> u64 {
        let (chunk, offset) = split(row);
        match self.chunks.get(chunk) {
            None => row - self.count(),
            Some(content) => self.live.before(chunk) + content.live_before(offset) as u64,
        }
    }

    /// The physical number of live row `logical`. There is one for any `logical`, as the rows after
    /// the last deleted one are live, provided that it fits `u64`.
    pub(crate) fn select_live(&self, logical: u64) -> u64 {
        let mut rows = [logical];
        self.select_lanes(&mut rows, select_in_word);
        rows[0]
    }

    /// Replaces every logical row number in `rows`, in any order, by its physical row number, as
    /// [`select_live`](Self::select_live) does for one.
    pub(crate) fn select_live_many(&self, rows: &mut [u64]) {
        if self.is_empty() {
            return;
        }
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("bmi1") && std::arch::is_x86_feature_detected!("bmi2") {
            #[expect(unsafe_code, reason = "a call of code for a CPU that was asked")]
            // SAFETY: the CPU has the instructions.
            return unsafe { self.select_live_bmi2(rows) };
        }
        self.select_live_with(rows, select_in_word);
    }

    /// As `select_live_many`, with one instruction for the bit within a word.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "bmi1,bmi2")]
    fn select_live_bmi2(&self, rows: &mut [u64]) {
        use std::arch::x86_64::_pdep_u64;
        self.select_live_with(rows, |word, rank| _pdep_u64(1 << rank, word).trailing_zeros() as usize);
    }

    #[inline(always)]
    fn select_live_with(&self, rows: &mut [u64], in_word: impl Fn(u64, usize) -> usize + Copy) {
        let (groups, rest) = rows.as_chunks_mut::<LANES>();
        for group in groups {
            self.select_lanes(group, in_word);
        }
        for row in rest {
            *row = self.select_live(*row);
        }
    }

    /// Does what `select_live_many` does for `N` rows at once.
    #[inline(always)]
    fn select_lanes<const N: usize>(&self, rows: &mut [u64; N], in_word: impl Fn(u64, usize) -> usize) {
        let known = self.live.total();
        // Rows past the tree need no search; to save the branch, they get one that is not used.
        let (chunks, ranks) = self.live.select(rows.map(|row| row.min(known.saturating_sub(1))));
        let bits = chunks.map(|chunk| match self.chunks.get(chunk) {
            Some(Chunk::Mixed(bits)) => bits.as_ref(),
            _ => &NO_DELETIONS,
        });
        let offsets = Bits::select_live(bits, ranks, in_word);
        for lane in 0..N {
            rows[lane] = if rows[lane] < known {
                join(chunks[lane], offsets[lane])
            } else {
                rows[lane] + self.count()
            };
        }
    }

    /// The runs of deleted rows as `(start, end)`, `end` excluded, in increasing order. They are
    /// maximal: two runs never touch.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.runs_of(true, 0..first_row(self.chunks.len()))
    }

    /// The runs of deleted rows as a list.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn to_runs(&self) -> NpkResult<Vec<Run>> {
        let mut runs = Vec::new();
        for (start, end) in self.runs() {
            reserve(&mut runs, 1)?;
            runs.push(Run { start, len: end - start });
        }
        Ok(runs)
    }

    /// The runs of live rows within physical rows `range` as `(start, end)`, `end` excluded, in
    /// increasing order. They are maximal within `range`. The cost depends on the number of runs,
    /// and on that of the words of deletion bits in between, not on the number of rows.
    pub(crate) fn live_runs(&self, range: Range<u64>) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.runs_of(false, range)
    }

    /// The maximal runs of rows within `range` that are `deleted`, or not.
    fn runs_of(&self, deleted: bool, range: Range<u64>) -> impl Iterator<Item = (u64, u64)> + '_ {
        let Range { start: mut next, end: limit } = range;
        iter::from_fn(move || {
            let start = self.find(deleted, next..limit)?;
            let end = self.find(!deleted, start..limit).unwrap_or(limit);
            next = end;
            Some((start, end))
        })
    }

    /// The first row of `range` that is `deleted`, or not.
    fn find(&self, deleted: bool, range: Range<u64>) -> Option<u64> {
        let mut row = range.start;
        while row < range.end {
            let (chunk, offset) = split(row);
            let Some(content) = self.chunks.get(chunk) else {
                return (!deleted).then_some(row);
            };
            let to = range.end.min(first_row(chunk + 1)) - first_row(chunk);
            if let Some(found) = content.find(deleted, offset..to as usize) {
                return Some(join(chunk, found));
            }
            row = first_row(chunk + 1);
        }
        None
    }
}

/// Lists the deleted runs, which tells more than the bits would.
impl fmt::Debug for DeletedRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DeletedRows ")?;
        f.debug_list().entries(self.runs().map(|(start, end)| start..end)).finish()
    }
}

/// The chunk of a row, and the row's offset within the chunk.
#[inline]
fn split(row: u64) -> (usize, usize) {
    ((row / CHUNK_ROWS as u64) as usize, (row % CHUNK_ROWS as u64) as usize)
}

/// The row at an offset within a chunk.
#[inline]
fn join(chunk: usize, offset: usize) -> u64 {
    first_row(chunk) + offset as u64
}

/// The first row of a chunk, which is also the number of rows of as many chunks.
#[inline]
fn first_row(chunk: usize) -> u64 {
    chunk as u64 * CHUNK_ROWS as u64
}

/// The deletions among [`CHUNK_ROWS`] consecutive rows.
#[derive(Clone, PartialEq, Eq)]
enum Chunk {
    /// No row is deleted.
    Empty,
    /// Every row is deleted.
    Full,
    /// Some rows are deleted and some are live.
    Mixed(Arc<Bits>),
}

impl Chunk {
    /// Deletes the rows of `range`, which is not empty; returns how many were live.
    fn insert(&mut self, range: Range<usize>) -> usize {
        let added = self.live_before(range.end) - self.live_before(range.start);
        match self {
            // Nothing to write, and so no reason to copy a shared chunk.
            _ if added == 0 => {}
            _ if added == self.live_before(CHUNK_ROWS) => *self = Self::Full,
            Self::Mixed(bits) => Arc::make_mut(bits).insert(range),
            Self::Empty | Self::Full => {
                let mut bits = Arc::new(NO_DELETIONS.clone());
                Arc::make_mut(&mut bits).insert(range);
                *self = Self::Mixed(bits);
            }
        }
        added
    }

    /// The live rows among the first `offset` ones.
    fn live_before(&self, offset: usize) -> usize {
        match self {
            Self::Empty => offset,
            Self::Full => 0,
            Self::Mixed(bits) => bits.live_before(offset),
        }
    }

    /// The first row of `range`, which is not empty, that is `deleted`, or not.
    fn find(&self, deleted: bool, range: Range<usize>) -> Option<usize> {
        match self {
            Self::Empty => (!deleted).then_some(range.start),
            Self::Full => deleted.then_some(range.start),
            Self::Mixed(bits) => bits.find(deleted, range),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Rows per chunk.
    const CHUNK: u64 = CHUNK_ROWS as u64;

    /// The universe of the plain oracle: three chunks and a bit.
    const ROWS: u64 = 3 * CHUNK + 100;

    /// The oracle: whether each row is deleted.
    struct Plain(Vec<bool>);

    impl Plain {
        fn new() -> Self {
            Self(vec![false; ROWS as usize])
        }

        fn insert_run(&mut self, start: u64, end: u64) -> u64 {
            let mut added = 0;
            for row in start..end {
                added += u64::from(!self.0[row as usize]);
                self.0[row as usize] = true;
            }
            added
        }

        /// The live physical rows; the position in it is the logical row.
        fn live(&self) -> Vec<u64> {
            (0..ROWS).filter(|&row| !self.0[row as usize]).collect()
        }

        /// The maximal runs of rows that are `deleted`, or not, within a range.
        fn runs(&self, deleted: bool, range: Range<u64>) -> Vec<(u64, u64)> {
            let mut runs: Vec<(u64, u64)> = Vec::new();
            for row in range.filter(|&row| self.0[row as usize] == deleted) {
                match runs.last_mut() {
                    Some((_, end)) if *end == row => *end = row + 1,
                    _ => runs.push((row, row + 1)),
                }
            }
            runs
        }
    }

    /// Rows of the universe, with a bias for the borders of words and chunks.
    fn any_row() -> impl Strategy<Value = u64> {
        let near =
            |unit: u64| (0..=ROWS / unit, 0..5u64).prop_map(move |(n, d)| (n * unit + d).saturating_sub(2));
        prop_oneof![0..ROWS, near(CHUNK), near(64)].prop_map(|row| row.min(ROWS - 1))
    }

    /// Runs of the universe: single rows, some words, some chunks, possibly empty.
    fn any_run() -> impl Strategy<Value = (u64, u64)> {
        let to_length = (any_row(), prop_oneof![Just(1), 0..200u64])
            .prop_map(|(start, length)| (start, (start + length).min(ROWS)));
        let to_row = (any_row(), any_row()).prop_map(|(a, b)| (a.min(b), a.max(b)));
        let chunks = (0..4u64, 0..4u64).prop_map(|(a, b)| (a.min(b) * CHUNK, a.max(b) * CHUNK));
        prop_oneof![8 => to_length, 1 => to_row, 1 => chunks]
    }

    /// Both representations of the union of `runs`.
    fn build(runs: &[(u64, u64)]) -> (DeletedRows, Plain) {
        let (mut deleted, mut plain) = (DeletedRows::default(), Plain::new());
        for &(start, end) in runs {
            assert_eq!(deleted.insert_run(start, end), plain.insert_run(start, end));
        }
        (deleted, plain)
    }

    /// A cheap permutation with no order to speak of.
    fn shuffle<T>(items: &mut [T]) {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for i in (1..items.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            items.swap(i, (state >> 33) as usize % (i + 1));
        }
    }

    /// Checks every method but `live_runs` on every row.
    fn assert_matches(deleted: &DeletedRows, plain: &Plain) {
        let live = plain.live();
        assert_eq!(deleted.count(), ROWS - live.len() as u64);
        assert_eq!(deleted.is_empty(), live.len() as u64 == ROWS);
        let mut before = 0;
        for row in 0..ROWS {
            assert_eq!(deleted.contains(row), plain.0[row as usize], "row {row}");
            assert_eq!(deleted.live_before(row), before, "row {row}");
            before += u64::from(!plain.0[row as usize]);
        }
        // Rows past the universe are live.
        let beyond = [0, 1, CHUNK, 5 * CHUNK, 1 << 40].map(|n| (live.len() as u64 + n, ROWS + n));
        let mut pairs: Vec<_> = (0..).zip(live).chain(beyond).collect();
        for &(logical, row) in &pairs {
            assert_eq!(deleted.select_live(logical), row, "logical row {logical}");
        }
        shuffle(&mut pairs);
        let (mut logical, rows): (Vec<u64>, Vec<u64>) = pairs.into_iter().unzip();
        deleted.select_live_many(&mut logical);
        assert_eq!(logical, rows);
        assert_eq!(deleted.runs().collect::<Vec<_>>(), plain.runs(true, 0..ROWS));
    }

    /// The number of chunks of which `deleted` keeps a bitmap.
    fn bitmaps(deleted: &DeletedRows) -> usize {
        deleted.chunks.iter().filter(|chunk| matches!(chunk, Chunk::Mixed(_))).count()
    }

    proptest! {
            #![proptest_config(ProptestConfig::with_cases(24))]

            #[test]
            fn every_method_matches_the_oracle(runs in vec(any_run(), 0..60)) {
                let (deleted, plain) = build(&runs);
                assert_matches(&deleted, &plain);
            }

            #[test]
            fn scattered_rows_match_the_oracle(rows in vec(0..ROWS, 0..3_000)) {
                let runs: Vec<_> = rows.into_iter().map(|row| (row, row + 1)).collect();
                let (deleted, plain) = build(&runs);
                assert_matches(&deleted, &plain);
            }

            #[test]
            fn live_runs_match_the_oracle(
                runs in vec(any_run(), 0..60),
                ranges in vec((any_row(), any_row()), 1..20),
            ) {
                let (deleted, plain) = build(&runs);
                for (start, end) in ranges {
                    let found: Vec<_> = deleted.live_runs(start..end).collect();
                    prop_assert_eq!(found, plain.runs(false, start..end));
                }
            }

            #[test]
            fn batches_of_any_length_match_single_rows(
                runs in vec(any_run(), 0..60),
                logical in vec(0..2 * ROWS, 0..40),
            ) {
                let (deleted, _) = build(&runs);
                let mut rows = logical.clone();
                deleted.select_live_many(&mut rows);
                for (logical, row) in logical.into_iter().zip(rows) {
                    prop_assert_eq!(deleted.select_live(logical), row);
                }
            }

            #[test]
            fn a_clone_never_changes(runs in vec(any_run(), 1..20), at in 0..20_usize) {
                let at = at % runs.len();
                let (mut deleted, plain) = build(&runs[..at]);
                let clone = deleted.clone();
                for &(start, end) in &runs[at..] {
                    deleted.insert_run(start, end);
                }
                assert_matches(&clone, &plain);
                assert_matches(&deleted, &build(&runs).1);
            }

            #[test]
            fn equality_is_that_of_sets(runs in vec(any_run(), 0..40), other in any_run()) {
                let (deleted, _) = build(&runs);
                let mut shuffled = runs.clone();
                shuffle(&mut shuffled);
                prop_assert_eq!(&build(&shuffled).0, &deleted);
                let maximal: Vec<_> = deleted.runs().collect();
                prop_assert_eq!(&build(&maximal).0, &deleted);
                let mut more = deleted.clone();
                let added = more.insert_run(other.0, other.1);
                prop_assert_eq!(more == deleted, added == 0);
            }

            #[test]
            fn select_inverts_rank_in_giant_sets(
                runs in vec((0..1u64 << 34, 0..1u64 << 30), 1..6),
                probes in vec(0..1u64 << 35, 1..50),
            ) {
                let mut deleted = DeletedRows::default();
                for &(start, length) in &runs {
                    deleted.insert_run(start, start + length);
                }
                let maximal: Vec<_> = deleted.runs().collect();
                prop_assert!(maximal.windows(2).all(|pair| pair[0].1 < pair[1].0));
                prop_assert!(bitmaps(&deleted) <= 2 * runs.len());
                let before = |row: u64| -> u64 {
     maximal.iter().map(|r| r.1.min(row).saturating_sub(r.0)).sum()
    };
                prop_assert_eq!(deleted.count(), before(u64::MAX));
                let mut many = probes.clone();
                deleted.select_live_many(&mut many);
                for (&probe, row) in probes.iter().zip(many) {
                    let within = runs.iter().any(|r| (r.0..r.0 + r.1).contains(&probe));
                    prop_assert_eq!(deleted.contains(probe), within);
                    prop_assert_eq!(deleted.live_before(probe), probe - before(probe));
                    prop_assert_eq!(deleted.select_live(probe), row);
                    prop_assert!(!deleted.contains(row));
                    prop_assert_eq!(row - before(row), probe);
                }
            }
        }

    proptest! {
           #[test]
           fn select_in_word_matches_counting(any in any::<u64>(), shift in 0..64) {
               let words = [any, any >> shift, any << shift, u64::MAX >> shift, 1_u64 << shift];
    for word in words.into_iter().flat_map(|word| [word, !word]) {
                   let set = (0..64).filter(|bit| word >> bit & 1 == 1);
                   for (rank, bit) in set.enumerate() {
                       prop_assert_eq!(select_in_word(word, rank), bit);
                   }
               }
           }
       }

    #[test]
    fn an_empty_set_renumbers_nothing() {
        let (deleted, plain) = build(&[(7, 7), (9, 3)]);
        assert_matches(&deleted, &plain);
        assert_eq!(deleted, DeletedRows::default());
        assert_eq!(deleted.select_live(u64::MAX), u64::MAX);
        assert_eq!(deleted.live_runs(3..u64::MAX).collect::<Vec<_>>(), [(3, u64::MAX)]);
    }

    #[test]
    fn runs_merge_across_chunks_of_any_kind() {
        // Mixed, full, full, mixed.
        let (deleted, plain) = build(&[(CHUNK - 1, CHUNK), (CHUNK, 3 * CHUNK), (3 * CHUNK, ROWS)]);
        assert_matches(&deleted, &plain);
        assert_eq!(deleted.runs().collect::<Vec<_>>(), [(CHUNK - 1, ROWS)]);
        let live: Vec<_> = deleted.live_runs(0..1 << 60).collect();
        assert_eq!(live, [(0, CHUNK - 1), (ROWS, 1 << 60)]);
    }

    #[test]
    fn a_chunk_filled_row_by_row_needs_no_bitmap() {
        let mut rows: Vec<u64> = (CHUNK..2 * CHUNK).collect();
        shuffle(&mut rows);
        let mut deleted = DeletedRows::default();
        for row in rows {
            assert_eq!(deleted.insert_run(row, row + 1), 1);
            assert_eq!(deleted.insert_run(row, row + 1), 0);
        }
        assert_eq!(bitmaps(&deleted), 0);
        assert_eq!(deleted, build(&[(CHUNK, 2 * CHUNK)]).0);
    }

    #[test]
    fn a_giant_run_needs_bitmaps_only_at_its_ends() {
        let (start, end) = (3, 1_000_000_003);
        let mut deleted = DeletedRows::default();
        assert_eq!(deleted.insert_run(10, 20), 10);
        assert_eq!(deleted.insert_run(start, end), end - start - 10);
        assert_eq!(bitmaps(&deleted), 2);
        assert_eq!(deleted.runs().collect::<Vec<_>>(), [(start, end)]);
        let mut rows = [3, 0, 2, 5_000_000_000];
        deleted.select_live_many(&mut rows);
        assert_eq!(rows, [end, 0, 2, 6_000_000_000]);
    }

    #[test]
    fn deleting_deleted_rows_copies_nothing() {
        let (mut deleted, _) = build(&[(10, 20)]);
        let clone = deleted.clone();
        assert_eq!(deleted.insert_run(12, 18), 0);
        match (&deleted.chunks[0], &clone.chunks[0]) {
            (Chunk::Mixed(one), Chunk::Mixed(other)) => assert!(Arc::ptr_eq(one, other)),
            _ => panic!("a chunk with 10 deleted rows must be mixed"),
        }
    }

    #[test]
    #[should_panic(expected = "beyond 281474976710656")]
    fn a_row_no_array_has_is_refused() {
        DeletedRows::default().insert_run(0, u64::MAX);
    }

    #[test]
    fn debug_lists_the_runs() {
        let (deleted, _) = build(&[(1, 2), (CHUNK, CHUNK + 3)]);
        assert_eq!(format!("{deleted:?}"), "DeletedRows [1..2, 65536..65539]");
    }
}
