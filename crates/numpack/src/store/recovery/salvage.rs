//! What a damaged log still proves: its records up to the first that does not check, and those behind it that
//! continue a record which can be found again.
//!
//! Unlike [`replay`](super::replay) it never refuses. Between two stretches of records some commits are lost, and
//! what they did is not known: an array of an earlier stretch is kept as of that stretch alone, and a later one says
//! something of an array only from the commit on that put it there. Nothing is written.

use std::sync::Arc;

use super::replay::Replayed;
use crate::disk::{Access, FileName, Folder, StorageFile};
use crate::log::catalog::{ArrayState, Catalog, Impossible};
use crate::log::op::Op;
use crate::log::reader::{Cursor, LogFile, Next, Position, Record, read_exact};
use crate::log::record::{BadHeader, FILE_HEADER, FileHeader, HEADER, Header, SEQ_END, VERSION, chain};
use crate::types::error::{NpkError, NpkResult};

/// Bytes looked at together when the next record is searched for.
const WINDOW: usize = 1 << 20;
/// Records that are read between two looks at whether to go on.
const RECORDS_A_LOOK: usize = 1024;
/// Payloads up to this length are tried against every file header that might have been.
const TRIED_PAYLOAD: usize = 1 << 20;
/// How many times its length may be read of a log in searches for records.
const SEARCHED: u64 = 16;
/// Epochs that are tried when nothing of a file header is left.
const EPOCHS: u64 = 4096;
/// Where the control page holds the store's id.
const PAGE_ID: std::ops::Range<usize> = 16..32;

/// What is left of a log.
pub(super) struct Salvage {
    /// Each stretch of records that follow one another.
    pub(super) stretches: Vec<Replayed>,
    /// Every array with the stretch that describes it.
    pub(super) arrays: Vec<(usize, Arc<ArrayState>)>,
    /// What is wrong, with its place.
    pub(super) problems: Vec<String>,
    /// Bytes between and behind the stretches.
    pub(super) lost_bytes: u64,
    /// Bytes of payloads that may still be looked at in searches: a hostile log would ask for its length at each of
    /// its bytes.
    budget: u64,
}

impl Salvage {
    /// Of a log that is not there.
    pub(super) fn nothing() -> Salvage {
        Salvage { stretches: Vec::new(), arrays: Vec::new(), problems: Vec::new(), lost_bytes: 0, budget: 0 }
    }

    /// The last commit that is described; `None` when no record can be read.
    pub(super) fn seq(&self) -> Option<u64> {
        self.stretches.iter().rev().find(|stretch| !stretch.records.is_empty()).map(|s| s.catalog.seq)
    }
}

/// Reads what can be read of the log `name`; `None` when there is no such file. `alive` is called now and then.
///
/// # Errors
/// `UnsupportedVersion`; `Io`, `OutOfMemory`; those of `alive`.
pub(super) fn salvage(
    folder: &dyn Folder,
    name: FileName,
    alive: &mut dyn FnMut() -> NpkResult<()>,
) -> NpkResult<Option<Salvage>> {
    let path = folder.path().join(name.to_string());
    let file = match folder.open(name, Access::Read) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|e| NpkError::io(&path, e))?,
    };
    let mut salvage = Salvage::nothing();
    let len = file.len().map_err(|e| NpkError::io(&path, e))?;
    salvage.budget = len.saturating_mul(SEARCHED);
    let header = match read_header(&*file) {
        Ok(header) => header,
        Err(BadHeader::Newer(found)) => {
            return Err(NpkError::UnsupportedVersion { file: path, found, supported: VERSION });
        }
        Err(BadHeader::Damaged(at, reason)) => {
            salvage.problems.push(format!("byte {at}: {reason}"));
            salvage.lost_bytes += FILE_HEADER.min(len);
            guess_header(folder, &*file)
        }
    };
    let log = Arc::new(LogFile { file, header, path });
    let mut from = Some(log.start());
    while let Some(position) = from {
        from = salvage.walk(&log, position, alive)?;
    }
    Ok(Some(salvage))
}

impl Salvage {
    /// Takes the stretch of records from `position` on; returns where the next one begins.
    fn walk(
        &mut self,
        log: &Arc<LogFile>,
        position: Position,
        alive: &mut dyn FnMut() -> NpkResult<()>,
    ) -> NpkResult<Option<Position>> {
        let first = self.stretches.is_empty();
        let mut stretch = Replayed {
            log: Arc::clone(log),
            catalog: Catalog::default(),
            position,
            records: Vec::new(),
            bad: None,
            refused: None,
        };
        let mut cursor = Cursor::new(log, position)?;
        let reason = loop {
            if stretch.records.len().is_multiple_of(RECORDS_A_LOOK) {
                alive()?;
            }
            match cursor.next() {
                Ok(Next::End) => break None,
                Ok(Next::Bad(reason)) | Err(NpkError::Corrupted { reason, .. }) => break Some(reason),
                Ok(Next::Record(record)) => {
                    if let Err(reason) = take(&mut stretch, record, first) {
                        break Some(reason);
                    }
                    self.forget_what_it_changes(&stretch.records);
                }
                Err(error) => return Err(error),
            }
        };
        let at = stretch.position.offset;
        let (next, used) = find_next(log, stretch.position, &mut self.budget, alive)?;
        let reason = reason.or_else(|| next.map(|_| "there are zeros where a record should be".to_owned()));
        if let Some(reason) = reason {
            let end = next.map_or(used, |next| next.offset);
            self.lost_bytes += end.saturating_sub(at);
            self.problems.push(format!("byte {at}: {reason}"));
            stretch.bad = Some(reason);
        }
        let number = self.stretches.len();
        let arrays = stretch.catalog.arrays().into_iter().map(|array| (number, Arc::clone(array)));
        let arrays: Vec<_> = arrays.collect();
        self.arrays.retain(|(_, old)| arrays.iter().all(|(_, new)| new.id != old.id && new.name != old.name));
        self.arrays.extend(arrays);
        self.stretches.push(stretch);
        Ok(next)
    }

    /// Takes away the arrays of earlier stretches that a later record is known to have removed or saved anew.
    fn forget_what_it_changes(&mut self, records: &[Record]) {
        for op in records.last().iter().flat_map(|record| &record.ops) {
            match op {
                Op::Snapshot { .. } | Op::Reset => self.arrays.clear(),
                Op::Put(put) => {
                    self.arrays.retain(|(_, old)| old.id != put.id && *old.name != *put.name);
                }
                Op::Remove { id } => self.arrays.retain(|(_, old)| old.id != *id),
                _ => {}
            }
        }
    }
}

/// Adds a record to a stretch: all of it or, with the reason, nothing.
fn take(stretch: &mut Replayed, record: Record, first: bool) -> Result<(), String> {
    if let Err(reason) = apply_known(&mut stretch.catalog, &record, first) {
        stretch.catalog = Catalog::default();
        for before in &stretch.records {
            apply_known(&mut stretch.catalog, before, first)?;
        }
        return Err(format!("commit {}: {reason}", record.seq));
    }
    stretch.position = record.next;
    stretch.records.push(record);
    Ok(())
}

/// Applies a record. Of a stretch that does not begin with the log, what is about arrays that it does not know is
/// stepped over.
fn apply_known(catalog: &mut Catalog, record: &Record, first: bool) -> Result<(), Impossible> {
    for op in &record.ops {
        let about = match op {
            Op::Append { id, .. }
            | Op::Replace { id, .. }
            | Op::Delete { id, .. }
            | Op::Compact { id, .. }
            | Op::Rename { id, .. }
            | Op::Remove { id } => Some(*id),
            _ => None,
        };
        if first || about.is_none_or(|id| catalog.by_id(id).is_some()) {
            catalog.apply(record.seq, record.time_us, op)?;
        }
    }
    catalog.seq = record.seq;
    Ok(())
}

fn read_header(file: &dyn StorageFile) -> Result<FileHeader, BadHeader> {
    let mut bytes = [0; FILE_HEADER as usize];
    match read_exact(file, &mut bytes, 0) {
        Ok(()) => FileHeader::decode(&bytes),
        Err(_) => Err(BadHeader::Damaged(0, "the header of the file cannot be read")),
    }
}

/// The header that the first record continues: what is left of the damaged one, the store's id from the control page,
/// any one byte changed, or a low epoch. When none fits, one that no record continues.
fn guess_header(folder: &dyn Folder, file: &dyn StorageFile) -> FileHeader {
    let mut bytes = [0; FILE_HEADER as usize];
    // What cannot be read stays zero and is guessed as well as it can be.
    read_exact(file, &mut bytes, 0).unwrap_or_default();
    let left = fields(&bytes);
    let Some((head, payload)) = first_record(file) else { return left };
    let stored = Header::decode(&head).crc;
    let fits = |header: &FileHeader| chain(header.seed(), &head, &payload) == stored;
    let mut ids = vec![left.store_id];
    ids.extend(page_id(folder));
    let one_byte = (16..40).flat_map(|at| (0..=u8::MAX).map(move |value| (at, value)));
    let changed = one_byte.map(|(at, value)| {
        let mut changed = bytes;
        changed[at] = value;
        fields(&changed)
    });
    let epochs = || std::iter::once(left.epoch).chain(0..EPOCHS);
    let known = ids.iter().flat_map(|&store_id| epochs().map(move |epoch| FileHeader { store_id, epoch }));
    known.chain(changed).find(fits).unwrap_or(left)
}

/// The fields of a file header, whatever its checksum says.
fn fields(bytes: &[u8; FILE_HEADER as usize]) -> FileHeader {
    let mut header = FileHeader { store_id: [0; 16], epoch: 0 };
    header.store_id.copy_from_slice(&bytes[16..32]);
    let mut epoch = [0; 8];
    epoch.copy_from_slice(&bytes[32..40]);
    header.epoch = u64::from_le_bytes(epoch);
    header
}

fn first_record(file: &dyn StorageFile) -> Option<([u8; HEADER], Vec<u8>)> {
    let mut head = [0; HEADER];
    read_exact(file, &mut head, FILE_HEADER).ok()?;
    let len = Header::decode(&head).payload_len as usize;
    if len == 0 || len > TRIED_PAYLOAD {
        return None;
    }
    let mut payload = vec![0; len];
    read_exact(file, &mut payload, FILE_HEADER + HEADER as u64).ok()?;
    Some((head, payload))
}

/// The store's id as the control page has it.
fn page_id(folder: &dyn Folder) -> Option<[u8; 16]> {
    let mut bytes = [0; PAGE_ID.end];
    let page = folder.open(FileName::Control, Access::Read).ok()?;
    read_exact(&*page, &mut bytes, 0).ok()?;
    bytes[PAGE_ID].try_into().ok()
}

/// Where records go on behind `last`, with what the first of them continues, and where the bytes of the log that are
/// not zero end.
///
/// # Errors
/// `Io`, `OutOfMemory`; those of `alive`.
fn find_next(
    log: &LogFile,
    last: Position,
    budget: &mut u64,
    alive: &mut dyn FnMut() -> NpkResult<()>,
) -> NpkResult<(Option<Position>, u64)> {
    let len = log.file.len().map_err(|e| NpkError::io(&log.path, e))?;
    let mut search = Search { log, last, len, seeds: Vec::new(), budget };
    search.seeds = search.seeds_of_the_bad_record()?;
    let (mut at, mut used) = (last.offset, last.offset);
    let mut window = vec![0; WINDOW + HEADER];
    while at < len {
        alive()?;
        let part = (len - at).min(window.len() as u64) as usize;
        read_exact(&*log.file, &mut window[..part], at).map_err(|e| NpkError::io(&log.path, e))?;
        let zeros = window[..part].iter().rev().take_while(|&&byte| byte == 0).count();
        if zeros < part {
            used = at + (part - zeros) as u64;
            for from in (0..part.saturating_sub(HEADER - 1).min(WINDOW)).step_by(8) {
                if let Some(found) = search.record_at(at + from as u64, &window[from..from + HEADER])? {
                    return Ok((Some(found), used));
                }
            }
        }
        at += WINDOW as u64;
    }
    Ok((None, used.min(len)))
}

/// A search for the record with which a broken chain goes on.
struct Search<'a> {
    log: &'a LogFile,
    last: Position,
    len: u64,
    /// What the record behind the bad one continues, by the checksum that the bad one holds or should hold.
    seeds: Vec<u32>,
    budget: &'a mut u64,
}

impl Search<'_> {
    fn seeds_of_the_bad_record(&mut self) -> NpkResult<Vec<u32>> {
        let Some(head) = self.head(self.last.offset)? else { return Ok(Vec::new()) };
        let bad = Header::decode(&head);
        let computed = self.checksum(self.last.crc, self.last.offset, &head)?;
        Ok([Some(bad.crc), computed].into_iter().flatten().collect())
    }

    /// The place of the record at `at`, or of the one behind it, if that is proven to continue the log.
    fn record_at(&mut self, at: u64, head: &[u8]) -> NpkResult<Option<Position>> {
        let Ok(head) = <[u8; HEADER]>::try_from(head) else { return Ok(None) };
        let header = Header::decode(&head);
        let later = self.last.seq.is_none_or(|seq| header.seq > seq) && header.seq < SEQ_END;
        let end = header.total().and_then(|total| at.checked_add(total)).filter(|&end| end <= self.len);
        let (Some(end), true, true) = (end, later, header.payload_len > 0) else { return Ok(None) };
        if at > self.last.offset && self.last.seq.is_none_or(|seq| header.seq == seq + 2) && header.seq > 0 {
            for seed in self.seeds.clone() {
                if self.checksum(seed, at, &head)? == Some(header.crc) {
                    return Ok(Some(Position { offset: at, seq: Some(header.seq - 1), crc: seed }));
                }
            }
        }
        let Some(next_head) = self.head(end)? else { return Ok(None) };
        let next = Header::decode(&next_head);
        let follows = next.seq == header.seq + 1 && next.payload_len > 0;
        if follows && self.checksum(header.crc, end, &next_head)? == Some(next.crc) {
            return Ok(Some(Position { offset: end, seq: Some(header.seq), crc: header.crc }));
        }
        Ok(None)
    }

    /// The header at `at`; `None` where the file has no room for one.
    fn head(&self, at: u64) -> NpkResult<Option<[u8; HEADER]>> {
        let mut head = [0; HEADER];
        if at.checked_add(HEADER as u64).is_none_or(|end| end > self.len) {
            return Ok(None);
        }
        read_exact(&*self.log.file, &mut head, at).map_err(|e| NpkError::io(&self.log.path, e))?;
        Ok(Some(head))
    }

    /// The checksum of the record at `at` behind one whose checksum is `seed`; `None` when its payload does not fit.
    fn checksum(&mut self, seed: u32, at: u64, head: &[u8; HEADER]) -> NpkResult<Option<u32>> {
        let len = u64::from(Header::decode(head).payload_len);
        let from = at + HEADER as u64;
        if len > *self.budget || from.checked_add(len).is_none_or(|end| end > self.len) {
            return Ok(None);
        }
        *self.budget -= len;
        let mut payload = Vec::new();
        payload.try_reserve_exact(len as usize).map_err(|_| NpkError::OutOfMemory { bytes: len })?;
        payload.resize(len as usize, 0);
        read_exact(&*self.log.file, &mut payload, from).map_err(|e| NpkError::io(&self.log.path, e))?;
        Ok(Some(chain(seed, head, &payload)))
    }
}
