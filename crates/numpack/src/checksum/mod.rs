//! The checksum of data files: CRC-32C, and how it follows bytes that are overwritten.

mod crc32c;
mod overwrite;

pub(crate) use crc32c::{combine, crc32c};
pub(crate) use overwrite::change;
