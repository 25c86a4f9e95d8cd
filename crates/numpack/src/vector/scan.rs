//! The scan: tiles of rows over all threads, a heap for each query and thread, one total order.
//!
//! A thread takes the next tile, scores what may be among the best of it and keeps its best; at the end the heaps
//! are merged. As the order of hits is total and scores do not depend on who computes them, neither does the
//! result.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::parallel::{self, PARALLEL_BYTES};
use crate::rows::plan::Plan;
use crate::types::dtype::DataType;
use crate::types::error::{NpkError, NpkResult};
use crate::vector::candidates::estimate::Estimates;
use crate::vector::kernels::cpu::SimdLevel;
use crate::vector::kernels::exact::Exact;
use crate::vector::kernels::float_mode::in_default_mode;
use crate::vector::kernels::measure::Query;
use crate::vector::metric::Metric;
use crate::vector::tile::Tile;
use crate::vector::topk::{Hit, TopK};
use crate::vector::vectors::{Table, Vectors};

/// Rows of a tile at most.
const TILE_ROWS: usize = 1024;
/// Bytes of a tile: with its rounded copy and its products it stays in a core's cache.
const TILE_BYTES: usize = 256 << 10;

/// What a scan works with.
#[derive(Debug)]
pub(crate) struct Scan {
    metric: Metric,
    threads: usize,
    queries: Vec<Query>,
    exact: Exact,
    estimates: Estimates,
}

impl Scan {
    /// Prepares queries for rows of one dtype.
    ///
    /// # Errors
    /// `UnsupportedDtype`, `InvalidDtype`.
    pub(crate) fn new(
        level: SimdLevel,
        threads: usize,
        metric: Metric,
        queries: &Vectors<'_>,
        rows: DataType,
    ) -> NpkResult<Scan> {
        let exact = Exact::new(level, metric, queries.dtype(), rows)?;
        let dtypes = (queries.dtype(), rows);
        let queries = Query::all(queries);
        let estimates = Estimates::new(level, metric, &queries, dtypes);
        Ok(Scan { metric, threads, queries, exact, estimates })
    }

    /// The best `k` rows for every query, the best first, among those of a plan that was made a set.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn top_k(
        &self,
        table: &Table<'_>,
        plan: &Plan<'_>,
        k: usize,
        cancel: Option<&AtomicBool>,
    ) -> NpkResult<Vec<Vec<Hit>>> {
        let k = k.min(usize::try_from(plan.count()).unwrap_or(usize::MAX));
        if k == 0 {
            return Ok(vec![Vec::new(); self.queries.len()]);
        }
        let next = AtomicU64::new(0);
        let work = Work { scan: self, table, plan, k, next: &next, cancel };
        let found =
            parallel::map(vec![(); self.threads_for(table, plan)], |()| in_default_mode(|| work.run()));
        let mut merged: Vec<TopK> = vec![TopK::new(k); self.queries.len()];
        for heaps in found {
            for (all, heap) in merged.iter_mut().zip(heaps?) {
                all.merge(heap);
            }
        }
        Ok(merged.into_iter().map(TopK::into_hits).collect())
    }

    /// The merit of row 0 of a table for one query.
    pub(crate) fn merit_of(&self, row: &Table<'_>, query: usize) -> f64 {
        let mut score = [0.0];
        self.exact.score(&self.queries[query], row, &[0], &mut score);
        if self.metric.is_similarity() { score[0] } else { -score[0] }
    }

    fn threads_for(&self, table: &Table<'_>, plan: &Plan<'_>) -> usize {
        let bytes = plan.count().saturating_mul(table.row_bytes() as u64);
        let work = bytes.saturating_mul(self.queries.len() as u64);
        let tiles = plan.places().div_ceil(self.tile_rows(table) as u64);
        if work < PARALLEL_BYTES as u64 { 1 } else { self.threads.min(tiles as usize).max(1) }
    }

    /// Rows of a tile: whole blocks of the product's kernels.
    fn tile_rows(&self, table: &Table<'_>) -> usize {
        let size = table.row_bytes().max(1);
        let rows = (TILE_BYTES / size).clamp(1, TILE_ROWS);
        if self.estimates.in_groups() { (2 * rows).clamp(32, TILE_ROWS) } else { rows.max(4) }
    }
}

/// One search under way, shared by its threads.
#[derive(Clone, Copy)]
struct Work<'a> {
    scan: &'a Scan,
    table: &'a Table<'a>,
    plan: &'a Plan<'a>,
    k: usize,
    next: &'a AtomicU64,
    cancel: Option<&'a AtomicBool>,
}

impl Work<'_> {
    /// Takes tiles until there are none.
    fn run(&self) -> NpkResult<Vec<TopK>> {
        let size = self.scan.tile_rows(self.table);
        let tiles = self.plan.places().div_ceil(size as u64);
        let mut heaps = vec![TopK::new(self.k); self.scan.queries.len()];
        let mut tile = Tile::default();
        let (mut picked, mut scores) = (Tile::default(), vec![0.0; size]);
        let estimates = &self.scan.estimates;
        let mut worker = estimates.worker(self.table.dims());
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= tiles {
                return Ok(heaps);
            }
            if self.cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed)) {
                return Err(NpkError::Cancelled);
            }
            tile.take(self.plan, index, size);
            for &query in estimates.plain() {
                self.score(query, &tile, &mut scores, &mut heaps[query]);
            }
            worker.load(self.table, &tile.physical);
            for group in 0..estimates.groups() {
                worker.estimate(group, self.table, &tile.physical, &heaps);
                for candidates in worker.candidates(group) {
                    picked.fill(candidates.of(&tile.physical), candidates.of(&tile.logical));
                    self.score(candidates.query, &picked, &mut scores, &mut heaps[candidates.query]);
                }
            }
        }
    }

    /// Scores rows exactly.
    fn score(&self, query: usize, rows: &Tile, scores: &mut [f64], best: &mut TopK) {
        let scores = &mut scores[..rows.physical.len()];
        self.scan.exact.score(&self.scan.queries[query], self.table, &rows.physical, scores);
        best.push_all(&rows.logical, scores, self.scan.metric.is_similarity());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::Selection;
    use crate::types::element::NpkElement;
    use half::f16;
    use proptest::prelude::*;

    /// The hits of a level, as bits. Tests have tiles of bfloat16 on every machine (`product.rs`).
    fn hits<T: NpkElement>(level: SimdLevel, metric: Metric, queries: &[T], rows: &[T]) -> Vec<(u64, u64)> {
        const DIMS: usize = 40;
        let (queries, rows) =
            (Vectors::from_slice(queries, DIMS).unwrap(), Vectors::from_slice(rows, DIMS).unwrap());
        let scan = Scan::new(level, 1, metric, &queries, rows.dtype()).unwrap();
        let plan = Plan::new(Selection::from(3..), rows.rows() as u64, Default::default()).unwrap();
        let found = scan.top_k(&rows.table(), &plan, 9, None).unwrap();
        found.iter().flatten().map(|hit| (hit.row, hit.merit.to_bits())).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

        #[test]
        fn a_search_by_tiles_of_bfloat16_finds_what_plain_loops_find(
            values in proptest::collection::vec(-1.0..1.0_f32, 40 * 200),
            scale in -90..20_i32,
            queries in prop_oneof![Just(4_usize), Just(33), Just(130)],
            rows in prop_oneof![Just(13_usize), Just(1500)],
        ) {
            let values: Vec<f32> = values.iter().map(|x| x * 2_f32.powi(scale)).collect();
            let halves: Vec<f16> = values.iter().map(|&x| f16::from_f32(x)).collect();
            let take = |count: usize| 0..count * 40;
            let (long, long_half) = (values.repeat(8), halves.repeat(8));
            for metric in [Metric::Dot, Metric::Cosine, Metric::L2, Metric::L2Squared] {
                let search = |level| hits(level, metric, &values[take(queries)], &long[take(rows)]);
                prop_assert_eq!(search(SimdLevel::Amx), search(SimdLevel::Serial), "{}", metric);
                let search = |level| hits(level, metric, &halves[take(queries)], &long_half[take(rows)]);
                prop_assert_eq!(search(SimdLevel::Amx), search(SimdLevel::Serial), "{} float16", metric);
            }
        }
    }
}
