//! The elements of a `.npy` file in blocks, whatever their order in the file.

use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use numpack::{DataType, NpkError};

use super::turn::{places, swap, transpose};
use super::{Source, row_bytes};

/// Calls `take` with the elements in C order and little-endian, about `size` bytes at a time. May be called
/// again for a file that is not a pipe.
///
/// # Errors
/// `Io`; `Corrupted` when the file ends too early; those of `take`.
pub(super) fn each(
    source: &mut Source<'_>,
    size: u64,
    mut take: impl FnMut(&[u8]) -> Result<(), NpkError>,
) -> Result<(), NpkError> {
    let (dtype, swapped) = (source.header.dtype, source.header.swapped);
    let take = |block: &mut [u8]| {
        if swapped {
            swap(block, number_bytes(dtype));
        }
        if dtype == DataType::Bool {
            // To NumPy every other byte is true as well.
            block.iter_mut().for_each(|flag| *flag = u8::from(*flag != 0));
        }
        take(block)
    };
    if source.header.bytes == 0 {
        return Ok(());
    }
    if source.header.fortran { columns(source, size, take) } else { rows(source, size, take) }
}

/// Bytes of the numbers that an element is made of.
fn number_bytes(dtype: DataType) -> usize {
    match dtype {
        DataType::Complex64 | DataType::Complex128 => dtype.size_bytes() / 2,
        _ => dtype.size_bytes(),
    }
}

fn rows(
    source: &mut Source<'_>,
    size: u64,
    mut take: impl FnMut(&mut [u8]) -> Result<(), NpkError>,
) -> Result<(), NpkError> {
    let item = source.header.dtype.size_bytes() as u64;
    let size = (size / item).max(1) * item;
    let (mut left, offset) = (source.header.bytes, source.header.offset);
    // After the header a file stands there anyway, and a pipe cannot be moved.
    if source.file.stream_position().is_ok_and(|at| at != offset) {
        source.file.seek(SeekFrom::Start(offset)).map_err(|e| source.io(e))?;
    }
    let mut buffer = vec![0; size.min(left) as usize];
    while left > 0 {
        let block = &mut buffer[..size.min(left) as usize];
        source.file.read_exact(block).map_err(|e| ended(source, e))?;
        take(block)?;
        left -= block.len() as u64;
    }
    Ok(())
}

/// In Fortran order a file holds column after column, a column having one element of each row.
fn columns(
    source: &Source<'_>,
    size: u64,
    mut take: impl FnMut(&mut [u8]) -> Result<(), NpkError>,
) -> Result<(), NpkError> {
    let header = &source.header;
    let item = header.dtype.size_bytes();
    let row = row_bytes(header.dtype, &header.shape);
    let (all, inner) = (header.shape[0], &header.shape[1..]);
    let step = (size / row).clamp(1, all);
    let (mut turned, mut block) = (vec![0; (step * row) as usize], vec![0; (step * row) as usize]);
    for first in (0..all).step_by(step as usize) {
        let rows = step.min(all - first);
        let piece = rows as usize * item;
        for (column, place) in places(inner).enumerate() {
            let at = header.offset + (column as u64 * all + first) * item as u64;
            let part = &mut turned[place * piece..(place + 1) * piece];
            source.file.read_exact_at(part, at).map_err(|e| ended(source, e))?;
        }
        let bytes = (rows * row) as usize;
        transpose(&turned[..bytes], &mut block[..bytes], row as usize / item, item);
        take(&mut block[..bytes])?;
    }
    Ok(())
}

fn ended(source: &Source<'_>, error: std::io::Error) -> NpkError {
    if error.kind() != ErrorKind::UnexpectedEof {
        return source.io(error);
    }
    let reason = "the file ends before its last element".to_owned();
    NpkError::Corrupted { file: source.path.to_owned(), offset: source.header.offset, reason }
}
