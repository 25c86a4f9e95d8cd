//! The scan: tiles of rows over all threads, a heap for each query and thread, one total order.
//!
//! A thread takes the next tile, scores it and keeps its best; at the end the heaps are merged. As the order
//! of hits is total and scores do not depend on who computes them, neither does the result.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::certify::{Bounds, QueryBound};
use super::data::{Table, Vectors};
use super::exact::{Exact, Query};
use super::level::SimdLevel;
use super::metric::Metric;
use super::product::{COLUMN_STEP, DEPTH_STEP, Packed, Product};
use super::rounded::{Length, Rounder};
use super::select::{Selection, Tile};
use super::topk::{Hit, TopK};
use crate::core::dtype::DataType;
use crate::core::error::{NpkError, NpkResult};
use crate::parallel::{self, PARALLEL_BYTES};

/// Rows of a tile at most.
const TILE_ROWS: usize = 1024;
/// Bytes of a tile: with its rounded copy and its products it stays in a core's cache.
const TILE_BYTES: usize = 256 << 10;
/// Queries whose products are computed together.
const GROUP: usize = 128;
/// From so many queries on, products of rounded vectors are faster than exact scores.
const CERTIFIED_QUERIES: usize = 4;
/// Beyond so many elements the bound of a sum in `float32` rejects too little.
const CERTIFIED_DIMS: usize = 1 << 16;

/// What a scan works with.
#[derive(Debug)]
pub(crate) struct Scan {
    metric: Metric,
    level: SimdLevel,
    threads: usize,
    queries: Vec<Query>,
    exact: Exact,
    /// Queries that only the exact kernel compares with.
    plain: Vec<usize>,
    certified: Option<Certified>,
}

/// The packed queries of the certified scan.
#[derive(Debug)]
struct Certified {
    product: Product,
    rounder: Rounder,
    depth: usize,
    groups: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    /// Which queries, by number.
    members: Vec<usize>,
    bounds: Vec<QueryBound>,
    packed: Packed,
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
        let queries = Query::all(queries);
        let (plain, certified) = Certified::new(level, metric, &queries, rows);
        Ok(Scan { metric, level, threads, queries, exact, plain, certified })
    }

    /// The best `k` rows for every query, the best first.
    ///
    /// # Errors
    /// `Cancelled`.
    pub(crate) fn top_k(
        &self,
        table: &Table<'_>,
        selection: &Selection<'_>,
        k: usize,
        cancel: Option<&AtomicBool>,
    ) -> NpkResult<Vec<Vec<Hit>>> {
        let k = k.min(usize::try_from(selection.count()).unwrap_or(usize::MAX));
        if k == 0 {
            return Ok(vec![Vec::new(); self.queries.len()]);
        }
        let next = AtomicU64::new(0);
        let work = Work { scan: self, table, selection, k, next: &next, cancel };
        let found = parallel::map(vec![(); self.threads_for(table, selection)], |()| work.run());
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

    fn threads_for(&self, table: &Table<'_>, selection: &Selection<'_>) -> usize {
        let bytes = selection.count().saturating_mul(table.row_bytes() as u64);
        let work = bytes.saturating_mul(self.queries.len() as u64);
        let tiles = selection.tiles(self.tile_rows(table));
        if work < PARALLEL_BYTES as u64 { 1 } else { self.threads.min(tiles as usize).max(1) }
    }

    /// Rows of a tile: whole blocks of the product's kernels.
    fn tile_rows(&self, table: &Table<'_>) -> usize {
        let size = table.row_bytes().max(1);
        let rows = (TILE_BYTES / size).clamp(1, TILE_ROWS);
        if self.certified.is_some() { (2 * rows).clamp(32, TILE_ROWS) / 32 * 32 } else { rows.max(4) }
    }
}

impl Certified {
    /// The queries left to the exact kernel, and the packed others.
    fn new(
        level: SimdLevel,
        metric: Metric,
        queries: &[Query],
        rows: DataType,
    ) -> (Vec<usize>, Option<Certified>) {
        let all = (0..queries.len()).collect();
        let dims = queries.first().map_or(0, |query| query.values.len());
        let fits = matches!(metric, Metric::Dot | Metric::Cosine | Metric::L2 | Metric::L2Squared)
            && queries.len() >= CERTIFIED_QUERIES
            && (1..=CERTIFIED_DIMS).contains(&dims);
        let Some(product) = fits.then(|| Product::new(level)).flatten() else { return (all, None) };
        let depth = dims.next_multiple_of(DEPTH_STEP);
        let rounder = Rounder::new(level, DataType::Float64);
        let rounded: Vec<_> = queries.iter().map(|query| round_query(&rounder, query, depth)).collect();
        let plain = (0..queries.len()).filter(|&query| rounded[query].1.is_none()).collect();
        let known: Vec<usize> = (0..queries.len()).filter(|&query| rounded[query].1.is_some()).collect();
        let groups = known.chunks(GROUP).map(|members| Group::new(&product, members, &rounded, depth));
        let certified =
            Certified { product, rounder: Rounder::new(level, rows), depth, groups: groups.collect() };
        (plain, Some(certified))
    }
}

/// A query as bfloat16, and its bound.
fn round_query(rounder: &Rounder, query: &Query, depth: usize) -> (Vec<u16>, Option<QueryBound>) {
    let dims = query.values.len();
    let (mut rounded, mut length) = (vec![0; depth], [Length::Zero]);
    rounder.round(&Vectors::one(&query.values).table(), &[0], depth, &mut rounded, &mut length);
    let Length::Scaled { exponent, .. } = length[0] else { return (rounded, None) };
    let scale = super::element::power(-exponent);
    let off = query.values.iter().zip(&rounded).map(|(&value, &bits)| {
        let difference = value * scale - f64::from(f32::from_bits(u32::from(bits) << 16));
        difference * difference
    });
    let off = off.sum::<f64>().sqrt() * (1.0 + 1e-9);
    let bound = QueryBound::new(length[0], off, dims);
    (rounded, bound)
}

impl Group {
    fn new(
        product: &Product,
        members: &[usize],
        rounded: &[(Vec<u16>, Option<QueryBound>)],
        depth: usize,
    ) -> Group {
        let columns = members.len().next_multiple_of(COLUMN_STEP);
        let mut matrix = vec![0; columns * depth];
        for (&query, row) in members.iter().zip(matrix.chunks_exact_mut(depth)) {
            row.copy_from_slice(&rounded[query].0);
        }
        let bounds = members.iter().filter_map(|&query| rounded[query].1).collect();
        Group { members: members.to_vec(), bounds, packed: product.pack(&matrix, columns, depth) }
    }
}

/// One search under way, shared by its threads.
#[derive(Clone, Copy)]
struct Work<'a> {
    scan: &'a Scan,
    table: &'a Table<'a>,
    selection: &'a Selection<'a>,
    k: usize,
    next: &'a AtomicU64,
    cancel: Option<&'a AtomicBool>,
}

impl Work<'_> {
    /// Takes tiles until there are none.
    fn run(&self) -> NpkResult<Vec<TopK>> {
        let size = self.scan.tile_rows(self.table);
        let tiles = self.selection.tiles(size);
        let mut heaps = vec![TopK::new(self.k); self.scan.queries.len()];
        let mut tile = Tile::default();
        let mut scores = vec![0.0; size];
        let mut filter = self.scan.certified.as_ref().map(|certified| Estimates::new(self, certified));
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= tiles {
                return Ok(heaps);
            }
            if self.cancel.is_some_and(|cancel| cancel.load(Ordering::Relaxed)) {
                return Err(NpkError::Cancelled);
            }
            self.selection.fill(index, size, &mut tile);
            for &query in &self.scan.plain {
                self.score(query, &tile.physical, &tile.logical, &mut scores, &mut heaps);
            }
            if let Some(filter) = &mut filter {
                filter.tile(self, &tile, &mut scores, &mut heaps);
            }
        }
    }

    /// Scores rows exactly.
    fn score(&self, query: usize, physical: &[u64], logical: &[u64], scores: &mut [f64], heaps: &mut [TopK]) {
        let scores = &mut scores[..physical.len()];
        self.scan.exact.score(&self.scan.queries[query], self.table, physical, scores);
        heaps[query].push_all(logical, scores, self.scan.metric.is_similarity());
    }
}

/// The certified scan of one thread: products of rounded vectors, then exact scores of what may be among
/// the best.
struct Estimates<'a> {
    certified: &'a Certified,
    bounds: Vec<Bounds>,
    rounded: Vec<u16>,
    lengths: Vec<Length>,
    products: Vec<f32>,
    /// Candidates of a tile: column and row.
    hits: Vec<(u32, u32)>,
}

impl<'a> Estimates<'a> {
    fn new(work: &Work<'_>, certified: &'a Certified) -> Estimates<'a> {
        certified.product.prepare_thread();
        let dims = work.table.dims();
        let bounds = certified.groups.iter().map(|group| {
            let columns = group.members.len().next_multiple_of(COLUMN_STEP);
            Bounds::new(work.scan.level, work.scan.metric, dims, &group.bounds, columns)
        });
        Estimates {
            certified,
            bounds: bounds.collect(),
            rounded: Vec::new(),
            lengths: Vec::new(),
            products: Vec::new(),
            hits: Vec::new(),
        }
    }

    fn tile(&mut self, work: &Work<'_>, tile: &Tile, scores: &mut [f64], heaps: &mut [TopK]) {
        let (rows, depth) = (tile.physical.len(), self.certified.depth);
        self.rounded.resize(rows * depth, 0);
        self.lengths.resize(rows, Length::Zero);
        self.certified.rounder.round(work.table, &tile.physical, depth, &mut self.rounded, &mut self.lengths);
        for (group, bounds) in self.certified.groups.iter().zip(&mut self.bounds) {
            let columns = group.members.len().next_multiple_of(COLUMN_STEP);
            self.products.resize(rows * columns, 0.0);
            self.certified.product.multiply(&self.rounded, rows, &group.packed, &mut self.products);
            raise_thresholds(bounds, group, &self.lengths, &self.products, work.k, heaps);
            self.hits.clear();
            bounds.hits(&self.lengths, &self.products, |row, column| {
                self.hits.push((column as u32, row as u32));
            });
            self.hits.sort_unstable();
            for hits in self.hits.chunk_by(|a, b| a.0 == b.0) {
                let column = hits[0].0 as usize;
                let query = group.members[column];
                let pick = |rows: &[u64]| hits.iter().map(|hit| rows[hit.1 as usize]).collect::<Vec<u64>>();
                work.score(query, &pick(&tile.physical), &pick(&tile.logical), scores, heaps);
                let threshold = heaps[query].threshold();
                if threshold > bounds.threshold(column) {
                    bounds.set_threshold(column, threshold);
                }
            }
        }
    }
}

/// Before a query has `k` hits, the `k` best estimates less their error are a threshold too: so many rows
/// are sure to reach it.
fn raise_thresholds(
    bounds: &mut Bounds,
    group: &Group,
    lengths: &[Length],
    products: &[f32],
    k: usize,
    heaps: &[TopK],
) {
    let columns = group.members.len().next_multiple_of(COLUMN_STEP);
    let mut sure = Vec::new();
    for (column, &query) in group.members.iter().enumerate() {
        if heaps[query].is_full() || lengths.len() < k {
            continue;
        }
        sure.clear();
        let rows = lengths.iter().zip(products.chunks_exact(columns));
        sure.extend(rows.filter_map(|(&length, row)| bounds.surely(column, length, row[column])));
        if sure.len() < k {
            continue;
        }
        let (_, threshold, _) = sure.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
        if *threshold > bounds.threshold(column) {
            let threshold = *threshold;
            bounds.set_threshold(column, threshold);
        }
    }
}
