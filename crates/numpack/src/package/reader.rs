//! Unpacking: every block is checked before a byte of it is used, the store appears whole or not at all.

use std::fs::File;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::codec::{ScratchPool, item_bytes};
use super::format::{self, BLOCK, Block, Codec, Entry, HEADER, block_bytes};
use super::options::UnpackOptions;
use super::{PackageInfo, PackedArray, Progress, beside, exists, refused, report};
use crate::checksum::{combine, crc32c};
use crate::disk::{FileName, is_vacant};
use crate::options::{Mode, OpenOptions};
use crate::parallel;
use crate::store::{Existing, IncomingFile, Ingest, NewArray, Store};
use crate::types::error::{NpkError, NpkResult};
use crate::types::room::{copied, lengthen};

/// Files that are open at the same time.
const OPEN_FILES: usize = 64;
/// Blocks that each thread gets at once.
const BLOCKS_A_THREAD: usize = 16;

/// Describes a package. Reads only its end, however large it is; blocks are not checked, see [`verify`].
///
/// # Errors
/// `InvalidArgument` when the file is not a package; `Corrupted`, `UnsupportedVersion`, `Io`.
pub fn info(source: impl AsRef<Path>) -> NpkResult<PackageInfo> {
    let source = source.as_ref();
    let file = open_package(source)?;
    let file_bytes = file.metadata().map_err(|e| NpkError::io(source, e))?.len();
    let arrays = format::read_index(&file, source)?.into_iter().map(describe).collect();
    Ok(PackageInfo { version: format::VERSION, arrays, file_bytes })
}

fn describe(entry: Entry) -> PackedArray {
    let (original_bytes, packed_bytes) = (entry.bytes(), entry.packed_bytes());
    let compressed = entry.blocks.iter().any(|block| block.codec != Codec::Stored);
    let deleted_rows = entry.deleted.iter().map(|run| run.len).sum();
    let Entry { name, dtype, mut shape, .. } = entry;
    if let Some(rows) = shape.first_mut() {
        *rows = rows.saturating_sub(deleted_rows);
    }
    PackedArray { name, dtype, shape, deleted_rows, original_bytes, packed_bytes, compressed }
}

/// Unpacks the package at `source` into a store and returns its path. Without a target it is the folder beside
/// the package whose name ends in `.npk`; missing folders are made.
///
/// `progress` is called from this thread.
///
/// A new store gets its name when it is whole. Over a store that is there (`overwrite`) one commit replaces
/// all its arrays; until then it is what it was, also when the process dies. A call that fails leaves nothing.
///
/// # Errors
/// `InvalidArgument` when `source` is not a package or the target is something other than a store; `Corrupted`
/// when a byte of the package is not what was packed, or when it says something that cannot be;
/// `UnsupportedVersion`; `Io` of kind `AlreadyExists` when there is a target and `overwrite` is off, of kind
/// `Interrupted` when `progress` breaks; `Locked`.
pub fn unpack(
    source: impl AsRef<Path>,
    target: Option<&Path>,
    options: UnpackOptions,
    mut progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> NpkResult<PathBuf> {
    let source = source.as_ref();
    let target = target.map_or_else(|| beside(source, "npkg", "npk"), |target| Ok(target.to_owned()))?;
    let package = Package::open(source, options.verify)?;
    check_target(&target, options.overwrite)?;
    let mode = if options.overwrite { Mode::Append } else { Mode::CreateNew };
    let ingest = OpenOptions::new().mode(mode).durability(options.durability).ingest(&target);
    package.unpack_by(ingest?, &mut progress)?;
    Ok(target)
}

/// Unpacks the package at `source` over an open store: as [`unpack`] with `overwrite`, with the durability and
/// the lock timeout that the store was opened with.
///
/// # Errors
/// As for [`unpack`]; `ReadOnly`, `Poisoned`.
pub fn unpack_into(
    source: impl AsRef<Path>,
    store: &Store,
    options: UnpackOptions,
    mut progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> NpkResult<()> {
    Package::open(source.as_ref(), options.verify)?.unpack_by(store.ingest()?, &mut progress)
}

/// Reads every block of a package, as [`unpack`] does, and writes nothing. Returns what [`info`] does.
///
/// # Errors
/// `InvalidArgument` when `source` is not a package; `Corrupted` where a byte is not what was packed;
/// `UnsupportedVersion`; `Io`, of kind `Interrupted` when `progress` breaks.
pub fn verify(
    source: impl AsRef<Path>,
    mut progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> NpkResult<PackageInfo> {
    let source = source.as_ref();
    let package = Package::open(source, true)?;
    let mut now = package.begin();
    let nowhere: Vec<Target<'_>> = package.entries.iter().map(|_| None).collect();
    package.fill(0, &nowhere, &ScratchPool::default(), |bytes| {
        now.done += bytes;
        report(&mut progress, source, now)
    })?;
    info(source)
}

fn open_package(path: &Path) -> NpkResult<File> {
    let io = |e| NpkError::io(path, e);
    // A pipe would wait for a writer and cannot be read from its end.
    if !path.metadata().map_err(io)?.is_file() {
        return Err(refused("source", path, "it is not a file"));
    }
    File::open(path).map_err(io)
}

/// An error when something is there that is not to be unpacked over.
fn check_target(target: &Path, overwrite: bool) -> NpkResult<()> {
    if target.symlink_metadata().is_err() {
        return Ok(());
    }
    let vacant = is_vacant(target).map_err(|_| refused("target", target, "it is not a NumPack store"))?;
    if !overwrite && !vacant {
        return Err(exists(target));
    }
    if !vacant && !target.join(FileName::Log.to_string()).exists() {
        return Err(refused("target", target, "the folder holds other files and no NumPack store"));
    }
    Ok(())
}

/// Where the first block of each array begins.
fn offsets(entries: &[Entry]) -> Vec<u64> {
    let mut at = HEADER;
    let begin = |entry: &Entry| {
        at += entry.packed_bytes();
        at - entry.packed_bytes()
    };
    entries.iter().map(begin).collect()
}

/// The file of an array; none when its blocks are only checked.
type Target<'a> = Option<&'a IncomingFile>;

struct Package<'a> {
    file: File,
    path: &'a Path,
    entries: Vec<Entry>,
    offsets: Vec<u64>,
    verify: bool,
}

/// One block to be unpacked.
struct Job<'a> {
    block: Block,
    /// Where it is in the package, and in the array.
    from: u64,
    to: u64,
    len: usize,
    item: usize,
    target: Target<'a>,
    /// Place of the array in its group.
    place: usize,
}

impl<'a> Package<'a> {
    fn open(path: &'a Path, verify: bool) -> NpkResult<Package<'a>> {
        let file = open_package(path)?;
        let entries = format::read_index(&file, path)?;
        format::check_header(&file, path)?;
        Ok(Package { file, path, offsets: offsets(&entries), entries, verify })
    }

    fn unpack_by(
        &self,
        mut ingest: Ingest,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> NpkResult<()> {
        let mut now = self.begin();
        let kits = ScratchPool::default();
        let arrays: Vec<NewArray> = self.entries.iter().map(new_array).collect::<NpkResult<_>>()?;
        for array in &arrays {
            // What the index says of an array is wrong, not what the caller gave.
            array.check().map_err(|error| match error {
                NpkError::InvalidShape { reason, .. } => NpkError::corrupted(self.path, HEADER, reason),
                other => other,
            })?;
        }
        let mut arrays = arrays.into_iter();
        for first in (0..self.entries.len()).step_by(OPEN_FILES) {
            let group = &self.entries[first..self.entries.len().min(first + OPEN_FILES)];
            let files =
                group.iter().map(|entry| ingest.file(entry.bytes())).collect::<NpkResult<Vec<_>>>()?;
            let targets: Vec<Target<'_>> = files.iter().map(Some).collect();
            let sums = self.fill(first, &targets, &kits, |bytes| {
                now.done += bytes;
                report(progress, self.path, now)
            })?;
            for ((file, sum), array) in files.into_iter().zip(sums).zip(arrays.by_ref()) {
                ingest.put(array, file, sum)?;
            }
        }
        ingest.commit(Existing::RemoveAll)
    }

    /// What progress begins with.
    fn begin(&self) -> Progress {
        Progress { done: 0, total: self.entries.iter().map(Entry::bytes).sum() }
    }

    /// Writes the arrays from `first` on into their files and returns the checksums of what was written.
    fn fill(
        &self,
        first: usize,
        targets: &[Target<'_>],
        kits: &ScratchPool,
        mut done: impl FnMut(u64) -> NpkResult<()>,
    ) -> NpkResult<Vec<u32>> {
        let mut sums = vec![0; targets.len()];
        let mut jobs = self.jobs(first, targets);
        loop {
            let batch: Vec<Job<'_>> = jobs.by_ref().take(parallel::threads() * BLOCKS_A_THREAD).collect();
            if batch.is_empty() {
                break;
            }
            let mut bytes = 0;
            for block in parallel::map(batch, |job| self.unpack_block(&job, kits)) {
                let (place, len, crc) = block?;
                sums[place] = combine(sums[place], crc, len as u64);
                bytes += len as u64;
            }
            done(bytes)?;
        }
        let mut entries = self.entries[first..].iter().zip(&sums);
        let wrong = entries.position(|(entry, sum)| entry.checksum != *sum);
        if let Some(place) = wrong.filter(|_| self.verify) {
            let reason =
                format!("the checksum of array {:?} does not match", self.entries[first + place].name);
            return Err(NpkError::corrupted(self.path, self.offsets[first + place], reason));
        }
        Ok(sums)
    }

    fn jobs<'f>(&'f self, first: usize, targets: &'f [Target<'f>]) -> impl Iterator<Item = Job<'f>> {
        targets.iter().enumerate().flat_map(move |(place, &target)| {
            let entry = &self.entries[first + place];
            let mut from = self.offsets[first + place];
            entry.blocks.iter().enumerate().map(move |(index, &block)| {
                from += u64::from(block.len);
                Job {
                    block,
                    from: from - u64::from(block.len),
                    to: index as u64 * BLOCK,
                    len: block_bytes(entry.bytes(), index),
                    item: item_bytes(entry.dtype),
                    target,
                    place,
                }
            })
        })
    }

    /// Writes the contents of a block and returns their place, length and checksum.
    fn unpack_block(&self, job: &Job<'_>, kits: &ScratchPool) -> NpkResult<(usize, usize, u32)> {
        let io = |e| NpkError::io(self.path, e);
        let damaged = |reason: &str| NpkError::corrupted(self.path, job.from, reason);
        kits.with(|kit| {
            kit.packed.truncate(job.block.len as usize);
            lengthen(&mut kit.packed, job.block.len as usize)?;
            self.file.read_exact_at(&mut kit.packed, job.from).map_err(|error| match error.kind() {
                std::io::ErrorKind::UnexpectedEof => damaged("the package ends in a block"),
                _ => io(error),
            })?;
            if crc32c(0, &kit.packed) != job.block.crc {
                return Err(damaged("the checksum of a block does not match"));
            }
            if !kit.unpack(job.block.codec, job.len, job.item).map_err(io)? {
                return Err(damaged("a block does not hold the bytes that its array needs"));
            }
            let raw = &kit.raw[..job.len];
            if let Some(file) = job.target {
                file.with_room(|file| file.write_at(&[raw], job.to))?;
            }
            Ok((job.place, job.len, crc32c(0, raw)))
        })
    }
}

fn new_array(entry: &Entry) -> NpkResult<NewArray> {
    let (name, shape, deleted) = (entry.name.clone(), entry.shape.clone(), copied(&entry.deleted)?);
    Ok(NewArray { name, dtype: entry.dtype, shape, deleted })
}
