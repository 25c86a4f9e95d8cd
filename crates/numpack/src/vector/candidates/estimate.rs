//! The first stage of a search: estimates of products, and the rows that may be among the best by them.
//!
//! A query is estimated alone, in `float32`, or with many others: in bfloat16 where the CPU has AMX, in
//! `float32` elsewhere. What passes the bound of `bound.rs` is a candidate, which the scan scores exactly.
//! Queries and metrics that have no bound are scored exactly throughout.

use crate::types::dtype::DataType;
use crate::vector::candidates::bfloat16::{Length, Rounder};
use crate::vector::candidates::blocks::{COLUMN_STEP, DEPTH_STEP, ROW_STEP};
use crate::vector::candidates::bound::{Bounds, QueryBound, Rounding};
use crate::vector::candidates::float32::{BLOCK_ROWS, Matrix, Panels, length_of, scale_query};
use crate::vector::candidates::product::{Packed, Product};
use crate::vector::kernels::cpu::SimdLevel;
use crate::vector::kernels::exact::are_small;
use crate::vector::kernels::measure::Query;
use crate::vector::metric::Metric;
use crate::vector::topk::TopK;
use crate::vector::vectors::{Table, Vectors};

/// Queries whose products are computed together.
const GROUP: usize = 128;
/// From so many queries on, products of whole tiles are faster than those of one query after the other.
const GROUP_QUERIES: usize = 4;
/// Beyond so many elements the bound of a sum in `float32` rejects too little.
const MOST_DIMS: usize = 1 << 16;

/// How the queries of a search are estimated.
#[derive(Debug)]
pub(crate) struct Estimates {
    metric: Metric,
    level: SimdLevel,
    /// Queries that only the exact kernel compares with.
    plain: Vec<usize>,
    stage: Stage,
    groups: Vec<Group>,
}

#[derive(Debug)]
enum Stage {
    /// Groups of one query each, compared with rows where they lie.
    Single(Matrix),
    Float32(Matrix),
    Bfloat16 {
        product: Product,
        rounder: Rounder,
        depth: usize,
    },
    Nothing,
}

/// Queries that are compared together.
#[derive(Debug)]
struct Group {
    /// Which queries, by number.
    members: Vec<usize>,
    bounds: Vec<QueryBound>,
    columns: usize,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Single(Vec<f32>),
    Float32(Panels),
    Bfloat16(Packed),
}

impl Estimates {
    /// For queries and rows of these dtypes.
    pub(crate) fn new(
        level: SimdLevel,
        metric: Metric,
        queries: &[Query],
        (asked, rows): (DataType, DataType),
    ) -> Estimates {
        let dims = queries.first().map_or(0, |query| query.values.len());
        // One score of 8-bit integers costs no more than its estimate.
        let estimated = queries.len() >= GROUP_QUERIES || !are_small(asked, rows);
        let bounded = estimated
            && matches!(metric, Metric::Dot | Metric::Cosine | Metric::L2 | Metric::L2Squared)
            && (1..=MOST_DIMS).contains(&dims);
        let stage = if bounded { Stage::new(level, queries.len(), dims, rows) } else { Stage::Nothing };
        let (mut plain, mut known) = (Vec::new(), Vec::new());
        for (number, query) in queries.iter().enumerate() {
            match stage.bound(query) {
                Some(bound) => known.push((number, bound)),
                None => plain.push(number),
            }
        }
        let groups = known.chunks(stage.group_size()).filter_map(|known| stage.group(known, queries));
        Estimates { metric, level, plain, groups: groups.collect(), stage }
    }

    /// Queries that have no estimate: every row has to be scored for them.
    pub(crate) fn plain(&self) -> &[usize] {
        &self.plain
    }

    /// Groups of queries that are estimated together.
    pub(crate) fn groups(&self) -> usize {
        self.groups.len()
    }

    /// Whether whole tiles are estimated at once.
    pub(crate) fn in_groups(&self) -> bool {
        matches!(self.stage, Stage::Float32(_) | Stage::Bfloat16 { .. })
    }

    /// What one thread needs.
    pub(crate) fn worker(&self, dims: usize) -> Worker<'_> {
        let bounds = |group: &Group| Bounds::new(self.level, self.metric, dims, &group.bounds, group.columns);
        Worker {
            estimates: self,
            bounds: self.groups.iter().map(bounds).collect(),
            half: Vec::new(),
            wide: Vec::new(),
            squares: Vec::new(),
            lengths: Vec::new(),
            products: Vec::new(),
            sure: Vec::new(),
            found: Vec::new(),
        }
    }
}

impl Stage {
    fn new(level: SimdLevel, queries: usize, dims: usize, rows: DataType) -> Stage {
        if queries < GROUP_QUERIES {
            return Stage::Single(Matrix::new(level, rows));
        }
        match (level == SimdLevel::Amx).then(Product::new).flatten() {
            Some(product) => Stage::Bfloat16 {
                product,
                rounder: Rounder::new(level, rows),
                depth: dims.next_multiple_of(DEPTH_STEP),
            },
            None => Stage::Float32(Matrix::new(level, rows)),
        }
    }

    fn group_size(&self) -> usize {
        if matches!(self, Stage::Single(_)) { 1 } else { GROUP }
    }

    /// The bound of one query; `None` when only the exact kernel can compare with it.
    fn bound(&self, query: &Query) -> Option<QueryBound> {
        let dims = query.values.len();
        match self {
            Stage::Nothing => None,
            Stage::Bfloat16 { depth, .. } => {
                let (_, length, off) = round_query(query, *depth);
                QueryBound::new(Rounding::Bfloat16, length, off, dims)
            }
            Stage::Single(_) | Stage::Float32(_) => {
                let (_, length, _) = round_query(query, dims);
                let Length::Scaled { exponent, .. } = length else { return None };
                QueryBound::new(Rounding::Float32, length, scale_query(&query.values, exponent).1, dims)
            }
        }
    }

    fn group(&self, known: &[(usize, QueryBound)], queries: &[Query]) -> Option<Group> {
        let dims = queries.first()?.values.len();
        let single =
            |(number, bound): &(usize, QueryBound)| scale_query(&queries[*number].values, bound.exponent()).0;
        let mut columns = known.len().next_multiple_of(COLUMN_STEP);
        let values = match self {
            Stage::Nothing => return None,
            Stage::Single(_) => {
                columns = 1;
                Values::Single(known.first().map(single)?)
            }
            Stage::Float32(_) => {
                let mut values: Vec<f32> = known.iter().flat_map(single).collect();
                values.resize(columns * dims, 0.0);
                Values::Float32(Panels::new(&values, columns, dims))
            }
            Stage::Bfloat16 { depth, .. } => {
                let mut values: Vec<u16> =
                    known.iter().flat_map(|(number, _)| round_query(&queries[*number], *depth).0).collect();
                values.resize(columns * depth, 0);
                Values::Bfloat16(Packed::new(&values, columns, *depth))
            }
        };
        let (members, bounds) = known.iter().copied().unzip();
        Some(Group { members, bounds, columns, values })
    }
}

/// A query as bfloat16, its length, and the length of what rounding took off.
fn round_query(query: &Query, depth: usize) -> (Vec<u16>, Length, f64) {
    let (mut rounded, mut length) = (vec![0; depth], [Length::Zero]);
    let rounder = Rounder::new(SimdLevel::Serial, DataType::Float64);
    rounder.round(&Vectors::one(&query.values).table(), &[0], depth, &mut rounded, &mut length);
    let Length::Scaled { exponent, .. } = length[0] else { return (rounded, length[0], 0.0) };
    let scale = crate::vector::kernels::element::power(-exponent);
    let off = query.values.iter().zip(&rounded).map(|(&value, &bits)| {
        let difference = value * scale - f64::from(f32::from_bits(u32::from(bits) << 16));
        difference * difference
    });
    let off = off.sum::<f64>().sqrt() * (1.0 + 1e-9);
    (rounded, length[0], off)
}

/// Estimates of one thread: thresholds of its own, and room for a tile.
#[derive(Debug)]
pub(crate) struct Worker<'a> {
    estimates: &'a Estimates,
    bounds: Vec<Bounds>,
    half: Vec<u16>,
    wide: Vec<f32>,
    squares: Vec<f32>,
    lengths: Vec<Length>,
    products: Vec<f32>,
    /// Merits that rows are sure to reach.
    sure: Vec<f64>,
    /// What [`Worker::candidates`] returns.
    found: Vec<Candidate>,
}

/// A row of a tile that may be among the best of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate {
    /// Which of the queries of its group.
    column: u32,
    /// Which of the rows of the tile.
    place: u32,
}

/// Candidates of one query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidates<'a> {
    /// The query's number.
    pub(crate) query: usize,
    found: &'a [Candidate],
}

impl Candidates<'_> {
    /// The candidates among what is known of each row of the tile.
    pub(crate) fn of<'a>(&'a self, rows: &'a [u64]) -> impl Iterator<Item = u64> + 'a {
        self.found.iter().map(|candidate| rows[candidate.place as usize])
    }
}

impl Worker<'_> {
    /// Finds the rows of a tile, loaded before, that may be among the best of the queries of a group.
    pub(crate) fn estimate(&mut self, group: usize, table: &Table<'_>, rows: &[u64], best: &[TopK]) {
        self.multiply(table, rows, &self.estimates.groups[group]);
        self.raise_thresholds(group, best);
        self.find(group);
    }

    /// What the last estimate found, by query.
    pub(crate) fn candidates(&self, group: usize) -> impl Iterator<Item = Candidates<'_>> {
        let members = &self.estimates.groups[group].members;
        let by_query = self.found.chunk_by(|a, b| a.column == b.column);
        by_query.map(|found| Candidates { query: members[found[0].column as usize], found })
    }

    /// Brings a tile into the form that products need.
    pub(crate) fn load(&mut self, table: &Table<'_>, rows: &[u64]) {
        match &self.estimates.stage {
            Stage::Nothing | Stage::Single(_) => {}
            Stage::Float32(matrix) => {
                matrix.widen(table, rows, &mut self.wide, &mut self.squares);
                let lengths = self.squares.iter().zip(rows);
                let lengths = lengths.map(|(&squares, &row)| length_of(squares, || table.is_zero(row)));
                self.lengths.clear();
                self.lengths.extend(lengths);
            }
            Stage::Bfloat16 { rounder, depth, .. } => {
                // Blocks are filled up with whatever rows were there before; nobody asks for their products.
                self.half.resize(rows.len().next_multiple_of(ROW_STEP) * depth, 0);
                self.lengths.resize(rows.len(), Length::Zero);
                let own = &mut self.half[..rows.len() * depth];
                rounder.round(table, rows, *depth, own, &mut self.lengths);
            }
        }
    }

    /// The products of a tile with a group.
    fn multiply(&mut self, table: &Table<'_>, rows: &[u64], group: &Group) {
        match (&self.estimates.stage, &group.values) {
            (Stage::Single(matrix), Values::Single(query)) => {
                self.products.resize(rows.len(), 0.0);
                self.squares.resize(rows.len(), 0.0);
                matrix.estimate(table, rows, query, &mut self.products, &mut self.squares);
            }
            (Stage::Float32(matrix), Values::Float32(panels)) => {
                self.products.resize(rows.len().next_multiple_of(BLOCK_ROWS) * group.columns, 0.0);
                matrix.multiply(&self.wide, panels, &mut self.products);
            }
            (Stage::Bfloat16 { product, .. }, Values::Bfloat16(packed)) => {
                self.products.resize(rows.len().next_multiple_of(ROW_STEP) * group.columns, 0.0);
                product.multiply(&self.half, packed, &mut self.products);
            }
            _ => {}
        }
    }

    /// Lists the rows that may be among the best, by query.
    fn find(&mut self, group: usize) {
        let (bounds, found) = (&self.bounds[group], &mut self.found);
        found.clear();
        let mut push = |row: usize, column: usize| {
            found.push(Candidate { column: column as u32, place: row as u32 });
        };
        if let Stage::Single(_) = self.estimates.stage {
            bounds.row_hits(&self.products, &self.squares, |row| push(row, 0));
            return;
        }
        bounds.hits(&self.lengths, &self.products, push);
        found.sort_unstable();
    }

    /// No row below a threshold can be among the best: that is the worst of `k` hits. Before a query has so many,
    /// the `k` best estimates less their error are a threshold too: so many rows are sure to reach it.
    fn raise_thresholds(&mut self, number: usize, best: &[TopK]) {
        let group = &self.estimates.groups[number];
        for (column, &query) in group.members.iter().enumerate() {
            let best = &best[query];
            let threshold =
                if best.is_full() { Some(best.threshold()) } else { self.surely(number, column, best.k()) };
            if let Some(threshold) = threshold
                && threshold > self.bounds[number].threshold(column)
            {
                self.bounds[number].set_threshold(column, threshold);
            }
        }
    }

    /// A merit that `k` rows of the tile are sure to reach.
    fn surely(&mut self, number: usize, column: usize, k: usize) -> Option<f64> {
        let (group, bounds) = (&self.estimates.groups[number], &self.bounds[number]);
        self.sure.clear();
        if let Stage::Single(_) = self.estimates.stage {
            let rows = self.squares.iter().map(|&squares| length_of(squares, || false));
            let rows = rows.zip(&self.products);
            self.sure.extend(rows.filter_map(|(length, &c)| bounds.surely(column, length, c)));
        } else {
            let rows = self.lengths.iter().zip(self.products.chunks_exact(group.columns));
            self.sure.extend(rows.filter_map(|(&length, row)| bounds.surely(column, length, row[column])));
        }
        if self.sure.len() < k {
            return None;
        }
        let (_, &mut threshold, _) = self.sure.select_nth_unstable_by(k - 1, |a, b| b.total_cmp(a));
        Some(threshold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::element::NpkElement;
    use crate::vector::kernels::exact::Exact;
    use half::f16;
    use proptest::prelude::*;

    const NUMERIC: [Metric; 4] = [Metric::Dot, Metric::Cosine, Metric::L2, Metric::L2Squared];

    /// Elements whose rounding is as wrong as it can be, all in one direction, beside ordinary ones.
    fn any_element() -> impl Strategy<Value = f32> {
        prop_oneof![
            4 => Just(1.0 + 0.003_906),
            1 => Just(-1.0 - 0.003_906),
            2 => -1.0..1.0_f32,
            1 => (-1.0..1.0_f32, -20..20).prop_map(|(x, exponent)| x * 2_f32.powi(exponent)),
        ]
    }

    fn any_rows(count: usize, dims: usize) -> impl Strategy<Value = Vec<f32>> {
        let row = (proptest::collection::vec(any_element(), dims), -70..70_i32);
        proptest::collection::vec(row, count).prop_map(|rows| {
            rows.iter().flat_map(|(row, e)| row.iter().map(|x| x * 2_f32.powi(*e))).collect()
        })
    }

    /// Checks the range of every pair against the exact score.
    fn check<T: NpkElement>(level: SimdLevel, metric: Metric, queries: &[f32], rows: &[T], dims: usize) {
        let table = Vectors::from_slice(rows, dims).unwrap().table();
        let numbers: Vec<u64> = (0..table.rows()).collect();
        let queries = Query::all(&Vectors::from_slice(queries, dims).unwrap());
        let exact = Exact::new(level, metric, DataType::Float32, T::DTYPE).unwrap();
        let estimates = Estimates::new(level, metric, &queries, (DataType::Float32, T::DTYPE));
        let mut worker = estimates.worker(dims);
        worker.load(&table, &numbers);
        let mut scores = vec![0.0; numbers.len()];
        for (group, bounds) in estimates.groups.iter().zip(worker.bounds.split_off(0)) {
            worker.multiply(&table, &numbers, group);
            for (column, &query) in group.members.iter().enumerate() {
                exact.score(&queries[query], &table, &numbers, &mut scores);
                for (row, &score) in scores.iter().enumerate() {
                    let length = match estimates.stage {
                        Stage::Single(_) => length_of(worker.squares[row], || false),
                        _ => worker.lengths[row],
                    };
                    let merit = if metric.is_similarity() { score } else { -score };
                    let product = worker.products[row * group.columns + column];
                    if let Some((lowest, highest)) = bounds.range(column, length, product) {
                        let what = format!("{metric} {level}: row {row}, query {query}");
                        assert!(lowest <= merit && merit <= highest, "{what}: {lowest} {merit} {highest}");
                    }
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

        #[test]
        fn every_score_lies_in_the_range_of_its_estimate(
            (dims, queries, rows) in (1..90_usize, prop_oneof![Just(1_usize), Just(9)])
                .prop_flat_map(|(dims, count)| (Just(dims), any_rows(count, dims), any_rows(40, dims))),
        ) {
            let half: Vec<f16> = rows.iter().map(|&x| f16::from_f32(x)).collect();
            for level in SimdLevel::ALL {
                for metric in NUMERIC {
                    check(level, metric, &queries, &rows, dims);
                    check(level, metric, &queries, &half, dims);
                }
            }
        }
    }

    #[test]
    fn rounding_errors_that_all_add_up_stay_in_the_range() {
        for dims in [1, 32, 300, 3000] {
            let rows = vec![1.0 + 0.003_906_f32; dims * 3];
            let queries = vec![1.0 + 0.003_906_f32; dims * 5];
            for level in SimdLevel::ALL {
                for metric in NUMERIC {
                    check(level, metric, &queries, &rows, dims);
                }
            }
        }
    }
}
