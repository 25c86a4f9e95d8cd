//! Writes records behind the committed end of the log, and new logs for checkpoints.

use std::io;
use std::sync::Arc;

use super::op::Op;
use super::reader::{LogFile, Position};
use super::record::{self, FILE_HEADER, FileHeader, Framed, HEADER};
use crate::disk::{Access, FileName, Folder};
use crate::types::error::{NpkError, NpkResult};

/// The log grows in steps of at least this many bytes, ahead of what is written.
const STEP: u64 = 256 << 10;

/// The end of the log as the holder of the lock knows it.
#[derive(Clone, Debug)]
pub(crate) struct Tail {
    pub(crate) log: Arc<LogFile>,
    pub(crate) position: Position,
    /// Where the snapshot ends that the log begins with.
    pub(crate) snapshot_end: u64,
    /// Bytes of the file whose blocks are reserved.
    pub(crate) allocated: u64,
}

impl Tail {
    /// Sequence number of the last commit.
    pub(crate) fn seq(&self) -> u64 {
        self.position.seq.unwrap_or(0)
    }

    /// Sequence number of the commit to come.
    ///
    /// # Errors
    /// `Corrupted` when there is none left. Writing a million commits a second takes nine years to get there,
    /// so the number that the log gives its last commit is not one that a writer gave it.
    pub(crate) fn next_seq(&self) -> NpkResult<u64> {
        let last = self.seq();
        if last + 1 < record::SEQ_END {
            return Ok(last + 1);
        }
        let reason = format!("no sequence number follows that of the last commit, {last}");
        Err(NpkError::corrupted(&self.log.path, self.position.offset, reason))
    }

    /// Whether something lies behind the known end: another writer's commit, or what is left of one.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn has_more(&self) -> NpkResult<bool> {
        let mut head = [0; HEADER];
        match super::reader::read_exact(&*self.log.file, &mut head, self.position.offset) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(NpkError::io(&self.log.path, error)),
            Ok(()) => Ok(head.iter().any(|&b| b != 0)),
        }
    }

    /// Reserves room for a record and the zeros that end the log, so that its write cannot lack space.
    ///
    /// # Errors
    /// `Io`, with nothing written.
    pub(crate) fn reserve(&mut self, total: u64) -> NpkResult<()> {
        let need = self.position.offset + total + HEADER as u64;
        if need > self.allocated {
            let grown = need + STEP.max(need / 8).min(16 << 20);
            let io = |e| NpkError::io(&self.log.path, e);
            self.log.file.allocate(self.allocated, grown - self.allocated).map_err(io)?;
            self.allocated = grown;
        }
        Ok(())
    }

    /// Writes one record: the commit point. Returns where its redo bytes begin.
    ///
    /// # Errors
    /// `Io`; the record is then made unreadable again, or the error says that this failed too.
    pub(crate) fn append(&mut self, framed: &Framed, redo: &[&[u8]], seq: u64) -> NpkResult<()> {
        let zeros = [0; 8];
        let mut parts = Vec::with_capacity(redo.len() + 2);
        parts.push(framed.head.as_slice());
        parts.extend_from_slice(redo);
        if framed.padding > 0 {
            parts.push(&zeros[..framed.padding]);
        }
        let at = self.position.offset;
        if let Err(error) = self.log.file.write_at(&parts, at) {
            let path = &self.log.path;
            // The error may have come after the last byte: what is there must not count as a commit.
            return Err(match self.log.file.write_at(&[&[0; HEADER]], at) {
                Ok(()) => NpkError::io(path, error),
                Err(_) => NpkError::Poisoned { path: path.clone(), reason: error.to_string() },
            });
        }
        self.position = Position { offset: at + framed.total, seq: Some(seq), crc: framed.crc };
        Ok(())
    }
}

/// Writes a log that begins with `snapshot` under the name of the next log, durably, ready to be renamed.
///
/// # Errors
/// `Io`; `InvalidArgument` when the state does not fit a record.
pub(crate) fn write_next(
    folder: &dyn Folder,
    header: FileHeader,
    snapshot: &Op,
    seq: u64,
    time_us: u64,
) -> NpkResult<Tail> {
    let path = folder.path().join(FileName::NextLog.to_string());
    let io = |e| NpkError::io(&path, e);
    let framed = record::frame(header.seed(), seq, time_us, std::slice::from_ref(snapshot), &[])?;
    let file = folder.open(FileName::NextLog, Access::Create).map_err(io)?;
    let end = FILE_HEADER + framed.total;
    let allocated = end + STEP;
    file.allocate(0, allocated).map_err(io)?;
    let zeros = [0; 8];
    file.write_at(&[&header.encode(), &framed.head, &zeros[..framed.padding]], 0).map_err(io)?;
    file.sync().map_err(io)?;
    let log = LogFile { file, header, path: folder.path().join(FileName::Log.to_string()) };
    let position = Position { offset: end, seq: Some(seq), crc: framed.crc };
    Ok(Tail { log: Arc::new(log), position, snapshot_end: end, allocated })
}
