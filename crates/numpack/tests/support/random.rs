//! Random numbers of no quality.

/// Random numbers of no quality: instants and row numbers.
pub(crate) struct Random(u64);

impl Random {
    /// Another sequence in every run.
    pub(crate) fn new() -> Random {
        use std::hash::{BuildHasher, RandomState};
        Random(RandomState::new().hash_one(std::process::id()) | 1)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit.max(1)
    }
}
