//! The real disk: one folder, its files opened relative to the folder's descriptor, links never followed.
//!
//! Tested on Linux. The macOS paths compile from the same calls; there the boot is unknown and locks end
//! with their descriptor, which [`FsCapabilities`] says.

use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use memmap2::MmapOptions;
use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps, UTIME_NOW};
use rustix::io::Errno;

use crate::disk::capabilities::traits_of;
#[cfg(target_os = "linux")]
use crate::disk::capabilities::{TOGETHER, syncs_together};
use crate::disk::mapping::Mapping;
use crate::disk::name::FileName;
use crate::disk::seam::{Access, Folder, FsCapabilities, Identity, LockKind, StorageFile};
use crate::process::{Private, without_a_fork};

/// A folder of the local file system.
#[derive(Debug)]
pub struct OsFolder {
    path: PathBuf,
    dir: Arc<OwnedFd>,
    identity: Identity,
    traits: FsCapabilities,
    /// One call syncs all files and tells of what was lost.
    #[cfg(target_os = "linux")]
    together: bool,
}

impl OsFolder {
    /// Opens the folder at `path`.
    ///
    /// # Errors
    /// The system's error; `NotADirectory` when `path` is something else.
    pub fn open(path: &Path) -> io::Result<OsFolder> {
        let path = std::path::absolute(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(&path, flags, Mode::empty())?;
        OsFolder::of(path, dir)
    }

    fn of(path: PathBuf, dir: OwnedFd) -> io::Result<OsFolder> {
        let stat = rustix::fs::fstat(&dir)?;
        let identity = identity_of(&stat);
        let traits = traits_of(&dir)?;
        Ok(OsFolder {
            path,
            identity,
            traits,
            #[cfg(target_os = "linux")]
            together: syncs_together(&dir)?,
            dir: Arc::new(dir),
        })
    }
}

impl OsFolder {
    /// Permissions that the files of this folder have, where there are some: new ones get the same. The owner, who is
    /// about to write, may always do so.
    fn mode_of_files(&self) -> Option<Mode> {
        [FileName::Log, FileName::Lock].into_iter().find_map(|name| {
            let stat = rustix::fs::statat(&self.dir, name.to_string(), AtFlags::SYMLINK_NOFOLLOW).ok()?;
            let regular = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file();
            let mode = Mode::from_raw_mode(stat.st_mode) & (Mode::RWXU | Mode::RWXG | Mode::RWXO);
            regular.then_some(mode | Mode::RUSR | Mode::WUSR)
        })
    }

    /// Makes a file, whose name nothing has.
    fn make(&self, name: FileName) -> io::Result<File> {
        let wanted = self.mode_of_files();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mode = wanted.unwrap_or(Mode::from_raw_mode(0o666));
        let file = File::from(rustix::fs::openat(&self.dir, name.to_string(), flags, mode)?);
        if let Some(wanted) = wanted
            && file.metadata()?.mode() & 0o777 != wanted.bits()
        {
            // The process's mask took some of them; a file system without permissions keeps its own.
            rustix::fs::fchmod(&file, wanted).unwrap_or_default();
        }
        Ok(file)
    }

    /// Opens a regular file that is there.
    fn open_there(&self, name: FileName, access: OFlags) -> io::Result<File> {
        let flags = access | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = File::from(rustix::fs::openat(&self.dir, name.to_string(), flags, Mode::empty())?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(ErrorKind::InvalidInput, format!("{name} is not a regular file")));
        }
        Ok(file)
    }
}

/// Device and file number, which have 64 bits or fewer.
#[cfg_attr(target_os = "linux", expect(clippy::unnecessary_cast, reason = "on macOS a device is an i32"))]
fn identity_of(stat: &rustix::fs::Stat) -> Identity {
    Identity(stat.st_dev as u64, stat.st_ino)
}

// SAFETY: the calls below are the system's, on the files of one folder.
#[expect(unsafe_code, reason = "the engine relies on what a folder promises")]
unsafe impl Folder for OsFolder {
    fn path(&self) -> &Path {
        &self.path
    }

    fn identity(&self) -> Identity {
        self.identity
    }

    fn capabilities(&self) -> FsCapabilities {
        self.traits
    }

    fn boot_id(&self) -> [u8; 16] {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits: Vec<u8> =
            text.bytes().filter_map(|b| char::from(b).to_digit(16)).map(|d| d as u8).collect();
        let mut id = [0; 16];
        for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        id
    }

    fn open(&self, name: FileName, access: Access) -> io::Result<Arc<dyn StorageFile>> {
        let file = match access {
            Access::Read => self.open_there(name, OFlags::RDONLY)?,
            Access::Write => self.open_there(name, OFlags::RDWR)?,
            Access::OpenOrCreate => match self.open_there(name, OFlags::RDWR) {
                Err(error) if error.kind() == ErrorKind::NotFound => match self.make(name) {
                    // Somebody else was faster.
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                        self.open_there(name, OFlags::RDWR)?
                    }
                    other => other?,
                },
                other => other?,
            },
            Access::Create => match self.make(name) {
                // A file that an interrupted call left behind: nothing refers to it, a new one takes its name.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    self.remove(name)?;
                    self.make(name)?
                }
                other => other?,
            },
        };
        let (file, private) = match name {
            FileName::Lock | FileName::Incoming { number: 0, .. } => {
                // What was opened first says which file it is, and goes when the one to be kept is there.
                let first = file;
                let flags = if access == Access::Read { OFlags::RDONLY } else { OFlags::RDWR };
                let kept = without_a_fork(|| {
                    let file = self.open_there(name, flags)?;
                    let private = Private::new(&file, &self.dir);
                    Ok::<_, io::Error>((file, Some(private)))
                })?;
                drop(first);
                kept
            }
            _ => (file, None),
        };
        Ok(Arc::new(OsFile {
            _private: private,
            file,
            in_place: self.traits.mapped_writes,
            #[cfg(target_os = "linux")]
            dir: Arc::clone(&self.dir),
        }))
    }

    fn rename(&self, from: FileName, to: FileName) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.dir, from.to_string(), &self.dir, to.to_string())?)
    }

    fn remove(&self, name: FileName) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.dir, name.to_string(), AtFlags::empty())?)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.dir)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.dir)?)
    }

    #[cfg(target_os = "linux")]
    fn together_from(&self) -> usize {
        if self.together { TOGETHER } else { usize::MAX }
    }

    #[cfg(target_os = "linux")]
    fn sync_together(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(&self.dir)?)
    }

    fn reopen(&self) -> io::Result<Arc<dyn Folder>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(&self.dir, ".", flags, Mode::empty())?;
        Ok(Arc::new(OsFolder::of(self.path.clone(), dir)?))
    }

    fn sync_name(&self) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.dir, "..", flags, Mode::empty()) {
            // A parent that may only be passed through, or that is gone.
            Err(Errno::ACCESS | Errno::PERM | Errno::NOENT) => Ok(()),
            parent => Ok(rustix::fs::fsync(parent?)?),
        }
    }

    fn identity_of(&self, name: FileName) -> io::Result<Identity> {
        let stat = rustix::fs::statat(&self.dir, name.to_string(), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(identity_of(&stat))
    }

    fn names_changed(&self) -> io::Result<Option<i128>> {
        if !self.traits.coherent {
            // What another host changed shows late.
            return Ok(None);
        }
        let stat = rustix::fs::fstat(&self.dir)?;
        // Of a folder that was removed nothing changes any more.
        let known = stat.st_nlink > 0;
        let changed = stat.st_ctime as i128 * 1_000_000_000 + stat.st_ctime_nsec as i128;
        Ok(known.then_some(changed))
    }

    fn check_present(&self) -> io::Result<()> {
        if rustix::fs::fstat(&self.dir)?.st_nlink == 0 {
            return Err(io::Error::new(
                ErrorKind::NotFound,
                "the store's folder was removed while it was open",
            ));
        }
        // A folder that was moved, and whose path nothing has taken, is where it is.
        match rustix::fs::stat(&self.path) {
            Ok(stat) if identity_of(&stat) != self.identity => {
                let reason = "another folder took the place of the store's while it was open";
                Err(io::Error::new(ErrorKind::NotFound, reason))
            }
            _ => Ok(()),
        }
    }
}

#[derive(Debug)]
struct OsFile {
    /// For the lock of a writer or an ingest, which no child may keep alive. Goes before the descriptors do.
    _private: Option<Private>,
    file: File,
    /// A store through a mapping cannot fail.
    in_place: bool,
    #[cfg(target_os = "linux")]
    dir: Arc<OwnedFd>,
}

// SAFETY: reads and lengths are the system's own, and a mapping is of this file and no longer than it.
#[expect(unsafe_code, reason = "the engine relies on what a file promises")]
unsafe impl StorageFile for OsFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn allocated(&self) -> io::Result<u64> {
        // Blocks are of 512 bytes, whatever the file system has.
        Ok(self.file.metadata()?.blocks().saturating_mul(512))
    }

    fn identity(&self) -> io::Result<Identity> {
        let stat = rustix::fs::fstat(&self.file)?;
        Ok(identity_of(&stat))
    }

    fn read_at(&self, mut buf: &mut [MaybeUninit<u8>], mut offset: u64) -> io::Result<()> {
        while !buf.is_empty() {
            let (read, rest) = match rustix::io::pread(&self.file, &mut *buf, offset) {
                Err(Errno::INTR) => continue,
                other => other?,
            };
            if read.is_empty() {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            offset += read.len() as u64;
            let left = rest.len();
            let done = buf.len() - left;
            buf = &mut buf[done..];
        }
        Ok(())
    }

    fn write_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<()> {
        write_parts(&self.file, parts, offset)
    }

    fn overwrite(&self, mapping: Option<&Mapping>, offset: u64, bytes: &[u8]) -> io::Result<u32> {
        let len = bytes.len() as u64;
        if let Some(mapping) = mapping {
            mapping.prefault_writes(offset, len)?;
            return mapping.write_summed(offset, bytes);
        }
        // A window for this call alone: several threads then fault in and unmap their pages at the same time.
        let raw = MmapOptions::new().offset(offset).len(bytes.len()).map_raw(&self.file)?;
        let window = Mapping::new(raw, len, true);
        window.prefault_writes(0, len)?;
        window.write_summed(0, bytes)
    }

    #[cfg(target_os = "linux")]
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        match rustix::fs::fallocate(&self.file, rustix::fs::FallocateFlags::empty(), offset, len) {
            // tmpfs of old kernels and network file systems: later writes reserve as they go.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.grow(offset + len),
            other => Ok(other?),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        self.grow(offset + len)
    }

    #[cfg(target_os = "linux")]
    fn share_blocks_of(&self, source: FileName) -> io::Result<bool> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let source = rustix::fs::openat(&self.dir, source.to_string(), flags, Mode::empty())?;
        Ok(rustix::fs::ioctl_ficlone(&self.file, &source).is_ok())
    }

    #[cfg(not(target_os = "linux"))]
    fn share_blocks_of(&self, _source: FileName) -> io::Result<bool> {
        Ok(false)
    }

    fn touch(&self) {
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        // Both times, because one alone may be set by the file's owner only. Nothing depends on it.
        let times = Timestamps { last_access: now, last_modification: now };
        rustix::fs::futimens(&self.file, &times).unwrap_or_default();
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn try_lock(&self, kind: LockKind) -> io::Result<bool> {
        let result = match kind {
            LockKind::Shared => self.file.try_lock_shared(),
            LockKind::Exclusive => self.file.try_lock(),
        };
        match result {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn lock(&self, kind: LockKind) -> io::Result<()> {
        loop {
            let result = match kind {
                LockKind::Shared => self.file.lock_shared(),
                LockKind::Exclusive => self.file.lock(),
            };
            match result {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn unlock(&self) -> io::Result<()> {
        self.file.unlock()
    }

    fn map(&self, len: u64, reserve: u64, writable: bool) -> io::Result<Mapping> {
        let map = |size: u64| {
            let mut options = MmapOptions::new();
            options.len(usize::try_from(size).map_err(|_| ErrorKind::OutOfMemory)?);
            if writable { options.map_raw(&self.file) } else { options.map_raw_read_only(&self.file) }
        };
        // The room is only address space; where that is scarce, do without.
        let raw = map(len.saturating_add(reserve)).or_else(|_| map(len))?;
        Ok(Mapping::new(raw, len, writable))
    }

    fn map_private(&self, len: u64) -> io::Result<Mapping> {
        let len_usize = usize::try_from(len).map_err(|_| ErrorKind::OutOfMemory)?;
        Ok(Mapping::new(private_map(&self.file, len_usize)?, len, true))
    }

    fn store(&self, mapping: &Mapping, offset: u64, bytes: &[u8]) -> io::Result<()> {
        mapping.write(offset, bytes)
    }

    fn store_word(&self, mapping: &Mapping, offset: u64, value: u64) -> io::Result<()> {
        if self.in_place {
            return mapping.store_word(offset, value);
        }
        // A store that needs a block on a full disk would be a signal. After all earlier stores, as promised.
        fence(Ordering::SeqCst);
        self.file.write_all_at(&value.to_le_bytes(), offset)?;
        fence(Ordering::SeqCst);
        Ok(())
    }
}

impl OsFile {
    fn grow(&self, len: u64) -> io::Result<()> {
        if self.file.metadata()?.len() < len { self.file.set_len(len) } else { Ok(()) }
    }
}

#[expect(unsafe_code, reason = "memmap2 marks private maps unsafe because the file may change under them")]
fn private_map(file: &File, len: usize) -> io::Result<memmap2::MmapRaw> {
    // SAFETY: the map is used only through `Mapping`, which never makes a reference to its bytes.
    Ok(unsafe { MmapOptions::new().len(len).no_reserve_swap().map_copy(file)? }.into())
}

/// One `pwritev` in the usual case; what it left is written piece by piece.
#[cfg(target_os = "linux")]
fn write_parts(file: &File, parts: &[&[u8]], offset: u64) -> io::Result<()> {
    if let [one] = parts {
        return file.write_all_at(one, offset);
    }
    let slices: Vec<io::IoSlice<'_>> = parts.iter().map(|part| io::IoSlice::new(part)).collect();
    let mut written = loop {
        match rustix::io::pwritev(file, &slices, offset) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    let mut at = offset + written as u64;
    for part in parts {
        let rest = &part[written.min(part.len())..];
        written -= part.len() - rest.len();
        file.write_all_at(rest, at)?;
        at += rest.len() as u64;
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn write_parts(file: &File, parts: &[&[u8]], offset: u64) -> io::Result<()> {
    file.write_all_at(&parts.concat(), offset)
}
