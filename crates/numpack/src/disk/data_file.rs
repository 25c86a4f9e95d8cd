//! Open data files: one descriptor and at most two mappings each, in a bounded cache.
//!
//! An open data file holds a shared lock on itself, which its mappings keep alive. A writer that wants to
//! use a retired file again must get the exclusive lock first, so it never writes under a reader.

use std::io;
use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use lru::LruCache;

use crate::disk::cached::CachedMappings;
use crate::disk::mapping::Mapping;
use crate::disk::name::FileName;
use crate::disk::parts::{self, BLOCK};
use crate::disk::seam::{Access, Folder, LockKind, StorageFile};
use crate::types::error::{NpkError, NpkResult};

/// Address space kept free behind a mapping, so that appends need no new one.
const RESERVE_MIN: u64 = 4 << 20;

/// An open data file.
#[derive(Debug)]
pub(crate) struct DataFile {
    path: PathBuf,
    file: Arc<dyn StorageFile>,
    /// Bytes that were seen to be there; a data file is never shortened.
    known_len: AtomicU64,
    read_map: RwLock<Option<Arc<Mapping>>>,
    write_map: RwLock<Option<Arc<Mapping>>>,
}

impl DataFile {
    /// Opens a data file under a shared lock; `None` when it is gone or a writer has begun to reuse it.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn open(folder: &dyn Folder, name: FileName, access: Access) -> NpkResult<Option<DataFile>> {
        let path = folder.path().join(name.to_string());
        let io = |e| NpkError::io(&path, e);
        let file = match folder.open(name, access) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(io)?,
        };
        let free = file.try_lock(LockKind::Shared).map_err(io)?;
        let (known_len, read_map, write_map) = (AtomicU64::new(0), RwLock::new(None), RwLock::new(None));
        Ok(free.then_some(DataFile { path, file, known_len, read_map, write_map }))
    }

    /// The file for calls that need no mapping.
    pub(crate) fn file(&self) -> &dyn StorageFile {
        &*self.file
    }

    /// The file's path, for messages.
    pub(crate) fn path(&self) -> &PathBuf {
        &self.path
    }

    /// Wraps an error of this file.
    pub(crate) fn io(&self, source: io::Error) -> NpkError {
        match source.kind() {
            io::ErrorKind::UnexpectedEof => {
                let len = self.file.len().unwrap_or(0);
                NpkError::cut_off(&self.path, len, "the file ends before its committed length")
            }
            _ => NpkError::io(&self.path, source),
        }
    }

    /// Wraps an error of mapping so many bytes: where there is no address space for them, memory is what lacks.
    fn unmapped(&self, bytes: u64, source: io::Error) -> NpkError {
        if source.kind() == io::ErrorKind::OutOfMemory {
            NpkError::OutOfMemory { bytes }
        } else {
            self.io(source)
        }
    }

    /// A read-only mapping of at least the first `len` bytes.
    ///
    /// # Errors
    /// `Corrupted` when the file is shorter than `len`; `Io`.
    pub(crate) fn mapping(&self, len: u64) -> NpkResult<Arc<Mapping>> {
        self.mapped(&self.read_map, len, false)
    }

    /// A writable mapping of at least the first `len` bytes.
    ///
    /// # Errors
    /// As for [`DataFile::mapping`].
    pub(crate) fn write_mapping(&self, len: u64) -> NpkResult<Arc<Mapping>> {
        self.mapped(&self.write_map, len, true)
    }

    /// A private, writable mapping of the first `len` bytes.
    ///
    /// # Errors
    /// As for [`DataFile::mapping`].
    pub(crate) fn private_mapping(&self, len: u64) -> NpkResult<Mapping> {
        self.check_len(len)?;
        self.file.map_private(len).map_err(|e| self.unmapped(len, e))
    }

    /// Puts a private copy of the first `len` bytes in place of the mapping, after `change` has edited it.
    ///
    /// # Errors
    /// As for [`DataFile::mapping`], and those of `change`.
    pub(crate) fn map_private(
        &self,
        len: u64,
        change: impl FnOnce(&dyn StorageFile, &Mapping) -> NpkResult<()>,
    ) -> NpkResult<()> {
        let mapping = self.private_mapping(len)?;
        change(&*self.file, &mapping)?;
        *self.read_map.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(mapping));
        Ok(())
    }

    /// Reads bytes by a system call, which turns bad media and outside truncation into errors.
    ///
    /// # Errors
    /// `Corrupted` when the file is shorter; `Io`.
    pub(crate) fn read_at(&self, buf: &mut [MaybeUninit<u8>], offset: u64) -> NpkResult<()> {
        self.file.read_at(buf, offset).map_err(|e| self.io(e))
    }

    /// Checks that the file is at least `len` bytes long.
    ///
    /// # Errors
    /// `Corrupted` when it is not; `Io`.
    pub(crate) fn check_len(&self, len: u64) -> NpkResult<()> {
        let found = self.file.len().map_err(|e| self.io(e))?;
        if found < len {
            let reason = format!("the file has {found} bytes; {len} were committed");
            return Err(NpkError::corrupted(&self.path, found, reason));
        }
        self.known_len.fetch_max(found, Ordering::Relaxed);
        Ok(())
    }

    /// As [`DataFile::check_len`], without a system call when that many bytes were there before. Whoever
    /// sizes memory by the log, or writes behind or over what was committed, asks first: only the file says
    /// that the bytes are there, and writing behind its end would make it look whole.
    ///
    /// # Errors
    /// As for [`DataFile::check_len`].
    pub(crate) fn confirm(&self, len: u64) -> NpkResult<()> {
        if self.known_len.load(Ordering::Relaxed) >= len { Ok(()) } else { self.check_len(len) }
    }

    /// Writes rows behind the committed ones; returns the checksum of what was written.
    ///
    /// # Errors
    /// `Corrupted` when the committed bytes are not all there; `Io`.
    pub(crate) fn append(&self, bytes: &[u8], committed: u64) -> NpkResult<u32> {
        self.confirm(committed)?;
        let len = bytes.len() as u64;
        if bytes.len() > BLOCK {
            self.file.allocate(committed, len).map_err(|e| self.io(e))?;
        }
        let checksum = parts::write(&*self.file, committed, bytes).map_err(|e| self.io(e))?;
        self.known_len.fetch_max(committed + len, Ordering::Relaxed);
        Ok(checksum)
    }

    fn mapped(
        &self,
        slot: &RwLock<Option<Arc<Mapping>>>,
        len: u64,
        writable: bool,
    ) -> NpkResult<Arc<Mapping>> {
        let kept = slot.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(mapping) = kept.filter(|mapping| mapping.len() >= len) {
            return Ok(mapping);
        }
        self.check_len(len)?;
        let mut slot = slot.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(mapping) = slot.as_ref().filter(|mapping| mapping.confirm(len)) {
            return Ok(Arc::clone(mapping));
        }
        let reserve = (len / 2).max(RESERVE_MIN);
        let mapping = Arc::new(self.file.map(len, reserve, writable).map_err(|e| self.unmapped(len, e))?);
        *slot = Some(Arc::clone(&mapping));
        Ok(mapping)
    }
}

/// The open data files of a store, the longest unused closed first.
#[derive(Debug)]
pub(crate) struct FileCache {
    files: Mutex<LruCache<FileName, Arc<DataFile>>>,
    limit: usize,
    /// Writable mappings of files that a save has written over.
    pub(crate) cached: CachedMappings,
}

impl FileCache {
    /// A cache that uses at most a quarter of the descriptors that the process may have.
    pub(crate) fn new() -> FileCache {
        // With a limit of its own, the cache would take memory for all that it may hold at once.
        let files = Mutex::new(LruCache::unbounded());
        FileCache { files, limit: (descriptor_limit() / 4).max(1), cached: CachedMappings::default() }
    }

    /// Opens a file as [`DataFile::open`] does. When the process may open no more, because other stores have as many
    /// as this one, those kept here are closed first.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn open(
        &self,
        folder: &dyn Folder,
        name: FileName,
        access: Access,
    ) -> NpkResult<Option<DataFile>> {
        match DataFile::open(folder, name, access) {
            Err(NpkError::Io { source, .. }) if is_out_of_descriptors(&source) => {
                let kept = {
                    let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
                    std::mem::replace(&mut *files, LruCache::unbounded())
                };
                drop(kept);
                DataFile::open(folder, name, access)
            }
            other => other,
        }
    }

    /// The open file of this name, if it is kept.
    pub(crate) fn get(&self, name: FileName) -> Option<Arc<DataFile>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned()
    }

    /// Keeps an open file.
    pub(crate) fn insert(&self, name: FileName, file: Arc<DataFile>) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let replaced = files.put(name, file);
        let evicted = if files.len() > self.limit { files.pop_lru() } else { None };
        drop(files);
        // Unmapping takes time: after the lock.
        drop((replaced, evicted));
    }

    /// Closes a file, as soon as no call uses it, and gives up what is kept of it.
    pub(crate) fn remove(&self, name: FileName) {
        let removed = self.files.lock().unwrap_or_else(PoisonError::into_inner).pop(&name);
        drop((removed, self.cached.take(name)));
    }
}

/// Whether the process, or the machine, has as many files open as it may.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    let limits = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE];
    error.raw_os_error().is_some_and(|code| limits.iter().any(|limit| limit.raw_os_error() == code))
}

#[cfg(unix)]
fn descriptor_limit() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(1024);
    usize::try_from(limit).unwrap_or(1024).clamp(256, 8192)
}
