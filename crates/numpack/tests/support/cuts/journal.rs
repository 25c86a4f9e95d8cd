//! Writes down every effect that the engine asks of a disk, in order.

use std::collections::BTreeMap;
use std::io::Error;
use std::sync::Mutex;

use crate::disk::{Call, Rule, Verdict};
use numpack::disk::FileName;

/// One effect. A file keeps its number whatever it is called.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    /// Bytes of a file, which is then at least as long as they reach.
    Write {
        file: u64,
        offset: u64,
        bytes: Vec<u8>,
    },
    /// The file is at least this long.
    Allocate {
        file: u64,
        end: u64,
    },
    /// What names stand for from now on: one call, so all of them at once.
    Names(Vec<(FileName, Option<u64>)>),
    SyncFile(u64),
    /// Bytes and lengths of all files; names are another matter.
    SyncTogether,
    SyncFolder,
}

#[derive(Debug, Default)]
struct Written {
    effects: Vec<Effect>,
    names: BTreeMap<FileName, u64>,
    /// Effects until nothing happens any more.
    left: Option<usize>,
}

/// A disk that works and remembers.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<Written>);

impl Journal {
    /// The files that are there before the first effect.
    pub(crate) fn know(&self, names: impl IntoIterator<Item = (FileName, u64)>) {
        self.0.lock().unwrap().names.extend(names);
    }

    /// Number of effects so far.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap().effects.len()
    }

    /// After so many more effects the process is dead; with `None` the next one lives.
    pub(crate) fn die_after(&self, effects: Option<usize>) {
        self.0.lock().unwrap().left = effects;
    }

    /// Whether the process died.
    pub(crate) fn is_dead(&self) -> bool {
        self.0.lock().unwrap().left == Some(0)
    }

    pub(crate) fn effects(&self) -> Vec<Effect> {
        self.0.lock().unwrap().effects.clone()
    }
}

impl Rule for Journal {
    fn ask(&self, call: &Call<'_>) -> Verdict {
        let mut written = self.0.lock().unwrap();
        match (call, written.left) {
            (Call::Look, _) => return Verdict::Do,
            (_, Some(0)) => return Verdict::Cut { halves: 0, error: Error::other("the process is dead") },
            (_, left) => written.left = left.map(|left| left - 1),
        }
        let effect = match *call {
            Call::Look => return Verdict::Do,
            Call::Create { name, file } => {
                written.names.insert(name, file);
                Effect::Names(vec![(name, Some(file))])
            }
            Call::Rename { from, to } => {
                let file = written.names.remove(&from).unwrap();
                written.names.insert(to, file);
                Effect::Names(vec![(from, None), (to, Some(file))])
            }
            Call::Remove { name } => {
                written.names.remove(&name);
                Effect::Names(vec![(name, None)])
            }
            Call::Write { file, offset, bytes } | Call::Store { file, offset, bytes } => {
                Effect::Write { file, offset, bytes: bytes.to_vec() }
            }
            Call::StoreWord { file, offset, value } => {
                Effect::Write { file, offset, bytes: value.to_le_bytes().to_vec() }
            }
            Call::Allocate { file, end } => Effect::Allocate { file, end },
            Call::Sync { file } => Effect::SyncFile(file),
            Call::SyncTogether => Effect::SyncTogether,
            Call::SyncFolder => Effect::SyncFolder,
        };
        written.effects.push(effect);
        Verdict::Do
    }
}
