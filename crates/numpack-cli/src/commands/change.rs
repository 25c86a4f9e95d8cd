//! `append`, `drop`, `rename`, `clone` and `sync`: short commands, each of which is one call of the engine.

use std::path::Path;

use numpack::npy::Reader;
use numpack::{HIDDEN_PREFIX, NpkError, RawArray};
use serde_json::{Value, json};

use crate::args::{Append, Clone, Drop, Rename, Sync};
use crate::failure::Failure;
use crate::open::writable;
use crate::outcome::Outcome;
use crate::output::{Output, arrays, clean, rows, shape};

/// Appends the rows of a file.
///
/// # Errors
/// Usage; those of the file, of the engine and of printing.
pub(crate) fn append(args: &Append, output: &mut Output) -> Result<Outcome, Failure> {
    let store = writable(&args.store)?;
    let source = Reader::open(&args.file)?;
    let (dtype, header) = (source.dtype(), source.header().clone());
    let Some(&count) = header.shape.first() else {
        return Err(Failure::usage(format!("{} holds a scalar and no rows", args.file.display())));
    };
    // What does not fit is refused before the file is read.
    let stored = store.get_array_metadata(&args.array)?;
    let fits = stored.shape.get(1..) == header.shape.get(1..) && !stored.shape.is_empty();
    if stored.dtype != dtype || !fits {
        return Err(Failure::usage(format!(
            "{}: {} {} does not fit array {:?}, which is {} {}",
            args.file.display(),
            dtype,
            shape(&header.shape),
            args.array,
            stored.dtype,
            shape(&stored.shape)
        )));
    }
    let bytes = source.into_bytes()?;
    let given = RawArray { name: &args.array, dtype, shape: &header.shape, bytes: &bytes };
    store.append_raw(&[given])?;
    let text = format!("{} appended to {}", rows(count), clean(&args.array));
    done(&args.store, json!({ "array": args.array, "appended_rows": count }), &text, args.json, output)
}

/// Removes arrays, or deletes rows.
///
/// # Errors
/// Usage; those of the engine and of printing.
pub(crate) fn drop(args: &Drop, output: &mut Output) -> Result<Outcome, Failure> {
    let store = writable(&args.store)?;
    let Some(selection) = &args.rows else {
        let names: Vec<&str> = args.arrays.iter().map(String::as_str).collect();
        store.drop_many(&names)?;
        let text = format!("{} dropped", arrays(names.len()));
        return done(&args.store, json!({ "dropped": names }), &text, args.json, output);
    };
    let [name] = args.arrays.as_slice() else {
        return Err(Failure::usage(format!("--rows is for one array, and {} are named", args.arrays.len())));
    };
    let before = store.get_array_metadata(name)?.deleted_rows;
    store.drop_rows(name, *selection)?;
    let deleted = store.get_array_metadata(name)?.deleted_rows.saturating_sub(before);
    let text = format!("{} of {} deleted", rows(deleted), clean(name));
    done(&args.store, json!({ "array": name, "deleted_rows": deleted }), &text, args.json, output)
}

/// Gives an array another name.
///
/// # Errors
/// Usage; those of the engine and of printing.
pub(crate) fn rename(args: &Rename, output: &mut Output) -> Result<Outcome, Failure> {
    check_name(&args.name)?;
    writable(&args.store)?
        .rename_many(&[(&args.array, &args.name)], args.overwrite)
        .map_err(|error| taken(error, &args.store, ": --overwrite replaces it"))?;
    let text = format!("{} is {} now", clean(&args.array), clean(&args.name));
    done(&args.store, json!({ "array": args.array, "name": args.name }), &text, args.json, output)
}

/// Copies an array.
///
/// # Errors
/// Usage; those of the engine and of printing.
pub(crate) fn clone(args: &Clone, output: &mut Output) -> Result<Outcome, Failure> {
    check_name(&args.name)?;
    writable(&args.store)?
        .clone_array(&args.array, &args.name)
        .map_err(|error| taken(error, &args.store, ": numpack drop removes it"))?;
    let text = format!("{} is a copy of {}", clean(&args.name), clean(&args.array));
    done(&args.store, json!({ "array": args.array, "name": args.name }), &text, args.json, output)
}

/// Makes what was committed durable.
///
/// # Errors
/// Those of the engine and of printing.
pub(crate) fn sync(args: &Sync, output: &mut Output) -> Result<Outcome, Failure> {
    writable(&args.store)?.sync_metadata()?;
    let text = "what was committed survives a power cut";
    done(&args.store, json!({ "synced": true }), text, args.json, output)
}

fn taken(error: NpkError, store: &Path, advice: &str) -> Failure {
    match error {
        NpkError::ArrayExists(name) => {
            Failure::usage(format!("array {name:?} already exists in {}{advice}", store.display()))
        }
        other => other.into(),
    }
}

/// Refuses names that the engine or this program keeps for itself.
///
/// # Errors
/// Usage.
pub(super) fn check_name(name: &str) -> Result<(), Failure> {
    numpack::check_name(name)?;
    if name.starts_with(HIDDEN_PREFIX) {
        let text =
            format!("invalid array name {name:?}: those that begin with {HIDDEN_PREFIX} are not for users");
        return Err(Failure::usage(text));
    }
    Ok(())
}

/// Says what was done.
///
/// # Errors
/// Those of printing.
pub(super) fn done(
    store: &Path,
    mut told: Value,
    text: &str,
    as_json: bool,
    output: &mut Output,
) -> Result<Outcome, Failure> {
    let store = store.display().to_string();
    if as_json {
        told["store"] = json!(store);
        output.json(&told)?;
    } else {
        output.line(&format!("{}: {text}", clean(&store)))?;
    }
    Ok(Outcome::Fine)
}
