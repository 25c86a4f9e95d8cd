//! AVX-512: the sums inside sixteen registers at once, so that a row costs three additions and not eight.
//!
//! One query is compared with rows of a hundred bytes as fast as memory delivers them only if what is left
//! to do for each row behind its last element is next to nothing.
#![expect(unsafe_code, reason = "rows are read through raw pointers")]

use std::arch::x86_64::*;

use crate::vector::kernels::row::prefetch;

/// Rows that are summed together.
pub(crate) const ROWS: usize = 16;

/// The register of row `r`: its number with the four bits in reverse, which is the order that the tree of
/// additions brings forth.
pub(crate) const PLACE: [usize; ROWS] = [0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15];

/// Asks for the first rows of a list: as one piece if that is what they are.
///
/// # Safety
/// Every row must be readable behind `base`.
#[inline(always)]
pub(crate) unsafe fn ask_for<const COUNT: usize>(base: *const u8, size: usize, rows: &[u64]) {
    let next = &rows[..rows.len().min(COUNT)];
    match (next.first(), next.last()) {
        // SAFETY: the caller's promise.
        (Some(&first), Some(&last)) if last == first + COUNT as u64 - 1 => unsafe {
            prefetch(base.add(first as usize * size), COUNT * size);
        },
        // SAFETY: the caller's promise.
        _ => next.iter().for_each(|&row| unsafe { prefetch(base.add(row as usize * size), size) }),
    }
}

/// Sixteen rows; the last one again where there are fewer.
pub(crate) struct Pointers(pub(crate) [*const u8; ROWS]);

impl Pointers {
    /// # Safety
    /// There must be a row, and all must be readable behind `base`.
    #[inline(always)]
    pub(crate) unsafe fn new(base: *const u8, size: usize, rows: &[u64]) -> Pointers {
        let mut pointers = [base; ROWS];
        // SAFETY: the caller's promise.
        let at = |row: u64| unsafe { base.add(row as usize * size) };
        if let Some(rows) = rows.first_chunk::<ROWS>() {
            for (pointer, &row) in pointers.iter_mut().zip(rows) {
                *pointer = at(row);
            }
        } else {
            for (i, pointer) in pointers.iter_mut().enumerate() {
                *pointer = at(rows[i.min(rows.len() - 1)]);
            }
        }
        Pointers(pointers)
    }
}

/// The sum of the lanes of each register, that of register [`PLACE`]`[r]` in lane `r`; modulo 2^32.
#[target_feature(enable = "avx512f")]
#[inline]
pub(crate) fn sums_i32(registers: [__m512i; ROWS]) -> __m512i {
    sums::<false>(registers)
}

/// The sum of the lanes of each register, that of register [`PLACE`]`[r]` in lane `r`; in no promised order.
#[target_feature(enable = "avx512f")]
#[inline]
pub(crate) fn sums_f32(registers: [__m512; ROWS]) -> __m512 {
    // No `map`: closures are compiled apart, without the CPU's features.
    let mut all = [_mm512_setzero_si512(); ROWS];
    for (place, register) in all.iter_mut().zip(registers) {
        *place = _mm512_castps_si512(register);
    }
    _mm512_castsi512_ps(sums::<true>(all))
}

/// Each step puts halves of two registers beside each other and adds the other halves.
#[target_feature(enable = "avx512f")]
#[inline]
fn sums<const FLOAT: bool>(all: [__m512i; ROWS]) -> __m512i {
    let mut eight = [_mm512_setzero_si512(); 8];
    for (i, sum) in eight.iter_mut().enumerate() {
        let (low, high) = (all[i], all[i + 8]);
        *sum = add::<FLOAT>(_mm512_unpacklo_epi32(low, high), _mm512_unpackhi_epi32(low, high));
    }
    let mut four = [_mm512_setzero_si512(); 4];
    for (i, sum) in four.iter_mut().enumerate() {
        let (low, high) = (eight[i], eight[i + 4]);
        *sum = add::<FLOAT>(_mm512_unpacklo_epi64(low, high), _mm512_unpackhi_epi64(low, high));
    }
    let mut two = [_mm512_setzero_si512(); 2];
    for (i, sum) in two.iter_mut().enumerate() {
        let (low, high) = (four[i], four[i + 2]);
        *sum = add::<FLOAT>(_mm512_shuffle_i32x4::<0x44>(low, high), _mm512_shuffle_i32x4::<0xee>(low, high));
    }
    let [low, high] = two;
    add::<FLOAT>(_mm512_shuffle_i32x4::<0x88>(low, high), _mm512_shuffle_i32x4::<0xdd>(low, high))
}

#[target_feature(enable = "avx512f")]
#[inline]
fn add<const FLOAT: bool>(a: __m512i, b: __m512i) -> __m512i {
    if FLOAT {
        _mm512_castps_si512(_mm512_add_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b)))
    } else {
        _mm512_add_epi32(a, b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::SimdLevel;

    #[test]
    fn every_register_is_summed_into_its_lane() {
        if SimdLevel::best() < SimdLevel::Avx512 {
            return;
        }
        let of = |register: usize, lane: usize| ((register * 31 + lane * 7) % 97) as i32;
        // SAFETY: the CPU has AVX-512; both types are 64 bytes of numbers.
        let found: [i32; ROWS] = unsafe {
            let registers = std::array::from_fn(|register| {
                std::mem::transmute::<[i32; 16], __m512i>(std::array::from_fn(|lane| of(register, lane)))
            });
            std::mem::transmute(sums_i32(registers))
        };
        for (row, sum) in found.into_iter().enumerate() {
            assert_eq!(sum, (0..16).map(|lane| of(PLACE[row], lane)).sum::<i32>(), "row {row}");
        }
    }
}
