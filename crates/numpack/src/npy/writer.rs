//! A `.npy` file of rows that a store has.

use std::fs::File;
use std::io::Write;
use std::sync::mpsc::{channel, sync_channel};
use std::thread;

use super::header::{ALIGNED, MAGIC, code_of};
use crate::store::ArrayView;
use crate::types::dtype::DataType;
use crate::types::error::NpkResult;

/// What stands before the elements of an array of this shape in C order, in version 1 of the format.
pub fn header(dtype: DataType, shape: &[u64]) -> Vec<u8> {
    let order = if dtype.size_bytes() == 1 { '|' } else { '<' };
    let shape: String = match shape {
        [one] => format!("({one},)"),
        _ => format!("({})", shape.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")),
    };
    let code = code_of(dtype);
    let dict = format!("{{'descr': '{order}{code}', 'fortran_order': False, 'shape': {shape}, }}");
    let before = MAGIC.len() + 4;
    let length = (before + dict.len() + 1).next_multiple_of(ALIGNED) - before;
    let mut bytes = [MAGIC, &[1, 0][..], &(length as u16).to_le_bytes(), dict.as_bytes()].concat();
    bytes.resize(before + length - 1, b' ');
    bytes.push(b'\n');
    bytes
}

/// Writes an array to a file, in blocks of at most `size` bytes; `go_on` is told the bytes of each, and an error of it
/// ends the call. The next block is read while one is written.
///
/// # Errors
/// `OutOfMemory`, `Corrupted`; `Io`, with an empty path for those of `file`; those of `go_on`.
pub fn write(
    view: &ArrayView,
    mut file: &File,
    size: u64,
    go_on: &mut dyn FnMut(u64) -> NpkResult<()>,
) -> NpkResult<()> {
    file.write_all(&header(view.dtype(), view.shape()))?;
    let row = view.shape().iter().skip(1).product::<u64>() * view.dtype().size_bytes() as u64;
    if row == 0 {
        return Ok(());
    }
    let step = (size / row).max(1);
    let starts = (0..view.len()).step_by(usize::try_from(step).unwrap_or(usize::MAX));
    let read = |start: u64, room| view.row_bytes_in(start..start.saturating_add(step), room);
    let mut put = |block: NpkResult<Vec<u8>>| {
        let block = block?;
        file.write_all(&block)?;
        go_on(block.len() as u64).map(|()| block)
    };
    let alone = |put: &mut dyn FnMut(NpkResult<Vec<u8>>) -> NpkResult<Vec<u8>>| {
        let mut starts = starts.clone();
        starts.try_fold(Vec::new(), |room, start| put(read(start, room))).map(drop)
    };
    if view.len() <= step {
        return alone(&mut put);
    }
    thread::scope(|scope| {
        // Two blocks take turns: new memory for each costs as much as reading it.
        let (full, blocks) = sync_channel(1);
        let (empty, rooms) = channel();
        let starts = starts.clone();
        let reader = thread::Builder::new().spawn_scoped(scope, move || {
            for (start, room) in starts.zip(rooms) {
                if full.send(read(start, room)).is_err() {
                    break;
                }
            }
        });
        if reader.is_err() {
            // No thread to be had.
            return alone(&mut put);
        }
        let give = |room| empty.send(room).unwrap_or_default();
        give(Vec::new());
        give(Vec::new());
        blocks.iter().try_for_each(|block| put(block).map(give))
    })
}
