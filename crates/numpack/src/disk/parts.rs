//! Writing many bytes: by parts on several threads, each part by blocks, with the checksum of what is written.
//!
//! The bytes may lie in memory that the caller's program changes meanwhile: a binding gives up its
//! interpreter's lock while it writes. A checksum of that memory could then differ from the bytes in the
//! file for ever, and summing it once more afterwards would not notice what changed and changed back. So
//! every block is copied to memory that nobody else knows, and the copy is what is summed and written. It
//! stays in the core's cache: the source is read from memory once, as without it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::checksum::{combine, crc32c};
use crate::disk::mapping::{Mapping, PIECE, sealed};
use crate::disk::seam::StorageFile;
use crate::parallel;
use crate::types::room::{lacking, reserve, zeros};

/// Bytes of one write. Larger ones make pages that the system is slow to find; this many fit the
/// second-level cache.
pub(crate) const BLOCK: usize = 256 << 10;
/// Bytes that a thread takes at once.
pub(crate) const PART: usize = 4 << 20;
/// Writes `bytes` at `start`; returns the checksum of what was written.
///
/// # Errors
/// The system's error. A part may then have been written.
pub(crate) fn write(file: &dyn StorageFile, start: u64, bytes: &[u8]) -> io::Result<u32> {
    by_parts(start, bytes, |at, part| write_part(file, at, part))
}

/// Writes `bytes` over the beginning of a file that is as long, through `mapping` or windows of its own;
/// returns the checksum of what was written.
///
/// # Errors
/// As for [`write`].
pub(crate) fn overwrite(file: &dyn StorageFile, mapping: Option<&Mapping>, bytes: &[u8]) -> io::Result<u32> {
    by_parts(0, bytes, |at, part| file.overwrite(mapping, at, part))
}

fn by_parts(
    start: u64,
    bytes: &[u8],
    write: impl Fn(u64, &[u8]) -> io::Result<u32> + Sync + Send,
) -> io::Result<u32> {
    if bytes.len() <= PART {
        return write(start, bytes);
    }
    let work = |(at, part): (u64, &[u8])| Ok((write(at, part)?, part.len() as u64));
    let sums: io::Result<Vec<_>> =
        parallel::map(split(start, bytes, PART).collect(), work).into_iter().collect();
    Ok(join(&sums?))
}

/// The checksum of parts one behind the other from their checksums and lengths.
pub(crate) fn join(parts: &[(u32, u64)]) -> u32 {
    parts.iter().fold(0, |crc, &(part, len)| combine(crc, part, len))
}

fn write_part(file: &dyn StorageFile, at: u64, part: &[u8]) -> io::Result<u32> {
    let mut crc = 0;
    let mut copy = Vec::new();
    reserve(&mut copy, part.len().min(BLOCK)).map_err(lacking)?;
    for (at, block) in split(at, part, BLOCK) {
        copy.clear();
        for piece in block.chunks(PIECE) {
            let start = copy.len();
            copy.extend_from_slice(piece);
            sealed(&mut copy[start..]);
            crc = crc32c(crc, &copy[start..]);
        }
        file.write_at(&[&copy], at)?;
    }
    Ok(crc)
}

/// Which of two files a copy failed with.
#[derive(Debug)]
pub(crate) enum CopyError {
    /// The one that is read; `UnexpectedEof` when it is too short.
    Read(io::Error),
    /// The one that is written.
    Write(io::Error),
}

/// Writes `len` bytes at `start` that stand in `source` from `from` on; returns the checksum of what was written.
///
/// # Errors
/// The system's error and whose it is. A part may then have been written.
pub(crate) fn copy(
    file: &dyn StorageFile,
    start: u64,
    source: &File,
    from: u64,
    len: u64,
) -> Result<u32, CopyError> {
    let work = |first: u64| {
        let part = (len - first).min(PART as u64);
        Ok((copy_part(file, start + first, source, from + first, part)?, part))
    };
    let firsts = (0..len).step_by(PART).collect();
    let sums: Result<Vec<_>, CopyError> = parallel::map(firsts, work).into_iter().collect();
    Ok(join(&sums?))
}

fn copy_part(
    file: &dyn StorageFile,
    start: u64,
    source: &File,
    from: u64,
    len: u64,
) -> Result<u32, CopyError> {
    let mut crc = 0;
    let mut block = zeros(len.min(BLOCK as u64) as usize).map_err(|e| CopyError::Write(lacking(e)))?;
    for at in (0..len).step_by(BLOCK) {
        let block = &mut block[..(len - at).min(BLOCK as u64) as usize];
        source.read_exact_at(block, from + at).map_err(CopyError::Read)?;
        crc = crc32c(crc, block);
        file.write_at(&[block], start + at).map_err(CopyError::Write)?;
    }
    Ok(crc)
}

/// `bytes`, which go to `start`, cut where `unit` divides the place of a byte; not at all if they are no more
/// than `unit`. So the pieces of a large write begin with a page, and no two of them share one.
fn split(start: u64, bytes: &[u8], unit: usize) -> impl Iterator<Item = (u64, &[u8])> {
    let before = if bytes.len() <= unit { bytes.len() } else { unit - (start % unit as u64) as usize };
    let (first, rest) = bytes.split_at(before);
    let rest_start = start + before as u64;
    let rest = rest.chunks(unit).enumerate().map(move |(i, piece)| (rest_start + (i * unit) as u64, piece));
    let first = Some((start, first)).filter(|(_, first)| !first.is_empty());
    first.into_iter().chain(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Access, FileName, Folder, OsFolder};

    #[test]
    fn pieces_cover_the_bytes_and_begin_at_multiples() {
        let bytes: Vec<u8> = (0..100).collect();
        for start in [0, 1, 7, 8, 9, 64] {
            for len in [0, 1, 7, 8, 9, 16, 17, 100] {
                let mut next = start;
                let mut joined = Vec::new();
                for (at, piece) in split(start, &bytes[..len], 8) {
                    assert_eq!(at, next);
                    assert!(at == start || at % 8 == 0);
                    assert!((1..=8).contains(&piece.len()));
                    next += piece.len() as u64;
                    joined.extend_from_slice(piece);
                }
                assert_eq!(joined, bytes[..len], "{len} bytes at {start}");
                assert!(len > 8 || split(start, &bytes[..len], 8).count() <= 1);
            }
        }
    }

    #[test]
    fn many_bytes_at_any_place_are_written_and_summed() {
        let dir = tempfile::tempdir().unwrap();
        let folder = OsFolder::open(dir.path()).unwrap();
        let bytes: Vec<u8> = (0..2 * PART + BLOCK + 5).map(|i| (i % 251) as u8).collect();
        for (generation, start) in [0, 5, BLOCK as u64 - 1, PART as u64].into_iter().enumerate() {
            let name = FileName::Data { array: 1, generation: generation as u64 };
            let file = folder.open(name, Access::Create).unwrap();
            assert_eq!(write(&*file, start, &bytes).unwrap(), crc32c(0, &bytes));
            assert!(std::fs::read(dir.path().join(name.to_string())).unwrap()[start as usize..] == bytes);
        }
    }

    #[test]
    fn bytes_of_another_file_are_copied_and_summed_and_its_end_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let folder = OsFolder::open(dir.path()).unwrap();
        let bytes: Vec<u8> = (0..2 * PART + BLOCK + 5).map(|i| (i % 251) as u8).collect();
        std::fs::write(dir.path().join("source"), &bytes).unwrap();
        let source = File::open(dir.path().join("source")).unwrap();
        let name = FileName::Data { array: 1, generation: 1 };
        let file = folder.open(name, Access::Create).unwrap();
        let len = bytes.len() as u64 - 7;
        assert_eq!(copy(&*file, 3, &source, 7, len).unwrap(), crc32c(0, &bytes[7..]));
        assert!(std::fs::read(dir.path().join(name.to_string())).unwrap()[3..] == bytes[7..]);
        let error = copy(&*file, 3, &source, 7, len + 1).unwrap_err();
        assert!(matches!(error, CopyError::Read(error) if error.kind() == io::ErrorKind::UnexpectedEof));
    }
}
