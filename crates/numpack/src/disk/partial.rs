//! A file or folder under construction beside its target: whole under its name, or not there at all.
//!
//! It is locked while its maker lives, so that the next one can tell what a crashed maker left and removes it.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::disk::folders;
use crate::types::error::{NpkError, NpkResult};

const PREFIX: &str = ".npkg-";
const SUFFIX: &str = ".part";
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// A file or folder under construction. Dropping it removes it, and the folders that were made for it.
///
/// ```
/// use std::io::Write;
/// use numpack::disk::Partial;
///
/// # fn main() -> numpack::NpkResult<()> {
/// # let dir = tempfile::tempdir()?;
/// let target = dir.path().join("export.npy");
/// let partial = Partial::file(&target)?;
/// partial.handle().write_all(b"contents")?;
/// assert!(!target.exists());
/// partial.publish(false, false)?;
/// assert!(target.exists());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Partial {
    path: PathBuf,
    target: PathBuf,
    /// Open on the file or folder, and locked.
    handle: File,
    /// Folders made for the target, the outermost first.
    parents: Vec<PathBuf>,
    published: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Folder,
}

impl Partial {
    /// An empty file beside `target`; missing folders are made.
    ///
    /// # Errors
    /// `Io`.
    pub fn file(target: &Path) -> NpkResult<Partial> {
        Partial::new(target, Kind::File)
    }

    /// An empty folder beside `target`; missing folders are made.
    ///
    /// # Errors
    /// `Io`.
    pub fn folder(target: &Path) -> NpkResult<Partial> {
        Partial::new(target, Kind::Folder)
    }

    fn new(target: &Path, kind: Kind) -> NpkResult<Partial> {
        let io = |e| NpkError::io(target, e);
        let target = std::path::absolute(target).map_err(io)?;
        let parent = target.parent().ok_or_else(|| io(ErrorKind::InvalidInput.into()))?;
        let parents = folders::make(parent)?;
        sweep(parent);
        match make_locked(parent, kind) {
            Ok((path, handle)) => Ok(Partial { path, target, handle, parents, published: false }),
            Err(error) => {
                folders::remove_empty(&parents);
                Err(NpkError::io(parent, error))
            }
        }
    }

    /// Where it is until it is published.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file itself, open for reading and writing, or the folder.
    pub fn handle(&self) -> &File {
        &self.handle
    }

    /// Gives it the target's name; a file, with `overwrite`, in place of what has it. A folder takes the place
    /// of an empty one alone. With `durable` the name survives a power cut.
    ///
    /// # Errors
    /// `Io`, of kind `AlreadyExists` when the name is taken.
    pub fn publish(mut self, overwrite: bool, durable: bool) -> NpkResult<()> {
        let io = |e| NpkError::io(&self.target, e);
        let is_file = self.handle.metadata().map_err(io)?.is_file();
        if overwrite || !is_file {
            fs::rename(&self.path, &self.target).map_err(io)?;
        } else {
            // Unlike a rename, a link never takes the place of a file that came meanwhile.
            match fs::hard_link(&self.path, &self.target) {
                Ok(()) => fs::remove_file(&self.path).map_err(io)?,
                Err(error) if self.target.symlink_metadata().is_ok() => return Err(io(error)),
                // Not every file system has links.
                Err(_) => fs::rename(&self.path, &self.target).map_err(io)?,
            }
        }
        self.published = true;
        match self.target.parent() {
            Some(parent) if durable => {
                File::open(parent).and_then(|folder| folder.sync_all()).map_err(io)?;
                folders::sync_parents(&self.parents).map_err(io)
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.published {
            remove(&self.path);
            folders::remove_empty(&self.parents);
        }
    }
}

fn make_locked(parent: &Path, kind: Kind) -> io::Result<(PathBuf, File)> {
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("{PREFIX}{}-{number}{SUFFIX}", std::process::id()));
        let made = match kind {
            Kind::File => File::options().read(true).write(true).create_new(true).open(&path),
            Kind::Folder => fs::create_dir(&path).and_then(|()| File::open(&path)),
        };
        let handle = match made {
            // Left by a crashed process of the same number, or swept just now by another maker.
            Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) => {
                if parent.is_dir() { continue } else { return Err(error) }
            }
            other => other?,
        };
        handle.try_lock().or_else(|error| match error {
            // A sweep is looking at it; it finds out below whether it is gone.
            TryLockError::WouldBlock => handle.lock(),
            TryLockError::Error(error) => Err(error),
        })?;
        if path.exists() {
            return Ok((path, handle));
        }
    }
}

/// Removes what crashed makers left in this folder. Best effort: it is only in the way of nobody.
fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let ours = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX));
        let ours = ours.is_some_and(|middle| middle.bytes().all(|b| b.is_ascii_digit() || b == b'-'));
        let link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
        if ours
            && !link
            && let Ok(handle) = File::open(entry.path())
            && handle.try_lock().is_ok()
        {
            remove(&entry.path());
        }
    }
}

/// Removes a file or a folder. Best effort: it has no name that anybody looks for.
fn remove(path: &Path) {
    let folder = path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
    let removed = if folder { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    removed.unwrap_or_default();
}
