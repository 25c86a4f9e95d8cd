//! What is at the place where a file or a folder is to appear, links followed, and whom it belongs to.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Links in a row that are followed, as the system does.
const MOST_LINKS: usize = 40;

/// The place, and what is there.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) path: PathBuf,
    pub(super) found: Found,
}

#[derive(Debug)]
pub(super) enum Found {
    Nothing,
    File(Owner),
    Folder(Owner),
    /// A pipe, a device, or an open file such as `/dev/stdout`: whoever put it there wants it written to.
    Special,
}

/// Whose a file or folder is, and who may do what with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    mode: u32,
    user: u32,
    group: u32,
}

impl Target {
    /// Looks at `path`. Of a link the file that it names is meant, also one that is not there yet.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn of(path: &Path) -> io::Result<Target> {
        let (path, open_file) = follow_links(path)?;
        let found = match fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Found::Nothing,
            Err(error) => return Err(error),
            Ok(metadata) if metadata.is_dir() => Found::Folder(Owner::of(&metadata)),
            Ok(metadata) if metadata.is_file() && !open_file => Found::File(Owner::of(&metadata)),
            Ok(_) => Found::Special,
        };
        Ok(Target { path, found })
    }
}

impl Owner {
    fn of(metadata: &Metadata) -> Owner {
        // What is written anew is not a program that runs as its owner.
        let known = if metadata.is_dir() { 0o7777 } else { 0o777 };
        Owner { mode: metadata.mode() & known, user: metadata.uid(), group: metadata.gid() }
    }

    /// Gives a new file or folder to the owner of the one that it replaces, as far as this process may.
    ///
    /// # Errors
    /// The system's error when the mode cannot be set.
    pub(super) fn give(self, made: &File) -> io::Result<()> {
        use rustix::fs::{Gid, Uid, fchown};
        let now = Owner::of(&made.metadata()?);
        let (user, group) = (Uid::from_raw(self.user), Gid::from_raw(self.group));
        let mut mode = self.mode;
        if (now.user, now.group) != (self.user, self.group)
            && fchown(made, Some(user), Some(group)).is_err()
            && now.group != self.group
            && fchown(made, None, Some(group)).is_err()
        {
            // What the old group was allowed is not for another one.
            mode = mode & !0o070 | (mode & 0o007) << 3 & mode;
        }
        made.set_permissions(fs::Permissions::from_mode(mode))
    }
}

/// The place that a path names, and whether it is a file that some process has open.
fn follow_links(path: &Path) -> io::Result<(PathBuf, bool)> {
    let mut path = std::path::absolute(path)?;
    for _ in 0..MOST_LINKS {
        let Ok(link) = fs::read_link(&path) else { return Ok((without_links(path), false)) };
        let parent = path.parent().unwrap_or(Path::new("/"));
        if names_open_files(parent) {
            return Ok((path, true));
        }
        path = parent.join(link);
    }
    Err(rustix::io::Errno::LOOP.into())
}

/// The path without links in its folders, as far as they are there.
fn without_links(path: PathBuf) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    match (path.parent().map(Path::canonicalize), path.file_name()) {
        (Some(Ok(parent)), Some(name)) => parent.join(name),
        _ => path,
    }
}

/// Whether the links in a folder are not paths, but stand for open files: `/proc/self/fd`.
#[cfg(target_os = "linux")]
fn names_open_files(folder: &Path) -> bool {
    const PROC: u64 = 0x9fa0;
    rustix::fs::statfs(folder).is_ok_and(|found| found.f_type as u64 == PROC)
}

#[cfg(not(target_os = "linux"))]
fn names_open_files(_folder: &Path) -> bool {
    false
}

/// Whether something is mounted at a path, so that no rename takes its place.
pub(super) fn is_mounted(path: &Path) -> bool {
    is_mount_root(path).unwrap_or_else(|| {
        let device = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
        path.parent().is_some_and(|parent| device(parent) != device(path))
    })
}

/// What the system says of it, where it says anything.
#[cfg(target_os = "linux")]
fn is_mount_root(path: &Path) -> Option<bool> {
    use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
    let found = statx(CWD, path, AtFlags::empty(), StatxFlags::BASIC_STATS).ok()?;
    let known = found.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT);
    known.then(|| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

#[cfg(not(target_os = "linux"))]
fn is_mount_root(_path: &Path) -> Option<bool> {
    None
}
