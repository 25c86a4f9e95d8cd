//! What stands before the elements of a `.npy` file: dtype, order, shape.

use std::io::{ErrorKind, Read};
use std::path::Path;

use numpack::{DataType, NpkError};

use super::literal::{self, Literal};
use crate::failure::Failure;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// A header that describes a dtype of numbers and any shape is far below this.
const LONGEST: usize = 1 << 16;
/// The elements begin at a multiple of this.
const ALIGNED: usize = 64;

/// The description of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) dtype: DataType,
    /// Whether the elements are big-endian.
    pub(super) swapped: bool,
    /// Whether the first index is the one that moves fastest.
    pub(super) fortran: bool,
    pub(crate) shape: Vec<u64>,
    /// Where the elements begin.
    pub(super) offset: u64,
    /// Bytes of all elements.
    pub(crate) bytes: u64,
}

impl Header {
    /// Reads the header that a file begins with.
    ///
    /// # Errors
    /// `Io`; `Corrupted` for a header that is damaged; usage for what is no `.npy` file, or one that holds what
    /// a store does not.
    pub(super) fn read(file: &mut impl Read, path: &Path) -> Result<Header, Failure> {
        let mut head = [0; 8];
        let begun = read_exact(file, &mut head, path)?;
        if !begun || &head[..6] != MAGIC {
            return Err(Failure::usage(format!("{} is no .npy file", path.display())));
        }
        if !(1..=3).contains(&head[6]) {
            let text = format!("{}: version {} of the .npy format is not known", path.display(), head[6]);
            return Err(Failure::usage(text));
        }
        let mut length = [0; 4];
        let width = if head[6] == 1 { 2 } else { 4 };
        let sized = read_exact(file, &mut length[..width], path)?;
        let length = u32::from_le_bytes(length) as usize;
        if !sized || length > LONGEST {
            return Err(damaged(path, 8, "the header has no valid length".into()));
        }
        let mut text = vec![0; length];
        if !read_exact(file, &mut text, path)? {
            return Err(damaged(path, 8, "the file ends in its header".into()));
        }
        // Other letters than those of ASCII stand in the names of fields alone, which no store has.
        let text = String::from_utf8_lossy(&text);
        Header::parse(&text, (8 + width + length) as u64, path)
    }

    fn parse(text: &str, offset: u64, path: &Path) -> Result<Header, Failure> {
        let unreadable = || damaged(path, 10, format!("the header cannot be read: {:?}", text.trim_end()));
        let entries = literal::entries(text).filter(|found| found.len() == 3).ok_or_else(unreadable)?;
        let of = |key| entries.iter().find(|(name, _)| name == key).map(|(_, value)| value);
        let (Some(descr), Some(Literal::Bool(fortran)), Some(Literal::Tuple(shape))) =
            (of("descr"), of("fortran_order"), of("shape"))
        else {
            return Err(unreadable());
        };
        let (dtype, swapped) = match descr {
            Literal::Text(descr) => dtype_of(descr).ok_or_else(|| no_place(path, &format!("{descr:?}")))?,
            Literal::List => return Err(no_place(path, "with fields")),
            _ => return Err(unreadable()),
        };
        let count = match shape.contains(&0) {
            true => Some(0),
            false => shape.iter().try_fold(1_u64, |count, &length| count.checked_mul(length)),
        };
        let bytes = count.and_then(|count| count.checked_mul(dtype.size_bytes() as u64));
        let bytes = bytes.filter(|&bytes| bytes <= i64::MAX as u64).ok_or_else(unreadable)?;
        Ok(Header {
            dtype,
            swapped,
            fortran: *fortran && shape.len() > 1,
            shape: shape.clone(),
            offset,
            bytes,
        })
    }
}

/// Fills the buffer; false when the file ends before.
fn read_exact(file: &mut impl Read, buffer: &mut [u8], path: &Path) -> Result<bool, NpkError> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(source) => Err(NpkError::Io { path: path.to_owned(), source }),
    }
}

fn damaged(path: &Path, offset: u64, reason: String) -> Failure {
    NpkError::Corrupted { file: path.to_owned(), offset, reason }.into()
}

fn no_place(path: &Path, dtype: &str) -> Failure {
    let names = DataType::ALL.map(DataType::name).join(", ");
    Failure::usage(format!("{}: a store has no dtype {dtype}: it has {names}", path.display()))
}

/// The dtype that NumPy writes so, and whether it is big-endian.
fn dtype_of(descr: &str) -> Option<(DataType, bool)> {
    let code = descr.trim_start_matches(['<', '>', '=', '|']);
    let dtype = DataType::ALL.into_iter().find(|&dtype| code_of(dtype) == code)?;
    (descr.len() - code.len() <= 1).then_some((dtype, descr.starts_with('>')))
}

/// Kind and bytes of a dtype, as NumPy writes them.
fn code_of(dtype: DataType) -> String {
    format!("{}{}", dtype.kind(), dtype.size_bytes())
}

/// The header, in version 1 of the format, of an array in C order.
pub(super) fn text(dtype: DataType, shape: &[u64]) -> Vec<u8> {
    let order = if dtype.size_bytes() == 1 { '|' } else { '<' };
    let shape: String = match shape {
        [one] => format!("({one},)"),
        _ => format!("({})", shape.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")),
    };
    let code = code_of(dtype);
    let dict = format!("{{'descr': '{order}{code}', 'fortran_order': False, 'shape': {shape}, }}");
    let before = MAGIC.len() + 4;
    let length = (before + dict.len() + 1).next_multiple_of(ALIGNED) - before;
    let mut bytes = [MAGIC, &[1, 0][..], &(length as u16).to_le_bytes(), dict.as_bytes()].concat();
    bytes.resize(before + length - 1, b' ');
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Header, Failure> {
        Header::read(&mut &bytes[..], Path::new("a.npy"))
    }

    fn version(version: u8, dict: &str) -> Vec<u8> {
        let length = (dict.len() as u32).to_le_bytes();
        let width = if version == 1 { 2 } else { 4 };
        [MAGIC, &[version, 0][..], &length[..width], dict.as_bytes()].concat()
    }

    #[test]
    fn what_is_written_is_read() {
        for dtype in DataType::ALL {
            for shape in [&[][..], &[0], &[7], &[3, 4], &[u64::from(u32::MAX), 1, 0], &[1; 255]] {
                let bytes = text(dtype, shape);
                assert!(bytes.len().is_multiple_of(ALIGNED) && bytes.ends_with(b"\n"));
                let header = read(&bytes).unwrap();
                let count: u64 = shape.iter().product();
                assert_eq!((header.dtype, header.swapped, header.fortran), (dtype, false, false));
                assert_eq!((&header.shape[..], header.offset), (shape, bytes.len() as u64));
                assert_eq!(header.bytes, count * dtype.size_bytes() as u64);
            }
        }
    }

    #[test]
    fn versions_and_orders() {
        let dict = "{'descr': '>c16', 'fortran_order': True, 'shape': (2, 3), }";
        for number in 1..=3 {
            let header = read(&version(number, dict)).unwrap();
            assert_eq!((header.dtype, header.swapped, header.fortran), (DataType::Complex128, true, true));
        }
        assert!(!read(&version(1, &dict.replace("(2, 3)", "(6,)"))).unwrap().fortran);
    }

    #[test]
    fn others_are_refused() {
        let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
        let status = |bytes: &[u8]| read(bytes).unwrap_err().status();
        assert_eq!(status(b""), 2);
        assert_eq!(status(b"PK\x03\x04 something else"), 2);
        assert_eq!(status(&version(4, good)), 2);
        for descr in ["'<U5'", "'|O'", "'<f16'", "'<M8[ns]'", "'<<f4'", "[('a', '<f4')]"] {
            let failure = read(&version(1, &good.replace("'<f4'", descr))).unwrap_err();
            assert_eq!(failure.status(), 2, "{descr}");
            assert!(failure.text().contains("no dtype"), "{}", failure.text());
        }
        for dict in [
            &good[..20],
            "{}",
            "[1, 2]",
            "{'descr': '<f4', 'fortran_order': 1, 'shape': (2, 3), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, -3), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'more': True}",
        ] {
            assert_eq!(status(&version(1, dict)), 1, "{dict}");
        }
        let whole = version(1, good);
        for at in 0..whole.len() {
            // Whatever a header says, it is read or refused.
            (0..=255).for_each(|byte| drop(read(&[&whole[..at], &[byte], &whole[at + 1..]].concat())));
        }
        (8..whole.len()).for_each(|at| assert_eq!(status(&whole[..at]), 1, "{at}"));
        assert_eq!(status(&[MAGIC, &[2, 0, 255, 255, 255, 255][..]].concat()), 1);
    }
}
