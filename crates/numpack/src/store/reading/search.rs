//! Search on a stored array: the scan reads the map itself, and its answer is that of one commit.
//!
//! A scan during which no row was replaced is of the commit it began with. Otherwise the rows that a replace
//! may have touched are known from the log, with their bytes: they are dropped from the scan's list, as their
//! scores may be torn, and their logged bytes are scored instead. All other rows did not change, and those that
//! are not in the list rank behind all that are in it: with `k` of them left the answer is proven. Otherwise
//! the search is made again with a longer list, and at last under the writers' lock.

use crate::log::catalog::ArrayState;
use crate::log::reader::as_uninit;
use crate::rows::places::Places;
use crate::rows::plan::Plan;
use crate::store::commit::state::{RedoStart, StoreState};
use crate::store::handle::Store;
use crate::store::reading::overlay::Replaced;
use crate::store::reading::read::Scope;
use crate::types::dtype::DataType;
use crate::types::error::{NpkError, NpkResult};
use crate::types::room::reserve;
use crate::vector::{Hit, Hits, Metric, Scan, SearchOptions, Table, TopK, Vectors, in_default_mode};

/// Searches without a lock before writers have to wait for one.
const TRIES: u32 = 6;
/// Hits kept beyond those asked for, in case some were replaced meanwhile; none at first, then more each time.
const SPARE: usize = 32;

/// A question about an array.
struct Question<'a> {
    queries: &'a Vectors<'a>,
    k: usize,
    metric: Metric,
    options: &'a SearchOptions<'a>,
}

/// Queries made ready for rows of one dtype and dimension; every attempt uses them.
struct Prepared {
    dims: usize,
    dtype: DataType,
    scan: Scan,
}

impl Question<'_> {
    /// The scan for such rows: the one that is there, or a new one when another array has got the name.
    fn scan<'p>(
        &self,
        prepared: &'p mut Option<Prepared>,
        dims: usize,
        dtype: DataType,
    ) -> NpkResult<&'p Scan> {
        let known = prepared.take().filter(|known| (known.dims, known.dtype) == (dims, dtype));
        let known = match known {
            Some(known) => known,
            None => {
                let scan = self.options.engine().scan(self.queries, dims, dtype, self.metric)?;
                Prepared { dims, dtype, scan }
            }
        };
        Ok(&prepared.insert(known).scan)
    }
}

impl Store {
    /// The best `k` rows of a stored array of two dimensions for every query, by their scores under a metric.
    ///
    /// The rows are read from the file's map, without a copy of the array, by all threads; memory for `k`
    /// hits a query and thread, and a few MiB a thread beside them. Deleted rows are stepped over and row numbers
    /// are logical ones. The answer is that of one commit, whatever writers do meanwhile. A selection costs
    /// as much as the rows that it names. Returns fewer than `k` hits when there are fewer rows.
    ///
    /// ```
    /// use numpack::prelude::*;
    /// use numpack::vector::{SearchOptions, Vectors};
    ///
    /// # fn main() -> NpkResult<()> {
    /// # let dir = tempfile::tempdir()?;
    /// let store = Store::new(dir.path().join("data.npk"))?;
    /// store.save_slice("v", &[0.0_f32, 1.0, 3.0, 4.0, 5.0, 0.0], &[3, 2])?;
    /// store.drop_arrays("v", Some(&[0]))?;
    /// let query = [4.0_f32, 0.0];
    /// let all = SearchOptions::default();
    /// let found = store.search("v", &Vectors::one(&query), 10, Metric::L2, &all)?;
    /// assert_eq!((found.indices, found.scores[0]), (vec![1, 0], 1.0));
    /// let first = SearchOptions { rows: Selection::List(&[0]), ..all };
    /// assert_eq!(store.search("v", &Vectors::one(&query), 10, Metric::L2, &first)?.indices, [0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `ArrayNotFound`; `InvalidShape` when the array has not two dimensions; `DimensionMismatch`, `SetMismatch`,
    /// `UnsupportedDtype`; `IndexOutOfBounds`, `MaskMismatch`, `InvalidArgument` for what selects
    /// no rows; `Cancelled`; `Locked` when writers never let go; `OutOfMemory`, `Corrupted`, `Io`.
    pub fn search(
        &self,
        name: &str,
        queries: &Vectors<'_>,
        k: usize,
        metric: Metric,
        options: &SearchOptions<'_>,
    ) -> NpkResult<Hits> {
        let question = Question { queries, k, metric, options };
        in_default_mode(|| self.answer(name, &question))
    }

    fn answer(&self, name: &str, question: &Question<'_>) -> NpkResult<Hits> {
        let core = self.core()?;
        let mut prepared = None;
        for attempt in 0..TRIES {
            let spare = if attempt == 0 { 0 } else { SPARE << (2 * attempt) };
            if let Some(hits) = core.try_search(name, question, &mut prepared, spare)? {
                return Ok(hits);
            }
        }
        if core.writable {
            return self.locked(|writing| writing.store.search_until_proven(name, question));
        }
        core.search_until_proven(name, question)
    }
}

impl StoreState {
    /// Scans until no writer makes it useless: under the writers' lock at once.
    fn search_until_proven(&self, name: &str, question: &Question<'_>) -> NpkResult<Hits> {
        let mut prepared = None;
        loop {
            if let Some(hits) = self.try_search(name, question, &mut prepared, SPARE << (2 * TRIES))? {
                return Ok(hits);
            }
        }
    }

    /// One scan; `None` when writers made it useless.
    fn try_search(
        &self,
        name: &str,
        question: &Question<'_>,
        prepared: &mut Option<Prepared>,
        spare: usize,
    ) -> NpkResult<Option<Hits>> {
        let id = self.array(name)?.id;
        let before = self.control.sequence(id);
        let redo_start = self.log().redo_start.clone();
        let source = self.source(name)?;
        let array = &source.array;
        let dims = check_shape(array)?;
        let mapping = source.file.mapping(array.bytes())?;
        let table = Table::mapped(&mapping, array.physical_rows(), dims, array.dtype);
        let scan = question.scan(prepared, dims, array.dtype)?;
        let plan = Plan::of(question.options.rows, array)?.into_set();
        let wanted = if question.k == 0 { 0 } else { question.k.saturating_add(spare) };
        let found = scan.top_k(&table, &plan, wanted, question.options.cancel)?;
        let quiet = self.control.is_shared()
            && array.id == id
            && before.is_multiple_of(2)
            && self.control.sequence_after_reads(id) == before;
        let found = if quiet {
            Some(found)
        } else {
            self.replace_torn(array, redo_start, scan, &plan, found, question)?
        };
        Ok(found.map(|found| Hits::new(cut(found, question.k), question.metric)))
    }

    /// Makes hits of a scan that replaces may have crossed those of the last commit.
    fn replace_torn(
        &self,
        then: &ArrayState,
        redo_start: RedoStart,
        scan: &Scan,
        plan: &Plan<'_>,
        found: Vec<Vec<Hit>>,
        question: &Question<'_>,
    ) -> NpkResult<Option<Vec<Vec<Hit>>>> {
        let places = Places::of(plan)?;
        let bounds = places.bounds();
        let Some((now, replaced)) = self.replaced_since(then, redo_start, Scope::Logical, bounds)? else {
            return Ok(None);
        };
        if now.physical_rows() != then.physical_rows() {
            return Ok(None);
        }
        let touched = Touched::of(&replaced, &places, then)?;
        let mut answers = Vec::with_capacity(found.len());
        for (query, hits) in found.into_iter().enumerate() {
            let (all, mut left) = (hits.len() as u64 == plan.count(), 0);
            let mut best = TopK::new(question.k);
            let stable = |hit: &Hit| touched.rows.binary_search(&hit.row).is_err();
            hits.into_iter().filter(stable).for_each(|hit| {
                left += 1;
                best.push(hit);
            });
            if !all && left < question.k {
                return Ok(None);
            }
            for (&row, bytes) in
                touched.rows.iter().zip(touched.bytes.chunks_exact(then.row_bytes() as usize))
            {
                let vector = Vectors::from_bytes(bytes, then.dtype, &[question.queries.dims()])?;
                best.push(Hit { merit: scan.merit_of(&vector.table(), query), row });
            }
            answers.push(best.into_hits());
        }
        Ok(Some(answers))
    }
}

/// The rows of a search that were replaced, with the bytes that they have now.
struct Touched {
    /// Logical rows in increasing order.
    rows: Vec<u64>,
    bytes: Vec<u8>,
}

impl Touched {
    fn of(replaced: &Replaced, places: &Places<'_>, array: &ArrayState) -> NpkResult<Touched> {
        let mut rows = Vec::new();
        replaced.each_run(places.bounds(), |run| {
            places.each(run, |landing| {
                reserve(&mut rows, landing.len as usize)?;
                // Landings are of live rows alone, and neighbours among those are neighbours in number.
                let first = array.deleted.live_before(landing.row);
                rows.extend(first..first + landing.len);
                Ok(())
            })
        })?;
        rows.sort_unstable();
        rows.dedup();
        let mut bytes = Vec::new();
        let len = rows.len() as u64 * array.row_bytes();
        reserve(&mut bytes, usize::try_from(len).unwrap_or(usize::MAX))?;
        bytes.resize(len as usize, 0);
        let plan = Plan::of_rows(rows, array);
        replaced.overlay(&Places::of(&plan)?, as_uninit(&mut bytes))?;
        Ok(Touched { rows: plan.numbers()?, bytes })
    }
}

fn cut(mut found: Vec<Vec<Hit>>, k: usize) -> Vec<Vec<Hit>> {
    found.iter_mut().for_each(|hits| hits.truncate(k));
    found
}

/// Elements of a row of an array of two dimensions.
fn check_shape(array: &ArrayState) -> NpkResult<usize> {
    match *array.shape {
        [_, dims] => Ok(dims as usize),
        _ => Err(NpkError::InvalidShape {
            array: array.name.to_string(),
            reason: "vectors are the rows of an array of two dimensions",
            expected: "(rows, dims)".into(),
            found: array.logical_shape(),
        }),
    }
}
