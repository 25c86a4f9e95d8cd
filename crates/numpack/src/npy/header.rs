//! What stands before the elements of a `.npy` file: dtype, order, shape.

use std::io::{ErrorKind, Read};
use std::path::Path;

use super::literal::{self, Literal};
use crate::types::dtype::DataType;
use crate::types::error::{NpkError, NpkResult};

pub(super) const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// A header that describes a dtype and any shape is far below this.
const LONGEST: usize = 1 << 16;
/// Letters of a header that a message shows: that of an array of numbers is shorter.
const SHOWN: usize = 300;
/// The elements begin at a multiple of this.
pub(super) const ALIGNED: usize = 64;

/// The description of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// The dtype as the header spells it: a literal of Python, such as `'<f4'` or `[('x', '<f4')]`.
    pub descr: String,
    /// Whether the first index is the one that moves fastest.
    pub fortran: bool,
    /// The dimensions; none for a scalar.
    pub shape: Vec<u64>,
    /// Where the elements begin, in bytes from the beginning of the header.
    pub offset: u64,
}

/// How an element that a store can have lies in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// Its dtype.
    pub dtype: DataType,
    /// Whether its numbers are big-endian.
    pub swapped: bool,
}

impl Element {
    /// Bytes of the numbers that an element is made of.
    pub(super) fn number_bytes(self) -> usize {
        match self.dtype {
            DataType::Complex64 | DataType::Complex128 => self.dtype.size_bytes() / 2,
            _ => self.dtype.size_bytes(),
        }
    }
}

impl Header {
    /// Reads the header that a file begins with; `path` is for messages.
    ///
    /// # Errors
    /// `Io`; `InvalidArgument` for what is not a `.npy` file, or of a version that is not known; `Corrupted` for a
    /// header that makes no sense.
    pub fn read(file: &mut impl Read, path: &Path) -> NpkResult<Header> {
        let mut head = [0; 8];
        let begun = read_exact(file, &mut head, path)?;
        if !begun || &head[..6] != MAGIC {
            return Err(refused(path.display().to_string(), "it is not a .npy file"));
        }
        if !(1..=3).contains(&head[6]) {
            let value = format!("{}, version {} of the .npy format", path.display(), head[6]);
            return Err(refused(value, "known are 1 to 3"));
        }
        let mut length = [0; 4];
        let width = if head[6] == 1 { 2 } else { 4 };
        let sized = read_exact(file, &mut length[..width], path)?;
        let length = u32::from_le_bytes(length) as usize;
        if !sized || length > LONGEST {
            return Err(NpkError::corrupted(path, 8, "the header has no valid length"));
        }
        let mut text = vec![0; length];
        if !read_exact(file, &mut text, path)? {
            return Err(NpkError::corrupted(path, 8, "the file ends in its header"));
        }
        // Before version 3 it is Latin-1, whose bytes are the first letters of Unicode.
        let text = match head[6] {
            3 => String::from_utf8_lossy(&text).into_owned(),
            _ => text.iter().map(|&byte| char::from(byte)).collect(),
        };
        Header::parse(&text, (8 + width + length) as u64, path)
    }

    fn parse(text: &str, offset: u64, path: &Path) -> NpkResult<Header> {
        let unreadable = || {
            let shown: String = text.trim_end().chars().take(SHOWN).collect();
            NpkError::corrupted(path, 10, format!("the header cannot be read: {shown:?}"))
        };
        let entries = literal::entries(text).filter(|found| found.len() == 3).ok_or_else(unreadable)?;
        let of = |key| entries.iter().find(|(name, _)| name == key).map(|(_, value)| value);
        let (Some(descr), Some(&Literal::Bool(fortran)), Some(Literal::Tuple(shape))) =
            (of("descr"), of("fortran_order"), of("shape"))
        else {
            return Err(unreadable());
        };
        let descr = match descr {
            Literal::Text(descr) if descr.contains('\'') => format!("\"{descr}\""),
            Literal::Text(descr) => format!("'{descr}'"),
            Literal::Other(descr) => descr.clone(),
            _ => return Err(unreadable()),
        };
        Ok(Header { descr, fortran: fortran && shape.len() > 1, shape: shape.clone(), offset })
    }

    /// How the elements lie in the file.
    ///
    /// # Errors
    /// `InvalidArgument` for a dtype that no store has.
    pub fn element(&self, path: &Path) -> NpkResult<Element> {
        let found =
            self.descr.strip_prefix('\'').and_then(|descr| descr.strip_suffix('\'')).and_then(element_of);
        found.ok_or_else(|| {
            let value = format!("{}, dtype {}", path.display(), self.descr);
            refused(value, "a store has bool, integers, floats and complex numbers of NumPy")
        })
    }

    /// Elements of a row; 1 for a scalar.
    pub(super) fn row_items(&self) -> u64 {
        self.shape.iter().skip(1).product()
    }

    /// Bytes of all elements.
    ///
    /// # Errors
    /// `Corrupted` for a shape that no array has.
    pub(super) fn bytes(&self, element: Element, path: &Path) -> NpkResult<u64> {
        // Beside a length of 0 the others have to make sense all the same, as to NumPy.
        let lengths = self.shape.iter().filter(|&&length| length > 0);
        let bytes = lengths.copied().try_fold(element.dtype.size_bytes() as u64, |bytes, length| {
            bytes.checked_mul(length).filter(|&bytes| bytes <= i64::MAX as u64)
        });
        let bytes = bytes.map(|bytes| if self.shape.contains(&0) { 0 } else { bytes });
        bytes.ok_or_else(|| NpkError::corrupted(path, 10, format!("no array has the shape {:?}", self.shape)))
    }
}

/// Fills the buffer; false when the file ends before.
fn read_exact(file: &mut impl Read, buffer: &mut [u8], path: &Path) -> NpkResult<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(NpkError::io(path, error)),
    }
}

fn refused(value: String, reason: &'static str) -> NpkError {
    NpkError::InvalidArgument { argument: "file", value, reason }
}

/// The element that NumPy writes so.
fn element_of(descr: &str) -> Option<Element> {
    let code = descr.trim_start_matches(['<', '>', '=', '|']);
    let dtype = DataType::ALL.into_iter().find(|&dtype| code_of(dtype) == code)?;
    (descr.len() - code.len() <= 1).then_some(Element { dtype, swapped: descr.starts_with('>') })
}

/// Kind and bytes of a dtype, as NumPy writes them.
pub(super) fn code_of(dtype: DataType) -> String {
    format!("{}{}", dtype.kind(), dtype.size_bytes())
}

#[cfg(test)]
mod tests {
    use super::super::writer::header as written;
    use super::*;

    fn read(bytes: &[u8]) -> NpkResult<(Header, Element, u64)> {
        let path = Path::new("a.npy");
        let header = Header::read(&mut &bytes[..], path)?;
        let element = header.element(path)?;
        let bytes = header.bytes(element, path)?;
        Ok((header, element, bytes))
    }

    fn version(version: u8, dict: &str) -> Vec<u8> {
        let length = (dict.len() as u32).to_le_bytes();
        let width = if version == 1 { 2 } else { 4 };
        [MAGIC, &[version, 0][..], &length[..width], dict.as_bytes()].concat()
    }

    fn is_damaged(bytes: &[u8]) -> bool {
        match read(bytes).unwrap_err() {
            NpkError::Corrupted { .. } => true,
            NpkError::InvalidArgument { .. } => false,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for dtype in DataType::ALL {
            for shape in [&[][..], &[0], &[7], &[3, 4], &[u64::from(u32::MAX), 1, 0], &[1; 255]] {
                let bytes = written(dtype, shape);
                assert!(bytes.len().is_multiple_of(ALIGNED) && bytes.ends_with(b"\n"));
                let (header, element, found) = read(&bytes).unwrap();
                assert_eq!((element, header.fortran), (Element { dtype, swapped: false }, false));
                assert_eq!((&header.shape[..], header.offset), (shape, bytes.len() as u64));
                assert_eq!(found, shape.iter().product::<u64>() * dtype.size_bytes() as u64);
            }
        }
    }

    #[test]
    fn versions_orders_and_quotes() {
        let dict = "{'descr': '>c16', 'fortran_order': True, 'shape': (2, 3), }";
        for number in 1..=3 {
            for dict in [dict.to_owned(), dict.replace('\'', "\""), dict.replace("2, 3", "2L, 3L")] {
                let (header, element, _) = read(&version(number, &dict)).unwrap();
                assert_eq!(element, Element { dtype: DataType::Complex128, swapped: true });
                assert_eq!((header.fortran, &header.shape[..]), (true, &[2, 3][..]));
            }
        }
        assert!(!read(&version(1, &dict.replace("(2, 3)", "(6,)"))).unwrap().0.fortran);
    }

    #[test]
    fn what_a_store_does_not_have_is_named() {
        let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
        for descr in ["'<U5'", "'|O'", "'<f16'", "'<M8[ns]'", "'<<f4'", "[('a', '<f4')]", "('<f4', (2,))"] {
            let error = read(&version(1, &good.replace("'<f4'", descr))).unwrap_err().to_string();
            assert!(error.contains(&format!("dtype {descr}")), "{error}");
        }
        let names = good.replace("'<f4'", "[('\u{e9}', '<f4')]");
        assert!(read(&version(3, &names)).unwrap_err().to_string().contains("('\u{e9}'"));
    }

    #[test]
    fn others_are_refused() {
        let good = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
        assert!(!is_damaged(b""));
        assert!(!is_damaged(b"PK\x03\x04 something else"));
        assert!(!is_damaged(&version(4, good)));
        for dict in [
            &good[..20],
            "{}",
            "[1, 2]",
            "{'descr': '<f4', 'fortran_order': 1, 'shape': (2, 3), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, -3), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4294967296, 4294967296), }",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), 'more': True}",
            "{'descr': True, 'fortran_order': False, 'shape': (2, 3)}",
            "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 'x')}",
        ] {
            assert!(is_damaged(&version(1, dict)), "{dict}");
        }
        let all = version(1, good);
        for at in 0..all.len() {
            // Whatever a header says, it is read or refused.
            (0..=255).for_each(|byte| drop(read(&[&all[..at], &[byte], &all[at + 1..]].concat())));
        }
        (8..all.len()).for_each(|at| assert!(is_damaged(&all[..at]), "{at}"));
        assert!(is_damaged(&[MAGIC, &[2, 0, 255, 255, 255, 255][..]].concat()));
    }
}
