//! A disk that asks a rule before every call: the rule counts, cuts short, refuses or writes down.
//!
//! It passes everything on to another folder, so what the rule lets through happens for real. Locks are
//! always passed on: the system gives back those of a crashed process.

use std::collections::HashMap;
use std::fmt::Debug;
use std::io;
use std::mem::MaybeUninit;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use numpack::disk::{
    Access, FileName, Folder, FsCapabilities, Identity, LockKind, Mapping, OsFolder, StorageFile,
};
use numpack::prelude::*;

/// A call that is about to be made. Files are numbered in the order in which they were first seen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call<'a> {
    Create {
        name: FileName,
        file: u64,
    },
    Rename {
        from: FileName,
        to: FileName,
    },
    Remove {
        name: FileName,
    },
    Write {
        file: u64,
        offset: u64,
        bytes: &'a [u8],
    },
    Allocate {
        file: u64,
        end: u64,
    },
    Sync {
        file: u64,
    },
    /// All files of the folder.
    SyncTogether,
    SyncFolder,
    /// A store through a mapping.
    Store {
        file: u64,
        offset: u64,
        bytes: &'a [u8],
    },
    /// A store of one word through a mapping.
    StoreWord {
        file: u64,
        offset: u64,
        value: u64,
    },
    /// Changes nothing: open, list, length, read, map.
    Look,
}

impl Call<'_> {
    pub(crate) fn is_effect(&self) -> bool {
        !matches!(self, Call::Look)
    }
}

/// What becomes of a call.
#[derive(Debug)]
pub(crate) enum Verdict {
    Do,
    /// The first `halves` halves of it happen, then it returns this error. What has no halves happens for 2.
    Cut {
        halves: usize,
        error: io::Error,
    },
}

/// Decides about every call.
pub(crate) trait Rule: Send + Sync + Debug {
    fn ask(&self, call: &Call<'_>) -> Verdict;
}

/// A folder whose every call a rule decides about.
#[derive(Debug)]
pub(crate) struct Disk {
    inner: OsFolder,
    rule: Arc<dyn Rule>,
    boot: Option<u8>,
    files: Mutex<HashMap<FileName, u64>>,
    next: AtomicU64,
}

impl Disk {
    pub(crate) fn new(path: &Path, rule: Arc<dyn Rule>, boot: Option<u8>) -> Arc<Disk> {
        let inner = OsFolder::open(path).unwrap();
        let disk = Disk { inner, rule, boot, files: Mutex::default(), next: AtomicU64::new(0) };
        for name in disk.inner.list().unwrap().iter().filter_map(|name| FileName::parse(name)) {
            disk.number(name);
        }
        Arc::new(disk)
    }

    /// The number of every file that has a name.
    pub(crate) fn numbers(&self) -> HashMap<FileName, u64> {
        self.files.lock().unwrap().clone()
    }

    fn number(&self, name: FileName) -> u64 {
        let fresh = || self.next.fetch_add(1, Ordering::Relaxed);
        *self.files.lock().unwrap().entry(name).or_insert_with(fresh)
    }

    /// Asks about a call that happens whole or not at all.
    fn whole<R>(&self, call: Call<'_>, act: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        whole(&*self.rule, call, act)
    }
}

fn whole<R>(rule: &dyn Rule, call: Call<'_>, act: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
    match rule.ask(&call) {
        Verdict::Do => act(),
        Verdict::Cut { halves, error } => {
            if halves == 2 {
                act()?;
            }
            Err(error)
        }
    }
}

// SAFETY: files are those of a real folder, which every call that is let through reaches.
#[expect(unsafe_code, reason = "the engine relies on what a folder promises")]
unsafe impl Folder for Disk {
    fn path(&self) -> &Path {
        self.inner.path()
    }

    fn identity(&self) -> Identity {
        self.inner.identity()
    }

    fn capabilities(&self) -> FsCapabilities {
        self.inner.capabilities()
    }

    fn boot_id(&self) -> [u8; 16] {
        self.boot.map_or_else(|| self.inner.boot_id(), |boot| [boot; 16])
    }

    fn open(&self, name: FileName, access: Access) -> io::Result<Arc<dyn StorageFile>> {
        let exists = self.files.lock().unwrap().contains_key(&name);
        let makes = access == Access::Create || access == Access::OpenOrCreate && !exists;
        let number = if makes { self.next.fetch_add(1, Ordering::Relaxed) } else { 0 };
        let call = if makes { Call::Create { name, file: number } } else { Call::Look };
        let inner = self.whole(call, || {
            let file = self.inner.open(name, access)?;
            if makes {
                self.files.lock().unwrap().insert(name, number);
            }
            Ok(file)
        })?;
        Ok(Arc::new(DiskFile { inner, number: self.number(name), rule: Arc::clone(&self.rule) }))
    }

    fn rename(&self, from: FileName, to: FileName) -> io::Result<()> {
        self.whole(Call::Rename { from, to }, || {
            self.inner.rename(from, to)?;
            let mut files = self.files.lock().unwrap();
            let number = files.remove(&from).unwrap();
            files.insert(to, number);
            Ok(())
        })
    }

    fn remove(&self, name: FileName) -> io::Result<()> {
        self.whole(Call::Remove { name }, || {
            self.inner.remove(name)?;
            self.files.lock().unwrap().remove(&name);
            Ok(())
        })
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.whole(Call::Look, || self.inner.list())
    }

    fn sync(&self) -> io::Result<()> {
        // The folder is memory or about to be thrown away: the rule is all that a sync is for.
        self.whole(Call::SyncFolder, || Ok(()))
    }

    /// Far fewer than a real folder says, so that short scripts get there.
    fn together_from(&self) -> usize {
        2
    }

    fn sync_together(&self) -> io::Result<()> {
        self.whole(Call::SyncTogether, || Ok(()))
    }

    fn sync_name(&self) -> io::Result<()> {
        self.whole(Call::Look, || Ok(()))
    }
}

#[derive(Debug)]
struct DiskFile {
    inner: Arc<dyn StorageFile>,
    number: u64,
    rule: Arc<dyn Rule>,
}

impl DiskFile {
    fn whole<R>(&self, call: Call<'_>, act: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        whole(&*self.rule, call, act)
    }

    fn in_halves<R>(
        &self,
        call: Call<'_>,
        len: usize,
        act: impl FnOnce(usize) -> io::Result<R>,
    ) -> io::Result<R> {
        match self.rule.ask(&call) {
            Verdict::Do => act(len),
            Verdict::Cut { halves, error } => {
                if halves > 0 {
                    act(len * halves / 2)?;
                }
                Err(error)
            }
        }
    }
}

// SAFETY: reads, lengths and mappings are those of the real file behind; a refused read is an error.
#[expect(unsafe_code, reason = "the engine relies on what a file promises")]
unsafe impl StorageFile for DiskFile {
    fn len(&self) -> io::Result<u64> {
        self.whole(Call::Look, || self.inner.len())
    }

    fn identity(&self) -> io::Result<Identity> {
        self.whole(Call::Look, || self.inner.identity())
    }

    fn read_at(&self, buf: &mut [MaybeUninit<u8>], offset: u64) -> io::Result<()> {
        self.whole(Call::Look, || self.inner.read_at(buf, offset))
    }

    fn write_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<()> {
        let bytes = parts.concat();
        let call = Call::Write { file: self.number, offset, bytes: &bytes };
        self.in_halves(call, bytes.len(), |len| self.inner.write_at(&[&bytes[..len]], offset))
    }

    fn overwrite(&self, mapping: Option<&Mapping>, offset: u64, bytes: &[u8]) -> io::Result<u32> {
        let call = Call::Write { file: self.number, offset, bytes };
        self.in_halves(call, bytes.len(), |len| self.inner.overwrite(mapping, offset, &bytes[..len]))
    }

    fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        let call = Call::Allocate { file: self.number, end: offset + len };
        self.in_halves(call, len as usize, |len| match len {
            0 => Ok(()),
            len => self.inner.allocate(offset, len as u64),
        })
    }

    fn share_blocks_of(&self, _source: FileName) -> io::Result<bool> {
        self.whole(Call::Look, || Ok(false))
    }

    fn sync(&self) -> io::Result<()> {
        self.whole(Call::Sync { file: self.number }, || Ok(()))
    }

    fn try_lock(&self, kind: LockKind) -> io::Result<bool> {
        self.inner.try_lock(kind)
    }

    fn lock(&self, kind: LockKind) -> io::Result<()> {
        self.inner.lock(kind)
    }

    fn unlock(&self) -> io::Result<()> {
        self.inner.unlock()
    }

    fn map(&self, len: u64, reserve: u64, writable: bool) -> io::Result<Mapping> {
        self.whole(Call::Look, || self.inner.map(len, reserve, writable))
    }

    fn map_private(&self, len: u64) -> io::Result<Mapping> {
        self.whole(Call::Look, || self.inner.map_private(len))
    }

    fn store(&self, mapping: &Mapping, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let call = Call::Store { file: self.number, offset, bytes };
        self.in_halves(call, bytes.len(), |len| self.inner.store(mapping, offset, &bytes[..len]))
    }

    fn store_word(&self, mapping: &Mapping, offset: u64, value: u64) -> io::Result<()> {
        let call = Call::StoreWord { file: self.number, offset, value };
        self.whole(call, || self.inner.store_word(mapping, offset, value))
    }
}

/// A disk that works.
#[derive(Debug)]
pub(crate) struct Working;

impl Rule for Working {
    fn ask(&self, _call: &Call<'_>) -> Verdict {
        Verdict::Do
    }
}

/// The store at `path`, opened as if the machine had started again since it was written.
pub(crate) fn in_another_boot(path: &Path, mode: Mode) -> NpkResult<Store> {
    Store::open_folder(Disk::new(path, Arc::new(Working), Some(9)), OpenOptions::new().mode(mode))
}
