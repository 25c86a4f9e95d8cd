//! The bytes of a package: header, blocks, index, trailer. `docs/on-disk-format.md` has the tables and an example.
//!
//! Decoding trusts nothing: lengths are checked against the bytes that are there, shapes against the number of
//! blocks, and every byte of the file is either a constant or covered by a checksum.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::checksum::crc32c;
use crate::log::codec::{Decoder, Encoder, Malformed};
use crate::rows::run::Run;
use crate::types::dtype::DataType;
use crate::types::error::{NpkError, NpkResult};
use crate::types::shape::checked_bytes;

/// Version of the format written here.
pub(super) const VERSION: u32 = 1;
/// Bytes of an array in one block; its last block holds what is left.
pub(super) const BLOCK: u64 = 1 << 20;
/// Length of the header.
pub(super) const HEADER: u64 = 16;
const TRAILER: u64 = 40;
const MAGIC: &[u8; 8] = b"NPKPACK\x01";
const END_MAGIC: &[u8; 8] = b"NPKGEND\x01";

/// How a block is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Codec {
    /// As it is.
    Stored = 0,
    /// Compressed.
    Zstd = 1,
    /// Compressed after the first bytes of all elements were put together, then the second ones, and so on.
    ShuffledZstd = 2,
    /// As the one before, of the distance of each item from the one before it.
    DistancesZstd = 3,
}

/// One block of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) codec: Codec,
    /// Bytes in the file.
    pub(super) len: u32,
    /// CRC-32C of those bytes.
    pub(super) crc: u32,
}

/// One array of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) dtype: DataType,
    /// Shape of what is stored, deleted rows included.
    pub(super) shape: Vec<u64>,
    pub(super) deleted: Vec<Run>,
    /// CRC-32C of the array's bytes.
    pub(super) checksum: u32,
    pub(super) blocks: Vec<Block>,
}

impl Entry {
    /// Bytes of the array.
    pub(super) fn bytes(&self) -> u64 {
        // An entry is only made of a shape that was checked to fit.
        checked_bytes(self.dtype, &self.shape).unwrap_or(0)
    }

    /// Bytes of all its blocks in the file.
    pub(super) fn packed_bytes(&self) -> u64 {
        self.blocks.iter().map(|block| u64::from(block.len)).sum()
    }
}

/// Bytes of block `index` of an array of `total` bytes.
pub(super) fn block_bytes(total: u64, index: usize) -> usize {
    (total - (index as u64 * BLOCK).min(total)).min(BLOCK) as usize
}

/// The header of every package.
pub(super) fn header() -> [u8; HEADER as usize] {
    let mut bytes = [0; HEADER as usize];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes
}

/// Index and trailer, for an index that begins at `offset`.
///
/// # Errors
/// `OutOfMemory`.
pub(super) fn ending(entries: &[Entry], offset: u64) -> NpkResult<Vec<u8>> {
    let mut encoder = Encoder::default();
    encoder.varint(entries.len() as u64);
    for entry in entries {
        encoder.text(&entry.name);
        encoder.u8(entry.dtype.code());
        encoder.varint(entry.shape.len() as u64);
        entry.shape.iter().for_each(|&dim| encoder.varint(dim));
        encoder.runs(&entry.deleted);
        encoder.u32(entry.checksum);
        encoder.varint(entry.blocks.len() as u64);
        for block in &entry.blocks {
            encoder.u8(block.codec as u8);
            encoder.varint(u64::from(block.len));
            encoder.u32(block.crc);
        }
    }
    let start = encoder.len();
    let (len, crc) = (start as u64, crc32c(0, encoder.since(0)));
    encoder.u64(offset);
    encoder.u64(len);
    encoder.u32(crc);
    encoder.u32(VERSION);
    // Must-understand flags.
    encoder.u32(0);
    encoder.u32(crc32c(0, encoder.since(start)));
    encoder.raw(END_MAGIC);
    encoder.finish()
}

/// Reads the index at the end of a package.
///
/// # Errors
/// `InvalidArgument` when the file is not a package; `Corrupted`, `UnsupportedVersion`, `OutOfMemory`, `Io`.
pub(super) fn read_index(file: &File, path: &Path) -> NpkResult<Vec<Entry>> {
    let io = |e| NpkError::io(path, e);
    let len = file.metadata().map_err(io)?.len();
    let Some(end) = len.checked_sub(TRAILER).filter(|&end| end >= HEADER) else {
        return Err(no_trailer(file, path, len));
    };
    let mut trailer = [0; TRAILER as usize];
    file.read_exact_at(&mut trailer, end).map_err(io)?;
    if trailer[32..] != *END_MAGIC {
        return Err(no_trailer(file, path, len));
    }
    let damaged = |malformed: Malformed| malformed.in_file(path, end);
    let Trailer { offset, index_len, crc } =
        Trailer::decode(&trailer, path).map_err(|failed| match failed {
            Failed::Malformed(reason) => damaged(reason),
            Failed::Other(error) => error,
        })?;
    if offset < HEADER || offset.checked_add(index_len) != Some(end) {
        return Err(damaged("the index does not lie before the trailer".into()));
    }
    let out = || NpkError::OutOfMemory { bytes: index_len };
    let index_len = usize::try_from(index_len).map_err(|_| out())?;
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(index_len).map_err(|_| out())?;
    bytes.resize(index_len, 0);
    file.read_exact_at(&mut bytes, offset).map_err(io)?;
    if crc32c(0, &bytes) != crc {
        return Err(NpkError::corrupted(path, offset, "the checksum of the index does not match"));
    }
    decode_index(&bytes, offset).map_err(|malformed| malformed.in_file(path, offset))
}

/// An error when the header is not the one of the version that the trailer named.
pub(super) fn check_header(file: &File, path: &Path) -> NpkResult<()> {
    let mut bytes = [0; HEADER as usize];
    file.read_exact_at(&mut bytes, 0).map_err(|e| NpkError::io(path, e))?;
    if bytes == header() { Ok(()) } else { Err(NpkError::corrupted(path, 0, "the header is damaged")) }
}

struct Trailer {
    offset: u64,
    index_len: u64,
    crc: u32,
}

enum Failed {
    Malformed(Malformed),
    Other(NpkError),
}

impl From<Malformed> for Failed {
    fn from(reason: Malformed) -> Failed {
        Failed::Malformed(reason)
    }
}

impl Trailer {
    fn decode(bytes: &[u8; TRAILER as usize], path: &Path) -> Result<Trailer, Failed> {
        let mut decoder = Decoder::new(bytes);
        let (offset, index_len, crc) = (decoder.u64()?, decoder.u64()?, decoder.u32()?);
        let (version, flags, own) = (decoder.u32()?, decoder.u32()?, decoder.u32()?);
        if crc32c(0, &bytes[..28]) != own {
            return Err(Failed::Malformed("the checksum of the trailer does not match".into()));
        }
        if version != VERSION || flags != 0 {
            let file = path.to_owned();
            let found = version.max(VERSION + u32::from(flags != 0));
            return Err(Failed::Other(NpkError::UnsupportedVersion { file, found, supported: VERSION }));
        }
        Ok(Trailer { offset, index_len, crc })
    }
}

/// A file without a trailer: a package that was cut, or none at all.
fn no_trailer(file: &File, path: &Path, len: u64) -> NpkError {
    let mut magic = [0; 8];
    if file.read_exact_at(&mut magic, 0).is_ok() && magic == *MAGIC {
        return NpkError::corrupted(path, len, "the package is cut off: it has no trailer");
    }
    NpkError::InvalidArgument {
        argument: "source",
        value: path.display().to_string(),
        reason: "the file is not a NumPack package",
    }
}

fn decode_index(bytes: &[u8], end: u64) -> Result<Vec<Entry>, Malformed> {
    let mut decoder = Decoder::new(bytes);
    let count = decoder.count()?;
    // An array takes at least eight bytes: memory follows the bytes that are there, not the number they say.
    let mut entries: Vec<Entry> = Vec::new();
    let least = count.min(bytes.len() / 8);
    let out = |_| Malformed::OutOfMemory((least * size_of::<Entry>()) as u64);
    entries.try_reserve_exact(least).map_err(out)?;
    let mut at = HEADER;
    for _ in 0..count {
        let entry = decode_entry(&mut decoder)?;
        if entries.last().is_some_and(|last| last.name >= entry.name) {
            return Err("the arrays are not in the order of their names".into());
        }
        at = at.checked_add(entry.packed_bytes()).ok_or("the blocks are longer than the file")?;
        entries.push(entry);
    }
    if !decoder.is_empty() || at != end {
        return Err("the blocks do not fill the file up to the index".into());
    }
    Ok(entries)
}

fn decode_entry(decoder: &mut Decoder<'_>) -> Result<Entry, Malformed> {
    let name = decoder.text()?.to_owned();
    crate::store::check_name(&name).map_err(|_| "a name is not one that an array can have")?;
    let dtype = DataType::from_code(decoder.u8()?).ok_or("a dtype is unknown")?;
    let dims = decoder.count()?;
    if dims > 255 {
        return Err("an array has more than 255 dimensions".into());
    }
    let shape = (0..dims).map(|_| decoder.varint()).collect::<Result<Vec<u64>, _>>()?;
    let total = checked_bytes(dtype, &shape)?;
    let deleted = decoder.runs()?;
    check_deleted(&deleted, &shape)?;
    let checksum = decoder.u32()?;
    let count = decoder.count()?;
    if count as u64 != total.div_ceil(BLOCK) {
        return Err("an array has another number of blocks than its shape needs".into());
    }
    let blocks = (0..count).map(|index| decode_block(decoder, block_bytes(total, index)));
    let blocks = blocks.collect::<Result<Vec<_>, _>>()?;
    Ok(Entry { name, dtype, shape, deleted, checksum, blocks })
}

/// An error unless the runs are rows of the array in increasing order, none of them empty.
fn check_deleted(deleted: &[Run], shape: &[u64]) -> Result<(), Malformed> {
    let mut end = 0;
    for run in deleted {
        if run.len == 0 || run.start < end {
            return Err("the deleted rows are not in order".into());
        }
        end = run.start + run.len;
    }
    if end > shape.first().copied().unwrap_or(0) {
        return Err("rows are deleted that are not there".into());
    }
    Ok(())
}

fn decode_block(decoder: &mut Decoder<'_>, bytes: usize) -> Result<Block, Malformed> {
    let codec = match decoder.u8()? {
        0 => Codec::Stored,
        1 => Codec::Zstd,
        2 => Codec::ShuffledZstd,
        3 => Codec::DistancesZstd,
        _ => return Err("a block is stored in an unknown way".into()),
    };
    let len = u32::try_from(decoder.varint()?).map_err(|_| "a block is too long")?;
    // A block that compression would make longer is stored as it is.
    let fits = if codec == Codec::Stored { len as usize == bytes } else { (len as usize) < bytes };
    if !fits {
        return Err("a block has another length than its contents allow".into());
    }
    Ok(Block { codec, len, crc: decoder.u32()? })
}
