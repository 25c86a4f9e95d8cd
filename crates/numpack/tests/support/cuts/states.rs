//! What a power cut may leave of the effects so far, by strict POSIX.
//!
//! The contents of a file, its length among them, are durable once the file was synced; what a name stands for
//! is durable once the folder was. Syncing a new file says nothing about its name. Of everything else any
//! part may have happened. As each effect says what a place holds and not how it changes, an order in which
//! a later effect came first is the same as one in which the earlier did not happen. A write may happen
//! by sectors, or lengthen the file and lose its bytes, which then read as zeros. Words of eight
//! bytes are whole.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use super::journal::Effect;
use numpack::disk::FileName;

const SECTOR: u64 = 512;

/// Contents of a file: `len` bytes, zeros behind those that are given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bytes {
    pub(crate) head: Vec<u8>,
    pub(crate) len: u64,
}

impl Bytes {
    fn write(&mut self, offset: u64, bytes: &[u8]) {
        let (at, end) = (offset as usize, offset as usize + bytes.len());
        if self.head.len() < end {
            self.head.resize(end, 0);
        }
        self.head[at..end].copy_from_slice(bytes);
        self.len = self.len.max(end as u64);
    }
}

/// A folder after a cut.
pub(crate) type Image = BTreeMap<FileName, Bytes>;

/// What became of one effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Done,
    Lost,
    /// The file has the length, and not the bytes.
    Length,
    /// The first half of the bytes.
    Half,
    /// Every other sector, from the first or the second one on.
    Sectors(u64),
}

/// One way to choose the fates of all pending effects.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Choice {
    All,
    None,
    Without(usize),
    Only(usize),
    /// One effect has this fate, all others this one.
    Torn(usize, u64, bool),
    /// Everything about one file is lost, or happened, alone.
    File(u64, bool),
    /// Names alone are lost, or happened.
    Names(bool),
    /// Renames alone are lost: the bytes of a file that is used again stand under its old name.
    Renames,
    Random(u64),
}

/// The disk at some instant: what is durable, and what is not yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct DiskState {
    files: BTreeMap<u64, Bytes>,
    names: BTreeMap<FileName, u64>,
    pending: Vec<Effect>,
}

impl DiskState {
    /// A disk where everything is durable.
    pub(crate) fn holding(image: &Image, numbers: &HashMap<FileName, u64>) -> DiskState {
        let files = image.iter().map(|(name, bytes)| (numbers[name], bytes.clone())).collect();
        DiskState {
            files,
            names: numbers.iter().map(|(&name, &file)| (name, file)).collect(),
            pending: vec![],
        }
    }

    /// The next effect happens.
    pub(crate) fn push(&mut self, effect: &Effect) {
        let covered = |other: &Effect| match (effect, other) {
            (Effect::SyncFile(synced), Effect::Write { file, .. } | Effect::Allocate { file, .. }) => {
                file == synced
            }
            (Effect::SyncTogether, Effect::Write { .. } | Effect::Allocate { .. })
            | (Effect::SyncFolder, Effect::Names(_)) => true,
            _ => false,
        };
        match effect {
            Effect::SyncFile(_) | Effect::SyncTogether | Effect::SyncFolder => {
                let (durable, pending) = std::mem::take(&mut self.pending).into_iter().partition(covered);
                self.pending = pending;
                durable.iter().for_each(|effect| apply(&mut self.files, &mut self.names, effect, Fate::Done));
            }
            other => self.pending.push(other.clone()),
        }
    }

    /// The choices that are worth most, and all others but the random ones, which are endless.
    pub(crate) fn choices(&self) -> (Vec<Choice>, Vec<Choice>) {
        let first =
            vec![Choice::All, Choice::None, Choice::Names(true), Choice::Names(false), Choice::Renames];
        let (mut choices, mut files) = (Vec::new(), BTreeSet::new());
        for (i, effect) in self.pending.iter().enumerate() {
            choices.extend([Choice::Without(i), Choice::Only(i)]);
            if let Effect::Write { file, bytes, .. } = effect {
                files.insert(*file);
                if bytes.len() > 8 {
                    choices.extend((0..8).map(|kind| Choice::Torn(i, kind / 2, kind % 2 == 0)));
                }
            }
        }
        choices
            .extend(files.into_iter().flat_map(|file| [Choice::File(file, true), Choice::File(file, false)]));
        (first, choices)
    }

    /// The folder that the cut leaves.
    pub(crate) fn image(&self, choice: Choice) -> Image {
        let mut names = self.names.clone();
        let mut wanted = BTreeMap::new();
        let fates: Vec<Fate> = self.pending.iter().enumerate().map(|(i, e)| fate(choice, i, e)).collect();
        for (effect, &fate) in self.pending.iter().zip(&fates) {
            apply_names(&mut names, effect, fate);
        }
        for file in names.values() {
            wanted.insert(*file, self.files.get(file).cloned().unwrap_or_default());
        }
        for (effect, &fate) in self.pending.iter().zip(&fates) {
            if let Effect::Write { file, .. } | Effect::Allocate { file, .. } = effect
                && let Some(bytes) = wanted.get_mut(file)
            {
                apply_bytes(bytes, effect, fate);
            }
        }
        names.into_iter().map(|(name, file)| (name, wanted[&file].clone())).collect()
    }
}

fn apply(files: &mut BTreeMap<u64, Bytes>, names: &mut BTreeMap<FileName, u64>, effect: &Effect, fate: Fate) {
    apply_names(names, effect, fate);
    if let Effect::Write { file, .. } | Effect::Allocate { file, .. } = effect {
        apply_bytes(files.entry(*file).or_default(), effect, fate);
    }
}

fn apply_names(names: &mut BTreeMap<FileName, u64>, effect: &Effect, fate: Fate) {
    if let (Effect::Names(changes), true) = (effect, fate != Fate::Lost) {
        for (name, file) in changes {
            match file {
                Some(file) => names.insert(*name, *file),
                None => names.remove(name),
            };
        }
    }
}

fn apply_bytes(file: &mut Bytes, effect: &Effect, fate: Fate) {
    match (effect, fate) {
        (_, Fate::Lost) => {}
        (Effect::Allocate { end, .. }, _) => file.len = file.len.max(*end),
        (Effect::Write { offset, bytes, .. }, Fate::Done) => file.write(*offset, bytes),
        (Effect::Write { offset, bytes, .. }, fate) => {
            if fate != Fate::Half {
                file.len = file.len.max(offset + bytes.len() as u64);
            }
            // Values of four bytes are never torn by a half: no disk's sector is that small.
            let half = bytes.len() / 8 * 4;
            match fate {
                Fate::Half => file.write(*offset, &bytes[..half]),
                Fate::Sectors(odd) => write_sectors(file, *offset, bytes, odd),
                _ => {}
            }
        }
        _ => {}
    }
}

fn write_sectors(file: &mut Bytes, offset: u64, bytes: &[u8], odd: u64) {
    let (mut at, end) = (offset, offset + bytes.len() as u64);
    while at < end {
        let next = ((at / SECTOR + 1) * SECTOR).min(end);
        if at / SECTOR % 2 == odd {
            file.write(at, &bytes[(at - offset) as usize..(next - offset) as usize]);
        }
        at = next;
    }
}

fn fate(choice: Choice, i: usize, effect: &Effect) -> Fate {
    let done = |done| if done { Fate::Done } else { Fate::Lost };
    let of = |wanted: u64| match effect {
        Effect::Write { file, .. } | Effect::Allocate { file, .. } => *file == wanted,
        _ => false,
    };
    let names = matches!(effect, Effect::Names(_));
    match choice {
        Choice::All => Fate::Done,
        Choice::None => Fate::Lost,
        Choice::Without(at) => done(i != at),
        Choice::Only(at) => done(i == at),
        Choice::Torn(at, kind, _) if i == at => torn(kind),
        Choice::Torn(_, _, others) => done(others),
        Choice::File(file, lost) => done(of(file) != lost || names),
        Choice::Names(lost) => done(names != lost),
        Choice::Renames => done(!matches!(effect, Effect::Names(names) if names.len() == 2)),
        Choice::Random(seed) => {
            let drawn = hash(&(seed, i));
            let word = matches!(effect, Effect::Write { bytes, .. } if bytes.len() <= 8);
            if drawn.is_multiple_of(8) && !word {
                torn(drawn / 8 % 4)
            } else {
                done(drawn / 64 % 4 < seed % 3 + 1)
            }
        }
    }
}

fn torn(kind: u64) -> Fate {
    match kind {
        0 => Fate::Length,
        1 => Fate::Half,
        kind => Fate::Sectors(kind - 2),
    }
}

/// A number for anything, the same in every run.
pub(crate) fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// The same number for the same folder.
pub(crate) fn hash_of(image: &Image) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (name, bytes) in image {
        let used = bytes.head.iter().rposition(|&b| b != 0).map_or(0, |at| at + 1);
        (name.to_string(), bytes.len, &bytes.head[..used]).hash(&mut hasher);
    }
    hasher.finish()
}
