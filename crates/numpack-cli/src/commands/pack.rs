//! `pack`: a store in one file.

use std::path::Path;

use numpack::package::{self, PackOptions, Progress};
use serde_json::json;

use crate::args::Pack;
use crate::failure::Failure;
use crate::outcome::Outcome;
use crate::output::{Output, arrays, bytes, clean};
use crate::progress::Work;

/// Refuses what would become a folder or a file of a strange name.
fn check_target(target: &Path) -> Result<(), Failure> {
    let text = target.to_string_lossy();
    let refused = |why: &str| Err(Failure::usage(format!("{text}: {why}")));
    if text.contains("://") {
        return refused("a package is a file on a disk: pack it there, and copy it");
    }
    if text.ends_with('/') || target.is_dir() {
        return refused("it is a folder: name the file in it, such as data.npkg");
    }
    Ok(())
}

/// Packs a store.
///
/// # Errors
/// Usage, and those of [`package::pack`] and of printing.
pub(crate) fn pack(args: &Pack, output: &mut Output) -> Result<Outcome, Failure> {
    if let Some(target) = &args.package {
        check_target(target)?;
    }
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
    let shown = info.arrays.iter().filter(|array| !array.is_hidden()).count();
    if args.json {
        output.json(&json!({
            "package": path.display().to_string(),
            "arrays": shown,
            "bytes": info.original_bytes(),
            "file_bytes": info.file_bytes,
        }))?;
    } else {
        let (from, to) = (bytes(info.original_bytes()), bytes(info.file_bytes));
        let path = clean(&path.display().to_string());
        output.line(&format!("{path}: {}, {from} in {to}", arrays(shown)))?;
    }
    Ok(Outcome::Fine)
}
