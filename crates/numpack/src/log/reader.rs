//! Reads records one after the other. Pure: it changes no file and decides nothing about what it finds.

use std::io;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::op::{self, Op};
use super::record::{self, BadHeader, FILE_HEADER, FileHeader, HEADER, Header};
use crate::checksum::crc32c;
use crate::disk::{Access, FileName, Folder, StorageFile};
use crate::types::error::{NpkError, NpkResult};
use crate::types::room::zeros;

/// Bytes read at once when records follow one another.
const WINDOW: usize = 256 << 10;
/// Bytes read at once behind a record with more redo bytes than this, which are stepped over.
const SMALL_WINDOW: usize = 4 << 10;

/// A log longer than this is looked at for holes.
const LONG: u64 = 64 << 30;
/// So many times what is on the disk may a long log be, where the file system compresses.
const HOLES: u64 = 1000;

/// An open log.
#[derive(Debug)]
pub(crate) struct LogFile {
    pub(crate) file: Arc<dyn StorageFile>,
    pub(crate) header: FileHeader,
    pub(crate) path: PathBuf,
}

/// Where the next record begins, and what it must continue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) offset: u64,
    /// Sequence number of the record before; `None` at the start of a log, whose first number is free.
    pub(crate) seq: Option<u64>,
    pub(crate) crc: u32,
}

/// A record whose header and payload are intact.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) offset: u64,
    pub(crate) seq: u64,
    pub(crate) time_us: u64,
    pub(crate) ops: Vec<Op>,
    pub(crate) redo_at: u64,
    pub(crate) redo_len: u64,
    redo_crc: u32,
    pub(crate) next: Position,
}

/// What lies at a position.
#[derive(Debug)]
pub(crate) enum Next {
    Record(Record),
    /// Nothing was ever written here.
    End,
    /// Bytes that do not continue the log: a torn tail or damage.
    Bad(String),
}

impl Record {
    /// Whether it says that a checkpoint takes the log's place.
    pub(crate) fn is_moved(&self) -> bool {
        self.ops.contains(&Op::Moved)
    }
}

impl LogFile {
    /// Opens the log of a store.
    ///
    /// # Errors
    /// `Io` (not found included), `Corrupted`, `UnsupportedVersion`.
    pub(crate) fn open(folder: &dyn Folder, access: Access) -> NpkResult<LogFile> {
        let path = folder.path().join(FileName::Log.to_string());
        let file = folder.open(FileName::Log, access).map_err(|e| NpkError::io(&path, e))?;
        let mut bytes = [0; FILE_HEADER as usize];
        read_exact(&*file, &mut bytes, 0).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => {
                NpkError::corrupted(&path, 0, "the file is shorter than its header")
            }
            _ => NpkError::io(&path, e),
        })?;
        refuse_holes(&*file, &path)?;
        match FileHeader::decode(&bytes) {
            Ok(header) => Ok(LogFile { file, header, path }),
            Err(BadHeader::Damaged(offset, reason)) => Err(NpkError::corrupted(path, offset, reason)),
            Err(BadHeader::Newer(found)) => {
                Err(NpkError::UnsupportedVersion { file: path, found, supported: record::VERSION })
            }
        }
    }

    /// Where the first record begins.
    pub(crate) fn start(&self) -> Position {
        Position { offset: FILE_HEADER, seq: None, crc: self.header.seed() }
    }

    /// The redo bytes of a record, if they are whole.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn redo(&self, record: &Record) -> NpkResult<Option<Vec<u8>>> {
        let mut bytes = zeros(usize::try_from(record.redo_len).unwrap_or(usize::MAX))?;
        match read_exact(&*self.file, &mut bytes, record.redo_at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            other => other.map_err(|e| NpkError::io(&self.path, e))?,
        }
        Ok((crc32c(0, &bytes) == record.redo_crc).then_some(bytes))
    }

    /// Whether the redo bytes of a record are whole, in constant memory.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn redo_is_whole(&self, record: &Record) -> NpkResult<bool> {
        let mut crc = 0;
        let mut window = zeros(WINDOW.min(record.redo_len as usize))?;
        let (mut at, mut left) = (record.redo_at, record.redo_len);
        while left > 0 {
            let part = window.len().min(left as usize);
            match read_exact(&*self.file, &mut window[..part], at) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                other => other.map_err(|e| NpkError::io(&self.path, e))?,
            }
            crc = crc32c(crc, &window[..part]);
            (at, left) = (at + part as u64, left - part as u64);
        }
        Ok(crc == record.redo_crc)
    }
}

/// An error for a log of holes: no writer makes one, and reading through it would take hours.
fn refuse_holes(file: &dyn StorageFile, path: &Path) -> NpkResult<()> {
    let io = |e| NpkError::io(path, e);
    let len = file.len().map_err(io)?;
    if len <= LONG {
        return Ok(());
    }
    let there = file.allocated().map_err(io)?;
    if there < len / HOLES {
        let reason = format!("the log is {len} bytes long and only {there} of them are on the disk");
        return Err(NpkError::corrupted(path, there, reason));
    }
    Ok(())
}

/// A walk over the records of a log.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    log: &'a LogFile,
    position: Position,
    file_len: u64,
    window: Vec<u8>,
    window_at: u64,
    read_ahead: usize,
}

impl<'a> Cursor<'a> {
    /// Begins at `position`.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn new(log: &'a LogFile, position: Position) -> NpkResult<Cursor<'a>> {
        let file_len = log.file.len().map_err(|e| NpkError::io(&log.path, e))?;
        Ok(Cursor { log, position, file_len, window: Vec::new(), window_at: 0, read_ahead: SMALL_WINDOW })
    }

    /// Where the record that [`Cursor::next`] will look at begins.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// The record at the position; moves on only over an intact one.
    ///
    /// # Errors
    /// `Io`. What is wrong with the bytes is not an error here.
    pub(crate) fn next(&mut self) -> NpkResult<Next> {
        let offset = self.position.offset;
        let Some(bytes) = self.bytes(offset, HEADER)? else {
            let rest = self.file_len.saturating_sub(offset) as usize;
            let zeros = self.bytes(offset, rest)?.is_none_or(|rest| rest.iter().all(|&b| b == 0));
            return Ok(if zeros { Next::End } else { Next::Bad("the file ends within a record".into()) });
        };
        let mut head = [0; HEADER];
        head.copy_from_slice(bytes);
        if head.iter().all(|&b| b == 0) {
            return Ok(Next::End);
        }
        self.parse(offset, &head)
    }

    fn parse(&mut self, offset: u64, head: &[u8; HEADER]) -> NpkResult<Next> {
        let header = Header::decode(head);
        let end = header.total().and_then(|total| offset.checked_add(total));
        let Some(end) = end.filter(|&end| end <= self.file_len) else {
            return Ok(Next::Bad("the record is longer than the file".into()));
        };
        if header.seq >= record::SEQ_END || self.position.seq.is_some_and(|seq| header.seq != seq + 1) {
            return Ok(Next::Bad("the sequence number does not follow".into()));
        }
        let seed = self.position.crc;
        let payload_at = offset + HEADER as u64;
        let Some(payload) = self.bytes(payload_at, header.payload_len as usize)? else {
            return Ok(Next::Bad("the file ends within a record".into()));
        };
        if record::chain(seed, head, payload) != header.crc {
            return Ok(Next::Bad("the checksum of the record does not match".into()));
        }
        let ops = match op::decode(payload) {
            Ok(ops) => ops,
            Err(malformed) => return Err(malformed.in_file(&self.log.path, offset)),
        };
        let redo_at = payload_at + u64::from(header.payload_len);
        let next = Position { offset: end, seq: Some(header.seq), crc: header.crc };
        self.position = next;
        let Header { seq, time_us, redo_len, redo_crc, .. } = header;
        self.read_ahead = if redo_len > SMALL_WINDOW as u64 { SMALL_WINDOW } else { WINDOW };
        Ok(Next::Record(Record { offset, seq, time_us, ops, redo_at, redo_len, redo_crc, next }))
    }

    /// `len` bytes at `offset` from the window; `None` when the file ends before.
    fn bytes(&mut self, offset: u64, len: usize) -> NpkResult<Option<&[u8]>> {
        if offset.checked_add(len as u64).is_none_or(|end| end > self.file_len) {
            return Ok(None);
        }
        let window_end = self.window_at + self.window.len() as u64;
        if offset < self.window_at || offset + len as u64 > window_end {
            let want = (len.max(self.read_ahead) as u64).min(self.file_len - offset) as usize;
            self.window.clear();
            self.window.try_reserve(want).map_err(|_| NpkError::OutOfMemory { bytes: want as u64 })?;
            self.window.resize(want, 0);
            self.window_at = offset;
            if let Err(error) = read_exact(&*self.log.file, &mut self.window, offset) {
                self.window.clear();
                return Err(NpkError::io(&self.log.path, error));
            }
        }
        let at = (offset - self.window_at) as usize;
        Ok(Some(&self.window[at..at + len]))
    }
}

/// Reads exactly `buf.len()` bytes.
///
/// # Errors
/// `UnexpectedEof` when the file is shorter; otherwise the system's error.
pub(crate) fn read_exact(file: &dyn StorageFile, buf: &mut [u8], offset: u64) -> io::Result<()> {
    file.read_at(as_uninit(buf), offset)
}

/// Initialised bytes as bytes that may be written but need not be initialised.
#[expect(unsafe_code, reason = "std has no safe cast from initialised to possibly uninitialised bytes")]
pub(crate) fn as_uninit(buf: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    // SAFETY: same layout; `StorageFile::read_at` and `Mapping::read` only ever write initialised bytes into
    // their buffer, and a safe implementation cannot de-initialise them because `MaybeUninit<u8>` values come
    // from initialised bytes wherever this crate implements the trait.
    unsafe { &mut *(std::ptr::from_mut(buf) as *mut [MaybeUninit<u8>]) }
}
