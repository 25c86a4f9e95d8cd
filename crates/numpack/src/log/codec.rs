//! Little-endian fields, LEB128 integers and runs of rows: the alphabet of a record's payload.
//!
//! Decoding trusts no length: every read is checked against the bytes that are there.

use std::path::Path;

use crate::rows::run::Run;
use crate::types::error::{NpkError, NpkResult};
use crate::types::room::reserve;

/// Why a payload cannot be decoded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// What is wrong with it, in words.
    Reason(&'static str),
    /// Memory for this many bytes cannot be had.
    OutOfMemory(u64),
}

impl From<&'static str> for Malformed {
    fn from(reason: &'static str) -> Malformed {
        Malformed::Reason(reason)
    }
}

impl Malformed {
    /// The error for a payload at an offset of a file.
    pub(crate) fn in_file(self, path: &Path, offset: u64) -> NpkError {
        match self {
            Malformed::Reason(reason) => NpkError::corrupted(path, offset, reason),
            Malformed::OutOfMemory(bytes) => NpkError::OutOfMemory { bytes },
        }
    }
}

/// Appends fields to a buffer. Memory that cannot be had is told by [`Encoder::finish`].
#[derive(Debug, Default)]
pub(crate) struct Encoder {
    bytes: Vec<u8>,
    lacking: Option<NpkError>,
}

impl Encoder {
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        match reserve(&mut self.bytes, bytes.len()) {
            Ok(()) => self.bytes.extend_from_slice(bytes),
            Err(error) => self.lacking = Some(error),
        }
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.raw(&[value]);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.raw(&value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.raw(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.raw(&value.to_le_bytes());
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes from `start` on.
    pub(crate) fn since(&self, start: usize) -> &[u8] {
        self.bytes.get(start..).unwrap_or(&[])
    }

    /// Puts a number in the place of one that was appended as the bytes from `at` on.
    pub(crate) fn set_u32(&mut self, at: usize, value: u32) {
        if let Some(field) = self.bytes.get_mut(at..at + 4) {
            field.copy_from_slice(&value.to_le_bytes());
        }
    }

    /// The bytes.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn finish(self) -> NpkResult<Vec<u8>> {
        self.lacking.map_or(Ok(self.bytes), Err)
    }

    pub(crate) fn checksum(&mut self, value: Option<u32>) {
        self.u8(u8::from(value.is_some()));
        self.u32(value.unwrap_or(0));
    }

    /// Length, then bytes.
    pub(crate) fn text(&mut self, text: &str) {
        self.varint(text.len() as u64);
        self.raw(text.as_bytes());
    }

    /// LEB128: seven bits a byte, low bits first.
    pub(crate) fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.u8(value as u8);
    }

    /// Their number, then per run the distance from the end of the one before (zigzag) and the length.
    pub(crate) fn runs(&mut self, runs: &[Run]) {
        self.varint(runs.len() as u64);
        let mut end = 0_u64;
        for run in runs {
            let distance = run.start.wrapping_sub(end) as i64;
            self.varint(((distance << 1) ^ (distance >> 63)) as u64);
            self.varint(run.len);
            end = run.start + run.len;
        }
    }
}

/// Takes fields off the front of a payload.
#[derive(Debug)]
pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Decoder { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or("a field ends behind its record")?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn checksum(&mut self) -> Result<Option<u32>, Malformed> {
        let known = self.u8()?;
        let value = self.u32()?;
        Ok((known == 1).then_some(value))
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Malformed> {
        let len = usize::try_from(self.varint()?).map_err(|_| "a text ends behind its record")?;
        std::str::from_utf8(self.take(len)?).map_err(|_| "a name is not UTF-8".into())
    }

    pub(crate) fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("an integer has more than ten bytes".into())
    }

    /// A number of items of at least one byte each.
    pub(crate) fn count(&mut self) -> Result<usize, Malformed> {
        usize::try_from(self.varint()?)
            .ok()
            .filter(|&count| count <= self.rest.len())
            .ok_or(Malformed::Reason("a list is longer than its record"))
    }

    pub(crate) fn runs(&mut self) -> Result<Vec<Run>, Malformed> {
        let count = self.count()?;
        let mut runs = Vec::new();
        let out = |_| Malformed::OutOfMemory((count * size_of::<Run>()) as u64);
        runs.try_reserve_exact(count).map_err(out)?;
        let mut end = 0_u64;
        for _ in 0..count {
            let zigzag = self.varint()?;
            let distance = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
            let start = end.wrapping_add(distance as u64);
            let len = self.varint()?;
            end = start
                .checked_add(len)
                .filter(|&end| end <= crate::types::shape::MAX_ROWS)
                .ok_or("a run is too long")?;
            runs.push(Run { start, len });
        }
        Ok(runs)
    }
}
