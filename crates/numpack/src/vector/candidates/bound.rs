//! Which rows can be among the best: the bound that makes a search over rounded vectors exact.
//!
//! A row `x` and a query `q` are scaled by powers of two to `x'`, `q'` with lengths in `[1, 2)` and rounded
//! to bfloat16 `x̂`, `q̂`; the product kernel gives `c ≈ x̂·q̂`. With `β` the rounding of bfloat16, `ρ` the
//! measured length of `q̂ - q'`, and `γ` the error of a sum of products in `float32` in any order,
//!
//! ```text
//! |c - x'·q'| ≤ |(x̂-x')·q'| + |x̂·(q̂-q')| + |c - x̂·q̂|
//!             ≤ ‖x'‖ · ( β‖q'‖ + (1+β)ρ + γ(1+β)²‖q'‖ )        (Cauchy-Schwarz, thrice)
//! ```
//!
//! so a row whose score could still reach a threshold has `c` above a line that is linear in three numbers of
//! the row. [`Bounds::hits`] compares with that line in `float32`, rounded towards accepting;
//! [`Bounds::can_enter`] compares again in `float64`. What passes is scored exactly. `docs/search.md` has
//! the derivation with every constant.

use crate::vector::candidates::bfloat16::{Length, norm_error};
use crate::vector::candidates::compare::{Compare, Lines, ROWS, RowLine, RowTerms};
use crate::vector::candidates::float32::length_of;
use crate::vector::kernels::cpu::SimdLevel;
use crate::vector::kernels::element::power;
use crate::vector::metric::Metric;

/// How rows are rounded before their products are estimated: the largest error, relative to the length of
/// the row, with room to spare.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rounding {
    /// To bfloat16 by way of `float32`: `2^-8` for the eight bits of its significand.
    Bfloat16,
    /// To `float32`: `2^-24` for its 24 bits.
    Float32,
}

impl Rounding {
    fn beta(self) -> f64 {
        match self {
            Rounding::Bfloat16 => power(-8) + power(-15),
            Rounding::Float32 => power(-23),
        }
    }
}

/// Lines in `float32` are off by less than this, relative to their largest term.
const SLACK: f64 = 1.0 / 262_144.0;
/// Rows with exponents outside `-100..=100` are compared in `float64` alone.
const FAST_EXPONENTS: i32 = 100;

/// What the bound needs of one query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueryBound {
    exponent: i32,
    norm: f64,
    /// Bound of `|c - x'·q'|` per length of `x'`.
    error: f64,
}

impl QueryBound {
    /// For a query whose rounded form is off by a vector of length `off`; `None` when only the exact
    /// kernel can compare with it.
    pub(crate) fn new(rounding: Rounding, length: Length, off: f64, dims: usize) -> Option<QueryBound> {
        let Length::Scaled { exponent, norm } = length else { return None };
        if exponent.abs() > FAST_EXPONENTS {
            return None;
        }
        let lengths = norm_error(dims);
        let norm = norm * (1.0 + lengths);
        // Every product and addition of the kernel is off by at most 2^-23, whatever its order and rounding.
        let gamma = (dims + 64) as f64 * power(-23);
        // The scores themselves are rounded to float64.
        let scores = (dims + 16) as f64 * power(-50);
        let beta = rounding.beta();
        let relative = beta + 1.1 * gamma + 4.0 * lengths + SLACK + scores;
        let error = (relative * norm + (1.0 + beta) * off) * (1.0 + 2.0 * lengths) + power(-40);
        Some(QueryBound { exponent, norm, error })
    }
}

impl QueryBound {
    /// The query is `2^exponent` times its scaled form.
    pub(crate) fn exponent(&self) -> i32 {
        self.exponent
    }
}

/// Lines for a group of queries over a tile of rows, as structures of arrays.
#[derive(Debug)]
pub(crate) struct Bounds {
    metric: Metric,
    dims: usize,
    queries: Vec<QueryBound>,
    /// Thresholds on the merit, by query.
    thresholds: Vec<f64>,
    lines: Lines,
    compare: Compare,
}

impl Bounds {
    /// Lines for these queries, in arrays of `columns` places; nothing reaches the places behind them.
    pub(crate) fn new(
        level: SimdLevel,
        metric: Metric,
        dims: usize,
        queries: &[QueryBound],
        columns: usize,
    ) -> Bounds {
        let padded = |value: f32| vec![value; columns];
        let mut bounds = Bounds {
            metric,
            dims,
            queries: queries.to_vec(),
            thresholds: vec![f64::NEG_INFINITY; queries.len()],
            lines: Lines { line: padded(f32::INFINITY), error: padded(0.0), square: padded(0.0) },
            compare: Compare::new(level),
        };
        for (column, query) in queries.iter().enumerate() {
            bounds.lines.error[column] = query.error as f32;
            bounds.lines.square[column] = power(-query.exponent) as f32;
            bounds.set_threshold(column, f64::NEG_INFINITY);
        }
        bounds
    }

    /// The threshold of a query.
    pub(crate) fn threshold(&self, column: usize) -> f64 {
        self.thresholds[column]
    }

    /// Raises the threshold of a query: there are enough rows with at least this merit.
    pub(crate) fn set_threshold(&mut self, column: usize, merit: f64) {
        self.thresholds[column] = merit;
        let line = self.line_of(&self.queries[column], merit);
        // Towards accepting, by more than the arithmetic of the line can lose.
        let line = if line < 0.0 { line * (1.0 + SLACK) } else { line * (1.0 - SLACK) };
        self.lines.line[column] = line as f32;
    }

    /// The factor of a row's first number.
    fn line_of(&self, query: &QueryBound, merit: f64) -> f64 {
        let scale = power(-query.exponent);
        match self.metric {
            Metric::Cosine => merit * query.norm,
            Metric::Dot => merit * scale,
            _ => 0.5 * (squared(query) * (1.0 - 4.0 * norm_error(self.dims)) - self.largest(merit)) * scale,
        }
    }

    /// The largest square of a distance that a merit allows.
    fn largest(&self, merit: f64) -> f64 {
        let distance = if self.metric == Metric::L2 { merit * merit } else { -merit };
        distance * (1.0 + (self.dims + 64) as f64 * power(-50))
    }

    fn terms(&self, length: Length) -> RowTerms {
        match length {
            Length::Scaled { exponent, .. } if exponent.abs() > FAST_EXPONENTS => UNKNOWN,
            Length::Scaled { exponent, norm } => {
                let (scale, lengths) = (power(-exponent), 4.0 * norm_error(self.dims));
                let d = 0.5 * norm * norm * power(exponent) * (1.0 - lengths) * (1.0 - SLACK);
                match self.metric {
                    Metric::Cosine => RowTerms { a: norm as f32, b: norm as f32, d: 0.0 },
                    Metric::Dot => RowTerms { a: scale as f32, b: norm as f32, d: 0.0 },
                    _ => RowTerms { a: scale as f32, b: norm as f32, d: d as f32 },
                }
            }
            Length::Zero => RowTerms { a: 1.0, b: 0.0, d: 0.0 },
            Length::Unknown => UNKNOWN,
        }
    }

    /// Calls `hit` with every row and column of `products` that lies on or above the line.
    pub(crate) fn hits(&self, lengths: &[Length], products: &[f32], mut hit: impl FnMut(usize, usize)) {
        let columns = self.lines.line.len();
        for (row, (&length, products)) in lengths.iter().zip(products.chunks_exact(columns)).enumerate() {
            let terms = self.terms(length);
            if !self.compare.any(&self.lines, terms, products) {
                continue;
            }
            for (column, &product) in products.iter().enumerate().take(self.queries.len()) {
                let below = product < self.lines.height(terms, column);
                if !below && self.can_enter(column, length, product) {
                    hit(row, column);
                }
            }
        }
    }

    /// Calls `hit` with every row whose product with the only query lies on or above the line.
    pub(crate) fn row_hits(&self, products: &[f32], squares: &[f32], mut hit: impl FnMut(usize)) {
        let lengths = 4.0 * norm_error(self.dims);
        let square = match self.metric {
            Metric::Dot | Metric::Cosine => 0.0,
            _ => 0.5 * f64::from(self.lines.square[0]) * (1.0 - lengths) * (1.0 - SLACK),
        };
        let line = RowLine {
            line: self.lines.line[0],
            error: self.lines.error[0],
            square: square as f32,
            grows: self.metric == Metric::Cosine,
        };
        for (group, (products, squares)) in products.chunks(ROWS).zip(squares.chunks(ROWS)).enumerate() {
            if !self.compare.any_row(line, products, squares) {
                continue;
            }
            for (row, (&product, &squares)) in products.iter().zip(squares).enumerate() {
                if self.can_enter(0, length_of(squares, || false), product) {
                    hit(group * ROWS + row);
                }
            }
        }
    }

    /// Whether a row's score can reach the threshold, from the product in `float64`.
    fn can_enter(&self, column: usize, length: Length, product: f32) -> bool {
        let merit = self.thresholds[column];
        let below = self.range(column, length, product).is_some_and(|(_, highest)| highest < merit);
        !below
    }

    /// A merit that the row's score is sure to reach; `None` when nothing is sure.
    pub(crate) fn surely(&self, column: usize, length: Length, product: f32) -> Option<f64> {
        self.range(column, length, product).map(|(lowest, _)| lowest).filter(|lowest| lowest.is_finite())
    }

    /// Merits between which the row's score lies.
    pub(crate) fn range(&self, column: usize, length: Length, product: f32) -> Option<(f64, f64)> {
        let query = &self.queries[column];
        let Length::Scaled { exponent, norm } = length else { return None };
        let (product, error) = (f64::from(product), query.error * norm);
        let (low, high) = (product - error, product + error);
        let scale = power(exponent) * power(query.exponent);
        let (lowest, highest) = match self.metric {
            Metric::Dot => (low * scale, high * scale),
            Metric::Cosine => (cosine(low, norm * query.norm), cosine(high, norm * query.norm)),
            _ => {
                let row = norm * power(exponent);
                let squares = squared(query) + row * row;
                let slack = 4.0 * norm_error(self.dims) * squares;
                let farthest = squares + slack - 2.0 * low * scale;
                let nearest = squares - slack - 2.0 * high * scale;
                (self.merit_of(farthest), self.merit_of(nearest))
            }
        };
        Some((lowest, highest))
    }

    fn merit_of(&self, square: f64) -> f64 {
        let square = square.max(0.0);
        if self.metric == Metric::L2 { -square.sqrt() } else { -square }
    }
}

/// Nothing is known: the line is NaN, and no product is below it.
const UNKNOWN: RowTerms = RowTerms { a: f32::NAN, b: 0.0, d: 0.0 };

fn cosine(product: f64, lengths: f64) -> f64 {
    (product / lengths).clamp(-1.0, 1.0)
}

fn squared(query: &QueryBound) -> f64 {
    let norm = query.norm * power(query.exponent);
    norm * norm
}
