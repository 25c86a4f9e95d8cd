//! Which ingests live, and what crashed ones left.
//!
//! An ingest writes files of its own without the writers' lock. The first of them is its *anchor*: empty, and locked
//! as long as the process lives that made it, so the files of an ingest whose anchor can be locked are of no use.
//! Anchors are made and looked at with the writers' lock held, so that nobody finds one that is not locked yet. A
//! hint in the control page spares a writer the look at the folder while there is no ingest.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};

use crate::disk::{Access, FileName, LockKind, StorageFile};
use crate::store::commit::guard::WriteGuard;
use crate::store::commit::state::{StoreState, now_us};
use crate::types::error::{NpkError, NpkResult};

/// The mark of an ingest that lives; dropping it, after the other files of the ingest, ends it.
#[derive(Debug)]
pub(crate) struct Anchor {
    pub(crate) store: Arc<StoreState>,
    ingest: u64,
    /// Number of the file that is made next.
    next: AtomicU64,
    ended: AtomicBool,
    _locked: Arc<dyn StorageFile>,
}

/// The ingests that live, as far as this process knows.
#[derive(Debug, Default)]
pub(crate) struct Living {
    /// Those of this process. It need not ask whether it lives.
    own: BTreeSet<u64>,
    /// The anchors of others that were found locked.
    others: Vec<Arc<dyn StorageFile>>,
    /// What the hint was when the others were looked for.
    begun: u64,
}

impl Anchor {
    /// Marks a new ingest as living.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn new(store: &Arc<StoreState>, _locked: &WriteGuard<'_>) -> NpkResult<Anchor> {
        let ingest = RandomState::new().hash_one((now_us(), std::process::id()));
        let name = FileName::Incoming { ingest, number: 0 };
        let make = || {
            let file = store.folder.open(name, Access::Create)?;
            file.lock(LockKind::Exclusive).map(|()| file)
        };
        let locked = make().map_err(|error| {
            store.remove(name);
            store.file_error(name, error)
        })?;
        store.living_ingests().own.insert(ingest);
        let begun = store.control.ingests().unwrap_or(0) + 1;
        store.control.set_ingests(begun).map_err(|e| store.file_error(FileName::Control, e))?;
        Ok(Anchor {
            store: Arc::clone(store),
            ingest,
            next: AtomicU64::new(1),
            ended: AtomicBool::new(false),
            _locked: locked,
        })
    }

    /// A name for the next file of the ingest.
    pub(crate) fn next_name(&self) -> FileName {
        FileName::Incoming { ingest: self.ingest, number: self.next.fetch_add(1, Ordering::Relaxed) }
    }

    /// Removes a file of the ingest. In a forked child, whose parent the ingest belongs to, nothing is removed.
    pub(crate) fn remove(&self, name: FileName) {
        if self.is_own() {
            self.store.remove(name);
        }
    }

    /// Ends the ingest, whose other files are committed or gone.
    pub(crate) fn end(&self) {
        if self.is_own() && !self.ended.swap(true, Ordering::Relaxed) {
            self.store.remove(FileName::Incoming { ingest: self.ingest, number: 0 });
            self.store.living_ingests().own.remove(&self.ingest);
        }
    }

    /// Whether this process made the ingest.
    pub(crate) fn is_own(&self) -> bool {
        self.store.forks == crate::process::forks()
    }
}

impl Drop for Anchor {
    fn drop(&mut self) {
        self.end();
    }
}

impl StoreState {
    /// Removes what crashed ingests left. Costs a look at the page while there is none, and a call for each one that
    /// lives. Only the holder of the writers' lock calls it.
    pub(super) fn look_after_ingests(&self) {
        let begun = self.control.ingests();
        if begun == Some(0) {
            return;
        }
        let living = self.living_ingests();
        let some = !living.own.is_empty() || !living.others.is_empty();
        if some && begun == Some(living.begun) && living.others.iter().all(|anchor| is_living(&**anchor)) {
            return;
        }
        drop(living);
        match self.folder.list() {
            Ok(names) => self.sweep_ingests(&names),
            // The hint stays, so the next writer looks.
            Err(error) => self.defer(NpkError::io(self.folder.path(), error)),
        }
    }

    /// Removes what crashed ingests left among the files of these names, and notes those that live.
    pub(crate) fn sweep_ingests(&self, names: &[String]) {
        let mut files: BTreeMap<u64, Vec<FileName>> = BTreeMap::new();
        for name in names.iter().filter_map(|name| FileName::parse(name)) {
            if let FileName::Incoming { ingest, .. } = name {
                files.entry(ingest).or_default().push(name);
            }
        }
        let mut living = self.living_ingests();
        files.retain(|ingest, _| !living.own.contains(ingest));
        living.others.clear();
        let mut all_known = true;
        for (ingest, mut names) in files {
            match self.folder.open(FileName::Incoming { ingest, number: 0 }, Access::Write) {
                Ok(anchor) if is_living(&*anchor) => living.others.push(anchor),
                Err(error) if error.kind() != io::ErrorKind::NotFound => all_known = false,
                Ok(_) | Err(_) => {
                    // The anchor last: without it nobody can tell what the others are.
                    names.sort_unstable_by(|a, b| b.cmp(a));
                    names.into_iter().for_each(|name| self.remove_stray(name));
                }
            }
        }
        let begun = match self.control.ingests() {
            _ if living.own.is_empty() && living.others.is_empty() && all_known => 0,
            Some(begun) => begun.max(1),
            None => 1,
        };
        self.hinted(self.control.set_ingests(begun));
        // A number that no hint has: who is not known has to be looked for again.
        living.begun = if all_known { begun } else { u64::MAX };
    }

    fn living_ingests(&self) -> MutexGuard<'_, Living> {
        self.ingests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether somebody holds the lock of an anchor; what cannot be told counts as such.
pub(crate) fn is_living(anchor: &dyn StorageFile) -> bool {
    match anchor.try_lock(LockKind::Exclusive) {
        Ok(true) => {
            // Whoever looks next, through another open, has to find it free as well.
            anchor.unlock().unwrap_or_default();
            false
        }
        Ok(false) | Err(_) => true,
    }
}
