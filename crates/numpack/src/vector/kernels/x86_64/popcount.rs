//! AVX-512: scores on packed bits for sixteen rows at a time, the values of `bits.rs`.
#![expect(unsafe_code, reason = "rows are read through raw pointers, and code is compiled for CPU features")]

use std::arch::x86_64::*;

use crate::vector::kernels::bits::jaccard;
use crate::vector::kernels::measure::{Query, ScoreRows};
use crate::vector::kernels::x86_64::sixteen::{PLACE, Pointers, ROWS, ask_for, sums_i32};
use crate::vector::metric::Metric;

/// Bytes whose members a number of 32 bits can count.
const CHUNK: usize = 1 << 24;
/// Rows that are counted side by side.
const SIDE: usize = 4;

/// How two sets become one.
type Set = u8;
const AND: Set = 0;
const OR: Set = 1;
const XOR: Set = 2;

/// The kernel of a metric on packed bits, for CPUs that have AVX-512.
pub(crate) fn kernel(metric: Metric) -> ScoreRows {
    if metric == Metric::Jaccard { score::<true> } else { score::<false> }
}

/// # Safety
/// The CPU must have the features, and every row must be readable behind `base`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")]
unsafe fn score<const JACCARD: bool>(
    query: &Query,
    base: *const u8,
    size: usize,
    rows: &[u64],
    out: &mut [f64],
) {
    for (part, (picked, out)) in rows.chunks(ROWS).zip(out.chunks_mut(ROWS)).enumerate() {
        // SAFETY: the caller's promise.
        let rows = unsafe {
            ask_for::<ROWS>(base, size, rows.get((part + 1) * ROWS..).unwrap_or_default());
            Pointers::new(base, size, picked)
        };
        let mut scores = [0.0; ROWS];
        // SAFETY: the caller's promise.
        unsafe {
            if JACCARD {
                let (both, either) = (counts::<AND>(&rows, &query.bytes), counts::<OR>(&rows, &query.bytes));
                for (score, (both, either)) in scores.iter_mut().zip(both.into_iter().zip(either)) {
                    *score = jaccard(both, either);
                }
            } else {
                for (score, differing) in scores.iter_mut().zip(counts::<XOR>(&rows, &query.bytes)) {
                    *score = differing as f64;
                }
            }
        }
        match out.first_chunk_mut::<ROWS>() {
            Some(out) => *out = scores,
            None => out.copy_from_slice(&scores[..out.len()]),
        }
    }
}

/// Members of the set that each row makes with the query.
///
/// # Safety
/// The CPU must have the features, and as many bytes as the query has must be readable at each row.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")]
#[inline]
unsafe fn counts<const SET: Set>(rows: &Pointers, query: &[u8]) -> [u64; ROWS] {
    let mut total = [0; ROWS];
    for (part, query) in query.chunks(CHUNK).enumerate() {
        let mut registers = [_mm512_setzero_si512(); ROWS];
        let places = PLACE.as_chunks::<SIDE>().0;
        for (rows, places) in rows.0.as_chunks::<SIDE>().0.iter().zip(places) {
            // SAFETY: the caller's promise.
            let sums = unsafe { members::<SET>(rows, part * CHUNK, query) };
            for (&place, sum) in places.iter().zip(sums) {
                registers[place] = sum;
            }
        }
        // SAFETY: sixteen numbers either way. Their upper halves are 0 and add nothing.
        let sums: [u32; ROWS] = unsafe { std::mem::transmute(sums_i32(registers)) };
        for (total, sum) in total.iter_mut().zip(sums) {
            *total += u64::from(sum);
        }
    }
    total
}

/// The members of some rows from a byte on, spread over the words of a register.
///
/// # Safety
/// As many bytes as the query has must be readable at that byte of each row.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq")]
#[inline]
unsafe fn members<const SET: Set>(rows: &[*const u8; SIDE], start: usize, query: &[u8]) -> [__m512i; SIDE] {
    let mut sums = [_mm512_setzero_si512(); SIDE];
    let mut step = |at: usize, mask: u64| {
        // SAFETY: the mask keeps the load inside the query.
        let asked = unsafe { _mm512_maskz_loadu_epi8(mask, query.as_ptr().add(at).cast()) };
        for (row, sum) in rows.iter().zip(&mut sums) {
            // SAFETY: the mask keeps the load inside the row.
            let x = unsafe { _mm512_maskz_loadu_epi8(mask, row.add(start + at).cast()) };
            let set = match SET {
                AND => _mm512_and_si512(x, asked),
                OR => _mm512_or_si512(x, asked),
                _ => _mm512_xor_si512(x, asked),
            };
            *sum = _mm512_add_epi64(*sum, _mm512_popcnt_epi64(set));
        }
    };
    let whole = query.len() / 64 * 64;
    for at in (0..whole).step_by(64) {
        step(at, u64::MAX);
    }
    if whole < query.len() {
        step(whole, u64::MAX >> (64 - (query.len() - whole)));
    }
    sums
}
