//! The seam between the engine and a disk: one folder of files.
//!
//! Every effect on the disk is one call of these traits, mapped stores included, so that a test's
//! implementation can count, cut short, refuse or forget each of them. Reads of a mapping are plain loads.

use std::fmt::Debug;
use std::io;
use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::Arc;

use crate::disk::mapping::Mapping;
use crate::disk::name::FileName;

/// How a file is opened. Links are never followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// An existing file, for reading.
    Read,
    /// An existing file, for reading and writing.
    Write,
    /// Reading and writing; made when missing, kept as it is otherwise.
    OpenOrCreate,
    /// Reading and writing; made again, in place of whatever file had the name.
    Create,
}

/// Kind of an advisory lock on a whole file. It ends with the last descriptor or mapping of its open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// Any number of holders.
    Shared,
    /// One holder.
    Exclusive,
}

/// What tells two folders or files apart, however they are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity(pub u64, pub u64);

/// What the file system under a folder can be trusted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FsCapabilities {
    /// Shared mappings are coherent between all users of the folder: false on network file systems.
    pub coherent: bool,
    /// A store to a mapped, allocated page never needs a new block, so it cannot fail as a signal.
    pub mapped_writes: bool,
    /// An advisory lock lives as long as a mapping of its open, also after the descriptor is closed.
    pub locks_follow_mappings: bool,
}

/// A store's folder.
///
/// # Safety
/// [`Folder::open`] returns files that keep the promises of [`StorageFile`], and two calls for one name return
/// the same file unless it was renamed, removed or made again in between: the engine copies from their mappings
/// without looking at what they hold.
#[expect(unsafe_code, reason = "the engine relies on what an implementation promises")]
pub unsafe trait Folder: Send + Sync + Debug {
    /// The folder's path, for messages.
    fn path(&self) -> &Path;

    /// What tells this folder from others.
    fn identity(&self) -> Identity;

    /// What the file system can be trusted with.
    fn capabilities(&self) -> FsCapabilities;

    /// Number of the machine's current boot; a power cut can only lie between two boots.
    fn boot_id(&self) -> [u8; 16];

    /// Opens a file of the folder.
    ///
    /// # Errors
    /// The system's error; `InvalidInput` when the name is not a regular file.
    fn open(&self, name: FileName, access: Access) -> io::Result<Arc<dyn StorageFile>>;

    /// Gives `from` the name `to`, in place of the file that had it.
    ///
    /// # Errors
    /// The system's error.
    fn rename(&self, from: FileName, to: FileName) -> io::Result<()>;

    /// Removes a file. Its mappings and descriptors stay usable.
    ///
    /// # Errors
    /// The system's error.
    fn remove(&self, name: FileName) -> io::Result<()>;

    /// Names of everything in the folder, strangers included.
    ///
    /// # Errors
    /// The system's error.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Makes the folder's entries durable.
    ///
    /// # Errors
    /// The system's error.
    fn sync(&self) -> io::Result<()>;

    /// The number of files from which on [`Folder::sync_together`] is faster than syncing one after the other; the
    /// largest number where it cannot be had, or does not tell of lost bytes.
    fn together_from(&self) -> usize {
        usize::MAX
    }

    /// Makes bytes and lengths of all files of the folder durable by one call, and whatever else its file system holds.
    ///
    /// # Errors
    /// The system's error, which may be about a file of somebody else: syncing each file tells.
    fn sync_together(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// The same folder by an open of its own, wherever it is called by now: for a forked child, which shares nothing with
    /// its parent.
    ///
    /// # Errors
    /// The system's error; `Unsupported` where only the path leads to it.
    fn reopen(&self) -> io::Result<Arc<dyn Folder>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Makes the folder's own name durable, as far as its parent can be opened.
    ///
    /// # Errors
    /// The system's error.
    fn sync_name(&self) -> io::Result<()>;

    /// What tells the file of this name from others.
    ///
    /// # Errors
    /// The system's error.
    fn identity_of(&self, name: FileName) -> io::Result<Identity> {
        self.open(name, Access::Read)?.identity()
    }

    /// Nanoseconds since 1970 of the last time that a name of the folder was given, taken or changed: as long as it is
    /// the same, so are all names. `None` where that is not known.
    ///
    /// # Errors
    /// The system's error.
    fn names_changed(&self) -> io::Result<Option<i128>> {
        Ok(None)
    }

    /// An error when the folder was removed, as what is written to its open files is lost with them, or when another
    /// one has taken its path, where whoever looks for it does not find it.
    ///
    /// # Errors
    /// `NotFound`, or the system's error.
    fn check_present(&self) -> io::Result<()> {
        Ok(())
    }
}

/// An open file of a store.
///
/// # Safety
/// The engine hands out memory that a file has filled, and reads through mappings as far as the file's length:
/// * [`StorageFile::read_at`] initialises every byte of `buf` before it returns `Ok`;
/// * [`StorageFile::len`] is never more than the bytes that a mapping of this file can read, then and later;
/// * [`StorageFile::map`] and [`StorageFile::map_private`] return mappings of this file.
#[expect(unsafe_code, reason = "the engine relies on what an implementation promises")]
#[expect(clippy::len_without_is_empty, reason = "a length in bytes that can fail, not a collection")]
pub unsafe trait StorageFile: Send + Sync + Debug {
    /// Length in bytes.
    ///
    /// # Errors
    /// The system's error.
    fn len(&self) -> io::Result<u64>;

    /// Bytes that the file takes on the disk, as far as that is known: less than its length when it has holes.
    ///
    /// # Errors
    /// The system's error.
    fn allocated(&self) -> io::Result<u64> {
        self.len()
    }

    /// What tells this file from others, whatever name it has.
    ///
    /// # Errors
    /// The system's error.
    fn identity(&self) -> io::Result<Identity>;

    /// Reads exactly `buf.len()` bytes at `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file is shorter; otherwise the system's error.
    fn read_at(&self, buf: &mut [MaybeUninit<u8>], offset: u64) -> io::Result<()>;

    /// Writes all `parts` one behind the other at `offset`. A failure may leave a part of them written.
    ///
    /// # Errors
    /// The system's error.
    fn write_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<()>;

    /// Writes `bytes` over bytes that the file has and returns their checksum: through `mapping`, which is of
    /// this file, or through a window of its own. `offset` begins a page. A failure may leave a part written.
    ///
    /// # Errors
    /// The system's error; `InvalidInput` when the range leaves the mapping.
    fn overwrite(&self, mapping: Option<&Mapping>, offset: u64, bytes: &[u8]) -> io::Result<u32>;

    /// Reserves blocks for `range` and makes the file at least that long, with zeros where nothing was.
    ///
    /// # Errors
    /// The system's error; not supporting it is none.
    fn allocate(&self, offset: u64, len: u64) -> io::Result<()>;

    /// Makes this empty file a copy of `source` that shares its blocks; false where that cannot be done.
    ///
    /// # Errors
    /// The system's error.
    fn share_blocks_of(&self, source: FileName) -> io::Result<bool>;

    /// Sets the file's time of modification to now, where the system lets it: what is written through a map may leave
    /// it as it was, and programs that make backups go by it. A disk that keeps no times does nothing.
    fn touch(&self) {}

    /// Makes the file's bytes and length durable.
    ///
    /// # Errors
    /// The system's error; the unwritten bytes are then lost for good.
    fn sync(&self) -> io::Result<()>;

    /// Takes the lock if it is free; false when another open holds it.
    ///
    /// # Errors
    /// The system's error.
    fn try_lock(&self, kind: LockKind) -> io::Result<bool>;

    /// Waits for the lock.
    ///
    /// # Errors
    /// The system's error.
    fn lock(&self, kind: LockKind) -> io::Result<()>;

    /// Gives the lock back.
    ///
    /// # Errors
    /// The system's error.
    fn unlock(&self) -> io::Result<()>;

    /// Maps the first `len` bytes, all of which the caller saw to exist, with room for `reserve` more.
    ///
    /// # Errors
    /// The system's error.
    fn map(&self, len: u64, reserve: u64, writable: bool) -> io::Result<Mapping>;

    /// Maps the first `len` bytes so that stores stay private to the mapping.
    ///
    /// # Errors
    /// The system's error.
    fn map_private(&self, len: u64) -> io::Result<Mapping>;

    /// Stores `bytes` into this file through `mapping`.
    ///
    /// # Errors
    /// `InvalidInput` when the range leaves the mapping.
    fn store(&self, mapping: &Mapping, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Stores one aligned word into this file through `mapping`, atomically, after all earlier stores.
    ///
    /// # Errors
    /// `InvalidInput` when the word leaves the mapping or is not aligned.
    fn store_word(&self, mapping: &Mapping, offset: u64, value: u64) -> io::Result<()>;
}
