//! CRC-32C (Castagnoli, RFC 3720 appendix B.4), the one checksum of the store.
//!
//! Records chain it by seeding each with its predecessor's; data files use it over their whole content,
//! which an append extends without reading what is already there.

use crc_fast::{CrcAlgorithm, Digest};

const ALGORITHM: CrcAlgorithm = CrcAlgorithm::Crc32Iscsi;
/// CRC-32C inverts its register at both ends.
pub(crate) const INVERT: u32 = u32::MAX;
/// The polynomial without its highest power. The highest bit of a word is the power 0, as in the register.
const POLYNOMIAL: u32 = 0x82f6_3b78;
/// `x^(8 * 2^i)` modulo the polynomial: what `2^i` more bytes do to the register.
pub(crate) const SHIFTS: [u32; 64] = shifts();

/// Checksum of `a ‖ bytes`, where `seed` is the checksum of `a` (0 for nothing).
pub(crate) fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    let mut digest = Digest::new_with_init_state(ALGORITHM, u64::from(seed ^ INVERT));
    digest.update(bytes);
    low(digest.finalize())
}

/// Checksum of `a ‖ b` from the checksums of both and the length of `b`.
///
/// Parts of a save are joined by one thread while the others wait.
pub(crate) fn combine(a: u32, b: u32, b_len: u64) -> u32 {
    shift(a, b_len) ^ b
}

/// What `bytes` zeros more do to a register: one multiplication for each bit set in their number, 0.2 us.
pub(crate) fn shift(register: u32, bytes: u64) -> u32 {
    let set = SHIFTS.iter().enumerate().filter(|(i, _)| bytes >> i & 1 == 1);
    set.fold(register, |register, (_, &shift)| multiply(register, shift))
}

/// Product of two polynomials modulo the checksum's.
pub(crate) const fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut power = 0;
    while power < 32 {
        // Masks instead of branches: the bits are as good as random.
        product ^= b & (a << power >> 31).wrapping_neg();
        b = (b >> 1) ^ (POLYNOMIAL & (b & 1).wrapping_neg());
        power += 1;
    }
    product
}

const fn shifts() -> [u32; 64] {
    let mut shifts = [0; 64];
    shifts[0] = 1 << (31 - 8);
    let mut i = 1;
    while i < 64 {
        shifts[i] = multiply(shifts[i - 1], shifts[i - 1]);
        i += 1;
    }
    shifts
}

fn low(value: u64) -> u32 {
    u32::try_from(value & 0xffff_ffff).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_standard() {
        assert_eq!(crc32c(0, b"123456789"), 0xe306_9283);
    }

    #[test]
    fn appending_and_combining_agree_with_the_whole() {
        let bytes: Vec<u8> = (0..10_000u32).map(|i| (i * 7 % 251) as u8).collect();
        let whole = crc32c(0, &bytes);
        for cut in [0, 1, 63, 64, 4096, 9_999, 10_000] {
            let (a, b) = bytes.split_at(cut);
            assert_eq!(crc32c(crc32c(0, a), b), whole, "append at {cut}");
            assert_eq!(combine(crc32c(0, a), crc32c(0, b), b.len() as u64), whole, "combine at {cut}");
        }
    }

    #[test]
    fn joining_agrees_with_the_library_for_any_length() {
        for bit in 0..63 {
            for len in [1_u64 << bit, (1 << bit) + 5, (1 << bit) - 1, (1 << bit) / 3 * 2] {
                let (a, b) = (0x1234_5678_u32.rotate_left(bit), 0x9abc_def0_u32.wrapping_mul(bit | 1));
                let library = crc_fast::checksum_combine(ALGORITHM, u64::from(a), u64::from(b), len);
                assert_eq!(u64::from(combine(a, b, len)), library, "{len} bytes");
            }
        }
    }
}
