//! `VectorEngine`: search over vectors in memory.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::parallel::{self, PARALLEL_BYTES};
use crate::rows::Selection;
use crate::rows::plan::Plan;
use crate::types::error::{NpkError, NpkResult};
use crate::vector::candidates::product::Product;
use crate::vector::kernels::cpu::SimdLevel;
use crate::vector::kernels::exact::Exact;
use crate::vector::kernels::float_mode::in_default_mode;
use crate::vector::kernels::measure::Query;
use crate::vector::metric::Metric;
use crate::vector::scan::Scan;
use crate::vector::topk::{Hit, TopK};
use crate::vector::vectors::Vectors;

/// Rows scored by one task of [`VectorEngine::batch_compute`].
const BATCH_ROWS: usize = 512;

/// What a search may be told beside the question.
#[derive(Clone, Copy, Debug, Default)]
pub struct SearchOptions<'a> {
    /// The rows to search.
    pub rows: Selection<'a>,
    /// Set by another thread to make the search end with [`NpkError::Cancelled`]; read once a tile.
    pub cancel: Option<&'a AtomicBool>,
    /// The highest instruction set to use; `None` is the best there is. The answers are the same.
    pub level: Option<SimdLevel>,
    /// Parts that a search is split into at most, each on a thread; 0 is 1, `None` is what the machine has.
    /// The answers are the same.
    pub threads: Option<usize>,
}

impl SearchOptions<'_> {
    /// The engine for these options.
    pub(crate) fn engine(&self) -> VectorEngine {
        VectorEngine::new().narrowed(self)
    }
}

/// The best rows of every query, the best first.
///
/// Equal scores are ordered by the lower row; a score that is NaN comes behind every number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hits {
    /// Row numbers: `k` for the first query, then `k` for the second, and so on.
    pub indices: Vec<u64>,
    /// The scores of those rows.
    pub scores: Vec<f64>,
    /// Hits of each query: the `k` asked for, or the number of rows when there are fewer.
    pub k: usize,
}

/// What a search on this machine uses.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Instruction sets of the exact kernels.
    pub exact: &'static str,
    /// Instruction set of the estimated products, the first stage of many queries.
    pub product: &'static str,
    /// Threads of a large search.
    pub threads: usize,
}

/// Exact nearest-neighbour search over vectors in memory.
///
/// An engine has no state but the instruction sets it may use; making one costs nothing. Every score is the
/// `float64` value that the formula of the [`Metric`] gives in a fixed order of additions, so results do not
/// depend on the machine's instruction sets, on threads or on how many queries are asked at once.
///
/// ```
/// use numpack::vector::{Metric, VectorEngine, Vectors};
///
/// let rows = [1.0_f32, 0.0, 0.6, 0.8, 0.0, 1.0];
/// let rows = Vectors::from_slice(&rows, 2)?;
/// let found = VectorEngine::new().top_k(&Vectors::one(&[0.0_f32, 2.0]), &rows, Metric::Cosine, 2)?;
/// assert_eq!(found.indices, [2, 1]);
/// assert!((found.scores[1] - 0.8).abs() < 1e-7);
/// # Ok::<(), numpack::NpkError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct VectorEngine {
    level: SimdLevel,
    threads: Option<usize>,
}

impl Default for VectorEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl VectorEngine {
    /// An engine that uses what the machine has.
    pub fn new() -> VectorEngine {
        VectorEngine { level: SimdLevel::best(), threads: None }
    }

    /// An engine that uses no instruction set above `level`; the answers are the same.
    pub fn with_level(self, level: SimdLevel) -> VectorEngine {
        VectorEngine { level: level.min(SimdLevel::best()), ..self }
    }

    /// An engine that splits a search into at most this many parts; 0 is 1. The answers are the same.
    pub fn with_threads(self, threads: usize) -> VectorEngine {
        VectorEngine { threads: Some(threads.max(1)), ..self }
    }

    /// An engine that keeps to the options of one search as well.
    fn narrowed(self, options: &SearchOptions<'_>) -> VectorEngine {
        let engine = options.level.map_or(self, |level| self.with_level(level.min(self.level)));
        options.threads.map_or(engine, |threads| engine.with_threads(threads.min(engine.threads())))
    }

    /// What a search uses.
    pub fn capabilities(&self) -> Capabilities {
        let exact = match self.level.min(SimdLevel::Avx512) {
            _ if cfg!(not(target_arch = "x86_64")) => std::env::consts::ARCH,
            level => level.name(),
        };
        let amx = self.level == SimdLevel::Amx && Product::new().is_some();
        let product = if amx { "amx" } else { exact };
        Capabilities { exact, product, threads: self.threads() }
    }

    /// The score of one pair: vector 0 of `a`, the query, with vector 0 of `b`, the row.
    ///
    /// # Errors
    /// `VectorShape` when a side has not one vector; `DimensionMismatch`; `UnsupportedDtype`,
    /// `SetMismatch`.
    pub fn compute_metric(&self, a: &Vectors<'_>, b: &Vectors<'_>, metric: Metric) -> NpkResult<f64> {
        require_one(a)?;
        require_one(b)?;
        Ok(self.batch_compute(a, b, metric)?[0])
    }

    /// Every score, `queries.rows() * rows.rows()` of them: those of the first query first.
    ///
    /// # Errors
    /// `DimensionMismatch`; `UnsupportedDtype`, `SetMismatch`; `OutOfMemory`.
    pub fn batch_compute(
        &self,
        queries: &Vectors<'_>,
        rows: &Vectors<'_>,
        metric: Metric,
    ) -> NpkResult<Vec<f64>> {
        self.batch_compute_until(&AtomicBool::new(false), queries, rows, metric)
    }

    /// As [`VectorEngine::batch_compute`], until another thread sets `cancel`.
    ///
    /// # Errors
    /// `Cancelled`, and those of [`VectorEngine::batch_compute`].
    pub fn batch_compute_until(
        &self,
        cancel: &AtomicBool,
        queries: &Vectors<'_>,
        rows: &Vectors<'_>,
        metric: Metric,
    ) -> NpkResult<Vec<f64>> {
        in_default_mode(|| self.scores(cancel, queries, rows, metric))
    }

    fn scores(
        &self,
        cancel: &AtomicBool,
        queries: &Vectors<'_>,
        rows: &Vectors<'_>,
        metric: Metric,
    ) -> NpkResult<Vec<f64>> {
        let exact = Exact::new(self.level, metric, queries.dtype(), rows.dtype())?;
        queries.check_dims(rows.dims())?;
        let mut scores = zeros(queries.rows(), rows.rows())?;
        let (table, numbers) = (rows.table(), (0..rows.rows() as u64).collect::<Vec<u64>>());
        let queries = Query::all(queries);
        let mut tasks: Vec<_> = Vec::new();
        for (query, scores) in queries.iter().zip(scores.chunks_mut(rows.rows().max(1))) {
            let parts = numbers.chunks(BATCH_ROWS).zip(scores.chunks_mut(BATCH_ROWS));
            tasks.extend(parts.map(|(numbers, scores)| (numbers, query, scores)));
        }
        // Neighbours in the list share rows, which are then in a cache.
        tasks.sort_by_key(|(numbers, _, _)| numbers.first().copied());
        let work = |(numbers, query, scores): (&[u64], &Query, &mut [f64])| {
            if !cancel.load(Ordering::Relaxed) {
                in_default_mode(|| exact.score(query, &table, numbers, scores));
            }
        };
        if self.threads() > 1 && table.row_bytes() * numbers.len() * queries.len() >= PARALLEL_BYTES {
            parallel::map(tasks, work);
        } else {
            tasks.into_iter().for_each(work);
        }
        if cancel.load(Ordering::Relaxed) { Err(NpkError::Cancelled) } else { Ok(scores) }
    }

    /// The best `k` rows for one query; fewer when there are fewer rows.
    ///
    /// Costs one pass over the rows, on all threads; memory for `k` hits a thread.
    ///
    /// # Errors
    /// `VectorShape` when there is not one query; `DimensionMismatch`; `UnsupportedDtype`,
    /// `SetMismatch`.
    pub fn top_k(
        &self,
        query: &Vectors<'_>,
        rows: &Vectors<'_>,
        metric: Metric,
        k: usize,
    ) -> NpkResult<Hits> {
        require_one(query)?;
        self.search(query, rows, metric, k, &SearchOptions::default())
    }

    /// The best `k` rows for every query.
    ///
    /// # Errors
    /// As for [`VectorEngine::search`].
    pub fn multi_query_top_k(
        &self,
        queries: &Vectors<'_>,
        rows: &Vectors<'_>,
        metric: Metric,
        k: usize,
    ) -> NpkResult<Hits> {
        self.search(queries, rows, metric, k, &SearchOptions::default())
    }

    /// The best `k` rows for every query, among the rows that a selection names.
    ///
    /// Several queries share one pass over the rows. For dot, cosine and l2 their products are estimated in
    /// bfloat16 with a proven error bound, and only rows that may be among the best are scored.
    ///
    /// # Errors
    /// `DimensionMismatch`; `UnsupportedDtype`, `SetMismatch`; `IndexOutOfBounds`,
    /// `MaskMismatch`, `InvalidArgument` for what selects no rows; `Cancelled`, `OutOfMemory`.
    pub fn search(
        &self,
        queries: &Vectors<'_>,
        rows: &Vectors<'_>,
        metric: Metric,
        k: usize,
        options: &SearchOptions<'_>,
    ) -> NpkResult<Hits> {
        in_default_mode(|| {
            let scan = self.narrowed(options).scan(queries, rows.dims(), rows.dtype(), metric)?;
            let plan = Plan::new(options.rows, rows.rows() as u64, Default::default())?.into_set();
            let found = scan.top_k(&rows.table(), &plan, k, options.cancel)?;
            Ok(Hits::new(found, metric))
        })
    }

    /// Joins the best rows so far with those of a further segment, whose rows are numbered from `offset`.
    /// `indices` and `scores` are what the call for the segment before returned; empty for the first.
    ///
    /// ```
    /// use numpack::vector::{Hits, Metric, VectorEngine, Vectors};
    ///
    /// let (engine, query) = (VectorEngine::new(), [1.0_f64, 0.0]);
    /// let mut best = Hits::default();
    /// for (offset, segment) in [(0, [0.0, 1.0, 3.0, 4.0]), (2, [9.0, 9.0, 5.0, 0.0])] {
    ///     let rows = Vectors::from_slice(&segment, 2)?;
    ///     let query = Vectors::one(&query);
    ///     best = engine.merge_segment(&query, &rows, Metric::Dot, 3, offset, &best.indices, &best.scores)?;
    /// }
    /// assert_eq!(best.indices, [2, 3, 1]);
    /// # Ok::<(), numpack::NpkError>(())
    /// ```
    ///
    /// # Errors
    /// `VectorShape` when there are not as many scores as indices, and those of [`VectorEngine::top_k`].
    #[expect(clippy::too_many_arguments, reason = "the state of the caller's loop and the question")]
    pub fn merge_segment(
        &self,
        query: &Vectors<'_>,
        rows: &Vectors<'_>,
        metric: Metric,
        k: usize,
        offset: u64,
        indices: &[u64],
        scores: &[f64],
    ) -> NpkResult<Hits> {
        if indices.len() != scores.len() {
            return Err(NpkError::VectorShape {
                what: "current_scores",
                reason: "every current row has one score",
                expected: format!("({},)", indices.len()),
                found: vec![scores.len() as u64],
            });
        }
        let segment = self.top_k(query, rows, metric, k)?;
        let rows: Vec<u64> = segment.indices.iter().map(|row| row.saturating_add(offset)).collect();
        let mut best = TopK::new(k);
        in_default_mode(|| {
            if k > 0 {
                best.push_all(indices, scores, metric.is_similarity());
                best.push_all(&rows, &segment.scores, metric.is_similarity());
            }
            Ok(Hits::new(vec![best.into_hits()], metric))
        })
    }

    /// A scan for these queries; it and what is asked of it are for the default floating-point mode.
    pub(crate) fn scan(
        &self,
        queries: &Vectors<'_>,
        dims: usize,
        dtype: crate::DataType,
        metric: Metric,
    ) -> NpkResult<Scan> {
        queries.check_dims(dims)?;
        Scan::new(self.level, self.threads(), metric, queries, dtype)
    }

    fn threads(&self) -> usize {
        self.threads.unwrap_or_else(parallel::threads)
    }
}

impl Hits {
    /// The hits of all queries, one behind the other.
    pub(crate) fn new(found: Vec<Vec<Hit>>, metric: Metric) -> Hits {
        let k = found.first().map_or(0, Vec::len);
        let score = |hit: &Hit| if metric.is_similarity() { hit.merit } else { -hit.merit };
        let hits = || found.iter().flatten();
        Hits { indices: hits().map(|hit| hit.row).collect(), scores: hits().map(score).collect(), k }
    }
}

fn require_one(vectors: &Vectors<'_>) -> NpkResult<()> {
    if vectors.rows() == 1 {
        return Ok(());
    }
    Err(NpkError::VectorShape {
        what: "query",
        reason: "one vector is compared",
        expected: format!("({},)", vectors.dims()),
        found: vec![vectors.rows() as u64, vectors.dims() as u64],
    })
}

fn zeros(queries: usize, rows: usize) -> NpkResult<Vec<f64>> {
    let (mut scores, len) = (Vec::new(), queries.saturating_mul(rows));
    scores.try_reserve_exact(len).map_err(|_| NpkError::OutOfMemory { bytes: len as u64 * 8 })?;
    scores.resize(len, 0.0);
    Ok(scores)
}
