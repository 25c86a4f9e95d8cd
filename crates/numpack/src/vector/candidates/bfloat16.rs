//! Rows as bfloat16: scaled by a power of two so that their length is far from all limits, then rounded.
//!
//! Scaling makes every bound of `bound.rs` independent of how long vectors are: nothing overflows, and
//! what is flushed to zero is smaller than `2^-96` of the length.
#![expect(unsafe_code, reason = "rows are read through raw pointers, and code is compiled for CPU features")]

use crate::types::dtype::DataType;
use crate::vector::kernels::cpu::SimdLevel;
use crate::vector::kernels::element::{Element, Scale, for_numbers, power};
use crate::vector::kernels::row::{AHEAD, load, prefetch};
use crate::vector::vectors::Table;

/// Sums that run side by side: of `f32` squares, and of `f64` squares.
const LANES: usize = 32;

/// Lengths outside `2^-500..2^500` are left to the exact kernel: their squares leave `f64`.
const EXPONENTS: i32 = 500;

/// Lengths of `2^-30` to `2^31` are left as they are: they are far from all limits of `f32`.
const PLAIN_EXPONENTS: i32 = 30;

/// What is known of a rounded row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Length {
    /// The row is `2^exponent` times one of length `norm`, which is in `[2^-30, 2^31)` and accurate to
    /// [`norm_error`].
    Scaled { exponent: i32, norm: f64 },
    /// Every element is 0.
    Zero,
    /// Not a finite length, or one that is too large or too small; the rounded row is all zeros.
    Unknown,
}

/// Bound of the relative error of [`Length::Scaled`]: a sum of `dims` squares in `f32`, each addition and
/// each product with an error of `2^-24`, is off by less than twice this before the square root.
pub(crate) fn norm_error(dims: usize) -> f64 {
    (dims + 64) as f64 * power(-23)
}

/// Rounds the rows at `rows` into `out`, `depth` elements a row, zeros behind the row's own.
type RoundRows = unsafe fn(*const u8, usize, &[u64], usize, &mut [u16], &mut [Length]);

/// The code that rounds rows of one dtype.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rounder {
    round: RoundRows,
}

impl Rounder {
    pub(crate) fn new(level: SimdLevel, rows: DataType) -> Rounder {
        let round = for_numbers!(rows, T => versions::<T>(level), versions::<f64>(level));
        Rounder { round }
    }

    /// Rounds rows of a table into `out`, with `depth` elements for each.
    ///
    /// # Panics
    /// When a row is not in the table or a length does not fit.
    pub(crate) fn round(
        &self,
        table: &Table<'_>,
        rows: &[u64],
        depth: usize,
        out: &mut [u16],
        lengths: &mut [Length],
    ) {
        assert!(rows.iter().all(|&row| row < table.rows()), "a row leaves the table");
        assert!(rows.len() == lengths.len() && table.dims() <= depth, "one place for every row");
        assert_eq!(Some(out.len()), rows.len().checked_mul(depth), "one place for every element");
        // SAFETY: the asserts are what the code asks for; it is for the table's dtype.
        unsafe { (self.round)(table.base(), table.dims(), rows, depth, out, lengths) }
    }
}

#[cfg(target_arch = "x86_64")]
fn versions<T: Element>(level: SimdLevel) -> RoundRows {
    match level.min(SimdLevel::best()) {
        SimdLevel::Serial => round_rows::<T>,
        SimdLevel::Avx2 => round_avx2::<T>,
        #[cfg(feature = "avx512")]
        _ => round_avx512::<T>,
        #[cfg(not(feature = "avx512"))]
        _ => round_avx2::<T>,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn versions<T: Element>(_level: SimdLevel) -> RoundRows {
    round_rows::<T>
}

/// # Safety
/// The CPU must have the features, and every row must be readable behind `base`.
#[cfg(all(target_arch = "x86_64", feature = "avx512"))]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,avx2,fma,f16c,popcnt")]
unsafe fn round_avx512<T: Element>(
    base: *const u8,
    dims: usize,
    rows: &[u64],
    depth: usize,
    out: &mut [u16],
    lengths: &mut [Length],
) {
    // SAFETY: the caller's promise.
    unsafe { round_rows::<T>(base, dims, rows, depth, out, lengths) }
}

/// # Safety
/// The CPU must have the features, and every row must be readable behind `base`.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,f16c,popcnt")]
unsafe fn round_avx2<T: Element>(
    base: *const u8,
    dims: usize,
    rows: &[u64],
    depth: usize,
    out: &mut [u16],
    lengths: &mut [Length],
) {
    // SAFETY: the caller's promise.
    unsafe { round_rows::<T>(base, dims, rows, depth, out, lengths) }
}

/// # Safety
/// Every row of `dims` elements must be readable behind `base`.
#[inline(always)]
unsafe fn round_rows<T: Element>(
    base: *const u8,
    dims: usize,
    rows: &[u64],
    depth: usize,
    out: &mut [u16],
    lengths: &mut [Length],
) {
    let size = dims * size_of::<T>();
    for (i, ((&row, out), length)) in rows.iter().zip(out.chunks_exact_mut(depth)).zip(lengths).enumerate() {
        if let Some(&next) = rows.get(i + AHEAD) {
            // SAFETY: the caller's promise.
            unsafe { prefetch(base.add(next as usize * size), size) };
        }
        // SAFETY: the caller's promise.
        let element = |i| unsafe { load::<T>(base.add(row as usize * size), i) };
        *length = length_of(dims, element);
        match *length {
            Length::Scaled { exponent: 0, .. } => {
                let (own, behind) = out.split_at_mut(dims);
                for (i, place) in own.iter_mut().enumerate() {
                    *place = bfloat16(element(i).scaled(Scale::ONE));
                }
                behind.fill(0);
            }
            Length::Scaled { exponent, .. } => {
                let scale = Scale::new(-exponent);
                let (own, behind) = out.split_at_mut(dims);
                for (i, place) in own.iter_mut().enumerate() {
                    *place = bfloat16(element(i).scaled(scale));
                }
                behind.fill(0);
            }
            Length::Zero | Length::Unknown => out.fill(0),
        }
    }
}

/// The nearest bfloat16 of a finite number below its largest, as bits; ties go to the even one.
#[inline(always)]
fn bfloat16(value: f32) -> u16 {
    let bits = value.to_bits();
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

#[inline(always)]
fn length_of<T: Element>(dims: usize, element: impl Fn(usize) -> T) -> Length {
    let one = Scale::ONE;
    let mut lanes = [0.0_f32; LANES];
    for group in 0..dims / LANES {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            let x = element(group * LANES + lane).scaled(one);
            *sum += x * x;
        }
    }
    for (lane, i) in (dims / LANES * LANES..dims).enumerate() {
        let x = element(i).scaled(one);
        lanes[lane] += x * x;
    }
    let squares = f64::from(lanes.iter().sum::<f32>());
    // Inside, no square that counts was lost and none overflowed.
    if squares > power(-60) && squares < power(120) { scaled(squares) } else { careful(dims, element) }
}

/// The length of a row whose squares leave `f32`.
#[cold]
fn careful<T: Element>(dims: usize, element: impl Fn(usize) -> T) -> Length {
    let largest = (0..dims).map(|i| element(i).f64().abs()).fold(0.0, |a: f64, b| if b > a { b } else { a });
    let squares: f64 = (0..dims).map(|i| element(i).f64()).map(|x| x * x).sum();
    if largest == 0.0 && squares == 0.0 {
        return Length::Zero;
    }
    let limit = power(2 * EXPONENTS);
    if squares > limit.recip() && squares < limit { scaled(squares) } else { Length::Unknown }
}

#[inline(always)]
fn scaled(squares: f64) -> Length {
    let norm = squares.sqrt();
    let exponent = (norm.to_bits() >> 52) as i32 - 1023;
    if exponent.abs() <= PLAIN_EXPONENTS {
        return Length::Scaled { exponent: 0, norm };
    }
    Length::Scaled { exponent, norm: norm * power(-exponent) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::Vectors;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_rounded_row_is_as_near_as_the_bound_says(
            values in proptest::collection::vec(-1.0..1.0_f64, 1..200),
            exponent in -480..480_i32,
        ) {
            let row: Vec<f64> = values.iter().map(|x| x * power(exponent)).collect();
            let depth = row.len().next_multiple_of(32);
            let (mut out, mut lengths) = (vec![1; depth], [Length::Zero]);
            let rounder = Rounder::new(SimdLevel::best(), DataType::Float64);
            rounder.round(&Vectors::one(&row).table(), &[0], depth, &mut out, &mut lengths);
            let Length::Scaled { exponent, norm } = lengths[0] else {
                prop_assert!(row.iter().all(|&x| x == 0.0));
                return Ok(());
            };
            let scaled: Vec<f64> = row.iter().map(|x| x * power(-exponent)).collect();
            let length = scaled.iter().map(|x| x * x).sum::<f64>().sqrt();
            prop_assert!((norm - length).abs() <= norm_error(row.len()) * length);
            let off: f64 = scaled.iter().zip(&out)
                .map(|(x, &bits)| x - f64::from(f32::from_bits(u32::from(bits) << 16)))
                .map(|x| x * x).sum();
            prop_assert!(off.sqrt() <= (power(-8) + power(-16)) * length);
            prop_assert!(out[row.len()..].iter().all(|&bits| bits == 0));
        }
    }
}
