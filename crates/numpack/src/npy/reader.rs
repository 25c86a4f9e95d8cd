//! The elements of a `.npy` file, whatever their order in the file: rows in C order, little-endian.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::BLOCK;
use super::header::{Element, Header};
use super::turn::{places, swap, turn};
use crate::ArrayWriter;
use crate::types::dtype::DataType;
use crate::types::error::{NpkError, NpkResult};
use crate::types::room::reserve;

/// Bytes of a block of an array in Fortran order: fewer and larger blocks save reads of small pieces.
const COLUMN_BLOCK: u64 = 32 << 20;
/// Bytes that are read to be skipped: another read takes as long.
const SKIP: usize = 32 << 10;
/// Bytes of columns that are turned at once: they stay in a core's cache.
const SLAB: usize = 1 << 20;
/// Bytes of a column that are worth a read.
const PIECE: usize = 16 << 10;

/// An open `.npy` file whose elements a store can have.
#[derive(Debug)]
pub struct Reader {
    path: PathBuf,
    file: File,
    header: Header,
    element: Element,
    is_file: bool,
}

impl Reader {
    /// Opens a file and reads its header. A pipe is taken too, unless it is in Fortran order.
    ///
    /// # Errors
    /// `Io`; `Corrupted` for a file that is cut off or whose header makes no sense; `InvalidArgument` for what is
    /// not a `.npy` file, or one of elements that no store has.
    pub fn open(path: &Path) -> NpkResult<Reader> {
        let mut file = File::open(path).map_err(|e| NpkError::io(path, e))?;
        let header = Header::read(&mut file, path)?;
        Reader::new(file, path, header)
    }

    /// A file whose header has been read.
    ///
    /// # Errors
    /// As for [`Reader::open`].
    pub fn new(file: File, path: &Path, header: Header) -> NpkResult<Reader> {
        let element = header.element(path)?;
        let metadata = file.metadata().map_err(|e| NpkError::io(path, e))?;
        let is_file = metadata.is_file();
        if header.fortran && !is_file {
            return Err(NpkError::InvalidArgument {
                argument: "file",
                value: path.display().to_string(),
                reason: "an array in Fortran order can be read from a file alone, not from a pipe",
            });
        }
        let bytes = header.bytes(element, path)?;
        let found = metadata.len().saturating_sub(header.offset);
        if is_file && found < bytes {
            let reason = format!("the file is cut off: {found} bytes of data where {bytes} should be");
            return Err(NpkError::corrupted(path, metadata.len(), reason));
        }
        Ok(Reader { path: path.to_owned(), file, header, element, is_file })
    }

    /// What stands before the elements.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The dtype of the elements.
    pub fn dtype(&self) -> DataType {
        self.element.dtype
    }

    /// Number of rows; a scalar is one row.
    pub fn rows(&self) -> u64 {
        self.header.shape.first().copied().unwrap_or(1)
    }

    /// Bytes of a row.
    pub fn row_bytes(&self) -> u64 {
        self.header.row_items() * self.dtype().size_bytes() as u64
    }

    /// Bytes of all elements.
    pub fn bytes(&self) -> u64 {
        self.rows() * self.row_bytes()
    }

    /// Fills `block` with some rows, as little-endian bytes in C order; a flag that is not 0 is 1. The rows of a pipe
    /// have to be read in order.
    ///
    /// # Errors
    /// `Io`; `Corrupted` when the file ends before the last of them; `InvalidArgument` for a block of another size;
    /// `OutOfMemory`.
    pub fn read_rows(&self, rows: Range<u64>, block: &mut [u8]) -> NpkResult<()> {
        let count = rows.end.min(self.rows()).saturating_sub(rows.start);
        if count * self.row_bytes() != block.len() as u64 {
            return Err(NpkError::InvalidArgument {
                argument: "block",
                value: format!("{} bytes", block.len()),
                reason: "it does not have the size of the rows",
            });
        }
        if block.is_empty() {
            return Ok(());
        }
        if self.header.fortran {
            self.read_columns(rows.start, count, block)?;
        } else if self.is_file {
            self.read_at(block, rows.start * self.row_bytes())?;
        } else {
            (&self.file).read_exact(block).map_err(|e| self.ended(e))?;
        }
        if self.element.swapped {
            swap(block, self.element.number_bytes());
        }
        if self.dtype() == DataType::Bool {
            // To NumPy every other byte is true as well.
            block.iter_mut().for_each(|flag| *flag = u8::from(*flag != 0));
        }
        Ok(())
    }

    /// All rows.
    ///
    /// # Errors
    /// As for [`Reader::read_rows`].
    pub fn into_bytes(self) -> NpkResult<Vec<u8>> {
        let (mut bytes, len) = (Vec::new(), usize::try_from(self.bytes()).unwrap_or(usize::MAX));
        reserve(&mut bytes, len)?;
        bytes.resize(len, 0);
        self.read_rows(0..self.rows(), &mut bytes)?;
        Ok(bytes)
    }

    /// Writes all rows to an array that has the file's shape, in blocks of at most `size` bytes; `go_on` is told
    /// the bytes of each, and an error of it ends the call.
    ///
    /// # Errors
    /// Those of [`Reader::read_rows`], of [`ArrayWriter::write`] and of `go_on`.
    pub fn copy_to(
        &self,
        writer: &mut ArrayWriter,
        size: u64,
        go_on: &mut dyn FnMut(u64) -> NpkResult<()>,
    ) -> NpkResult<()> {
        let row = self.row_bytes();
        if row == 0 {
            return Ok(());
        }
        let most = if self.header.fortran { COLUMN_BLOCK } else { BLOCK };
        let step = (size.min(most) / row).max(1);
        let as_stored = self.is_file && !self.header.fortran && !self.element.swapped;
        let mut block = Vec::new();
        let mut start = 0;
        while start < self.rows() {
            let stop = self.rows().min(start.saturating_add(step));
            let bytes = (stop - start) * row;
            if as_stored && self.dtype() != DataType::Bool {
                writer.copy(&self.file, &self.path, self.header.offset + start * row, bytes)?;
            } else {
                let len = bytes as usize;
                let more = len.saturating_sub(block.len());
                reserve(&mut block, more)?;
                block.resize(len, 0);
                self.read_rows(start..stop, &mut block)?;
                writer.write(&block)?;
            }
            go_on(bytes)?;
            start = stop;
        }
        Ok(())
    }

    /// In Fortran order a file holds column after column, a column having one element of each row. Of some columns the
    /// wanted rows are read, one column at a time unless reading the rows between too is faster than another read,
    /// and turned while they are in a cache.
    fn read_columns(&self, first: u64, rows: u64, block: &mut [u8]) -> NpkResult<()> {
        let item = self.dtype().size_bytes();
        let row = self.row_bytes() as usize;
        let length = self.rows() as usize * item;
        let places = places(&self.header.shape[1..])?;
        let all = rows as usize;
        let close = |rows: usize| length - rows * item <= SKIP;
        // Rows that lie close are read once, all of them.
        let step = if close(all) { all } else { (SLAB / row).max(PIECE / item).clamp(1, all) };
        let mut slab = Vec::new();
        for (part, block) in block.chunks_mut(step * row).enumerate() {
            let rows = block.len() / row;
            let (piece, start) = (rows * item, first * item as u64 + (part * step * item) as u64);
            let stride = if close(rows) { length } else { piece };
            for (group, places) in places.chunks((SLAB / stride).max(1)).enumerate() {
                let column = group * (SLAB / stride).max(1);
                // Behind the last wanted row of the last column nothing is read.
                let span = (places.len() - 1) * stride + piece;
                let more = span.saturating_sub(slab.len());
                reserve(&mut slab, more)?;
                slab.resize(span, 0);
                let reads = if stride == length { 1 } else { places.len() };
                for (at, part) in slab.chunks_mut(span.div_ceil(reads)).enumerate() {
                    self.read_at(part, ((column + at) * length) as u64 + start)?;
                }
                turn(&slab, stride, block, row, item, places);
            }
        }
        Ok(())
    }

    fn read_at(&self, block: &mut [u8], at: u64) -> NpkResult<()> {
        self.file.read_exact_at(block, self.header.offset + at).map_err(|e| self.ended(e))
    }

    fn ended(&self, error: std::io::Error) -> NpkError {
        if error.kind() != ErrorKind::UnexpectedEof {
            return NpkError::io(&self.path, error);
        }
        NpkError::corrupted(
            &self.path,
            self.header.offset,
            "the file is cut off: it ends before its last element",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::writer::header;
    use super::*;
    use proptest::prelude::*;

    /// A file of these elements, which are given in C order.
    fn write(path: &Path, dtype: DataType, shape: &[u64], fortran: bool, swapped: bool, bytes: &[u8]) {
        let item = dtype.size_bytes();
        let mut begin = header(dtype, shape);
        if fortran {
            let at = begin.windows(5).position(|part| part == b"False").unwrap();
            begin[at..at + 5].copy_from_slice(b"True ");
        }
        if swapped {
            let at = begin.iter().position(|&byte| byte == b'<').unwrap();
            begin[at] = b'>';
        }
        let count: u64 = shape.iter().product();
        // Index by index, the first one fastest in Fortran order: the plain way.
        let place = |mut number: u64| {
            let mut index = vec![0; shape.len()];
            for (at, &length) in shape.iter().enumerate() {
                (index[at], number) = (number % length, number / length);
            }
            index.iter().zip(shape).fold(0, |place, (at, length)| place * length + at)
        };
        for number in 0..count {
            let place = if fortran { place(number) } else { number } as usize;
            let mut element = bytes[place * item..][..item].to_vec();
            if swapped {
                let number = Element { dtype, swapped }.number_bytes();
                element.chunks_mut(number).for_each(|number| number.reverse());
            }
            begin.extend_from_slice(&element);
        }
        std::fs::write(path, begin).unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

        #[test]
        fn rows_are_those_of_the_array_whatever_the_file(
            rows in prop_oneof![3 => 0..40_u64, 1 => 5000..9000_u64],
            inner in proptest::collection::vec(0..5_u64, 0..4),
            dtype in proptest::sample::select(DataType::ALL.to_vec()),
            (fortran, swapped) in any::<(bool, bool)>(),
            ends in any::<(u64, u64)>(),
        ) {
            let shape = [&[rows], &inner[..]].concat();
            let (item, row) = (dtype.size_bytes(), inner.iter().product::<u64>());
            let flag = |byte: u64| if dtype == DataType::Bool { (byte % 2) as u8 } else { (byte % 251) as u8 };
            let bytes: Vec<u8> = (0..rows * row * item as u64).map(flag).collect();
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a.npy");
            write(&path, dtype, &shape, fortran, swapped && item > 1, &bytes);
            let reader = Reader::open(&path).unwrap();
            prop_assert_eq!((reader.dtype(), &reader.header().shape, reader.bytes()), (dtype, &shape, bytes.len() as u64));
            let (a, b) = (ends.0 % (rows + 1), ends.1 % (rows + 1));
            let part = a.min(b)..a.max(b);
            let size = row as usize * item;
            let wanted = &bytes[part.start as usize * size..part.end as usize * size];
            let mut found = vec![7; wanted.len()];
            reader.read_rows(part, &mut found).unwrap();
            prop_assert!(found == wanted);
            prop_assert!(reader.into_bytes().unwrap() == bytes);
        }
    }

    #[test]
    fn a_file_that_is_cut_off_is_refused_now_or_later() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npy");
        for fortran in [false, true] {
            write(&path, DataType::Float32, &[10, 3], fortran, false, &[1; 120]);
            let reader = Reader::open(&path).unwrap();
            let file = File::options().write(true).open(&path).unwrap();
            file.set_len(reader.header().offset + 119).unwrap();
            let error = Reader::open(&path).unwrap_err().to_string();
            assert!(error.contains("is cut off: 119 bytes of data where 120 should be"), "{error}");
            let error = reader.into_bytes().unwrap_err().to_string();
            assert!(error.contains("ends before its last element"), "{error}");
        }
    }

    #[test]
    fn a_block_of_another_size_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npy");
        write(&path, DataType::Uint8, &[3, 2], false, false, &[0; 6]);
        let reader = Reader::open(&path).unwrap();
        assert!(reader.read_rows(0..3, &mut [0; 5]).is_err());
        assert!(reader.read_rows(2..9, &mut [0; 2]).is_ok());
        assert!(reader.read_rows(9..12, &mut []).is_ok());
    }
}
