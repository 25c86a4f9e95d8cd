//! `export`: what is checked before, what is converted here, and what the host converts, as for `import`.

use std::path::Path;

use numpack::disk::Partial;
use numpack::npy::{self, BLOCK};
use numpack::{ArrayMetadata, NpkError, NpkResult, Store};
use serde_json::json;

use super::converted::report;
use crate::args::Export;
use crate::failure::Failure;
use crate::formats::{Format, Host, Job, Place, Progress};
use crate::open::open;
use crate::outcome::Outcome;
use crate::output::Output;
use crate::progress::{Work, go_on};

/// Writes arrays to a file.
///
/// # Errors
/// Usage, and those of the conversion and of printing.
pub(crate) fn export(args: &Export, host: &Host<'_>, output: &mut Output) -> Result<Outcome, Failure> {
    let place = Place::of(&args.destination);
    let format = Format::of(&place, args.format)?;
    let store = open(&args.store)?;
    let arrays = chosen(&store, args, format)?;
    if let Place::Local(path) = &place {
        check_destination(path, format, args)?;
    }
    let names: Vec<String> = arrays.iter().map(|array| array.name.clone()).collect();
    let work = Work::new("exporting", !args.json)?;
    let job = Job {
        arguments: host.arguments,
        file: &args.destination,
        store: &args.store,
        format: format.name(),
        arrays: &names,
        name: None,
        overwrite: args.overwrite,
        chunk_size: args.chunk_size,
    };
    match (&place, names.as_slice()) {
        (Place::Local(path), [name]) if format == Format::Npy => {
            write_npy(&store, name, path, args, &work.progress())?;
        }
        _ => work.ended(host.formats.export(&job, work.progress()))?,
    }
    drop(work);
    let told = json!({
        "store": args.store.display().to_string(),
        "destination": place.path().display().to_string(),
        "format": format.name(),
        "file_bytes": place.path().metadata().ok().filter(|file| file.is_file()).map(|file| file.len()),
    });
    report(told, place.path(), (&arrays, args.json), output)
}

/// Writes an array to a `.npy` file, which appears when all of it is there.
fn write_npy(
    store: &Store,
    name: &str,
    path: &Path,
    args: &Export,
    progress: &Progress,
) -> Result<(), Failure> {
    let view = store.get_array_view(name)?;
    let partial = Partial::file(path)?;
    let size = args.chunk_size.map_or(BLOCK, |chunk| (chunk / 4).clamp(1, BLOCK));
    let total = view.shape().iter().product::<u64>() * view.dtype().size_bytes() as u64;
    npy::write(&view, partial.handle(), size, &mut go_on(progress, total)).map_err(|error| match error {
        NpkError::Io { path, source } if path.as_os_str().is_empty() => {
            NpkError::Io { path: partial.target().to_owned(), source }
        }
        other => other,
    })?;
    partial.publish(args.overwrite, false).map_err(|error| match error {
        NpkError::Io { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists => {
            Failure::exists(path)
        }
        other => other.into(),
    })
}

/// The arrays to write: those that are named, or all but bookkeeping.
fn chosen(store: &Store, args: &Export, format: Format) -> Result<Vec<ArrayMetadata>, Failure> {
    let arrays: Vec<ArrayMetadata> = if args.arrays.is_empty() {
        store.metadata()?.into_iter().filter(|array| !array.is_hidden()).collect()
    } else {
        args.arrays.iter().map(|name| store.get_array_metadata(name)).collect::<NpkResult<_>>()?
    };
    let names: Vec<String> = arrays.iter().map(|array| format!("{:?}", array.name)).collect();
    if let Some(twice) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        return Err(Failure::usage(format!("array {} is named twice", twice.1)));
    }
    if names.is_empty() {
        return Err(Failure::usage(format!("{} has no arrays", args.store.display())));
    }
    if format.holds_one() && names.len() > 1 {
        let text = format!("a {} file holds one array: name one of {}", format.name(), names.join(", "));
        return Err(Failure::usage(text));
    }
    Ok(arrays)
}

fn check_destination(path: &Path, format: Format, args: &Export) -> Result<(), Failure> {
    // A pipe or a device is there to be written to.
    let taken = path.metadata().is_ok_and(|found| found.is_file() || found.is_dir());
    if !args.overwrite && taken {
        return Err(Failure::exists(path));
    }
    if format != Format::Zarr && path.is_dir() {
        return Err(Failure::usage(format!("{} is a folder", path.display())));
    }
    let absolute = std::path::absolute(path)?;
    let Some(parent) = absolute.parent().and_then(|parent| parent.canonicalize().ok()) else {
        return Err(Failure::usage(format!("{}: there is no such folder to write into", path.display())));
    };
    if parent.starts_with(args.store.canonicalize()?) {
        return Err(Failure::usage(format!("{} lies in the store", path.display())));
    }
    Ok(())
}
