//! What overwriting some bytes of a file does to its checksum, without the bytes around them.
//!
//! CRC-32C is linear over exclusive or. Two files of one length that differ by the bytes *d* with *n* bytes
//! behind them have checksums that differ by the register that *d* and *n* zeros leave, begun at 0. So a
//! replace of a few rows gives the checksum of a whole file from the old and the new bytes of those rows.
#![expect(unsafe_code, reason = "reads mapped bytes through pointers and uses instructions of the processor")]

use std::mem::MaybeUninit;
use std::slice;

use super::crc32c::{INVERT, crc32c, shift};

/// Bytes that are copied before they are summed, so few that they stay in the first-level cache.
const BLOCK: usize = 4096;

/// By what a file's checksum changes when `new` is stored over the bytes at `old`, with `after` bytes
/// behind them.
///
/// # Safety
/// `new.len()` bytes must be readable at `old`.
pub(crate) unsafe fn change(old: *const u8, new: &[u8], after: u64) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("pclmulqdq") && is_x86_feature_detected!("sse4.2") {
        // SAFETY: the processor has the instructions; the rest is the caller's promise.
        return unsafe {
            let register = if new.len() < x86::LONG { x86::by_words(old, new) } else { by_blocks(old, new) };
            x86::shift(register, after)
        };
    }
    // SAFETY: the caller's promise.
    shift(unsafe { by_blocks(old, new) }, after)
}

/// The register that the difference leaves.
///
/// # Safety
/// As for [`change`].
unsafe fn by_blocks(old: *const u8, new: &[u8]) -> u32 {
    // Zeros would take as long as the difference does.
    let mut block = [MaybeUninit::<u8>::uninit(); BLOCK];
    let mut register = 0;
    for (i, new) in new.chunks(BLOCK).enumerate() {
        for (j, (to, new)) in block.iter_mut().zip(new).enumerate() {
            // SAFETY: byte `i * BLOCK + j` is one of those that the caller promised.
            to.write(new ^ unsafe { old.add(i * BLOCK + j).read() });
        }
        // SAFETY: the loop has just written so many bytes of the block.
        let block = unsafe { slice::from_raw_parts(block.as_ptr().cast::<u8>(), new.len()) };
        register = crc32c(register ^ INVERT, block) ^ INVERT;
    }
    register
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        _mm_clmulepi64_si128, _mm_crc32_u8, _mm_crc32_u64, _mm_cvtsi32_si128, _mm_cvtsi128_si64,
    };

    use crate::checksum::crc32c::{SHIFTS, multiply};

    /// From this many bytes on, summing a copy by many bytes at once is faster than by words in place.
    pub(crate) const LONG: usize = 512;
    /// Powers of x by the base-256 digits of a number of bytes, the lowest digit first: `x^(8 * k * 256^d - 33)`.
    /// Reducing a product with the CRC instruction gives `x^33` too much.
    static POWERS: [[u32; 256]; 8] = powers();
    /// The power 1.
    const X: u32 = 1 << 30;
    /// The powers of x repeat after so many: the polynomial is `x + 1` times a primitive one of degree 31.
    const PERIOD: u32 = (1 << 31) - 1;

    /// As [`crate::types::by_blocks`].
    ///
    /// # Safety
    /// As for [`crate::checksum::overwrite`].
    #[target_feature(enable = "sse4.2")]
    pub(crate) unsafe fn by_words(old: *const u8, new: &[u8]) -> u32 {
        let (words, bytes) = new.as_chunks::<8>();
        let mut register = 0;
        for (i, word) in words.iter().enumerate() {
            // SAFETY: the word is among the bytes that the caller promised.
            let old = unsafe { old.add(8 * i).cast::<u64>().read_unaligned() };
            register = _mm_crc32_u64(register, old ^ u64::from_le_bytes(*word));
        }
        let mut register = register as u32;
        for (i, byte) in bytes.iter().enumerate() {
            // SAFETY: as above.
            let old = unsafe { old.add(8 * words.len() + i).read() };
            register = _mm_crc32_u8(register, old ^ byte);
        }
        register
    }

    /// As [`crate::checksum::shift`], with one multiplication for eight bits of the number. The power is
    /// made first: a processor does that while it still waits for the register.
    #[target_feature(enable = "sse4.2,pclmulqdq")]
    pub(crate) fn shift(register: u32, bytes: u64) -> u32 {
        let mut power = POWERS[0][(bytes & 0xff) as usize];
        let mut rest = bytes >> 8;
        for powers in &POWERS[1..] {
            if rest == 0 {
                break;
            }
            power = product(power, powers[(rest & 0xff) as usize]);
            rest >>= 8;
        }
        product(register, power)
    }

    /// Product of two polynomials modulo the checksum's, times `x^33`.
    #[target_feature(enable = "sse4.2,pclmulqdq")]
    fn product(a: u32, b: u32) -> u32 {
        let product = _mm_clmulepi64_si128(_mm_cvtsi32_si128(a as i32), _mm_cvtsi32_si128(b as i32), 0);
        _mm_crc32_u64(0, _mm_cvtsi128_si64(product) as u64) as u32
    }

    const fn powers() -> [[u32; 256]; 8] {
        let mut powers = [[power(PERIOD - 33); 256]; 8];
        let mut digit = 0;
        while digit < 8 {
            let mut k = 1;
            while k < 256 {
                powers[digit][k] = multiply(powers[digit][k - 1], SHIFTS[8 * digit]);
                k += 1;
            }
            digit += 1;
        }
        powers
    }

    const fn power(exponent: u32) -> u32 {
        let (mut product, mut square, mut left) = (1 << 31, X, exponent);
        while left > 0 {
            if left & 1 == 1 {
                product = multiply(product, square);
            }
            square = multiply(square, square);
            left >>= 1;
        }
        product
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_change_is_the_difference_of_the_whole_checksums(
            file in proptest::collection::vec(any::<u8>(), 1..20_000),
            new in proptest::collection::vec(any::<u8>(), 0..10_000),
            at in any::<proptest::sample::Index>(),
        ) {
            let at = at.index(file.len());
            let new = &new[..new.len().min(file.len() - at)];
            let mut changed = file.clone();
            changed[at..at + new.len()].copy_from_slice(new);
            let difference = crc32c(0, &file) ^ crc32c(0, &changed);
            let after = (file.len() - at - new.len()) as u64;
            // SAFETY: `new` is no longer than what stands at `at`.
            prop_assert_eq!(unsafe { change(file[at..].as_ptr(), new, after) }, difference);
            // SAFETY: as above.
            prop_assert_eq!(shift(unsafe { by_blocks(file[at..].as_ptr(), new) }, after), difference);
        }

        #[test]
        #[cfg(target_arch = "x86_64")]
        fn both_ways_to_shift_agree(register in any::<u32>(), bytes in any::<u64>(), bits in 0..64) {
            if is_x86_feature_detected!("pclmulqdq") && is_x86_feature_detected!("sse4.2") {
                // SAFETY: the processor has the instructions.
                let fast = unsafe { x86::shift(register, bytes >> bits) };
                prop_assert_eq!(fast, shift(register, bytes >> bits));
            }
        }
    }
}
