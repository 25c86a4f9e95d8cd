//! How the log's header and its records are framed.
//!
//! A record is header (40 bytes), payload, redo bytes, padding to 8. Its checksum covers header and payload
//! and is seeded with the checksum of the record before it, the first with that of the file header, which
//! holds the store id and the epoch: bytes of another store, another log or an older tail never parse.
//! The redo bytes have a checksum of their own, so that opening can step over them.

use super::op::{self, Op};
use crate::checksum::crc32c;
use crate::types::error::{NpkError, NpkResult};
use crate::types::room::reserve;

/// Version of the format that this program writes, and the newest it reads.
pub(crate) const VERSION: u32 = 1;
/// Bytes of the file header.
pub(crate) const FILE_HEADER: u64 = 64;
/// Bytes of a record's header.
pub(crate) const HEADER: usize = 40;
/// Sequence numbers stay below this: the hint words of the control page hold no larger ones.
pub(crate) const SEQ_END: u64 = 1 << 48;
/// Records start at multiples of this.
const ALIGN: u64 = 8;
const MAGIC: [u8; 8] = *b"NUMPACK\x01";

/// The header of a log file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileHeader {
    /// Drawn when the store is made.
    pub(crate) store_id: [u8; 16],
    /// Counts the checkpoints.
    pub(crate) epoch: u64,
}

/// Why a file header cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadHeader {
    /// It is not a header, or it is damaged; the offset says where.
    Damaged(u64, &'static str),
    /// It is of this newer version.
    Newer(u32),
}

impl FileHeader {
    pub(crate) fn encode(&self) -> [u8; FILE_HEADER as usize] {
        let mut bytes = [0; FILE_HEADER as usize];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.store_id);
        bytes[32..40].copy_from_slice(&self.epoch.to_le_bytes());
        let crc = crc32c(0, &bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; FILE_HEADER as usize]) -> Result<FileHeader, BadHeader> {
        if bytes[..8] != MAGIC {
            return Err(BadHeader::Damaged(0, "the file is not a commit log of NumPack"));
        }
        if read_u32(bytes, 60) != crc32c(0, &bytes[..60]) {
            return Err(BadHeader::Damaged(60, "the checksum of the file header does not match"));
        }
        let (version, must_understand) = (read_u32(bytes, 8), read_u32(bytes, 12));
        if version > VERSION || must_understand != 0 {
            return Err(BadHeader::Newer(version.max(VERSION + 1)));
        }
        let mut store_id = [0; 16];
        store_id.copy_from_slice(&bytes[16..32]);
        Ok(FileHeader { store_id, epoch: read_u64(bytes, 32) })
    }

    /// Seed of the first record's checksum.
    pub(crate) fn seed(&self) -> u32 {
        crc32c(0, &self.encode())
    }
}

/// The header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) crc: u32,
    pub(crate) redo_crc: u32,
    pub(crate) seq: u64,
    pub(crate) time_us: u64,
    pub(crate) payload_len: u32,
    pub(crate) redo_len: u64,
}

impl Header {
    /// Bytes from the start of this record to the start of the next; `None` when the lengths are absurd.
    pub(crate) fn total(&self) -> Option<u64> {
        let len = (HEADER as u64).checked_add(u64::from(self.payload_len))?.checked_add(self.redo_len)?;
        len.checked_next_multiple_of(ALIGN)
    }

    pub(crate) fn decode(bytes: &[u8; HEADER]) -> Header {
        Header {
            crc: read_u32(bytes, 0),
            redo_crc: read_u32(bytes, 4),
            seq: read_u64(bytes, 8),
            time_us: read_u64(bytes, 16),
            payload_len: read_u32(bytes, 24),
            redo_len: read_u64(bytes, 32),
        }
    }

    fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(&self.crc.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.redo_crc.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.seq.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.time_us.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.payload_len.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.redo_len.to_le_bytes());
        bytes
    }
}

/// Header and payload of a record, ready to be written in front of its redo bytes.
#[derive(Debug)]
pub(crate) struct Framed {
    pub(crate) head: Vec<u8>,
    pub(crate) crc: u32,
    /// Bytes to the start of the next record.
    pub(crate) total: u64,
    /// Zeros behind the redo bytes.
    pub(crate) padding: usize,
}

/// Frames a commit.
///
/// # Errors
/// `InvalidArgument` when the payload is longer than a record can hold; `OutOfMemory`.
pub(crate) fn frame(seed: u32, seq: u64, time_us: u64, ops: &[Op], redo: &[&[u8]]) -> NpkResult<Framed> {
    let payload = op::encode(ops)?;
    let redo_crc = redo.iter().fold(0, |crc, part| crc32c(crc, part));
    let redo_len = redo.iter().map(|part| part.len() as u64).sum();
    let payload_len = u32::try_from(payload.len()).map_err(|_| too_large())?;
    let mut header = Header { crc: 0, redo_crc, seq, time_us, payload_len, redo_len };
    let total = header.total().ok_or_else(too_large)?;
    header.crc = chain(seed, &header.encode(), &payload);
    let mut head = Vec::new();
    reserve(&mut head, HEADER + payload.len())?;
    head.extend_from_slice(&header.encode());
    head.extend_from_slice(&payload);
    let padding = (total - HEADER as u64 - payload.len() as u64 - redo_len) as usize;
    Ok(Framed { head, crc: header.crc, total, padding })
}

/// The error for a commit whose operations do not fit a record.
fn too_large() -> NpkError {
    NpkError::InvalidArgument {
        argument: "commit",
        value: "more than 4 GiB of row numbers".into(),
        reason: "split the call into several",
    }
}

/// Checksum of a record whose predecessor's is `seed`.
pub(crate) fn chain(seed: u32, header: &[u8; HEADER], payload: &[u8]) -> u32 {
    crc32c(crc32c(seed, &header[4..]), payload)
}

fn read_u32(bytes: &[u8], at: usize) -> u32 {
    let mut field = [0; 4];
    field.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(field)
}

fn read_u64(bytes: &[u8], at: usize) -> u64 {
    let mut field = [0; 8];
    field.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(field)
}
