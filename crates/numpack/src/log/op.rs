//! What a commit says: the operations of a record's payload and their bytes.
//!
//! Each operation is framed by tag, flags and length, so a reader can step over one that it may ignore and
//! must refuse one that it does not understand.

use super::codec::{Decoder, Encoder, Malformed};
use crate::disk::FileName;
use crate::rows::run::Run;
use crate::types::dtype::DataType;
use crate::types::error::NpkResult;

/// Flag of an operation that a reader may step over when it does not know the tag.
const MAY_IGNORE: u16 = 1;

/// A data file as the log names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileRecord {
    pub(crate) array: u64,
    pub(crate) generation: u64,
    /// Committed length in bytes.
    pub(crate) bytes: u64,
    /// Commit that took the file out of use.
    pub(crate) retired: u64,
}

/// A new array, or new contents under the name and id of an old one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Put {
    pub(crate) id: u64,
    pub(crate) generation: u64,
    pub(crate) dtype: DataType,
    /// Physical shape.
    pub(crate) shape: Vec<u64>,
    /// CRC-32C of the file's committed bytes, when it is known.
    pub(crate) checksum: Option<u32>,
    /// The file is the recycled one under its new name.
    pub(crate) reuses_recycled: bool,
    pub(crate) name: String,
}

impl Put {
    /// The array's data file.
    pub(crate) fn file(&self) -> FileName {
        FileName::Data { array: self.id, generation: self.generation }
    }
}

/// One array in a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ArrayRecord {
    pub(crate) put: Put,
    pub(crate) modified_us: u64,
    pub(crate) deleted: Vec<Run>,
}

/// One operation of a commit. Rows are physical; row data of a replace lies behind the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// The whole state, in place of everything before it.
    Snapshot {
        next_id: u64,
        recycled: Option<FileRecord>,
        arrays: Vec<ArrayRecord>,
    },
    Put(Put),
    /// `rows` more rows lie behind the committed ones.
    Append {
        id: u64,
        rows: u64,
        checksum: Option<u32>,
    },
    /// Rows of `runs`, in that order, get the bytes from `redo_offset` on; later runs win.
    Replace {
        id: u64,
        generation: u64,
        redo_offset: u64,
        row_bytes: u64,
        checksum: Option<u32>,
        runs: Vec<Run>,
    },
    Delete {
        id: u64,
        runs: Vec<Run>,
    },
    /// A new file holds the live rows alone.
    Compact {
        id: u64,
        generation: u64,
        rows: u64,
        checksum: Option<u32>,
    },
    Remove {
        id: u64,
    },
    Reset,
    /// A checkpoint is about to take this log's place: look at the name again.
    Moved,
    /// An array gets another name, which no array has.
    Rename {
        id: u64,
        name: String,
    },
    /// All data of this commit and of those before was durable before the record was written.
    Durable,
}

impl Op {
    fn tag(&self) -> u16 {
        match self {
            Op::Snapshot { .. } => 1,
            Op::Put(_) => 2,
            Op::Append { .. } => 3,
            Op::Replace { .. } => 4,
            Op::Delete { .. } => 5,
            Op::Compact { .. } => 6,
            Op::Remove { .. } => 7,
            Op::Reset => 8,
            Op::Moved => 9,
            Op::Rename { .. } => 10,
            Op::Durable => 11,
        }
    }

    fn flags(&self) -> u16 {
        // It changes nothing but how much a power cut may be thought to have taken.
        if *self == Op::Durable { MAY_IGNORE } else { 0 }
    }

    fn encode_body(&self, out: &mut Encoder) {
        match self {
            Op::Snapshot { next_id, recycled, arrays } => {
                encode_snapshot(out, *next_id, recycled.as_ref(), arrays)
            }
            Op::Put(put) => encode_put(out, put),
            Op::Append { id, rows, checksum } => {
                out.u64(*id);
                out.u64(*rows);
                out.checksum(*checksum);
            }
            Op::Replace { id, generation, redo_offset, row_bytes, checksum, runs } => {
                [*id, *generation, *redo_offset, *row_bytes].into_iter().for_each(|v| out.u64(v));
                out.checksum(*checksum);
                out.runs(runs);
            }
            Op::Delete { id, runs } => {
                out.u64(*id);
                out.runs(runs);
            }
            Op::Compact { id, generation, rows, checksum } => {
                [*id, *generation, *rows].into_iter().for_each(|v| out.u64(v));
                out.checksum(*checksum);
            }
            Op::Remove { id } => out.u64(*id),
            Op::Rename { id, name } => {
                out.u64(*id);
                out.text(name);
            }
            Op::Reset | Op::Moved | Op::Durable => {}
        }
    }

    fn decode_body(tag: u16, body: &mut Decoder<'_>) -> Result<Option<Op>, Malformed> {
        Ok(Some(match tag {
            1 => decode_snapshot(body)?,
            2 => Op::Put(decode_put(body)?),
            3 => Op::Append { id: body.u64()?, rows: body.u64()?, checksum: body.checksum()? },
            4 => Op::Replace {
                id: body.u64()?,
                generation: body.u64()?,
                redo_offset: body.u64()?,
                row_bytes: body.u64()?,
                checksum: body.checksum()?,
                runs: body.runs()?,
            },
            5 => Op::Delete { id: body.u64()?, runs: body.runs()? },
            6 => Op::Compact {
                id: body.u64()?,
                generation: body.u64()?,
                rows: body.u64()?,
                checksum: body.checksum()?,
            },
            7 => Op::Remove { id: body.u64()? },
            8 => Op::Reset,
            9 => Op::Moved,
            10 => Op::Rename { id: body.u64()?, name: body.text()?.to_owned() },
            11 => Op::Durable,
            _ => return Ok(None),
        }))
    }
}

/// The payload that says `ops`.
///
/// # Errors
/// `OutOfMemory`.
pub(crate) fn encode(ops: &[Op]) -> NpkResult<Vec<u8>> {
    let mut out = Encoder::default();
    for op in ops {
        out.u16(op.tag());
        out.u16(op.flags());
        let length_at = out.len();
        out.u32(0);
        op.encode_body(&mut out);
        let len = (out.len() - length_at).saturating_sub(4) as u32;
        out.set_u32(length_at, len);
    }
    out.finish()
}

/// The operations of a payload.
///
/// # Errors
/// What is malformed, or that an operation must be understood and is not.
pub(crate) fn decode(payload: &[u8]) -> Result<Vec<Op>, Malformed> {
    let mut input = Decoder::new(payload);
    let mut ops = Vec::new();
    while !input.is_empty() {
        let (tag, flags, len) = (input.u16()?, input.u16()?, input.u32()?);
        let mut body = Decoder::new(input.take(len as usize)?);
        match Op::decode_body(tag, &mut body)? {
            Some(op) if body.is_empty() => ops.push(op),
            Some(_) => return Err("an operation is longer than its fields".into()),
            None if flags & MAY_IGNORE != 0 => {}
            None => return Err("an operation is of a kind that this program does not know".into()),
        }
    }
    Ok(ops)
}

fn encode_put(out: &mut Encoder, put: &Put) {
    out.u64(put.id);
    out.u64(put.generation);
    out.u8(put.dtype.code());
    out.u8(u8::from(put.reuses_recycled));
    out.checksum(put.checksum);
    out.varint(put.shape.len() as u64);
    put.shape.iter().for_each(|&dim| out.u64(dim));
    out.text(&put.name);
}

fn decode_put(body: &mut Decoder<'_>) -> Result<Put, Malformed> {
    let (id, generation) = (body.u64()?, body.u64()?);
    let dtype = DataType::from_code(body.u8()?).ok_or("a dtype code is unknown")?;
    let reuses_recycled = body.u8()? == 1;
    let checksum = body.checksum()?;
    let shape = (0..body.count()?).map(|_| body.u64()).collect::<Result<_, _>>()?;
    let name = body.text()?.to_owned();
    Ok(Put { id, generation, dtype, shape, checksum, reuses_recycled, name })
}

fn encode_snapshot(out: &mut Encoder, next_id: u64, recycled: Option<&FileRecord>, arrays: &[ArrayRecord]) {
    out.u64(next_id);
    out.u8(u8::from(recycled.is_some()));
    if let Some(file) = recycled {
        [file.array, file.generation, file.bytes, file.retired].into_iter().for_each(|v| out.u64(v));
    }
    out.varint(arrays.len() as u64);
    for array in arrays {
        encode_put(out, &array.put);
        out.u64(array.modified_us);
        out.runs(&array.deleted);
    }
}

fn decode_snapshot(body: &mut Decoder<'_>) -> Result<Op, Malformed> {
    let next_id = body.u64()?;
    let recycled = match body.u8()? {
        0 => None,
        _ => Some(FileRecord {
            array: body.u64()?,
            generation: body.u64()?,
            bytes: body.u64()?,
            retired: body.u64()?,
        }),
    };
    let arrays = (0..body.count()?)
        .map(|_| Ok(ArrayRecord { put: decode_put(body)?, modified_us: body.u64()?, deleted: body.runs()? }))
        .collect::<Result<_, Malformed>>()?;
    Ok(Op::Snapshot { next_id, recycled, arrays })
}
