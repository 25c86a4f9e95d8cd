//! Opening: finds or makes the store in a folder, folds its log, and decides what a failing tail means.
//!
//! A reader changes nothing. What a crashed writer or a power cut left is mended only under the writers' lock.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::disk::control::{Control, Hints};
use crate::disk::folders;
use crate::disk::lock::WriterLock;
use crate::disk::{Access, FileName, Folder, Identity, OsFolder, is_nobodys};
use crate::log::catalog::Catalog;
use crate::log::reader::LogFile;
use crate::log::record::FileHeader;
use crate::log::writer::write_next;
use crate::options::{Durability, Mode, OpenOptions};
use crate::process::PerProcess;
use crate::store::commit::state::{StoreState, now_us};
use crate::store::recovery::replay::{assemble, check_floor, replay};
use crate::types::error::{NpkError, NpkResult};

type Registry = Mutex<HashMap<(Identity, bool), Weak<StoreState>>>;

/// Stores open in this process, so that all instances of one share their state.
static REGISTRY: PerProcess<Registry> = PerProcess::new(Registry::default);

/// Opens the store at `path`, or shares the one that this process has open.
///
/// # Errors
/// Those of [`OpenOptions::open`].
pub(crate) fn open_path(path: &Path, options: OpenOptions) -> NpkResult<Arc<StoreState>> {
    if matches!(options.mode, Mode::Append | Mode::Truncate | Mode::CreateNew) && !path.is_dir() {
        let made = folders::make(path).map_err(|error| refused(path, error))?;
        folders::sync_parents(&made).map_err(|e| NpkError::io(path, e))?;
    }
    share(Arc::new(OsFolder::open(path).map_err(|e| refused(path, NpkError::io(path, e)))?), options)
}

/// Opens the store in `folder`, or shares the one that this process has open.
fn share(folder: Arc<dyn Folder>, options: OpenOptions) -> NpkResult<Arc<StoreState>> {
    let writable = options.mode != Mode::Read;
    let key = (folder.identity(), writable);
    let per_process = REGISTRY.get();
    let mut registry = per_process.1.lock().unwrap_or_else(PoisonError::into_inner);
    registry.retain(|_, core| core.strong_count() > 0);
    let kept = registry.get(&key).and_then(Weak::upgrade);
    if let Some(core) = kept.filter(|core| core.poisoned.get().is_none()) {
        if options.mode == Mode::CreateNew {
            return Err(exists(&*folder));
        }
        return Ok(core);
    }
    let core = open_folder(folder, options)?;
    registry.insert(key, Arc::downgrade(&core));
    Ok(core)
}

/// Says what lies at a path that is not a folder.
fn refused(path: &Path, error: NpkError) -> NpkError {
    match folders::kind_of_file(path) {
        Some(kind) => NpkError::NotAStore { path: path.to_owned(), kind },
        None => error,
    }
}

impl StoreState {
    /// The core to use instead in a process that was forked from this one's; `None` in its own.
    ///
    /// # Errors
    /// Those of [`OpenOptions::open`].
    pub(crate) fn in_this_process(&self) -> NpkResult<Option<Arc<StoreState>>> {
        if self.forks == crate::process::forks() {
            return Ok(None);
        }
        let mode = if self.writable { Mode::ReadWrite } else { Mode::Read };
        let options = OpenOptions::new().mode(mode);
        match self.folder.reopen() {
            // By its path another store may be found: this one may have been moved.
            Ok(folder) => share(folder, options).map(Some),
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                open_path(self.folder.path(), options).map(Some)
            }
            Err(error) => Err(NpkError::io(self.folder.path(), error)),
        }
    }
}

/// The core of this process for a handle that may have been forked.
///
/// # Errors
/// Those of [`OpenOptions::open`].
pub(crate) fn own_core(slot: &ArcSwap<StoreState>) -> NpkResult<Arc<StoreState>> {
    let core = slot.load();
    let Some(own) = core.in_this_process()? else { return Ok(Arc::clone(&core)) };
    // The parent's locks may be held by threads that were not forked: leave its core as it is.
    std::mem::forget(slot.swap(Arc::clone(&own)));
    Ok(own)
}

/// Opens the store in `folder`.
///
/// # Errors
/// Those of [`OpenOptions::open`].
pub(crate) fn open_folder(folder: Arc<dyn Folder>, options: OpenOptions) -> NpkResult<Arc<StoreState>> {
    let writable = options.mode != Mode::Read;
    let missing = match LogFile::open(&*folder, Access::Read) {
        Err(error) if error.is_not_found() => Some(error),
        Err(error) => return Err(error),
        Ok(_) => None,
    };
    match missing {
        Some(error) if matches!(options.mode, Mode::Read | Mode::ReadWrite) => {
            refuse_lost_log(&*folder)?;
            return Err(error);
        }
        // Of several that find no store only the one that writes the first log has made it.
        Some(_) => {
            let made = create(&*folder, options.lock_timeout)?;
            if !made && options.mode == Mode::CreateNew {
                return Err(exists(&*folder));
            }
        }
        None if options.mode == Mode::CreateNew => return Err(exists(&*folder)),
        None => {}
    }
    load(folder, writable, options.lock_timeout)
}

/// Makes an empty store in a folder that holds nothing, or only what an interrupted making left; false when
/// somebody else has made one meanwhile.
fn create(folder: &dyn Folder, timeout: Option<Duration>) -> NpkResult<bool> {
    refuse_lost_log(folder)?;
    let lock = WriterLock::open(folder, true)?;
    let _guard = lock.acquire(folder, timeout)?;
    match LogFile::open(folder, Access::Read) {
        Err(error) if error.is_not_found() => {}
        other => return other.map(|_| false),
    }
    let header = FileHeader { store_id: new_store_id(folder), epoch: 1 };
    let made = make_first(folder, header);
    if made.is_err() {
        // A store or nothing; what a second failure leaves is replaced by whoever makes the store.
        folder.remove(FileName::NextLog).unwrap_or_default();
    }
    made.map(|()| true)
}

fn make_first(folder: &dyn Folder, header: FileHeader) -> NpkResult<()> {
    let path = || folder.path().to_owned();
    // Whoever made the folder may have died before its name was durable.
    folder.sync_name().map_err(|e| NpkError::io(path(), e))?;
    write_next(folder, header, &Catalog::default().snapshot()?, 0, now_us())?;
    // Before the log has its name, so that a store never stands without the page that knows its boot.
    if folder.capabilities().coherent {
        Control::create(
            folder,
            &header.store_id,
            Hints { committed: 0, applied: 0, synced: 0, busy: false },
            [],
        )?;
    }
    folder.rename(FileName::NextLog, FileName::Log).map_err(|e| NpkError::io(path(), e))?;
    folder.sync().map_err(|e| NpkError::io(path(), e))
}

/// An error when the folder holds data files without a log, or anything that is not the store's.
fn refuse_lost_log(folder: &dyn Folder) -> NpkResult<()> {
    let names = folder.list().map_err(|e| NpkError::io(folder.path(), e))?;
    for name in names {
        match FileName::parse(&name) {
            Some(FileName::Data { .. }) => {
                let path = folder.path().join(FileName::Log.to_string());
                return Err(NpkError::corrupted(
                    path,
                    0,
                    format!("the log is missing beside data file {name}"),
                ));
            }
            Some(_) => {}
            // A file system's own, and what a crashed maker of something else left.
            None if is_nobodys(&name) => {}
            None => {
                return Err(NpkError::InvalidArgument {
                    argument: "path",
                    value: folder.path().display().to_string(),
                    reason: "the folder holds other files and no NumPack store",
                });
            }
        }
    }
    Ok(())
}

fn exists(folder: &dyn Folder) -> NpkError {
    NpkError::io(
        folder.path(),
        std::io::Error::new(
            std::io::ErrorKind::AlreadyExists,
            "there is a store already: modes `a` and `r+` write to it, `w` empties it",
        ),
    )
}

/// An id that no other store has: time, process, and the addresses that this run happens to have.
fn new_store_id(folder: &dyn Folder) -> [u8; 16] {
    use std::hash::{BuildHasher, RandomState};
    let identity = folder.identity();
    let half =
        || RandomState::new().hash_one((now_us(), std::process::id(), identity.0, identity.1)).to_le_bytes();
    let mut id = [0; 16];
    id[..8].copy_from_slice(&half());
    id[8..].copy_from_slice(&half());
    id
}

/// Opens the store whose log is there.
fn load(folder: Arc<dyn Folder>, writable: bool, timeout: Option<Duration>) -> NpkResult<Arc<StoreState>> {
    let lock = match WriterLock::open(&*folder, writable) {
        Err(error) if error.is_not_found() => None,
        other => Some(other?),
    };
    let store_id = LogFile::open(&*folder, Access::Read)?.header.store_id;
    let control =
        if folder.capabilities().coherent { Control::open(&*folder, &store_id, writable)? } else { None };
    let other_boot = control.as_ref().filter(|control| *control.boot_id() != folder.boot_id());
    let before_cut = other_boot.map(Control::synced);
    let live =
        control.filter(|control| *control.boot_id() == folder.boot_id() && control.committed().is_some());
    if let Some(control) = live {
        let floor = control.committed().unwrap_or(0);
        let replayed = replay(&*folder, writable, floor)?;
        check_floor(&replayed, floor)?;
        let core = assemble(folder, writable, lock, control, replayed);
        return finish_if_free(core);
    }
    match lock {
        Some(lock) if writable => crate::store::recovery::recover::recover(folder, lock, timeout),
        lock => {
            // A reader where no page can be trusted: every replace since the snapshot is overlaid on the files.
            let mut replayed = replay(&*folder, false, 0)?;
            match before_cut {
                Some(synced) => {
                    check_floor(&replayed, synced)?;
                    crate::store::recovery::recover::keep_intact_prefix(&*folder, &mut replayed, synced)?;
                }
                None => crate::store::recovery::recover::refuse_damage(&*folder, &replayed)?,
            }
            let seq = replayed.catalog.seq;
            let hints = Hints { committed: seq, applied: 0, synced: 0, busy: false };
            let control = Control::local(folder.boot_id(), hints);
            Ok(Arc::new(assemble(folder, false, lock, control, replayed)))
        }
    }
}

/// Finishes what a crashed writer left, unless a living one is at work.
fn finish_if_free(core: StoreState) -> NpkResult<Arc<StoreState>> {
    if core.writable
        && core.control.is_busy()
        && let Some(lock) = &core.lock
        && let Some(guard) = lock.try_acquire(&*core.folder)?
    {
        drop(core.enter(guard, Durability::Process)?);
    }
    Ok(Arc::new(core))
}
