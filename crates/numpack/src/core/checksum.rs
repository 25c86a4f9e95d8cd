//! CRC-32C (Castagnoli, RFC 3720 appendix B.4), the one checksum of the store.
//!
//! Records chain it by seeding each with its predecessor's; data files use it over their whole content,
//! which an append extends without reading what is already there.

use crc_fast::{CrcAlgorithm, Digest, checksum_combine};

const ALGORITHM: CrcAlgorithm = CrcAlgorithm::Crc32Iscsi;
/// CRC-32C inverts its register at both ends.
const INVERT: u32 = u32::MAX;

/// Checksum of `a ‖ bytes`, where `seed` is the checksum of `a` (0 for nothing).
pub(crate) fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    let mut digest = Digest::new_with_init_state(ALGORITHM, u64::from(seed ^ INVERT));
    digest.update(bytes);
    low(digest.finalize())
}

/// Checksum of `a ‖ b` from the checksums of both and the length of `b`.
pub(crate) fn combine(a: u32, b: u32, b_len: u64) -> u32 {
    low(checksum_combine(ALGORITHM, u64::from(a), u64::from(b), b_len))
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
}
