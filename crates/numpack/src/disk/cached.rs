//! Writable mappings kept of files that a save has written over, for the save that writes over them again.
//!
//! A file that is saved over and over changes between two files. Faulting in the pages of the one that is
//! written, and giving them back, is a third of the work; a cached mapping does it once.
//!
//! A cached mapping is not a reader: the lock of the open it came from was given back. It allows nothing
//! either: whoever wants to store through it holds the file's exclusive lock by another open, and has found
//! that both are of the same file. It costs address space, counts as resident memory of the process, and
//! holds the blocks of a file that was removed; so few bytes are kept, and none of a file out of use.

use std::collections::VecDeque;
use std::io;
use std::sync::{Mutex, PoisonError};

use crate::disk::mapping::Mapping;
use crate::disk::name::FileName;
use crate::disk::seam::{Identity, StorageFile};

/// Bytes of all cached mappings of a store.
const BUDGET: u64 = 128 << 20;

/// A writable mapping of a whole file, and which file that is: names are given to other files.
#[derive(Debug)]
pub(crate) struct WholeFile {
    file: Identity,
    pub(crate) mapping: Mapping,
}

impl WholeFile {
    /// The mapping of `file`: the one kept of it, or a new one. `None` when two such files would not fit
    /// into what may be kept.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn of(file: &dyn StorageFile, kept: Option<WholeFile>) -> io::Result<Option<WholeFile>> {
        let (len, identity) = (file.len()?, file.identity()?);
        let same = kept.filter(|kept| kept.file == identity && kept.mapping.len() >= len);
        if same.is_some() || len > BUDGET / 2 {
            return Ok(same);
        }
        Ok(Some(WholeFile { file: identity, mapping: file.map(len, 0, true)? }))
    }
}

/// The cached mappings of a store, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct CachedMappings {
    mappings: Mutex<VecDeque<(FileName, WholeFile)>>,
}

impl CachedMappings {
    /// Keeps the mapping of the file called `name`; the oldest make room.
    pub(crate) fn keep(&self, name: FileName, whole: WholeFile) {
        let mut dropped = Vec::new();
        let mut mappings = self.mappings.lock().unwrap_or_else(PoisonError::into_inner);
        mappings.push_back((name, whole));
        while mappings.iter().map(|(_, whole)| whole.mapping.len()).sum::<u64>() > BUDGET {
            dropped.extend(mappings.pop_front());
        }
        drop(mappings);
        // Unmapping takes time: after the lock.
        drop(dropped);
    }

    /// Takes the mapping of the file called `name` out.
    pub(crate) fn take(&self, name: FileName) -> Option<WholeFile> {
        let mut mappings = self.mappings.lock().unwrap_or_else(PoisonError::into_inner);
        let at = mappings.iter().position(|(kept, _)| *kept == name)?;
        mappings.remove(at).map(|(_, whole)| whole)
    }

    /// Gives all mappings up.
    pub(crate) fn clear(&self) {
        let all = std::mem::take(&mut *self.mappings.lock().unwrap_or_else(PoisonError::into_inner));
        drop(all);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::disk::{Access, Folder, OsFolder};

    fn name(generation: u64) -> FileName {
        FileName::Data { array: 1, generation }
    }

    fn make(folder: &OsFolder, generation: u64, len: u64) -> Arc<dyn StorageFile> {
        let file = folder.open(name(generation), Access::Create).unwrap();
        file.allocate(0, len).unwrap();
        file
    }

    #[test]
    fn the_oldest_mappings_make_room() {
        let dir = tempfile::tempdir().unwrap();
        let folder = OsFolder::open(dir.path()).unwrap();
        let kept = CachedMappings::default();
        for generation in 0..3 {
            let file = make(&folder, generation, BUDGET / 2);
            kept.keep(name(generation), WholeFile::of(&*file, None).unwrap().unwrap());
        }
        assert!(kept.take(name(0)).is_none());
        assert!(kept.take(name(1)).is_some());
        assert!(kept.take(name(1)).is_none());
        assert!(kept.take(name(2)).is_some());
        let large = make(&folder, 3, BUDGET / 2 + 1);
        assert!(WholeFile::of(&*large, None).unwrap().is_none());
    }

    #[test]
    fn a_mapping_of_another_file_or_a_shorter_one_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let folder = OsFolder::open(dir.path()).unwrap();
        let file = make(&folder, 0, 4096);
        let first = WholeFile::of(&*file, None).unwrap().unwrap();
        let start = first.mapping.as_ptr();
        let again = WholeFile::of(&*file, Some(first)).unwrap().unwrap();
        assert_eq!(again.mapping.as_ptr(), start);
        file.allocate(0, 8192).unwrap();
        let longer = WholeFile::of(&*file, Some(again)).unwrap().unwrap();
        assert_eq!(longer.mapping.len(), 8192);
        // The name goes to a new file; the old one lives on in its mapping.
        let other = make(&folder, 0, 8192);
        let fresh = WholeFile::of(&*other, Some(longer)).unwrap().unwrap();
        assert_eq!(fresh.file, other.identity().unwrap());
        assert_eq!(other.overwrite(Some(&fresh.mapping), 0, b"123456789").unwrap(), 0xe306_9283);
        assert_eq!(std::fs::read(dir.path().join(name(0).to_string())).unwrap()[..9], *b"123456789");
    }
}
