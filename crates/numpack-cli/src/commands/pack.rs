//! `pack`: a store in one file.

use numpack::NpkResult;
use numpack::package::{self, PackOptions, Progress};
use serde_json::json;

use crate::args::Pack;
use crate::outcome::Outcome;
use crate::output::{Output, arrays, bytes, clean};
use crate::progress::Work;

/// Packs a store.
///
/// # Errors
/// Those of [`package::pack`] and of printing.
pub(crate) fn pack(args: &Pack, output: &mut Output) -> NpkResult<Outcome> {
    let mut options = PackOptions::new().keep_deleted(args.keep_deleted).overwrite(args.overwrite);
    if args.no_compression {
        options = options.compression(None);
    } else if let Some(level) = args.level {
        options = options.compression(Some(level));
    }
    let work = Work::new("packing", !args.json)?;
    let step = |now: Progress| work.at(now.done, now.total);
    let path = package::pack(&args.store, args.package.as_deref(), options, step)?;
    drop(work);
    let info = package::info(&path)?;
    if args.json {
        output.json(&json!({
            "package": path.display().to_string(),
            "arrays": info.arrays.len(),
            "bytes": info.original_bytes(),
            "file_bytes": info.file_bytes,
        }))?;
    } else {
        let (from, to) = (bytes(info.original_bytes()), bytes(info.file_bytes));
        let path = clean(&path.display().to_string());
        output.line(&format!("{path}: {}, {from} in {to}", arrays(info.arrays.len())))?;
    }
    Ok(Outcome::Fine)
}
