//! `import`: what is checked before, what is converted here, and what the host converts.
//!
//! `.npy` files on a disk are converted here in every program; all else is the host's, see [`crate::Formats`].

use std::path::Path;

use numpack::disk::is_vacant;
use numpack::npy::Reader;
use numpack::{Existing, HIDDEN_PREFIX, NpkError, NpkResult, OpenOptions};
use serde_json::json;

use super::converted::report;
use crate::args::Import;
use crate::failure::Failure;
use crate::formats::{Format, Host, Job, Place, Progress};
use crate::open::{open, writable};
use crate::outcome::Outcome;
use crate::output::Output;
use crate::progress::{Work, go_on};

/// Stores the arrays of a file.
///
/// # Errors
/// Usage, and those of the conversion and of printing.
pub(crate) fn import(args: &Import, host: &Host<'_>, output: &mut Output) -> Result<Outcome, Failure> {
    let place = Place::of(&args.source);
    let format = Format::of(&place, args.format)?;
    check_import(args, &place, format)?;
    let work = Work::new("importing", !args.json)?;
    let names = match &place {
        Place::Local(path) if format == Format::Npy => vec![import_npy(args, path, &work.progress())?],
        _ => {
            let job = Job {
                arguments: host.arguments,
                file: &args.source,
                store: &args.store,
                format: format.name(),
                arrays: &args.arrays,
                name: args.name.as_deref(),
                overwrite: args.overwrite,
                chunk_size: args.chunk_size,
            };
            work.ended(host.formats.import(&job, work.progress()))?
        }
    };
    drop(work);
    let store = open(&args.store)?;
    let arrays = names.iter().map(|name| store.get_array_metadata(name)).collect::<NpkResult<Vec<_>>>()?;
    let told = json!({
        "source": place.path().display().to_string(),
        "format": format.name(),
        "store": args.store.display().to_string(),
    });
    report(told, &args.store, (&arrays, args.json), output)
}

fn check_import(args: &Import, place: &Place, format: Format) -> Result<(), Failure> {
    if let Place::Local(path) = place {
        path.metadata().map_err(|source| NpkError::Io { path: path.clone(), source })?;
        if format != Format::Zarr && path.is_dir() {
            return Err(Failure::usage(format!(
                "{} is a folder and no {} file",
                path.display(),
                format.name()
            )));
        }
    }
    if let Some(name) = &args.name {
        check_name(name)?;
    }
    if format.holds_one() && !args.arrays.is_empty() {
        let text = format!("a {} file holds one array without a name: --name gives it one", format.name());
        return Err(Failure::usage(text));
    }
    if args.arrays.len() > 1 && args.name.is_some() {
        return Err(Failure::usage(format!("--name is for one array, and {} are picked", args.arrays.len())));
    }
    // What is not a store is refused before anything is read.
    if is_there(&args.store)? {
        writable(&args.store)?;
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), Failure> {
    numpack::check_name(name)?;
    if name.starts_with(HIDDEN_PREFIX) {
        let text =
            format!("invalid array name {name:?}: those that begin with {HIDDEN_PREFIX} are not for users");
        return Err(Failure::usage(text));
    }
    Ok(())
}

/// Whether there is something else than an empty folder.
fn is_there(path: &Path) -> NpkResult<bool> {
    let vacant = is_vacant(path).map_err(|source| NpkError::Io { path: path.to_owned(), source })?;
    Ok(!vacant)
}

fn import_npy(args: &Import, path: &Path, progress: &Progress) -> Result<String, Failure> {
    let source = Reader::open(path)?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => stem(path)?,
    };
    check_name(&name)?;
    if !args.overwrite && is_there(&args.store)? && writable(&args.store)?.has_array(&name) {
        return Err(array_exists(&name, &args.store));
    }
    bring(&source, &name, args, progress).map_err(|error| match error {
        NpkError::ArrayExists(name) => array_exists(&name, &args.store),
        other => other.into(),
    })?;
    Ok(name)
}

/// What a file's array is called: as the file, without its ending.
fn stem(path: &Path) -> Result<String, Failure> {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    let none = || Failure::usage(format!("{} gives no name to its array: use --name", path.display()));
    stem.map(str::to_owned).ok_or_else(none)
}

fn array_exists(name: &str, store: &Path) -> Failure {
    Failure::usage(format!("array {name:?} already exists in {}: --overwrite replaces it", store.display()))
}

fn bring(source: &Reader, name: &str, args: &Import, progress: &Progress) -> NpkResult<()> {
    let mut ingest = OpenOptions::new().ingest(&args.store)?;
    let mut writer = ingest.array(name, source.dtype(), &source.header().shape)?;
    let size = args.chunk_size.map_or(u64::MAX, |chunk| (chunk / 4).max(1));
    source.copy_to(&mut writer, size, &mut go_on(progress, source.bytes()))?;
    ingest.add(writer)?;
    ingest.commit(if args.overwrite { Existing::Replace } else { Existing::Keep })
}
