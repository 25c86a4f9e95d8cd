//! One row of products against the lines of all queries, many at a time.
#![expect(unsafe_code, reason = "code is compiled for CPU features")]

use super::level::SimdLevel;

/// The three numbers of a row that its queries' lines are made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowTerms {
    pub(super) a: f32,
    pub(super) b: f32,
    pub(super) d: f32,
}

/// Lines of queries: that of query `j` has the height `line[j]·a + (square[j]·d - error[j]·b)`.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    pub(super) line: Vec<f32>,
    pub(super) error: Vec<f32>,
    pub(super) square: Vec<f32>,
}

/// Whether any product is not below its line; NaN is not below.
type Any = unsafe fn(&Lines, RowTerms, &[f32]) -> bool;

/// The comparison for a level.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compare {
    any: Any,
}

impl Compare {
    pub(super) fn new(level: SimdLevel) -> Compare {
        Compare { any: version(level) }
    }

    /// Whether any product is not below its line.
    pub(super) fn any(&self, lines: &Lines, terms: RowTerms, products: &[f32]) -> bool {
        // SAFETY: `version` gives code for features that the CPU has.
        unsafe { (self.any)(lines, terms, products) }
    }
}

impl Lines {
    /// The height of one line.
    #[inline(always)]
    pub(super) fn height(&self, RowTerms { a, b, d }: RowTerms, column: usize) -> f32 {
        self.line[column] * a + (self.square[column] * d - self.error[column] * b)
    }
}

#[cfg(target_arch = "x86_64")]
fn version(level: SimdLevel) -> Any {
    match level.min(SimdLevel::best()) {
        SimdLevel::Serial => any,
        SimdLevel::Avx2 => any_avx2,
        #[cfg(feature = "avx512")]
        _ => any_avx512,
        #[cfg(not(feature = "avx512"))]
        _ => any_avx2,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn version(_level: SimdLevel) -> Any {
    any
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
