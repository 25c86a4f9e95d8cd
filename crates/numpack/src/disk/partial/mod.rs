//! A file or folder under construction: whole under its name, or not there at all.
//!
//! It is made in a hidden folder beside its target and renamed. Of a link the file that it names is replaced, and
//! what replaces another file keeps its mode, and its owner and group as far as the system lets it.
//!
//! Where a rename cannot work, the target is filled in place, and a failure then leaves it in part:
//!
//! * a pipe, a device or `/dev/stdout` is written to, as whoever put it there wants;
//! * a file in a folder that may not be written to is written over from the start;
//! * over a file that is mounted (as containers are given single files) the finished bytes are copied;
//! * a folder that is mounted, or lies in one that may not be written to, is filled from a hidden folder inside.

mod holder;
mod target;

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::disk::folders;
use crate::types::error::{NpkError, NpkResult};
use holder::Holder;
use target::{Found, Owner, Target};

/// What file systems make of themselves, and no contents of a folder.
const LOST_AND_FOUND: &str = "lost+found";

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
    /// Open on the file or folder.
    handle: File,
    place: Place,
    /// Of what is replaced.
    owner: Option<Owner>,
    /// Folders made for the target, the outermost first.
    parents: Vec<PathBuf>,
    published: bool,
}

/// Where the contents are until they are published.
#[derive(Debug)]
enum Place {
    /// In a hidden folder beside the target.
    Beside(Holder),
    /// In a hidden folder in the folder that is the target.
    Inside(Holder),
    /// In the target itself.
    Itself,
}

impl Partial {
    /// An empty file that will be `target`; missing folders are made.
    ///
    /// # Errors
    /// `Io`, of kind `IsADirectory` for a folder, of kind `Interrupted` when a signal ends the wait for somebody to
    /// read a pipe.
    pub fn file(target: &Path) -> NpkResult<Partial> {
        let named = |e| NpkError::io(target, e);
        let Target { path, found } = Target::of(target).map_err(named)?;
        let owner = match found {
            Found::Folder(_) => return Err(named(Errno::ISDIR.into())),
            Found::Special => return Partial::itself(path).map_err(named),
            Found::Nothing => None,
            Found::File(owner) => Some(owner),
        };
        let made = Partial::beside(&path, owner, |content| {
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o666).open(content)
        });
        match made {
            Err(NpkError::Io { source, .. }) if owner.is_some() && is_refused(&source) => {
                Partial::itself(path).map_err(named)
            }
            other => other,
        }
    }

    /// An empty folder that will be `target`; missing folders are made.
    ///
    /// # Errors
    /// `Io`, of kind `NotADirectory` when something else is there.
    pub fn folder(target: &Path) -> NpkResult<Partial> {
        let named = |e| NpkError::io(target, e);
        let Target { path, found } = Target::of(target).map_err(named)?;
        let owner = match found {
            Found::File(_) | Found::Special => return Err(named(Errno::NOTDIR.into())),
            Found::Nothing => None,
            Found::Folder(owner) => Some(owner),
        };
        if owner.is_some() && (target::is_mounted(&path) || path.join(LOST_AND_FOUND).exists()) {
            return Partial::inside(path).map_err(named);
        }
        let make = |content: &Path| fs::create_dir(content).and_then(|()| File::open(content));
        match Partial::beside(&path, owner, make) {
            Err(NpkError::Io { source, .. }) if owner.is_some() && is_refused(&source) => {
                Partial::inside(path).map_err(named)
            }
            other => other,
        }
    }

    fn beside(
        target: &Path,
        owner: Option<Owner>,
        make: impl FnOnce(&Path) -> io::Result<File>,
    ) -> NpkResult<Partial> {
        let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(NpkError::io(target, Errno::INVAL.into()));
        };
        let parents = folders::make(parent)?;
        let made = Holder::new(parent).and_then(|holder| {
            let path = holder.path().join(name);
            Ok((make(&path)?, path, holder))
        });
        match made {
            Ok((handle, path, holder)) => {
                let (target, place) = (target.to_owned(), Place::Beside(holder));
                Ok(Partial { path, target, handle, place, owner, parents, published: false })
            }
            Err(error) => {
                folders::remove_empty(&parents);
                Err(NpkError::io(target, error))
            }
        }
    }

    fn inside(target: PathBuf) -> io::Result<Partial> {
        let holder = Holder::new(&target)?;
        let path = holder.path().join("new");
        fs::create_dir(&path)?;
        let (handle, place) = (File::open(&path)?, Place::Inside(holder));
        Ok(Partial { path, target, handle, place, owner: None, parents: Vec::new(), published: false })
    }

    fn itself(target: PathBuf) -> io::Result<Partial> {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::WRONLY | OFlags::TRUNC | OFlags::CLOEXEC;
        // Unlike the standard library's, this open ends with a signal: it may wait for whoever reads a pipe.
        let handle = File::from(rustix::fs::open(&target, flags, Mode::empty())?);
        let (path, place) = (target.clone(), Place::Itself);
        Ok(Partial { path, target, handle, place, owner: None, parents: Vec::new(), published: false })
    }

    /// Where it is until it is published.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it will be: the target, links followed.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// The file itself, open for writing, or the folder.
    pub fn handle(&self) -> &File {
        &self.handle
    }

    /// Whether it takes the place of its target in one step.
    pub(crate) fn is_renamed(&self) -> bool {
        matches!(self.place, Place::Beside(_))
    }

    /// Gives it the target's name; with `overwrite` in place of what has it, otherwise of an empty folder alone.
    /// With `durable` the name survives a power cut.
    ///
    /// # Errors
    /// `Io`, of kind `AlreadyExists` or `DirectoryNotEmpty` when the name is taken.
    pub fn publish(mut self, overwrite: bool, durable: bool) -> NpkResult<()> {
        self.show_at_target(overwrite, durable)
    }

    /// As [`Partial::publish`]; what it was not given the name of stays.
    pub(crate) fn show_at_target(&mut self, overwrite: bool, durable: bool) -> NpkResult<()> {
        self.show(overwrite).map_err(|e| NpkError::io(&self.target, e))?;
        self.published = true;
        if durable {
            let named = [std::slice::from_ref(&self.target), &self.parents];
            named
                .into_iter()
                .try_for_each(folders::sync_parents)
                .map_err(|e| NpkError::io(&self.target, e))?;
        }
        Ok(())
    }

    fn show(&self, overwrite: bool) -> io::Result<()> {
        let holder = match &self.place {
            Place::Itself => return Ok(()),
            Place::Beside(holder) | Place::Inside(holder) => holder,
        };
        let made = File::open(&self.path)?;
        if let Some(owner) = self.owner {
            owner.give(&made)?;
        }
        if made.metadata()?.is_file() {
            self.show_file(overwrite)
        } else if self.is_renamed() {
            self.show_folder(overwrite, holder)
        } else {
            self.move_in(overwrite, holder)
        }
    }

    fn show_file(&self, overwrite: bool) -> io::Result<()> {
        if !overwrite {
            // Unlike a rename, a link never takes the place of a file that came meanwhile.
            match fs::hard_link(&self.path, &self.target) {
                Err(error) if self.target.symlink_metadata().is_ok() => return Err(error),
                Ok(()) => return Ok(()),
                // Not every file system has links.
                Err(_) => {}
            }
        }
        match fs::rename(&self.path, &self.target) {
            Err(error) if is_refused(&error) && self.target.is_file() => self.copy_over(),
            other => other,
        }
    }

    /// Copies the finished file over one that cannot be replaced.
    fn copy_over(&self) -> io::Result<()> {
        let mut target = OpenOptions::new().write(true).open(&self.target)?;
        let len = io::copy(&mut File::open(&self.path)?, &mut target)?;
        target.set_len(len)?;
        target.sync_all()
    }

    fn show_folder(&self, overwrite: bool, holder: &Holder) -> io::Result<()> {
        match fs::rename(&self.path, &self.target) {
            Err(error)
                if overwrite
                    && matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty) =>
            {
                exchange(&self.path, &self.target, &holder.path().join("old"))
            }
            other => other,
        }
    }

    /// Moves what is in the folder into the target, in place of what was there.
    fn move_in(&self, overwrite: bool, holder: &Holder) -> io::Result<()> {
        let mut old = Vec::new();
        for entry in fs::read_dir(&self.target)? {
            let entry = entry?;
            if !holder.is(&entry.file_name()) && entry.file_name() != LOST_AND_FOUND {
                old.push(entry.path());
            }
        }
        if !old.is_empty() && !overwrite {
            return Err(Errno::NOTEMPTY.into());
        }
        old.iter().try_for_each(|path| remove(path))?;
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            fs::rename(entry.path(), self.target.join(entry.file_name()))?;
        }
        Ok(())
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        self.place = Place::Itself;
        if !self.published {
            folders::remove_empty(&self.parents);
        }
    }
}

/// Whether there is nothing at a path, or a folder with nothing that anybody put there.
///
/// # Errors
/// The system's error, of kind `NotADirectory` when something else is there.
pub fn is_vacant(path: &Path) -> io::Result<bool> {
    holder::sweep(path);
    match fs::read_dir(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
        Ok(mut entries) => {
            Ok(entries
                .all(|entry| entry.is_ok_and(|entry| entry.file_name().to_str().is_some_and(is_nobodys))))
        }
    }
}

/// Whether an entry of a folder is the file system's own, or something that is under construction: nobody put it there
/// to stay.
pub(crate) fn is_nobodys(name: &str) -> bool {
    name == LOST_AND_FOUND || holder::is_holder(name)
}

/// Whether a file or folder may not be made or replaced here, though what is there may perhaps be written to.
fn is_refused(error: &io::Error) -> bool {
    use ErrorKind::{CrossesDevices, PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
    matches!(error.kind(), CrossesDevices | PermissionDenied | ReadOnlyFilesystem | ResourceBusy)
}

/// Swaps two folders, in one step where the system has a call for it; the old one goes to `aside` otherwise.
fn exchange(new: &Path, target: &Path, aside: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        if renameat_with(CWD, new, CWD, target, RenameFlags::EXCHANGE).is_ok() {
            return Ok(());
        }
    }
    fs::rename(target, aside)?;
    fs::rename(new, target).inspect_err(|_| fs::rename(aside, target).unwrap_or_default())
}

fn remove(path: &Path) -> io::Result<()> {
    if path.symlink_metadata()?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
    use std::thread;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn write(target: &Path, text: &str) -> NpkResult<()> {
        let partial = Partial::file(target)?;
        partial.handle().write_all(text.as_bytes()).unwrap();
        partial.publish(true, false)
    }

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("made/deep/x");
        drop(Partial::file(&target).unwrap());
        assert_eq!(names(dir.path()), [""; 0]);
        let partial = Partial::file(&target).unwrap();
        assert_eq!(mode(partial.path().parent().unwrap()), 0o700);
        assert_eq!(partial.path().file_name(), target.file_name());
        partial.handle().write_all(b"new").unwrap();
        partial.publish(false, true).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert_eq!(names(target.parent().unwrap()), ["x"]);
        let late = Partial::file(&target).unwrap().publish(false, false).unwrap_err();
        assert!(matches!(late, NpkError::Io { source, .. } if source.kind() == ErrorKind::AlreadyExists));
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert!(Partial::file(dir.path()).is_err());
    }

    #[test]
    fn what_replaces_a_file_keeps_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("x");
        for old in [0o600, 0o640, 0o666, 0o444, 0o604, 0o755] {
            fs::remove_file(&target).unwrap_or_default();
            fs::write(&target, "old").unwrap();
            set_mode(&target, old);
            let before = fs::metadata(&target).unwrap();
            write(&target, "new").unwrap();
            let after = fs::metadata(&target).unwrap();
            assert_eq!((mode(&target), after.uid(), after.gid()), (old, before.uid(), before.gid()));
            assert_eq!(fs::read(&target).unwrap(), b"new");
        }
        write(&dir.path().join("fresh"), "new").unwrap();
        File::create(dir.path().join("plain")).unwrap();
        assert_eq!(mode(&dir.path().join("fresh")), mode(&dir.path().join("plain")));
    }

    #[test]
    fn of_a_link_the_file_that_it_names_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("folder")).unwrap();
        symlink("folder/real", at("link")).unwrap();
        symlink(at("link"), at("second")).unwrap();
        symlink("round", at("round")).unwrap();
        for text in ["first", "next"] {
            write(&at("second"), text).unwrap();
            assert_eq!(fs::read_to_string(at("folder/real")).unwrap(), text);
            assert!(at("second").is_symlink() && at("link").is_symlink());
            assert_eq!(names(&at("folder")), ["real"]);
        }
        assert!(Partial::file(&at("round")).is_err());
        // Nobody's link is followed under a hidden name, which nobody can guess either.
        assert_eq!(names(dir.path()), ["folder", "link", "round", "second"]);
    }

    #[test]
    fn a_pipe_is_written_to_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &pipe,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        let read = thread::spawn({
            let pipe = pipe.clone();
            move || {
                let mut text = String::new();
                File::open(pipe).unwrap().read_to_string(&mut text).map(|_| text)
            }
        });
        write(&pipe, "through").unwrap();
        assert_eq!(read.join().unwrap().unwrap(), "through");
        assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
        write(Path::new("/dev/null"), "gone").unwrap();
        assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn an_open_file_is_written_to_and_not_replaced() {
        use std::os::fd::AsRawFd;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("output");
        fs::write(&path, "what was there before, which is longer").unwrap();
        let open = File::options().read(true).write(true).open(&path).unwrap();
        symlink(format!("/proc/self/fd/{}", open.as_raw_fd()), dir.path().join("stdout")).unwrap();
        let inode = fs::metadata(&path).unwrap().ino();
        write(&dir.path().join("stdout"), "new").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }

    #[test]
    fn names_of_the_greatest_length_work() {
        let dir = tempfile::tempdir().unwrap();
        let long = dir.path().join("n".repeat(255));
        write(&long, "new").unwrap();
        write(&long, "again").unwrap();
        assert_eq!(fs::read_to_string(&long).unwrap(), "again");
        let long = dir.path().join("m".repeat(255));
        Partial::folder(&long).unwrap().publish(false, false).unwrap();
        assert_eq!(names(&long), [""; 0]);
    }

    #[test]
    fn a_folder_takes_the_place_of_an_empty_one_or_of_what_may_go() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("x");
        let make = |name: &str, overwrite| {
            let partial = Partial::folder(&target).unwrap();
            fs::write(partial.path().join(name), "text").unwrap();
            partial.publish(overwrite, true)
        };
        make("a", false).unwrap();
        assert!(make("b", false).is_err());
        assert_eq!(names(&target), ["a"]);
        set_mode(&target, 0o750);
        make("b", true).unwrap();
        assert_eq!((names(&target), mode(&target)), (vec!["b".to_owned()], 0o750));
        fs::remove_file(target.join("b")).unwrap();
        make("c", false).unwrap();
        assert_eq!((names(&target), mode(&target)), (vec!["c".to_owned()], 0o750));
        // As where something is mounted: no rename takes its place.
        fs::create_dir(target.join("lost+found")).unwrap();
        assert!(make("d", false).is_err());
        assert_eq!(names(&target), ["c", "lost+found"]);
        make("d", true).unwrap();
        assert_eq!(names(&target), ["d", "lost+found"]);
        assert_eq!(names(dir.path()), ["x"]);
        assert!(Partial::folder(&target.join("d")).is_err());
    }

    #[test]
    fn what_crashed_makers_left_is_removed_and_what_lives_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let living = Partial::file(&dir.path().join("living")).unwrap();
        let dead = dir.path().join(".numpack-0123456789abcdef.part");
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join("x"), "half").unwrap();
        let others = [".numpack-0123.part", ".numpack-0123456789abcdeg.part", "0123456789abcdef.part"];
        others.iter().for_each(|name| fs::create_dir(dir.path().join(name)).unwrap());
        symlink(dir.path(), dir.path().join(".numpack-fedcba9876543210.part")).unwrap();
        write(&dir.path().join("x"), "new").unwrap();
        assert!(!dead.exists() && living.path().exists());
        assert_eq!(names(dir.path()).len(), others.len() + 3);
        living.publish(false, false).unwrap();
        assert_eq!(names(dir.path()).len(), others.len() + 3);
    }

    /// As somebody who may not write to the folder; what root may do is not told by modes.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_file_in_a_folder_that_may_not_be_written_to_is_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("folder");
        fs::create_dir(&folder).unwrap();
        let target = folder.join("x");
        fs::write(&target, "what was there before").unwrap();
        let inode = fs::metadata(&target).unwrap().ino();
        let partial = Partial::itself(target.clone()).unwrap();
        partial.handle().write_all(b"new").unwrap();
        assert_eq!(partial.path(), target);
        partial.publish(true, true).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "new");
        assert_eq!(fs::metadata(&target).unwrap().ino(), inode);
        let partial = Partial::file(&target).unwrap();
        partial.handle().write_all(b"over").unwrap();
        partial.copy_over().unwrap();
        drop(partial);
        assert_eq!(fs::read_to_string(&target).unwrap(), "over");
        assert_eq!(fs::metadata(&target).unwrap().ino(), inode);
        if rustix::process::geteuid().is_root() {
            return;
        }
        set_mode(&folder, 0o555);
        write(&target, "again").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "again");
        assert!(write(&folder.join("y"), "new").is_err());
        set_mode(&folder, 0o755);
    }
}
