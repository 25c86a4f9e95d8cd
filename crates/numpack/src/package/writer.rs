//! Packing: blocks are read and compressed by all threads while the ones before are written.

use std::cell::RefCell;
use std::fs::File;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::codec::{ScratchPool, item_bytes};
use super::format::{self, BLOCK, Block, Codec, Entry, HEADER, block_bytes};
use super::options::PackOptions;
use super::{Progress, beside, exists, refused, report};
use crate::checksum::{combine, crc32c};
use crate::disk::Partial;
use crate::options::{Durability, Mode, OpenOptions};
use crate::parallel;
use crate::store::Store;
use crate::store::{Snapshot, SnapshotArray};
use crate::types::error::{NpkError, NpkResult};
use crate::types::room::lengthen;

/// Blocks that each thread gets at once: enough that none waits long for another.
const BLOCKS_A_THREAD: usize = 8;
/// At most so many blocks at once, so that memory stays the same on large machines.
const MOST_BLOCKS: usize = 64;

/// Packs the store at `source` into one file and returns its path. Without a target it is the file beside the
/// store whose name ends in `.npkg`; missing folders are made.
///
/// `progress` is called from this thread, and must not write to the store.
///
/// The package holds one commit, also while others write: rows replaced meanwhile make it start again, with
/// writers waiting until it is done, and so do more arrays than can be open at once. While it waits for writers,
/// `progress` is told of nothing done of nothing. It gets its name when it is whole.
///
/// # Errors
/// `InvalidArgument` when `source` holds no store, when the target lies in it or is a folder, or for a level
/// that zstd does not have; `Io` of kind `NotFound` when nothing is at `source`, of kind `AlreadyExists`
/// when there is a target and `overwrite` is off, of kind `Interrupted` when `progress` breaks; `Corrupted`
/// when an array has not the checksum it was committed with; `Locked` when writers do not let go for
/// [`PackOptions::lock_timeout`].
pub fn pack(
    source: impl AsRef<Path>,
    target: Option<&Path>,
    options: PackOptions,
    mut progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> NpkResult<PathBuf> {
    let source = source.as_ref();
    let store = open_source(source)?;
    let target = target.map_or_else(|| beside(source, "npk", "npkg"), |target| Ok(target.to_owned()))?;
    check_options(&target, options)?;
    check_target(&target, options.overwrite)?;
    let partial = Partial::file(&target)?;
    if source.canonicalize().is_ok_and(|store| partial.target().starts_with(store)) {
        return Err(refused("target", &target, "it lies in the store"));
    }
    let progress = RefCell::new(&mut progress);
    let waiting = Progress { done: 0, total: 0 };
    store.with_snapshot(
        options.lock_timeout,
        || report(&mut **progress.borrow_mut(), source, waiting),
        |snapshot| {
            partial.handle().set_len(0).map_err(|e| NpkError::io(&target, e))?;
            let writer = Writer::new(snapshot, partial.handle(), &target, options)?;
            writer.write(&mut **progress.borrow_mut())
        },
    )?;
    let durable = options.durability == Durability::Power;
    if durable {
        partial.handle().sync_all().map_err(|e| NpkError::io(&target, e))?;
    }
    partial.publish(options.overwrite, durable)?;
    Ok(target)
}

fn open_source(source: &Path) -> NpkResult<Store> {
    let metadata = source.metadata().map_err(|e| NpkError::io(source, e))?;
    let none = || refused("source", source, "there is no NumPack store");
    if !metadata.is_dir() {
        return Err(none());
    }
    match OpenOptions::new().mode(Mode::Read).open(source) {
        Err(error) if error.is_not_found() => Err(none()),
        other => other,
    }
}

fn check_options(target: &Path, options: PackOptions) -> NpkResult<()> {
    let known = zstd::compression_level_range();
    match options.level {
        Some(level) if !known.contains(&level) => Err(NpkError::InvalidArgument {
            argument: "compression",
            value: level.to_string(),
            reason: "zstd has no such level",
        }),
        _ if target.file_name().is_none() => Err(refused("target", target, "it names no file")),
        _ => Ok(()),
    }
}

fn check_target(target: &Path, overwrite: bool) -> NpkResult<()> {
    match target.metadata() {
        Ok(found) if found.is_dir() && overwrite => Err(refused("target", target, "it is a folder")),
        Ok(_) if !overwrite => Err(exists(target)),
        Ok(found) if !found.is_file() => Err(refused(
            "target",
            target,
            "a package is not written in one pass, as a pipe or a device needs",
        )),
        _ => Ok(()),
    }
}

/// An array that is being packed.
struct PackedArray {
    opened: SnapshotArray,
    /// Its place in the snapshot and in the index.
    index: usize,
    entry: usize,
    total: u64,
    item: usize,
    physical: bool,
}

/// One block to be packed.
struct Job {
    array: Arc<PackedArray>,
    at: u64,
    len: usize,
}

/// A block as it goes into the file.
struct Packed {
    entry: usize,
    codec: Codec,
    bytes: Vec<u8>,
    crc: u32,
    len: usize,
    raw_crc: u32,
}

struct Writer<'a> {
    snapshot: &'a Snapshot<'a>,
    file: &'a File,
    path: &'a Path,
    options: PackOptions,
    kits: ScratchPool,
    entries: Vec<Entry>,
    /// Arrays that are still to be opened, the last one next.
    waiting: Vec<(usize, usize)>,
    current: Option<(Arc<PackedArray>, usize)>,
    at: u64,
    progress: Progress,
}

impl<'a> Writer<'a> {
    fn new(
        snapshot: &'a Snapshot<'a>,
        file: &'a File,
        path: &'a Path,
        options: PackOptions,
    ) -> NpkResult<Writer<'a>> {
        let mut order: Vec<usize> = (0..snapshot.arrays().len()).collect();
        order.sort_unstable_by_key(|&index| &*snapshot.arrays()[index].name);
        let entries: Vec<Entry> = order
            .iter()
            .map(|&index| entry(snapshot, index, options.keep_deleted))
            .collect::<NpkResult<_>>()?;
        let total = entries.iter().map(Entry::bytes).sum();
        let waiting = order.into_iter().enumerate().rev().collect();
        let (kits, progress) = (ScratchPool::default(), Progress { done: 0, total });
        let current = None;
        Ok(Writer { snapshot, file, path, options, kits, entries, waiting, current, at: HEADER, progress })
    }

    /// Writes the package; `None` when a replace came in between.
    fn write(mut self, progress: &mut dyn FnMut(Progress) -> ControlFlow<()>) -> NpkResult<Option<()>> {
        let path = self.path;
        let io = |e| NpkError::io(path, e);
        self.file.write_all_at(&format::header(), 0).map_err(io)?;
        let mut pending = Vec::new();
        loop {
            let batch = self.next_batch()?;
            let ended: Vec<_> =
                batch.iter().filter(|job| job.is_last()).map(|job| Arc::clone(&job.array)).collect();
            let (file, at) = (self.file, self.at);
            let (kits, level) = (&self.kits, self.options.level);
            let (written, packed) = parallel::join(
                || write_blocks(file, at, &pending),
                || parallel::map(batch, |job| job.pack(kits, level)),
            );
            written.map_err(io)?;
            self.account(pending);
            report(progress, self.path, self.progress)?;
            pending = packed.into_iter().collect::<NpkResult<Vec<Packed>>>()?;
            if !ended.iter().all(|array| self.snapshot.is_undisturbed(array.index)) {
                return Ok(None);
            }
            if pending.is_empty() {
                break;
            }
        }
        self.check_sums()?;
        self.file.write_all_at(&format::ending(&self.entries, self.at)?, self.at).map_err(io)?;
        Ok(Some(()))
    }

    fn next_batch(&mut self) -> NpkResult<Vec<Job>> {
        let size = (parallel::threads() * BLOCKS_A_THREAD).min(MOST_BLOCKS);
        let mut batch = Vec::with_capacity(size);
        while batch.len() < size {
            if let Some((array, block)) = &mut self.current {
                let (at, len) = (*block as u64 * BLOCK, block_bytes(array.total, *block));
                if len > 0 {
                    *block += 1;
                    batch.push(Job { array: Arc::clone(array), at, len });
                    continue;
                }
            }
            let Some((entry, index)) = self.waiting.pop() else { break };
            let total = self.entries[entry].bytes();
            let item = item_bytes(self.entries[entry].dtype);
            let physical = self.options.keep_deleted;
            let opened = self.snapshot.open(index)?;
            self.current = Some((Arc::new(PackedArray { opened, index, entry, total, item, physical }), 0));
        }
        Ok(batch)
    }

    fn account(&mut self, written: Vec<Packed>) {
        for packed in written {
            let entry = &mut self.entries[packed.entry];
            let block = Block { codec: packed.codec, len: packed.bytes.len() as u32, crc: packed.crc };
            entry.blocks.push(block);
            entry.checksum = combine(entry.checksum, packed.raw_crc, packed.len as u64);
            self.at += packed.bytes.len() as u64;
            self.progress.done += packed.len as u64;
            self.kits.give_back(packed.bytes);
        }
    }

    /// An error when an array that was packed whole is not what was committed.
    fn check_sums(&self) -> NpkResult<()> {
        for (index, state) in self.snapshot.arrays().iter().enumerate() {
            let whole = self.options.keep_deleted || state.deleted.is_empty();
            let Some(committed) = state.checksum.filter(|_| whole) else { continue };
            let entry = self.entries.binary_search_by(|entry| entry.name.as_str().cmp(&state.name));
            if entry.is_ok_and(|entry| self.entries[entry].checksum != committed) {
                return Err(self.snapshot.open(index)?.damage());
            }
        }
        Ok(())
    }
}

fn entry(snapshot: &Snapshot<'_>, index: usize, keep_deleted: bool) -> NpkResult<Entry> {
    let state = &snapshot.arrays()[index];
    let (shape, deleted) = match keep_deleted {
        true => (state.shape.clone(), state.deleted.to_runs()?),
        false => (state.logical_shape(), Vec::new()),
    };
    let (name, dtype) = (state.name.to_string(), state.dtype);
    Ok(Entry { name, dtype, shape, deleted, checksum: 0, blocks: Vec::new() })
}

impl Job {
    fn is_last(&self) -> bool {
        self.at + self.len as u64 == self.array.total
    }

    fn pack(self, kits: &ScratchPool, level: Option<i32>) -> NpkResult<Packed> {
        kits.with(|kit| {
            lengthen(&mut kit.raw, self.len)?;
            let raw = &mut kit.raw[..self.len];
            match self.array.physical {
                true => self.array.opened.read_physical(self.at, raw)?,
                false => self.array.opened.read_live(self.at, raw)?,
            }
            let raw_crc = crc32c(0, raw);
            let codec = match level {
                Some(level) => kit.pack(self.len, self.array.item, level)?,
                None => Codec::Stored,
            };
            let bytes = match codec {
                Codec::Stored => {
                    kit.raw.truncate(self.len);
                    std::mem::take(&mut kit.raw)
                }
                _ => std::mem::take(&mut kit.packed),
            };
            let crc = if codec == Codec::Stored { raw_crc } else { crc32c(0, &bytes) };
            Ok(Packed { entry: self.array.entry, codec, bytes, crc, len: self.len, raw_crc })
        })
    }
}

fn write_blocks(file: &File, mut at: u64, blocks: &[Packed]) -> std::io::Result<()> {
    for block in blocks {
        file.write_all_at(&block.bytes, at)?;
        at += block.bytes.len() as u64;
    }
    Ok(())
}
