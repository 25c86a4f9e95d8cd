//! `.npy` files, NumPy's format of one array: read and written here, block by block, without NumPy.
//!
//! Versions 1 to 3 are read, in both byte orders and both orders of elements; version 1 is written, in C order
//! and little-endian. Pickled objects never are. The format is described in NumPy's manual
//! (`numpy.lib.format`).

mod blocks;
mod header;
mod literal;
mod turn;

use std::fs::File;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;

use numpack::disk::Partial;
use numpack::{ArrayView, DataType, NpkError, Store};

pub(crate) use header::Header;

use crate::failure::Failure;
use crate::formats::Progress;

/// Bytes of a block, and the most of them: what is read and written at once.
const BLOCK: u64 = 4 << 20;
const LARGEST_BLOCK: u64 = 16 << 20;

/// Bytes of a block when data may take so many: room is left for what is made of it.
pub(crate) fn block_size(chunk_size: Option<u64>) -> u64 {
    chunk_size.map_or(BLOCK, |chunk| (chunk / 4).clamp(1, LARGEST_BLOCK))
}

/// An open `.npy` file.
pub(crate) struct Source<'a> {
    path: &'a Path,
    file: File,
    header: Header,
}

impl<'a> Source<'a> {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// `Io`; `Corrupted` for a file that is cut off; usage for what is no `.npy` file, or one that holds what
    /// a store does not.
    pub(crate) fn open(path: &'a Path) -> Result<Source<'a>, Failure> {
        let io = |source| NpkError::Io { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(io)?;
        let header = Header::read(&mut file, path)?;
        let metadata = file.metadata().map_err(io)?;
        if header.fortran && !metadata.is_file() {
            let text = format!("{} is in Fortran order, which only a file can be read in", path.display());
            return Err(Failure::usage(text));
        }
        let whole = header.offset + header.bytes;
        if metadata.is_file() && metadata.len() < whole {
            let reason = format!("the file has {} bytes where its header says {whole}", metadata.len());
            return Err(NpkError::Corrupted { file: path.to_owned(), offset: metadata.len(), reason }.into());
        }
        Ok(Source { path, file, header })
    }

    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// Calls `take` with the elements, some at a time, as little-endian bytes in C order.
    ///
    /// # Errors
    /// `Io`, `Corrupted`, and those of `take`.
    pub(crate) fn each_block(
        &mut self,
        size: u64,
        take: impl FnMut(&[u8]) -> Result<(), NpkError>,
    ) -> Result<(), NpkError> {
        blocks::each(self, size, take)
    }

    /// All elements, as little-endian bytes in C order.
    ///
    /// # Errors
    /// As for [`Source::each_block`].
    pub(crate) fn into_bytes(mut self) -> Result<Vec<u8>, NpkError> {
        let mut bytes = Vec::new();
        self.each_block(BLOCK, |block| {
            bytes.extend_from_slice(block);
            Ok(())
        })?;
        Ok(bytes)
    }

    fn io(&self, source: std::io::Error) -> NpkError {
        NpkError::Io { path: self.path.to_owned(), source }
    }
}

/// Writes an array to a `.npy` file, which appears when it is whole.
///
/// # Errors
/// `ArrayNotFound`, `Corrupted`; `Io`, of kind `AlreadyExists` when there is a file and `overwrite` is off.
pub(crate) fn export(
    store: &Store,
    name: &str,
    (path, overwrite): (&Path, bool),
    chunk_size: Option<u64>,
    progress: &Progress,
) -> Result<(), NpkError> {
    let view = store.get_array_view(name)?;
    let partial = Partial::file(path)?;
    write(&view, partial.handle(), block_size(chunk_size), progress).map_err(|error| match error {
        NpkError::Io { path, source } if path.as_os_str().is_empty() => {
            NpkError::Io { path: partial.target().to_owned(), source }
        }
        other => other,
    })?;
    partial.publish(overwrite, false)
}

fn write(view: &ArrayView, mut file: &File, size: u64, progress: &Progress) -> Result<(), NpkError> {
    file.write_all(&header::text(view.dtype(), view.shape()))?;
    let row = row_bytes(view.dtype(), view.shape());
    let (total, step) = (row * view.len(), (size / row.max(1)).max(1));
    let mut done = 0;
    for start in (0..view.len()).step_by(usize::try_from(step).unwrap_or(usize::MAX)) {
        let block = view.row_bytes(start..start.saturating_add(step))?;
        file.write_all(&block)?;
        done += block.len() as u64;
        go_on(progress, done, total)?;
    }
    Ok(())
}

/// Bytes of a row; of the element of a scalar.
fn row_bytes(dtype: DataType, shape: &[u64]) -> u64 {
    shape.iter().skip(1).product::<u64>() * dtype.size_bytes() as u64
}

/// Tells how far the work is.
///
/// # Errors
/// `Cancelled` when it is to stop.
pub(crate) fn go_on(progress: &Progress, done: u64, total: u64) -> Result<(), NpkError> {
    match progress(done, Some(total)) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(NpkError::Cancelled),
    }
}
