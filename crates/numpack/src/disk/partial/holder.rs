//! A hidden folder for what is under construction: of a name that nobody guesses, open to its owner alone, and
//! locked while its maker lives, so that the next one can tell what a crashed maker left and removes it.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const PREFIX: &str = ".numpack-";
const SUFFIX: &str = ".part";

/// A hidden folder; dropping it removes it with all that is in it.
#[derive(Debug)]
pub(super) struct Holder {
    path: PathBuf,
    /// Not for a forked child, which has a copy of this.
    process: u32,
    /// Open on the folder, and locked where folders can be.
    _locked: File,
}

impl Holder {
    /// Makes one in `parent`, and removes those that crashed makers left there.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn new(parent: &Path) -> io::Result<Holder> {
        sweep(parent);
        loop {
            let number = RandomState::new().hash_one(std::process::id());
            let path = parent.join(format!("{PREFIX}{number:016x}{SUFFIX}"));
            let made = DirBuilder::new().mode(0o700).create(&path).and_then(|()| open_folder(&path));
            let locked = match made {
                // Somebody has the name, or a sweep took the folder just now.
                Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) => {
                    if parent.is_dir() {
                        continue;
                    } else {
                        return Err(error);
                    }
                }
                other => other?,
            };
            // A sweep may be looking at it, and takes it away. Where there are no locks, nothing is ever swept.
            while locked.lock().is_err_and(|error| error.kind() == ErrorKind::Interrupted) {}
            if path.exists() {
                return Ok(Holder { path, process: std::process::id(), _locked: locked });
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether an entry of the parent is this folder.
    pub(super) fn is(&self, name: &OsStr) -> bool {
        self.path.file_name() == Some(name)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        if self.process == std::process::id() {
            // What cannot be removed now is left to the next maker.
            fs::remove_dir_all(&self.path).unwrap_or_default();
        }
    }
}

fn open_folder(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW).open(path)
}

/// Removes what crashed makers left in this folder. Best effort: it is only in the way of nobody.
pub(super) fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(is_holder)
            && let Ok(folder) = open_folder(&entry.path())
            && folder.try_lock().is_ok()
        {
            fs::remove_dir_all(entry.path()).unwrap_or_default();
        }
    }
}

/// Whether an entry of a folder has the name of a holder.
pub(super) fn is_holder(name: &str) -> bool {
    let number = name.strip_prefix(PREFIX).and_then(|name| name.strip_suffix(SUFFIX));
    number.is_some_and(|digits| digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit()))
}
