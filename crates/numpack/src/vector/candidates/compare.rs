//! Estimates against lines, many at a time: those of one row for all queries, or of one query for all rows.
#![expect(unsafe_code, reason = "code is compiled for CPU features")]

use crate::vector::candidates::float32::SQUARES;
use crate::vector::kernels::cpu::SimdLevel;

/// The three numbers of a row that its queries' lines are made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowTerms {
    pub(crate) a: f32,
    pub(crate) b: f32,
    pub(crate) d: f32,
}

/// Lines of queries: that of query `j` has the height `line[j]·a + (square[j]·d - error[j]·b)`.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    pub(crate) line: Vec<f32>,
    pub(crate) error: Vec<f32>,
    pub(crate) square: Vec<f32>,
}

/// Whether any product is not below its line; NaN is not below.
type Any = unsafe fn(&Lines, RowTerms, &[f32]) -> bool;

/// The line of one query for rows whose three numbers follow from their squared length `n`: `(1, √n, n)`, or
/// `(√n, √n, n)` for lines that grow with the length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowLine {
    pub(crate) line: f32,
    pub(crate) error: f32,
    pub(crate) square: f32,
    pub(crate) grows: bool,
}

/// Rows compared at a time by [`Compare::any_row`].
pub(crate) const ROWS: usize = 32;

/// Whether any of the products, for rows of these squared lengths, is not below the line, or a squared
/// length is not to be trusted.
type AnyRow = unsafe fn(RowLine, &[f32], &[f32]) -> bool;

/// The comparison for a level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Compare {
    any: Any,
    any_row: AnyRow,
}

impl Compare {
    pub(crate) fn new(level: SimdLevel) -> Compare {
        let (any, any_row) = version(level);
        Compare { any, any_row }
    }

    /// Whether any product is not below the line, or the squared length of any row not to be trusted.
    pub(crate) fn any_row(&self, line: RowLine, products: &[f32], squares: &[f32]) -> bool {
        // SAFETY: `version` gives code for features that the CPU has.
        unsafe { (self.any_row)(line, products, squares) }
    }

    /// Whether any product is not below its line.
    pub(crate) fn any(&self, lines: &Lines, terms: RowTerms, products: &[f32]) -> bool {
        // SAFETY: `version` gives code for features that the CPU has.
        unsafe { (self.any)(lines, terms, products) }
    }
}

impl Lines {
    /// The height of one line.
    #[inline(always)]
    pub(crate) fn height(&self, RowTerms { a, b, d }: RowTerms, column: usize) -> f32 {
        self.line[column] * a + (self.square[column] * d - self.error[column] * b)
    }
}

#[cfg(target_arch = "x86_64")]
fn version(level: SimdLevel) -> (Any, AnyRow) {
    match level.min(SimdLevel::best()) {
        SimdLevel::Serial => (any, any_row),
        SimdLevel::Avx2 => (any_avx2, any_row_avx2),
        #[cfg(feature = "avx512")]
        _ => (any_avx512, any_row_avx512),
        #[cfg(not(feature = "avx512"))]
        _ => (any_avx2, any_row_avx2),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn version(_level: SimdLevel) -> (Any, AnyRow) {
    (any, any_row)
}

/// # Safety
/// The CPU must have the features.
#[cfg(all(target_arch = "x86_64", feature = "avx512"))]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn any_avx512(lines: &Lines, terms: RowTerms, products: &[f32]) -> bool {
    any(lines, terms, products)
}

/// # Safety
/// The CPU must have the features.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn any_avx2(lines: &Lines, terms: RowTerms, products: &[f32]) -> bool {
    any(lines, terms, products)
}

/// # Safety
/// The CPU must have the features.
#[cfg(all(target_arch = "x86_64", feature = "avx512"))]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
unsafe fn any_row_avx512(line: RowLine, products: &[f32], squares: &[f32]) -> bool {
    any_row(line, products, squares)
}

/// # Safety
/// The CPU must have the features.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn any_row_avx2(line: RowLine, products: &[f32], squares: &[f32]) -> bool {
    any_row(line, products, squares)
}

#[inline(always)]
fn any_row(RowLine { line, error, square, grows }: RowLine, products: &[f32], squares: &[f32]) -> bool {
    let (low, high) = (SQUARES.start as f32, SQUARES.end as f32);
    let mut any = 0_u32;
    for (&product, &n) in products.iter().zip(squares) {
        let length = n.sqrt();
        let height = line * if grows { length } else { 1.0 } + (square * n - error * length);
        any |= if product < height && n > low && n < high { 0 } else { 1 };
    }
    any != 0
}

#[inline(always)]
fn any(lines: &Lines, RowTerms { a, b, d }: RowTerms, products: &[f32]) -> bool {
    let columns = products.len();
    let (line, error, square) = (&lines.line[..columns], &lines.error[..columns], &lines.square[..columns]);
    let mut any = 0_u32;
    for column in 0..columns {
        let height = line[column] * a + (square[column] * d - error[column] * b);
        any |= if products[column] < height { 0 } else { 1 };
    }
    any != 0
}
