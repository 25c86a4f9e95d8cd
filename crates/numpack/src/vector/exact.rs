//! The score of a pair, in `float64`, the same to the last bit on every machine level.
//!
//! This file *defines* the score. Element `i` of a sum goes to lane `i mod 16`, each lane adds its terms in
//! order, and the lanes are added in halves: 0 with 8, 1 with 9 and so on, then 0 with 4, 0 with 2, 0 with 1.
//! Products and differences are rounded once and never fused into an addition. That order is what vector
//! registers of any width up to 1,024 bits do without changing a result, so one piece of plain code,
//! compiled once for each level, gives the same bits everywhere. Products of `float32`, `float16` and of
//! integers up to 26 bits are exact in `float64`; sums of products of 8-bit integers are exact altogether.
//!
//! The relative error against the real number is below `(dims/16 + 6)·2^-53` of the sum of magnitudes.
#![expect(unsafe_code, reason = "rows are read through raw pointers, and code is compiled for CPU features")]

use super::bits;
use super::bytes;
use super::data::{Table, Vectors};
use super::element::{Element, for_numbers};
use super::level::SimdLevel;
use super::metric::Metric;
use crate::core::dtype::DataType;
use crate::core::error::NpkResult;

/// Sums that run side by side.
const LANES: usize = 16;

/// Scores the rows at `rows` (physical numbers behind `base`, `row_bytes` each) into `out`.
pub(super) type ScoreRows = unsafe fn(&Query, *const u8, usize, &[u64], &mut [f64]);

/// One query, ready for every kernel.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    /// The elements; empty for metrics on sets.
    pub(super) values: Vec<f64>,
    /// The bytes, for metrics on sets.
    pub(super) bytes: Vec<u8>,
    /// Length of the vector, summed as rows are.
    pub(super) norm: f64,
}

impl Query {
    /// Every query of a set.
    pub(super) fn all(queries: &Vectors<'_>) -> Vec<Query> {
        (0..queries.rows()).map(|row| Query::new(queries.row(row), queries.dtype())).collect()
    }

    fn new(bytes: &[u8], dtype: DataType) -> Query {
        let values: Vec<f64> = for_numbers!(dtype, T => values_of::<T>(bytes), Vec::new());
        let [squares] = sums(|i| values[i], &values, |x, _| [x * x]);
        Query { values, bytes: bytes.to_vec(), norm: squares.sqrt() }
    }
}

fn values_of<T: Element>(bytes: &[u8]) -> Vec<f64> {
    let dims = bytes.len() / size_of::<T>();
    // SAFETY: `dims` elements lie inside the slice.
    (0..dims).map(|i| unsafe { load::<T>(bytes.as_ptr(), i) }.f64()).collect()
}

/// The kernel of one metric on rows of one dtype.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exact {
    score: ScoreRows,
}

impl Exact {
    /// The kernel for this level.
    ///
    /// # Errors
    /// `UnsupportedDtype`, `InvalidDtype`.
    pub(crate) fn new(
        level: SimdLevel,
        metric: Metric,
        queries: DataType,
        rows: DataType,
    ) -> NpkResult<Exact> {
        metric.check(queries, rows)?;
        let score = match metric {
            Metric::Hamming | Metric::Jaccard => bits::kernel(level, metric, rows),
            _ if are_small(queries, rows) => small(level, metric, rows),
            _ => for_numbers!(rows, T => kernel::<T>(level, metric), kernel::<f64>(level, metric)),
        };
        Ok(Exact { score })
    }

    /// The score of every row in `rows`, in their order.
    ///
    /// # Panics
    /// When a row is not in the table, the query has other dimensions, or `out` another length.
    pub(crate) fn score(&self, query: &Query, table: &Table<'_>, rows: &[u64], out: &mut [f64]) {
        assert_eq!(rows.len(), out.len(), "one score for every row");
        assert!(rows.iter().all(|&row| row < table.rows()), "a row leaves the table");
        let dims = if query.values.is_empty() { query.bytes.len() } else { query.values.len() };
        assert_eq!(dims, table.dims(), "the query has the dimensions of the rows");
        // SAFETY: the asserts are what the kernels ask for; the kernel is for the table's dtype and for a
        // level that `SimdLevel::best` allows.
        unsafe { (self.score)(query, table.base(), table.row_bytes(), rows, out) }
    }
}

/// How a pair of vectors becomes a score.
pub(super) trait Measure {
    /// # Safety
    /// A whole row must be readable at `row`.
    unsafe fn score(row: *const u8, query: &Query) -> f64;
}

/// Whether both sides are integers of 8 bits of one type, whose scores need no floating point.
pub(super) fn are_small(queries: DataType, rows: DataType) -> bool {
    queries == rows && matches!(rows, DataType::Int8 | DataType::Uint8)
}

fn small(level: SimdLevel, metric: Metric, rows: DataType) -> ScoreRows {
    #[cfg(all(target_arch = "x86_64", feature = "avx512"))]
    if level.min(SimdLevel::best()) >= SimdLevel::Avx512 {
        return super::vnni::kernel(metric, rows);
    }
    match rows {
        DataType::Int8 => bytes::kernel::<i8>(level, metric),
        _ => bytes::kernel::<u8>(level, metric),
    }
}

fn kernel<T: Element>(level: SimdLevel, metric: Metric) -> ScoreRows {
    match metric {
        Metric::Cosine => versions::<Cosine<T>>(level),
        Metric::L2 => versions::<L2<T>>(level),
        Metric::L2Squared => versions::<L2Squared<T>>(level),
        Metric::KullbackLeibler => versions::<KullbackLeibler<T>>(level),
        Metric::JensenShannon => versions::<JensenShannon<T>>(level),
        _ => versions::<Dot<T>>(level),
    }
}

/// The code of a measure, compiled for a level.
#[cfg(target_arch = "x86_64")]
pub(super) fn versions<M: Measure>(level: SimdLevel) -> ScoreRows {
    match level.min(SimdLevel::best()) {
        SimdLevel::Serial => score_rows::<M>,
        SimdLevel::Avx2 => score_avx2::<M>,
        #[cfg(feature = "avx512")]
        _ => score_avx512::<M>,
        #[cfg(not(feature = "avx512"))]
        _ => score_avx2::<M>,
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub(super) fn versions<M: Measure>(_level: SimdLevel) -> ScoreRows {
    score_rows::<M>
}

/// # Safety
/// The CPU must have the features, and every row must be readable behind `base`.
#[cfg(all(target_arch = "x86_64", feature = "avx512"))]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,avx2,fma,f16c,popcnt")]
unsafe fn score_avx512<M: Measure>(q: &Query, base: *const u8, size: usize, rows: &[u64], out: &mut [f64]) {
    // SAFETY: the caller's promise.
    unsafe { score_rows::<M>(q, base, size, rows, out) }
}

/// # Safety
/// The CPU must have the features, and every row must be readable behind `base`.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c,popcnt")]
unsafe fn score_avx2<M: Measure>(q: &Query, base: *const u8, size: usize, rows: &[u64], out: &mut [f64]) {
    // SAFETY: the caller's promise.
    unsafe { score_rows::<M>(q, base, size, rows, out) }
}

/// # Safety
/// Every row must be readable behind `base`.
#[inline(always)]
unsafe fn score_rows<M: Measure>(query: &Query, base: *const u8, size: usize, rows: &[u64], out: &mut [f64]) {
    for (i, (score, &row)) in out.iter_mut().zip(rows).enumerate() {
        // SAFETY: the caller's promise.
        unsafe {
            if let Some(&next) = rows.get(i + AHEAD) {
                prefetch(base.add(next as usize * size), size);
            }
            *score = M::score(base.add(row as usize * size), query);
        }
    }
}

/// Element `index` of a row, which needs no alignment.
///
/// # Safety
/// The element must be readable.
#[inline(always)]
pub(super) unsafe fn load<T: Copy>(row: *const u8, index: usize) -> T {
    // SAFETY: the caller's promise.
    unsafe { row.cast::<T>().add(index).read_unaligned() }
}

/// Asks for a row that is read soon: the CPU's own look-ahead ends with a page.
///
/// # Safety
/// The row must be readable.
#[inline(always)]
pub(super) unsafe fn prefetch(row: *const u8, bytes: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        /// How much of a row is asked for.
        const MOST: usize = 1024;
        for line in (0..bytes.min(MOST)).step_by(64) {
            // SAFETY: a prefetch reads nothing; the address is inside the row.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(row.add(line).cast()) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (row, bytes);
}

/// Rows asked for ahead of the one that is read.
pub(super) const AHEAD: usize = 8;

/// Sums of the terms that `step` makes of each pair of elements, in the order that the header defines.
#[inline(always)]
fn sums<const N: usize>(
    row: impl Fn(usize) -> f64,
    query: &[f64],
    step: impl Fn(f64, f64) -> [f64; N],
) -> [f64; N] {
    let mut lanes = [[0.0; LANES]; N];
    let (groups, rest) = query.as_chunks::<LANES>();
    for (group, values) in groups.iter().enumerate() {
        for lane in 0..LANES {
            let terms = step(row(group * LANES + lane), values[lane]);
            for n in 0..N {
                lanes[n][lane] += terms[n];
            }
        }
    }
    for (lane, &value) in rest.iter().enumerate() {
        let terms = step(row(groups.len() * LANES + lane), value);
        for n in 0..N {
            lanes[n][lane] += terms[n];
        }
    }
    lanes.map(total)
}

#[inline(always)]
fn total(lanes: [f64; LANES]) -> f64 {
    let eight: [f64; 8] = std::array::from_fn(|i| lanes[i] + lanes[i + 8]);
    let four: [f64; 4] = std::array::from_fn(|i| eight[i] + eight[i + 4]);
    (four[0] + four[2]) + (four[1] + four[3])
}

/// `x·ln(x/y)`, 0 for `x = 0`, and infinite where it is not defined; accurate also where `x/y` is near 1.
#[inline(always)]
fn relative_entropy(x: f64, y: f64) -> f64 {
    if x.is_nan() || y.is_nan() {
        return f64::NAN;
    }
    if x == 0.0 && y >= 0.0 {
        return 0.0;
    }
    if x <= 0.0 || y <= 0.0 {
        return f64::INFINITY;
    }
    let ratio = x / y;
    match ratio {
        _ if 0.5 < ratio && ratio < 2.0 => x * ((x - y) / y).ln_1p(),
        _ if ratio.is_normal() => x * ratio.ln(),
        _ => x * (x.ln() - y.ln()),
    }
}

#[inline(always)]
fn js_term(a: f64, b: f64) -> f64 {
    let middle = 0.5 * (a + b);
    0.5 * relative_entropy(a, middle) + 0.5 * relative_entropy(b, middle)
}

/// Implements [`Measure`] for one struct per metric: `x` is the row's element, `y` the query's, `sums` what
/// the terms add up to.
macro_rules! measures {
    ($($name:ident: |$x:ident, $y:ident| $terms:expr, |$sums:ident, $query:ident| $score:expr;)*) => {$(
        struct $name<T>(std::marker::PhantomData<T>);

        impl<T: Element> Measure for $name<T> {
            #[inline(always)]
            unsafe fn score(row: *const u8, $query: &Query) -> f64 {
                // SAFETY: the caller has a whole row there, of as many elements as the query.
                let element = |i| unsafe { load::<T>(row, i) }.f64();
                let $sums = sums(element, &$query.values, |$x, $y| $terms);
                $score
            }
        }
    )*};
}

measures! {
    Dot: |x, y| [x * y], |sums, query| sums[0];
    Cosine: |x, y| [x * y, x * x], |sums, query| cosine(sums[0], sums[1].sqrt(), query.norm);
    L2: |x, y| [(x - y) * (x - y)], |sums, query| sums[0].sqrt();
    L2Squared: |x, y| [(x - y) * (x - y)], |sums, query| sums[0];
    KullbackLeibler: |x, y| [relative_entropy(y, x)], |sums, query| sums[0];
    JensenShannon: |x, y| [js_term(y, x)], |sums, query| sums[0];
}

#[inline(always)]
pub(super) fn cosine(dot: f64, row: f64, query: f64) -> f64 {
    if row == 0.0 || query == 0.0 {
        return 0.0;
    }
    // Two divisions: the product of two tiny lengths would be 0.
    (dot / row / query).clamp(-1.0, 1.0)
}
