//! `info`: where the bytes of a store are, and what a package holds.

use std::path::Path;

use numpack::package::{self, PackageInfo};
use numpack::{ArrayMetadata, NpkResult};
use serde_json::{Value, json};

use super::ls::describe;
use crate::args::Info;
use crate::open::open;
use crate::outcome::Outcome;
use crate::output::{Output, bytes, clean, shape};

/// Prints where the bytes are.
///
/// # Errors
/// Those of opening and printing.
pub(crate) fn info(args: &Info, output: &mut Output) -> NpkResult<Outcome> {
    if args.path.is_file() {
        return package_info(args, &package::info(&args.path)?, output);
    }
    let room = Room::of(&args.path, open(&args.path)?.metadata()?)?;
    if args.json {
        output.json(&room.json(&args.path, args.files))?;
        return Ok(Outcome::Fine);
    }
    let hidden = room.arrays.iter().filter(|(array, _)| array.is_hidden()).count();
    output.line(&format!("arrays   {}{}", room.arrays.len() - hidden, beside(hidden)))?;
    output.line(&format!("live     {}", bytes(room.live)))?;
    output.line(&format!("deleted  {}", bytes(room.deleted)))?;
    output.line(&format!("free     {}", bytes(room.free)))?;
    output.line(&format!("log      {}", bytes(room.log)))?;
    if args.files {
        output.line("")?;
        let row = |(a, len): &(ArrayMetadata, u64)| {
            [
                clean(&a.name),
                a.data_file.clone(),
                bytes(a.size_bytes),
                bytes(a.file_bytes - a.size_bytes),
                bytes(len - a.file_bytes),
            ]
        };
        let rows: Vec<_> = room.arrays.iter().map(row).collect();
        output.table(["NAME", "FILE", "LIVE", "DELETED", "FREE"], &rows)?;
    }
    Ok(Outcome::Fine)
}

/// Hidden arrays, beside a count of the others.
fn beside(hidden: usize) -> String {
    if hidden == 0 { String::new() } else { format!(" and {hidden} hidden") }
}

/// Where the bytes of a store are.
struct Room {
    /// With the length of each data file.
    arrays: Vec<(ArrayMetadata, u64)>,
    live: u64,
    deleted: u64,
    /// Bytes of data files that hold no rows, files that wait to be used again included.
    free: u64,
    log: u64,
}

impl Room {
    fn of(path: &Path, arrays: Vec<ArrayMetadata>) -> NpkResult<Room> {
        let mut room = Room { arrays: Vec::new(), live: 0, deleted: 0, free: 0, log: 0 };
        let (mut data, mut committed) = (0, 0);
        for entry in path.read_dir()? {
            let entry = entry?;
            let name = entry.file_name();
            // A file that a writer removed meanwhile takes no room.
            let len = entry.metadata().map_or(0, |metadata| metadata.len());
            match name.to_str() {
                Some(name) if name.ends_with(".npkd") => data += len,
                Some("metadata.npkm") => room.log = len,
                _ => {}
            }
        }
        for array in arrays {
            room.live += array.size_bytes;
            room.deleted += array.file_bytes - array.size_bytes;
            committed += array.file_bytes;
            let len = path.join(&array.data_file).metadata().map_or(0, |metadata| metadata.len());
            room.arrays.push((array.clone(), len.max(array.file_bytes)));
        }
        room.free = data.saturating_sub(committed);
        Ok(room)
    }

    fn json(&self, path: &Path, files: bool) -> Value {
        let describe = |(array, len): &(ArrayMetadata, u64)| {
            let mut value = describe(array);
            value["deleted_bytes"] = json!(array.file_bytes - array.size_bytes);
            value["free_bytes"] = json!(len - array.file_bytes);
            if files {
                value["file"] = json!(array.data_file);
            }
            value
        };
        json!({
            "store": path.display().to_string(),
            "live_bytes": self.live,
            "deleted_bytes": self.deleted,
            "free_bytes": self.free,
            "log_bytes": self.log,
            "arrays": self.arrays.iter().map(describe).collect::<Vec<_>>(),
        })
    }
}

fn package_info(args: &Info, info: &PackageInfo, output: &mut Output) -> NpkResult<Outcome> {
    if args.json {
        let describe = |array: &package::PackedArray| {
            json!({
                "name": array.name,
                "dtype": array.dtype.name(),
                "shape": array.shape,
                "deleted_rows": array.deleted_rows,
                "bytes": array.original_bytes,
                "packed_bytes": array.packed_bytes,
            })
        };
        output.json(&json!({
            "package": args.path.display().to_string(),
            "version": info.version,
            "file_bytes": info.file_bytes,
            "bytes": info.original_bytes(),
            "packed_bytes": info.packed_bytes(),
            "arrays": info.arrays.iter().map(describe).collect::<Vec<_>>(),
        }))?;
        return Ok(Outcome::Fine);
    }
    let hidden = info.arrays.iter().filter(|array| array.is_hidden()).count();
    output.line(&format!("arrays    {}{}", info.arrays.len() - hidden, beside(hidden)))?;
    output.line(&format!("unpacked  {}", bytes(info.original_bytes())))?;
    output.line(&format!("packed    {} ({:.1} %)", bytes(info.file_bytes), info.ratio() * 100.0))?;
    output.line("")?;
    let row = |a: &package::PackedArray| {
        [clean(&a.name), a.dtype.to_string(), shape(&a.shape), bytes(a.original_bytes), bytes(a.packed_bytes)]
    };
    let rows: Vec<_> = info.arrays.iter().map(row).collect();
    output.table(["NAME", "DTYPE", "SHAPE", "SIZE", "PACKED"], &rows)?;
    Ok(Outcome::Fine)
}
