//! One block: shuffled where that helps, compressed, and back. Works in buffers that are used again.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use zstd::bulk::{Compressor, Decompressor};

use super::format::{BLOCK, Codec};
use crate::types::dtype::DataType;
use crate::types::room::{lacking, lengthen, reserve};

/// Bytes in the middle of a block that are tried in every way.
const SAMPLE: usize = 16 << 10;
/// A block must shrink by one part in this many: less is not worth the time to decompress it.
const WORTH: usize = 64;

/// What one thread works with.
pub(super) struct Scratch {
    compressor: Option<(i32, Compressor<'static>)>,
    decompressor: Option<Decompressor<'static>>,
    /// The block as it is in the array.
    pub(super) raw: Vec<u8>,
    /// The block as it is in the file.
    pub(super) packed: Vec<u8>,
    shuffled: Vec<u8>,
}

/// ScratchPool that wait for a thread; there are never more than threads at work.
#[derive(Default)]
pub(super) struct ScratchPool {
    kits: Mutex<Vec<Scratch>>,
    /// Memory of blocks that are written: fresh memory costs more than compressing does where it is easy.
    spare: Mutex<Vec<Vec<u8>>>,
}

impl ScratchPool {
    /// Lends a kit to `work`.
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut Scratch) -> R) -> R {
        let kept = self.kits.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut kit = kept.unwrap_or_else(Scratch::new);
        for taken in [&mut kit.raw, &mut kit.packed].into_iter().filter(|memory| memory.capacity() == 0) {
            *taken = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        }
        let result = work(&mut kit);
        self.kits.lock().unwrap_or_else(PoisonError::into_inner).push(kit);
        result
    }

    /// Takes back the memory of a block that was taken out of a kit.
    pub(super) fn give_back(&self, block: Vec<u8>) {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(block);
    }
}

impl Scratch {
    fn new() -> Scratch {
        let (raw, packed, shuffled) = (Vec::new(), Vec::new(), Vec::new());
        Scratch { compressor: None, decompressor: None, raw, packed, shuffled }
    }

    /// Compresses the first `len` bytes of `raw` into `packed`, or says that they are better stored.
    pub(super) fn pack(&mut self, len: usize, item: usize, level: i32) -> std::io::Result<Codec> {
        let codec = if item > 1 && len >= 2 * item { self.choose(len, item, level)? } else { Codec::Zstd };
        let packed = self.compress(codec, 0..len, item, level)?;
        Ok(if packed < len - len / WORTH { codec } else { Codec::Stored })
    }

    /// The way that makes a sample from the middle smallest.
    fn choose(&mut self, len: usize, item: usize, level: i32) -> std::io::Result<Codec> {
        let size = len.min(SAMPLE) / item * item;
        let start = (len - size) / 2 / item * item;
        let mut packed = |codec| self.compress(codec, start..start + size, item, level);
        let [plain, shuffled, distances] =
            [packed(Codec::Zstd)?, packed(Codec::ShuffledZstd)?, packed(Codec::DistancesZstd)?];
        // What is shuffled is faster both ways, up to four times: the plain block must be smaller by a lot.
        Ok(if plain < shuffled.min(distances) / 4 * 3 {
            Codec::Zstd
        } else if distances < shuffled {
            Codec::DistancesZstd
        } else {
            Codec::ShuffledZstd
        })
    }

    /// Compresses a range of `raw` in one of the ways into `packed` and returns the length.
    fn compress(
        &mut self,
        codec: Codec,
        range: Range<usize>,
        item: usize,
        level: i32,
    ) -> std::io::Result<usize> {
        let mut source = &self.raw[range];
        if codec != Codec::Zstd {
            lengthen(&mut self.shuffled, source.len()).map_err(lacking)?;
            let shuffled = &mut self.shuffled[..source.len()];
            super::shuffle::shuffle(source, item, codec == Codec::DistancesZstd, shuffled);
            source = shuffled;
        }
        self.packed.clear();
        let bound = zstd::zstd_safe::compress_bound(source.len().max(BLOCK as usize));
        reserve(&mut self.packed, bound).map_err(lacking)?;
        compressor(&mut self.compressor, level)?.compress_to_buffer(source, &mut self.packed)
    }

    /// Undoes [`Scratch::pack`] for a block whose bytes are in `packed`; false when they do not give exactly
    /// `len` bytes.
    pub(super) fn unpack(&mut self, codec: Codec, len: usize, item: usize) -> std::io::Result<bool> {
        if codec == Codec::Stored {
            std::mem::swap(&mut self.raw, &mut self.packed);
            return Ok(self.raw.len() == len);
        }
        lengthen(&mut self.raw, len).map_err(lacking)?;
        let shuffled = codec != Codec::Zstd;
        if shuffled {
            lengthen(&mut self.shuffled, len).map_err(lacking)?;
        }
        let target = if shuffled { &mut self.shuffled[..len] } else { &mut self.raw[..len] };
        let decompressor = match &mut self.decompressor {
            Some(decompressor) => decompressor,
            none => none.insert(Decompressor::new()?),
        };
        // The target is as long as the block may be: a block that says more is an error and no more memory.
        if decompressor.decompress_to_buffer(&self.packed, target).ok() != Some(len) {
            return Ok(false);
        }
        if shuffled {
            let distances = codec == Codec::DistancesZstd;
            super::shuffle::unshuffle(&self.shuffled[..len], item, distances, &mut self.raw[..len]);
        }
        Ok(true)
    }
}

/// The compressor of this level, made when the kept one is of another.
fn compressor<'a>(
    kept: &'a mut Option<(i32, Compressor<'static>)>,
    level: i32,
) -> std::io::Result<&'a mut Compressor<'static>> {
    let fitting = kept.take().filter(|(its, _)| *its == level);
    let (_, compressor) = kept.insert(match fitting {
        Some(fitting) => fitting,
        None => (level, Compressor::new(level)?),
    });
    Ok(compressor)
}

/// Bytes of what is shuffled: an element, or each part of a complex one.
pub(super) fn item_bytes(dtype: DataType) -> usize {
    match dtype {
        DataType::Complex64 | DataType::Complex128 => dtype.size_bytes() / 2,
        _ => dtype.size_bytes(),
    }
}
