//! AVX-512: `float16` rows beside one query, read as fast as memory delivers them.
#![expect(unsafe_code, reason = "rows are read through raw pointers, and code is compiled for CPU features")]

use std::arch::x86_64::*;

use crate::vector::kernels::x86_64::sixteen::{PLACE, ask_for, sums_f32};

/// Rows side by side: sums of products and of squares fill sixteen registers.
const ROWS: usize = 8;
/// Elements of a register.
const LANES: usize = 16;

/// The product of each row with the query and the squared length of each row, in `float32`.
///
/// # Safety
/// The CPU must have the features, and every row must be readable behind `base`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
pub(crate) unsafe fn estimate(
    base: *const u8,
    query: &[f32],
    rows: &[u64],
    products: &mut [f32],
    squares: &mut [f32],
) {
    let size = query.len() * 2;
    let parts = products.chunks_mut(ROWS).zip(squares.chunks_mut(ROWS));
    for (part, (picked, (products, squares))) in rows.chunks(ROWS).zip(parts).enumerate() {
        let last = picked.len() - 1;
        // SAFETY: the caller's promise; the last row stands for those that are missing.
        let sums: [f32; 2 * ROWS] = unsafe {
            ask_for::<ROWS>(base, size, rows.get((part + 1) * ROWS..).unwrap_or_default());
            let mut pointers = [base; ROWS];
            for (i, pointer) in pointers.iter_mut().enumerate() {
                *pointer = base.add(picked[i.min(last)] as usize * size);
            }
            std::mem::transmute(sums(pointers, query))
        };
        products.copy_from_slice(&sums[..products.len()]);
        squares.copy_from_slice(&sums[ROWS..][..squares.len()]);
    }
}

/// The products of eight rows with the query, then their squares.
///
/// # Safety
/// As many elements as the query has must be readable at each row.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
#[inline]
unsafe fn sums(rows: [*const u8; ROWS], query: &[f32]) -> __m512 {
    let mut products = [_mm512_setzero_ps(); ROWS];
    let mut squares = [_mm512_setzero_ps(); ROWS];
    let mut step = |at: usize, mask: u16| {
        // SAFETY: the mask keeps the load inside the query.
        let value = unsafe { _mm512_maskz_loadu_ps(mask, query.as_ptr().add(at)) };
        for (row, (product, square)) in rows.iter().zip(products.iter_mut().zip(&mut squares)) {
            // SAFETY: the mask keeps the load inside the row.
            let half = unsafe { _mm256_maskz_loadu_epi16(mask, row.cast::<i16>().add(at)) };
            let x = _mm512_cvtph_ps(half);
            *product = _mm512_fmadd_ps(x, value, *product);
            *square = _mm512_fmadd_ps(x, x, *square);
        }
    };
    let whole = query.len() / LANES * LANES;
    for at in (0..whole).step_by(LANES) {
        step(at, u16::MAX);
    }
    if whole < query.len() {
        step(whole, u16::MAX >> (LANES - (query.len() - whole)));
    }
    let mut registers = [_mm512_setzero_ps(); 2 * ROWS];
    // Plain indices: what is unrolled stays in registers.
    for row in 0..ROWS {
        registers[PLACE[row]] = products[row];
        registers[PLACE[ROWS + row]] = squares[row];
    }
    sums_f32(registers)
}
