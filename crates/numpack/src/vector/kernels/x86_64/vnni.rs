//! AVX-512: scores of 8-bit integers for sixteen rows at a time, the values of `bytes.rs`.
//!
//! The one instruction for products of bytes multiplies unsigned with signed ones. A byte with its highest bit
//! turned over is 128 more as an unsigned one than as a signed one. With `x'` a row's element turned over and
//! taken as the other kind, the product with a query is `Σ x·q = Σ x'·q - 128·Σ q` for signed bytes and
//! `Σ x'·q + 128·Σ q` for unsigned ones, and squares are `Σ x·x = Σ x'·x - 128·Σ x` and `Σ x'·x + 128·Σ x`.
#![expect(unsafe_code, reason = "rows are read through raw pointers, and code is compiled for CPU features")]

use std::arch::x86_64::*;

use crate::types::dtype::DataType;
use crate::vector::kernels::bytes::CHUNK;
use crate::vector::kernels::measure::{Query, ScoreRows, cosine};
use crate::vector::kernels::x86_64::sixteen::{PLACE, Pointers, ROWS, ask_for, sums_i32};
use crate::vector::metric::Metric;

/// The kernel of a metric on rows and queries of one 8-bit type, for CPUs that have AVX-512.
pub(crate) fn kernel(metric: Metric, rows: DataType) -> ScoreRows {
    match rows {
        DataType::Int8 => of::<true>(metric),
        _ => of::<false>(metric),
    }
}

fn of<const SIGNED: bool>(metric: Metric) -> ScoreRows {
    match metric {
        Metric::Cosine => score::<Cosine, SIGNED>,
        Metric::L2 => score::<L2, SIGNED>,
        Metric::L2Squared => score::<L2Squared, SIGNED>,
        _ => score::<Dot, SIGNED>,
    }
}

/// How a score follows from whole numbers.
trait Finish {
    /// Whether the squares of rows are needed.
    const SQUARES: bool;

    /// The score of a row from its product with the query and its squares; `own` are the squares of the query.
    fn finish(query: &Query, own: f64, dot: f64, squares: f64) -> f64;
}

struct Dot;
struct Cosine;
struct L2;
struct L2Squared;

impl Finish for Dot {
    const SQUARES: bool = false;

    #[inline(always)]
    fn finish(_query: &Query, _own: f64, dot: f64, _squares: f64) -> f64 {
        dot
    }
}

impl Finish for Cosine {
    const SQUARES: bool = true;

    #[inline(always)]
    fn finish(query: &Query, _own: f64, dot: f64, squares: f64) -> f64 {
        cosine(dot, squares.sqrt(), query.norm)
    }
}

impl Finish for L2Squared {
    const SQUARES: bool = true;

    #[inline(always)]
    fn finish(_query: &Query, own: f64, dot: f64, squares: f64) -> f64 {
        squares + own - 2.0 * dot
    }
}

impl Finish for L2 {
    const SQUARES: bool = true;

    #[inline(always)]
    fn finish(query: &Query, own: f64, dot: f64, squares: f64) -> f64 {
        L2Squared::finish(query, own, dot, squares).sqrt()
    }
}

/// Rows whose products are made side by side.
const SIDE: usize = 4;

/// # Safety
/// The CPU must have the features, and every row must be readable behind `base`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn score<F: Finish, const SIGNED: bool>(
    query: &Query,
    base: *const u8,
    size: usize,
    rows: &[u64],
    out: &mut [f64],
) {
    let own = query.values.iter().map(|value| value * value).sum();
    let turned = query.values.iter().sum::<f64>() * if SIGNED { -128.0 } else { 128.0 };
    for (part, (picked, out)) in rows.chunks(ROWS).zip(out.chunks_mut(ROWS)).enumerate() {
        // SAFETY: the caller's promise.
        let (dot, squares) = unsafe {
            ask_for::<ROWS>(base, size, rows.get((part + 1) * ROWS..).unwrap_or_default());
            let rows = Pointers::new(base, size, picked);
            let dot = sums::<SIGNED, false>(&rows, &query.bytes);
            (dot, if F::SQUARES { sums::<SIGNED, true>(&rows, &query.bytes) } else { dot })
        };
        let mut scores = [0.0; ROWS];
        for (score, (dot, squares)) in scores.iter_mut().zip(dot.into_iter().zip(squares)) {
            *score = F::finish(query, own, dot + turned, squares);
        }
        match out.first_chunk_mut::<ROWS>() {
            Some(out) => *out = scores,
            None => out.copy_from_slice(&scores[..out.len()]),
        }
    }
}

/// The sum of products of each row with the query, without what turning over adds, or that of its squares.
///
/// # Safety
/// The rows must have as many bytes as the query.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
#[inline]
unsafe fn sums<const SIGNED: bool, const SQUARES: bool>(rows: &Pointers, query: &[u8]) -> [f64; ROWS] {
    let mut total = [0.0; ROWS];
    for (part, query) in query.chunks(CHUNK).enumerate() {
        let mut registers = [_mm512_setzero_si512(); ROWS];
        let places = PLACE.as_chunks::<SIDE>().0;
        for (rows, places) in rows.0.as_chunks::<SIDE>().0.iter().zip(places) {
            // SAFETY: the caller's promise.
            let sums = unsafe { products::<SIGNED, SQUARES>(rows, part * CHUNK, query) };
            for (&place, sum) in places.iter().zip(sums) {
                registers[place] = sum;
            }
        }
        let sums = sums_i32(registers);
        let (low, high) = (_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64::<1>(sums));
        for (total, half) in total.as_chunks_mut::<8>().0.iter_mut().zip([low, high]) {
            // SAFETY: eight numbers are there.
            unsafe {
                let sum = _mm512_add_pd(_mm512_loadu_pd(total.as_ptr()), _mm512_cvtepi32_pd(half));
                _mm512_storeu_pd(total.as_mut_ptr(), sum);
            }
        }
    }
    total
}

/// The sums of products of some rows from an element on, each spread over the lanes of a register.
///
/// # Safety
/// As many bytes as the query has must be readable at that element of each row.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
#[inline]
unsafe fn products<const SIGNED: bool, const SQUARES: bool>(
    rows: &[*const u8; SIDE],
    start: usize,
    query: &[u8],
) -> [__m512i; SIDE] {
    let (turn, ones) = (_mm512_set1_epi8(i8::MIN), _mm512_set1_epi8(1));
    let mut sums = [_mm512_setzero_si512(); SIDE];
    let mut plain = [_mm512_setzero_si512(); SIDE];
    let mut step = |at: usize, mask: u64| {
        // SAFETY: the mask keeps the load inside the query.
        let asked = unsafe { _mm512_maskz_loadu_epi8(mask, query.as_ptr().add(at).cast()) };
        for (row, (sum, plain)) in rows.iter().zip(sums.iter_mut().zip(&mut plain)) {
            // SAFETY: the mask keeps the load inside the row.
            let x = unsafe { _mm512_maskz_loadu_epi8(mask, row.add(start + at).cast()) };
            let (turned, other) = (_mm512_xor_si512(x, turn), if SQUARES { x } else { asked });
            // Of what the mask leaves out, the other factor is 0.
            let (unsigned, signed) = if SIGNED { (turned, other) } else { (other, turned) };
            *sum = _mm512_dpbusd_epi32(*sum, unsigned, signed);
            if SQUARES {
                let (unsigned, signed) = if SIGNED { (ones, x) } else { (x, ones) };
                *plain = _mm512_dpbusd_epi32(*plain, unsigned, signed);
            }
        }
    };
    let whole = query.len() / 64 * 64;
    for at in (0..whole).step_by(64) {
        step(at, u64::MAX);
    }
    if whole < query.len() {
        step(whole, u64::MAX >> (64 - (query.len() - whole)));
    }
    for (sum, plain) in sums.iter_mut().zip(plain) {
        let turned = _mm512_slli_epi32::<7>(plain);
        *sum = if SIGNED { _mm512_sub_epi32(*sum, turned) } else { _mm512_add_epi32(*sum, turned) };
    }
    sums
}
