//! Reading across a replace: copy, then overlay the bytes of every replace that may have been under way.
//!
//! The redo bytes of a replace are in the log before the first of its rows changes. Whatever mix of old and
//! new rows a copy holds, the rows of all replaces between the redo start before the copy and the last
//! commit after it, overlaid on it in order, give the state as of that last commit.
//!
//! The bytes go from the log to where they belong, in the order of the commits; what is held beside the copy is a
//! window of the log and the index of its replaces (`log/redo.rs`). One row costs as much as the replaces
//! that touch it.

use std::mem::MaybeUninit;
use std::ops::Range;
use std::sync::{Arc, PoisonError};

use crate::disk::data_file::DataFile;
use crate::log::catalog::ArrayState;
use crate::log::redo::{Replace, Span, Window};
use crate::rows::places::{Landing, Places};
use crate::rows::plan::Plan;
use crate::rows::run::Run;
use crate::store::commit::state::{RedoStart, StoreState};
use crate::store::reading::copy::{Source, copy};
use crate::store::reading::read::{Found, Scope, Target};
use crate::types::error::{NpkError, NpkResult};

/// The replaces of an array's file that a copy of some of its rows may lack, the oldest first.
#[derive(Debug)]
pub(crate) struct Replaced {
    span: Span,
    replaces: Vec<Arc<Replace>>,
}

impl StoreState {
    /// Fills `dst` with rows of a view, whatever writers do meanwhile; false when the array's file has been
    /// taken out of use.
    ///
    /// # Errors
    /// `Corrupted`, `Io`.
    pub(crate) fn read_with_overlay(
        &self,
        source: &Source,
        plan: &Plan<'_>,
        dst: &mut [MaybeUninit<u8>],
    ) -> NpkResult<bool> {
        let redo_start = self.log().redo_start.clone();
        copy(source, plan, dst)?;
        let places = Places::of(plan)?;
        let rows = places.bounds();
        let Some((_, replaced)) = self.replaced_since(&source.array, redo_start, Scope::Physical, rows)?
        else {
            return Ok(false);
        };
        replaced.overlay(&places, dst)?;
        Ok(true)
    }

    /// The rows of a plan as of one commit. `plans` makes the plan for a later state: when a slice reaches to the
    /// end of the array, rows appended meanwhile belong to it. They are copied as well, until no more have come
    /// while the last ones were copied, so a large array is read although a writer appends and replaces all the
    /// time. `None` when everything must be read anew.
    ///
    /// # Errors
    /// `Corrupted`, `Io`, and those of `plans` and `allocate`.
    pub(crate) fn read_growing<'s, B: Target>(
        &self,
        mut source: Source,
        mut plan: Plan<'s>,
        mut target: B,
        mut plans: impl FnMut(&ArrayState) -> NpkResult<Plan<'s>>,
        allocate: &mut impl FnMut(&ArrayState, u64) -> NpkResult<B>,
    ) -> NpkResult<Option<Found<B>>> {
        let redo_start = self.log().redo_start.clone();
        copy(&source, &plan, target.bytes())?;
        loop {
            let places = Places::of(&plan)?;
            let rows = places.bounds();
            let found = self.replaced_since(&source.array, redo_start.clone(), Scope::Logical, rows)?;
            let Some((now, replaced)) = found else { return Ok(None) };
            let longer = plans(&now)?;
            if longer.names_as(&plan) {
                replaced.overlay(&places, target.bytes())?;
                return Ok(Some(Found { array: source.array, rows: plan.count(), target }));
            }
            let (Some(known), Some(rows)) = (plan.range(), longer.range()) else { return Ok(None) };
            if rows.start != known.start || rows.end < known.end {
                return Ok(None);
            }
            let mut larger = allocate(&now, longer.count())?;
            source.file.confirm(now.bytes())?;
            source.array = now;
            let (before, added) = larger.bytes().split_at_mut(target.bytes().len());
            before.copy_from_slice(target.bytes());
            copy(&source, &Plan::of_range(known.end..rows.end, &source.array), added)?;
            (plan, target) = (longer, larger);
        }
    }

    /// The array as of now and the replaces since a redo start that touch some of its physical rows; `None` when
    /// the array has changed in a way that a plan for `then` does not survive.
    ///
    /// # Errors
    /// `Corrupted`, `OutOfMemory`, `Io`.
    pub(crate) fn replaced_since(
        &self,
        then: &ArrayState,
        redo_start: RedoStart,
        scope: Scope,
        rows: &Range<u64>,
    ) -> NpkResult<Option<(Arc<ArrayState>, Replaced)>> {
        let mut log = self.log();
        self.catch_up(&mut log)?;
        let Some(now) = self.with_catalog(|catalog| catalog.by_id(then.id).cloned()) else {
            return Ok(None);
        };
        let moved = redo_start.log.header != log.tail.log.header;
        if moved || !still_holds(&now, then, scope) {
            return Ok(None);
        }
        let span = Span { from: redo_start.position, ..log.pending() };
        drop(log);
        Ok(Some((now, self.replaced(span, then, rows)?)))
    }

    /// A file whose mapping is a private copy with every pending replace overlaid on it, for views of a store
    /// that nobody may mend.
    ///
    /// # Errors
    /// `Corrupted`, `OutOfMemory`, `Io`.
    pub(crate) fn overlaid_file(&self, array: &ArrayState) -> NpkResult<Option<Arc<DataFile>>> {
        let access = crate::disk::Access::Read;
        let Some(file) = self.files.open(&*self.folder, array.file(), access)? else { return Ok(None) };
        let span = self.log().pending();
        // The log may know rows that were appended after the array was looked up.
        let rows = 0..array.physical_rows();
        let replaced = self.replaced(span, array, &rows)?;
        file.map_private(array.bytes(), |backing, mapping| {
            replaced.each_piece(&rows, |at, bytes| {
                backing.store(mapping, at, bytes).map_err(|e| NpkError::io(file.path(), e))
            })
        })?;
        Ok(Some(Arc::new(file)))
    }

    fn replaced(&self, span: Span, array: &ArrayState, rows: &Range<u64>) -> NpkResult<Replaced> {
        let mut index = self.redo.lock().unwrap_or_else(PoisonError::into_inner);
        let replaces = index.find(&span, (array.id, array.generation), rows)?;
        Ok(Replaced { span, replaces })
    }
}

impl Replaced {
    /// Puts replaced rows in the places that a plan has for them.
    ///
    /// # Errors
    /// `Corrupted`, `OutOfMemory`, `Io`.
    pub(crate) fn overlay(&self, places: &Places<'_>, dst: &mut [MaybeUninit<u8>]) -> NpkResult<()> {
        self.each_landing(places, |at, bytes| {
            let at = at as usize;
            for (target, &byte) in dst[at..at + bytes.len()].iter_mut().zip(bytes) {
                target.write(byte);
            }
            Ok(())
        })
    }

    /// Calls `visit` with the parts of a range of physical rows that replaces touch, the oldest replace first.
    ///
    /// # Errors
    /// `Corrupted`, `OutOfMemory`, `Io`; those of `visit`.
    pub(crate) fn each_run(
        &self,
        rows: &Range<u64>,
        mut visit: impl FnMut(Run) -> NpkResult<()>,
    ) -> NpkResult<()> {
        self.replaces.iter().try_for_each(|replace| {
            replace.each_run(&self.span.log, rows, |run, _| {
                let (start, end) = (run.start.max(rows.start), (run.start + run.len).min(rows.end));
                visit(Run { start, len: end - start })
            })
        })
    }

    /// Calls `put` with bytes for the data file and the first byte that they are for, in the order in which they
    /// were committed.
    fn each_piece(&self, rows: &Range<u64>, put: impl FnMut(u64, &[u8]) -> NpkResult<()>) -> NpkResult<()> {
        self.pieces(
            rows,
            |run, visit| {
                let end = (run.start + run.len).min(rows.end);
                let row = run.start.max(rows.start);
                visit(Landing { row, place: row, len: end - row })
            },
            put,
        )
    }

    /// As [`Replaced::each_piece`] for the places of a plan.
    fn each_landing(
        &self,
        places: &Places<'_>,
        put: impl FnMut(u64, &[u8]) -> NpkResult<()>,
    ) -> NpkResult<()> {
        self.pieces(places.bounds(), |run, visit| places.each(run, visit), put)
    }

    fn pieces(
        &self,
        rows: &Range<u64>,
        land: impl Fn(Run, &mut dyn FnMut(Landing) -> NpkResult<()>) -> NpkResult<()>,
        mut put: impl FnMut(u64, &[u8]) -> NpkResult<()>,
    ) -> NpkResult<()> {
        let mut window = Window::new(&self.span);
        for replace in &self.replaces {
            let size = replace.row_bytes();
            replace.each_run(&self.span.log, rows, |run, first| {
                land(run, &mut |Landing { row, place, len }| {
                    let mut at = place * size;
                    window.each(first + (row - run.start) * size, len * size, |bytes| {
                        put(at, bytes)?;
                        at += bytes.len() as u64;
                        Ok(())
                    })
                })
            })?;
        }
        Ok(())
    }
}

/// Whether a plan made for state `then` holds in state `now`.
fn still_holds(now: &ArrayState, then: &ArrayState, scope: Scope) -> bool {
    now.generation == then.generation
        && match scope {
            Scope::Physical => true,
            Scope::Logical => now.deleted == then.deleted,
        }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::log::reader::as_uninit;
    use crate::rows::Selection;
    use crate::store::{RawArray, RawRows, Store};
    use crate::types::dtype::DataType;

    const ROWS: u64 = 200;

    fn raw<'a>(shape: &'a [u64], bytes: &'a [u8]) -> RawArray<'a> {
        RawArray { name: "a", dtype: DataType::Uint8, shape, bytes }
    }

    /// The rows that a plan names of rows as they were, with what replaces since then changed.
    fn overlaid(core: &StoreState, plan: &Plan<'_>, then: &[Vec<u8>], from: &RedoStart) -> Vec<u8> {
        let array = core.known_array("a").unwrap();
        let places = Places::of(plan).unwrap();
        let numbers = plan.numbers().unwrap();
        let physical = |row: &u64| then[array.deleted.select_live(*row) as usize].clone();
        let mut bytes: Vec<u8> = numbers.iter().flat_map(physical).collect();
        let rows = places.bounds();
        let found = core.replaced_since(&array, from.clone(), Scope::Physical, rows).unwrap();
        found.unwrap().1.overlay(&places, as_uninit(&mut bytes)).unwrap();
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn an_overlay_gives_what_doing_each_replace_would(
            size in prop_oneof![Just(1_u64), Just(8), Just(3000)],
            gaps in proptest::collection::vec((0..ROWS, 1..30_u64), 0..4),
            replaces in proptest::collection::vec((proptest::collection::vec(0..ROWS, 0..120), any::<bool>()), 1..8),
            flip in any::<u64>(),
            picks in proptest::collection::vec(0..ROWS, 0..30),
            ends in (-250..250_i64, -250..250_i64),
            step in prop_oneof![Just(-7_i64), Just(-1), Just(1), Just(2)],
        ) {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::new(dir.path().join("s.npk")).unwrap();
            let shape = [ROWS, size];
            let zeros = vec![0; (ROWS * size) as usize];
            store.save_raw(&[raw(&shape, &zeros)]).unwrap();
            for (start, len) in gaps {
                let left = store.core().unwrap().known_array("a").unwrap().rows() as i64;
                let end = (start + len) as i64;
                if left > 60 {
                    store.write(|tx| tx.drop_rows(&[("a", Selection::from(start as i64..end))])).unwrap();
                }
            }
            let core = store.core().unwrap();
            let array = core.known_array("a").unwrap();
            let rows = array.rows();
            let mut plain = vec![vec![0_u8; size as usize]; ROWS as usize];
            // Before each replace: the rows, and where its record begins.
            let mut states = Vec::new();
            for (i, (wanted, run)) in (1_u8..).zip(&replaces) {
                states.push((plain.clone(), core.log().redo_start.clone()));
                let mut list: Vec<i64> = wanted.iter().map(|row| (row % rows) as i64).collect();
                if *run {
                    list = (0..list.len().min(rows as usize) as i64).collect();
                }
                let bytes: Vec<u8> = (0..list.len()).flat_map(|k| vec![i.wrapping_mul(37) ^ k as u8; size as usize]).collect();
                for (row, new) in list.iter().zip(bytes.chunks_exact(size as usize)) {
                    plain[array.deleted.select_live(*row as u64) as usize] = new.to_vec();
                }
                let shape = [list.len() as u64, size];
                let rows = RawRows { rows: raw(&shape, &bytes), selection: Selection::List(&list) };
                store.write(|tx| tx.replace(&[rows])).unwrap();
            }
            let mask: Vec<bool> = (0..rows).map(|row| flip >> (row % 61) & 1 == 1).collect();
            let list: Vec<i64> = picks.iter().map(|row| (row % rows) as i64).collect();
            let slice = Selection::Slice { start: Some(ends.0), stop: Some(ends.1), step: Some(step) };
            for selection in [Selection::All, slice, Selection::Mask(&mask), Selection::List(&list)] {
                let plan = Plan::of(selection, &array).unwrap();
                let now: Vec<u8> = plan.numbers().unwrap().into_iter()
                    .flat_map(|row| plain[array.deleted.select_live(row) as usize].clone()).collect();
                // The index grows, forgets what is behind, and begins anew for who comes from before.
                for (then, from) in states.iter().chain(states.first()) {
                    prop_assert!(overlaid(&core, &plan, then, from) == now, "{:?} from {:?}", selection, from.position);
                }
            }
        }
    }
}
