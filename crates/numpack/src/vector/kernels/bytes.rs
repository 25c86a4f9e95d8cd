//! Scores of 8-bit integers by integer arithmetic: the same values as in `exact.rs`, as every sum of theirs
//! is a whole number below 2^53 that `float64` holds exactly, in any order.
#![expect(unsafe_code, reason = "rows are read through raw pointers")]

use std::marker::PhantomData;

use crate::vector::kernels::cpu::SimdLevel;
use crate::vector::kernels::measure::{Measure, Query, cosine, versions};
use crate::vector::kernels::row::load;
use crate::vector::metric::Metric;

/// Elements whose terms, at most 255², fit a sum of 32 bits.
pub(crate) const CHUNK: usize = 1 << 14;

/// The kernel of a metric on rows and queries of one 8-bit type.
pub(crate) fn kernel<T: Copy + Into<i32> + 'static>(
    level: SimdLevel,
    metric: Metric,
) -> unsafe fn(&Query, *const u8, usize, &[u64], &mut [f64]) {
    match metric {
        Metric::Cosine => versions::<Cosine<T>>(level),
        Metric::L2 => versions::<L2<T>>(level),
        Metric::L2Squared => versions::<L2Squared<T>>(level),
        _ => versions::<Dot<T>>(level),
    }
}

struct Dot<T>(PhantomData<T>);
struct Cosine<T>(PhantomData<T>);
struct L2<T>(PhantomData<T>);
struct L2Squared<T>(PhantomData<T>);

impl<T: Copy + Into<i32>> Measure for Dot<T> {
    #[inline(always)]
    unsafe fn score(row: *const u8, query: &Query) -> f64 {
        // SAFETY: the caller has a whole row there, of as many bytes as the query.
        unsafe { sum::<T>(row, query, |x, y| x * y) }
    }
}

impl<T: Copy + Into<i32>> Measure for Cosine<T> {
    #[inline(always)]
    unsafe fn score(row: *const u8, query: &Query) -> f64 {
        // SAFETY: as for `Dot`.
        let (dot, squares) =
            unsafe { (sum::<T>(row, query, |x, y| x * y), sum::<T>(row, query, |x, _| x * x)) };
        cosine(dot, squares.sqrt(), query.norm)
    }
}

impl<T: Copy + Into<i32>> Measure for L2Squared<T> {
    #[inline(always)]
    unsafe fn score(row: *const u8, query: &Query) -> f64 {
        // SAFETY: as for `Dot`.
        unsafe { sum::<T>(row, query, |x, y| (x - y) * (x - y)) }
    }
}

impl<T: Copy + Into<i32>> Measure for L2<T> {
    #[inline(always)]
    unsafe fn score(row: *const u8, query: &Query) -> f64 {
        // SAFETY: as for `Dot`.
        unsafe { L2Squared::<T>::score(row, query) }.sqrt()
    }
}

/// The sum of the terms of each pair of elements.
///
/// # Safety
/// As many bytes as the query has must be readable at `row`.
#[inline(always)]
unsafe fn sum<T: Copy + Into<i32>>(row: *const u8, query: &Query, term: impl Fn(i32, i32) -> i32) -> f64 {
    let query = query.bytes.as_slice();
    let part = |start: usize, end: usize| {
        let mut sum = 0_i32;
        for i in start..end {
            // SAFETY: element `i` is inside the row and inside the query.
            let (x, y) = unsafe { (load::<T>(row, i), load::<T>(query.as_ptr(), i)) };
            sum += term(x.into(), y.into());
        }
        sum
    };
    if query.len() <= CHUNK {
        return f64::from(part(0, query.len()));
    }
    let starts = (0..query.len()).step_by(CHUNK);
    starts.map(|start| i64::from(part(start, query.len().min(start + CHUNK)))).sum::<i64>() as f64
}
