//! `ls`: the arrays of a store.

use numpack::package::{self, PackedArray};
use numpack::{ArrayMetadata, NpkResult};
use serde_json::{Value, json};

use crate::args::Ls;
use crate::open::open;
use crate::outcome::Outcome;
use crate::output::{Output, bytes, clean, shape};

/// Prints the arrays.
///
/// # Errors
/// Those of opening and printing.
pub(crate) fn ls(args: &Ls, output: &mut Output) -> NpkResult<Outcome> {
    if args.store.is_file() {
        return ls_package(args, output);
    }
    let mut arrays = open(&args.store)?.metadata()?;
    arrays.retain(|array| args.all || !array.is_hidden());
    if args.json {
        let arrays: Vec<Value> = arrays.iter().map(describe).collect();
        output.json(&json!({ "store": args.store.display().to_string(), "arrays": arrays }))?;
    } else {
        let row =
            |a: &ArrayMetadata| [clean(&a.name), a.dtype.to_string(), shape(&a.shape), bytes(a.size_bytes)];
        output.table(["NAME", "DTYPE", "SHAPE", "SIZE"], &arrays.iter().map(row).collect::<Vec<_>>())?;
    }
    Ok(Outcome::Fine)
}

fn ls_package(args: &Ls, output: &mut Output) -> NpkResult<Outcome> {
    let mut arrays = package::info(&args.store)?.arrays;
    arrays.retain(|array| args.all || !array.is_hidden());
    if args.json {
        let describe = |array: &PackedArray| {
            json!({
                "name": array.name,
                "dtype": array.dtype.name(),
                "shape": array.shape,
                "bytes": array.original_bytes,
                "deleted_rows": array.deleted_rows,
            })
        };
        let arrays: Vec<Value> = arrays.iter().map(describe).collect();
        output.json(&json!({ "package": args.store.display().to_string(), "arrays": arrays }))?;
    } else {
        let row =
            |a: &PackedArray| [clean(&a.name), a.dtype.to_string(), shape(&a.shape), bytes(a.original_bytes)];
        output.table(["NAME", "DTYPE", "SHAPE", "SIZE"], &arrays.iter().map(row).collect::<Vec<_>>())?;
    }
    Ok(Outcome::Fine)
}

/// What is known of an array, as JSON.
pub(crate) fn describe(array: &ArrayMetadata) -> Value {
    json!({
        "name": array.name,
        "dtype": array.dtype.name(),
        "shape": array.shape,
        "bytes": array.size_bytes,
        "deleted_rows": array.deleted_rows,
        "modified_us": array.last_modified,
    })
}
