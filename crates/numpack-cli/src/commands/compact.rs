//! `compact`: arrays without their deleted rows.

use numpack::NpkResult;
use serde_json::{Value, json};

use crate::args::Compact;
use crate::open::writable;
use crate::outcome::Outcome;
use crate::output::{Output, bytes, clean};

/// Rewrites arrays that have deleted rows.
///
/// # Errors
/// Those of opening, compacting and printing.
pub(crate) fn compact(args: &Compact, output: &mut Output) -> NpkResult<Outcome> {
    let store = writable(&args.store)?;
    let names = if args.arrays.is_empty() { store.list_all_arrays() } else { args.arrays.clone() };
    // An unknown name is refused before any array is rewritten.
    let arrays = names.iter().map(|name| store.get_array_metadata(name)).collect::<NpkResult<Vec<_>>>()?;
    let mut done = Vec::new();
    for array in arrays.iter().filter(|array| array.deleted_rows > 0) {
        store.compact_array(&array.name)?;
        done.push((&array.name, array.deleted_rows, array.file_bytes - array.size_bytes));
    }
    store.sync_metadata()?;
    let freed: u64 = done.iter().map(|(_, _, freed)| freed).sum();
    if args.json {
        let array =
            |(name, rows, freed): &(&String, u64, u64)| json!({ "name": name, "rows": rows, "bytes": freed });
        let arrays: Vec<Value> = done.iter().map(array).collect();
        output.json(
            &json!({ "store": args.store.display().to_string(), "freed_bytes": freed, "arrays": arrays }),
        )?;
        return Ok(Outcome::Fine);
    }
    for (name, rows, freed) in &done {
        output.line(&format!("{}: {rows} deleted rows, {}", clean(name), bytes(*freed)))?;
    }
    output.line(&format!("{} freed in {} of {} arrays", bytes(freed), done.len(), arrays.len()))?;
    Ok(Outcome::Fine)
}
