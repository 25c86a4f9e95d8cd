//! What a caller may choose of packing and unpacking.

use std::time::Duration;

use crate::options::Durability;

/// Numbers that were shuffled gain little from higher levels.
const LEVEL: i32 = 1;

/// How a store is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackOptions {
    pub(super) level: Option<i32>,
    pub(super) keep_deleted: bool,
    pub(super) overwrite: bool,
    pub(super) durability: Durability,
    pub(super) lock_timeout: Option<Duration>,
}

impl Default for PackOptions {
    fn default() -> Self {
        let durability = Durability::Power;
        PackOptions {
            level: Some(LEVEL),
            keep_deleted: false,
            overwrite: false,
            durability,
            lock_timeout: None,
        }
    }
}

impl PackOptions {
    /// Compressed, without deleted rows, never over another file, safe from a power cut.
    pub fn new() -> Self {
        Self::default()
    }

    /// Level of compression as of zstd, or `None` for none. The default suits numbers: higher levels take
    /// longer and gain little.
    #[must_use]
    pub fn compression(mut self, level: Option<i32>) -> Self {
        self.level = level;
        self
    }

    /// Compressed at the default level, or not at all.
    #[must_use]
    pub fn compressed(self, compressed: bool) -> Self {
        self.compression(compressed.then_some(LEVEL))
    }

    /// Keeps rows that are deleted and not compacted away: the unpacked store then has them too.
    #[must_use]
    pub fn keep_deleted(mut self, keep: bool) -> Self {
        self.keep_deleted = keep;
        self
    }

    /// How long packing waits for writers, where it must keep them out; without end if `None`, the default.
    #[must_use]
    pub fn lock_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// Takes the place of a file that has the target's name.
    #[must_use]
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// Whether the package survives a power cut when the call returns (`Power`, the default).
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }
}

/// How a package is unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnpackOptions {
    pub(super) overwrite: bool,
    pub(super) verify: bool,
    pub(super) durability: Durability,
}

impl Default for UnpackOptions {
    fn default() -> Self {
        UnpackOptions { overwrite: false, verify: true, durability: Durability::Power }
    }
}

impl UnpackOptions {
    /// Never over another store, verified, safe from a power cut.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the place of everything in a store that is there, in one commit.
    #[must_use]
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// Whether the checksum of each array is compared too, and not only that of every block.
    #[must_use]
    pub fn verify(mut self, verify: bool) -> Self {
        self.verify = verify;
        self
    }

    /// Whether the store survives a power cut when the call returns (`Power`, the default).
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }
}
