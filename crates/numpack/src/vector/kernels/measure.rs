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

use crate::types::dtype::DataType;
use crate::vector::kernels::cpu::SimdLevel;
use crate::vector::kernels::element::{Element, for_numbers};
use crate::vector::kernels::row::{AHEAD, load, prefetch};
use crate::vector::vectors::Vectors;

/// Sums that run side by side.
const LANES: usize = 16;

/// Scores the rows at `rows` (physical numbers behind `base`, `row_bytes` each) into `out`.
pub(crate) type ScoreRows = unsafe fn(&Query, *const u8, usize, &[u64], &mut [f64]);

/// One query, ready for every kernel.
#[derive(Clone, Debug)]
pub(crate) struct Query {
    /// The elements; empty for metrics on sets.
    pub(crate) values: Vec<f64>,
    /// The bytes, for metrics on sets.
    pub(crate) bytes: Vec<u8>,
    /// Length of the vector, summed as rows are.
    pub(crate) norm: f64,
}

impl Query {
    /// Every query of a set.
    pub(crate) fn all(queries: &Vectors<'_>) -> Vec<Query> {
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

/// How a pair of vectors becomes a score.
pub(crate) trait Measure {
    /// # Safety
    /// A whole row must be readable at `row`.
    unsafe fn score(row: *const u8, query: &Query) -> f64;
}

/// The code of a measure, compiled for a level.
#[cfg(target_arch = "x86_64")]
pub(crate) fn versions<M: Measure>(level: SimdLevel) -> ScoreRows {
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
pub(crate) fn versions<M: Measure>(_level: SimdLevel) -> ScoreRows {
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

/// Sums of the terms that `step` makes of each pair of elements, in the order that the header defines.
#[inline(always)]
pub(crate) fn sums<const N: usize>(
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

#[inline(always)]
pub(crate) fn cosine(dot: f64, row: f64, query: f64) -> f64 {
    if row == 0.0 || query == 0.0 {
        return 0.0;
    }
    // Two divisions: the product of two tiny lengths would be 0.
    (dot / row / query).clamp(-1.0, 1.0)
}
