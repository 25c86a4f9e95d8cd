//! The control page: hints that spare readers a look at the log, and the sequence words of replace.
//!
//! It is never the truth. Every hint word carries a check of its own, so a flipped byte reads as "unknown";
//! the page is rebuilt when it is missing or damaged. Sequence words need none: a wrong one only costs a
//! reader the slow path. All users of a store on one machine map the same page; where mappings are not
//! coherent (network file systems) each process keeps a page of its own and looks at the log instead.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::checksum::crc32c;
use crate::disk::mapping::Mapping;
use crate::disk::name::FileName;
use crate::disk::seam::{Access, Folder, StorageFile};
use crate::types::error::{NpkError, NpkResult};

const MAGIC: [u8; 8] = *b"NPKCTRL\x01";
const PAGE: u64 = 4096;
const STATIC_LEN: usize = 64;
/// Sequence words start here; arrays share them by id modulo their number.
const SLOTS_AT: u64 = 512;
const SLOTS: u64 = (PAGE - SLOTS_AT) / 8;

/// A hint word of the page. Each lies on a cache line of its own.
#[derive(Clone, Copy)]
enum Hint {
    /// Sequence number of the last commit.
    Committed = 64,
    /// Every replace up to this sequence number is in the data files.
    Applied = 128,
    /// Every commit up to this sequence number survives a power cut.
    Synced = 192,
    /// 1 while a writer is at work; still 1 at the next lock means that it died.
    Busy = 256,
    /// Number of ingests that began while others lived; 0 when none does.
    Ingests = 320,
}

/// The control page of an open store.
#[derive(Debug)]
pub(crate) struct Control {
    page: Page,
    boot_id: [u8; 16],
}

#[derive(Debug)]
enum Page {
    Shared { file: Arc<dyn StorageFile>, mapping: Mapping },
    Local(Box<[AtomicU64]>),
}

impl Control {
    /// Maps the page of the store `store_id`; `None` when it is missing or damaged.
    ///
    /// # Errors
    /// `Corrupted` when an intact page belongs to another store; `Io` when it cannot be opened.
    pub(crate) fn open(
        folder: &dyn Folder,
        store_id: &[u8; 16],
        writable: bool,
    ) -> NpkResult<Option<Control>> {
        let path = || folder.path().join(FileName::Control.to_string());
        let access = if writable { Access::Write } else { Access::Read };
        let file = match folder.open(FileName::Control, access) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(|e| NpkError::io(path(), e))?,
        };
        let open = || -> io::Result<Option<(Page, [u8; STATIC_LEN])>> {
            if file.len()? < PAGE {
                return Ok(None);
            }
            let mapping = file.map(PAGE, 0, writable)?;
            let mut head = [0; STATIC_LEN];
            for (i, byte) in head.iter_mut().enumerate() {
                *byte = mapping.load_word(i as u64 / 8 * 8, Ordering::Relaxed).to_le_bytes()[i % 8];
            }
            Ok(Some((Page::Shared { file: Arc::clone(&file), mapping }, head)))
        };
        let Some((page, head)) = open().map_err(|e| NpkError::io(path(), e))? else { return Ok(None) };
        let Some((found, boot_id)) = decode_static(&head) else { return Ok(None) };
        if found != *store_id {
            return Err(NpkError::corrupted(
                path(),
                16,
                "the page belongs to another store than metadata.npkm",
            ));
        }
        Ok(Some(Control { page, boot_id }))
    }

    /// Writes a new page, in place where a damaged one is, and maps it. The caller holds the writers' lock.
    ///
    /// Arrays in `replaced` get odd sequence words: until their replaces have been applied, readers must overlay
    /// them on what they read.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn create(
        folder: &dyn Folder,
        store_id: &[u8; 16],
        hints: Hints,
        replaced: impl IntoIterator<Item = u64>,
    ) -> NpkResult<Control> {
        let boot_id = folder.boot_id();
        let mut page = encode_page(store_id, &boot_id, hints);
        for id in replaced {
            let at = slot_at(id) as usize;
            page[at..at + 8].copy_from_slice(&1_u64.to_le_bytes());
        }
        let create = || -> io::Result<Control> {
            let file = folder.open(FileName::Control, Access::OpenOrCreate)?;
            file.allocate(0, PAGE)?;
            file.write_at(&[&page], 0)?;
            file.sync()?;
            let mapping = file.map(PAGE, 0, true)?;
            Ok(Control { page: Page::Shared { file, mapping }, boot_id })
        };
        create().map_err(|e| NpkError::io(folder.path().join(FileName::Control.to_string()), e))
    }

    /// A page of this process alone, for stores whose page cannot be shared.
    pub(crate) fn local(boot_id: [u8; 16], hints: Hints) -> Control {
        let words = (0..PAGE / 8).map(|_| AtomicU64::new(0)).collect();
        let control = Control { page: Page::Local(words), boot_id };
        let values = [
            (Hint::Committed, hints.committed),
            (Hint::Applied, hints.applied),
            (Hint::Synced, hints.synced),
            (Hint::Busy, 0),
            (Hint::Ingests, 0),
        ];
        // Words of this process's own memory.
        values.into_iter().try_for_each(|(hint, value)| control.set(hint, value)).unwrap_or_default();
        control
    }

    /// Whether other processes see this page, so that [`Control::committed`] tells of their commits.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self.page, Page::Shared { .. })
    }

    /// The file that processes share.
    pub(crate) fn file(&self) -> Option<&dyn StorageFile> {
        match &self.page {
            Page::Shared { file, .. } => Some(&**file),
            Page::Local(_) => None,
        }
    }

    /// The boot in which the page was written.
    pub(crate) fn boot_id(&self) -> &[u8; 16] {
        &self.boot_id
    }

    /// Sequence number of the last published commit; `None` when the word is damaged.
    pub(crate) fn committed(&self) -> Option<u64> {
        self.get(Hint::Committed)
    }

    /// Tells all users that commit `seq` is in the log.
    ///
    /// # Errors
    /// The system's error, where stores are writes.
    pub(crate) fn publish(&self, seq: u64) -> io::Result<()> {
        self.set(Hint::Committed, seq)
    }

    /// Every replace up to this commit is in the data files; `None` when the word is damaged.
    pub(crate) fn applied(&self) -> Option<u64> {
        self.get(Hint::Applied)
    }

    /// Moves [`Control::applied`] on.
    ///
    /// # Errors
    /// The system's error, where stores are writes.
    pub(crate) fn set_applied(&self, seq: u64) -> io::Result<()> {
        self.set(Hint::Applied, seq)
    }

    /// Every commit up to this one survives a power cut; 0 when the word is damaged.
    pub(crate) fn synced(&self) -> u64 {
        self.get(Hint::Synced).unwrap_or(0)
    }

    /// Moves [`Control::synced`] on and makes the page durable, so that damage before it is told from a cut.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn set_synced(&self, seq: u64, durable: bool) -> io::Result<()> {
        self.set(Hint::Synced, seq)?;
        match &self.page {
            Page::Shared { file, .. } if durable => {
                file.touch();
                file.sync()
            }
            _ => Ok(()),
        }
    }

    /// Whether the last writer died at work, or the word is damaged.
    pub(crate) fn is_busy(&self) -> bool {
        self.get(Hint::Busy) != Some(0)
    }

    /// Marks the start and the end of a writer's work.
    ///
    /// # Errors
    /// The system's error, where stores are writes.
    pub(crate) fn set_busy(&self, busy: bool) -> io::Result<()> {
        self.set(Hint::Busy, u64::from(busy))
    }

    /// Number of ingests that began since none lived: 0 while there is none, another one after each that begins;
    /// `None` when the word is damaged.
    pub(crate) fn ingests(&self) -> Option<u64> {
        self.get(Hint::Ingests)
    }

    /// Sets [`Control::ingests`]. Only the holder of the lock calls it.
    ///
    /// # Errors
    /// The system's error, where stores are writes.
    pub(crate) fn set_ingests(&self, begun: u64) -> io::Result<()> {
        self.set(Hint::Ingests, begun)
    }

    /// The sequence word of an array: odd while rows are replaced in place.
    pub(crate) fn sequence(&self, array: u64) -> u64 {
        self.load(slot_at(array), Ordering::Acquire)
    }

    /// The sequence word again, after all reads of rows before this call.
    pub(crate) fn sequence_after_reads(&self, array: u64) -> u64 {
        fence(Ordering::Acquire);
        self.load(slot_at(array), Ordering::Relaxed)
    }

    /// Makes the sequence word odd (`true`) or even, if it is not yet. Only the holder of the lock calls it.
    ///
    /// # Errors
    /// The system's error, where stores are writes.
    pub(crate) fn set_replacing(&self, array: u64, replacing: bool) -> io::Result<()> {
        self.set_parity(slot_at(array), replacing)?;
        // The rows that follow must not be seen before the odd word.
        fence(Ordering::SeqCst);
        Ok(())
    }

    /// Makes every sequence word even, after the replaces of a crashed writer have been applied again.
    ///
    /// # Errors
    /// The system's error, where stores are writes.
    pub(crate) fn end_all_replacing(&self) -> io::Result<()> {
        (0..SLOTS).try_for_each(|slot| self.set_parity(SLOTS_AT + slot * 8, false))
    }

    fn set_parity(&self, offset: u64, odd: bool) -> io::Result<()> {
        let value = self.load(offset, Ordering::Relaxed);
        if (value % 2 == 1) == odd {
            return Ok(());
        }
        self.store(offset, value.wrapping_add(1))
    }

    fn get(&self, hint: Hint) -> Option<u64> {
        let word = self.load(hint as u64, Ordering::Acquire);
        let value = word >> 16;
        (encode_hint(hint, value) == word).then_some(value)
    }

    fn set(&self, hint: Hint, value: u64) -> io::Result<()> {
        self.store(hint as u64, encode_hint(hint, value))
    }

    fn store(&self, offset: u64, value: u64) -> io::Result<()> {
        match &self.page {
            Page::Shared { file, mapping } => return file.store_word(mapping, offset, value),
            Page::Local(words) => words[offset as usize / 8].store(value, Ordering::Release),
        }
        Ok(())
    }

    fn load(&self, offset: u64, order: Ordering) -> u64 {
        match &self.page {
            Page::Shared { mapping, .. } => mapping.load_word(offset, order),
            Page::Local(words) => words[offset as usize / 8].load(order),
        }
    }
}

/// Values of the hint words in a new page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hints {
    pub(crate) committed: u64,
    pub(crate) applied: u64,
    pub(crate) synced: u64,
    /// Whether the next writer has to finish what is left of others.
    pub(crate) busy: bool,
}

fn slot_at(array: u64) -> u64 {
    SLOTS_AT + array % SLOTS * 8
}

/// 48 bits of value over 16 bits of check: the three 16-bit lanes, rotated apart, and a key for the place.
/// Each lane reaches the check by a bijection, so a change within one lane or the check never passes.
fn encode_hint(hint: Hint, value: u64) -> u64 {
    let lane = |shift: u32| (value >> shift & 0xffff) as u16;
    let check = lane(0) ^ lane(16).rotate_left(5) ^ lane(32).rotate_left(11) ^ 0xa5c3 ^ hint as u16;
    value << 16 | u64::from(check)
}

fn encode_page(store_id: &[u8; 16], boot_id: &[u8; 16], hints: Hints) -> Vec<u8> {
    let mut page = vec![0; PAGE as usize];
    page[..8].copy_from_slice(&MAGIC);
    page[16..32].copy_from_slice(store_id);
    page[32..48].copy_from_slice(boot_id);
    let crc = static_crc(&page[..STATIC_LEN]);
    page[12..16].copy_from_slice(&crc.to_le_bytes());
    let values = [
        (Hint::Committed, hints.committed),
        (Hint::Applied, hints.applied),
        (Hint::Synced, hints.synced),
        (Hint::Busy, u64::from(hints.busy)),
        (Hint::Ingests, 0),
    ];
    for (hint, value) in values {
        let at = hint as usize;
        page[at..at + 8].copy_from_slice(&encode_hint(hint, value).to_le_bytes());
    }
    page
}

/// Checksum of the fixed part without the four bytes that hold it.
fn static_crc(head: &[u8]) -> u32 {
    crc32c(crc32c(0, &head[..12]), &head[16..STATIC_LEN])
}

/// Store id and boot id of an intact fixed part.
fn decode_static(head: &[u8; STATIC_LEN]) -> Option<([u8; 16], [u8; 16])> {
    let crc = u32::from_le_bytes(head[12..16].try_into().ok()?);
    (head[..8] == MAGIC && crc == static_crc(head))
        .then(|| Some((head[16..32].try_into().ok()?, head[32..48].try_into().ok()?)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_byte_of_a_hint_never_passes() {
        for value in [0, 1, 77, 0xffff, 0x1234_5678_9abc, (1 << 48) - 1] {
            let word = encode_hint(Hint::Committed, value);
            for byte in 0..8 {
                for flip in 1..=255_u64 {
                    let damaged = word ^ flip << (byte * 8);
                    assert_ne!(encode_hint(Hint::Committed, damaged >> 16), damaged);
                }
            }
        }
    }

    #[test]
    fn hints_of_different_places_do_not_pass_for_each_other() {
        assert_ne!(encode_hint(Hint::Committed, 5), encode_hint(Hint::Applied, 5));
    }
}
