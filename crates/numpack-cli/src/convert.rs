//! `import` and `export`: what is checked before, what is converted here, and what the host converts.
//!
//! `.npy` files on a disk are converted here in every program; all else is the host's, see [`crate::Formats`].

use std::ffi::OsString;
use std::path::Path;

use numpack::disk::Partial;
use numpack::{ArrayMetadata, HIDDEN_PREFIX, Incoming, Mode, NpkError, NpkResult, OpenOptions, Store};
use serde_json::{Value, json};

use crate::Outcome;
use crate::args::{Export, Import};
use crate::failure::Failure;
use crate::formats::{Format, Formats, Job, Place, Progress, Refusal};
use crate::inspect::open;
use crate::npy::{self, Source};
use crate::output::{self, Output, bytes, clean, shape};
use crate::progress::Work;

/// The program around a conversion.
pub(crate) struct Host<'a> {
    pub(crate) arguments: &'a [OsString],
    pub(crate) formats: &'a dyn Formats,
}

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
    // What is no store is refused before anything is read.
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

fn writable(path: &Path) -> NpkResult<Store> {
    OpenOptions::new().mode(Mode::ReadWrite).open(path)
}

/// Whether there is something else than an empty folder.
fn is_there(path: &Path) -> NpkResult<bool> {
    if path.symlink_metadata().is_err() {
        return Ok(false);
    }
    let io = |source| NpkError::Io { path: path.to_owned(), source };
    Ok(path.read_dir().map_err(io)?.next().is_some())
}

fn import_npy(args: &Import, path: &Path, progress: &Progress) -> Result<String, Failure> {
    let mut source = Source::open(path)?;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => stem(path)?,
    };
    check_name(&name)?;
    if is_there(&args.store)? {
        let store = writable(&args.store)?;
        save(&store, &mut source, &name, args, progress).map_err(|error| match error {
            NpkError::ArrayExists(name) => array_exists(&name, &args.store),
            other => other.into(),
        })?;
        store.close()?;
    } else {
        // Of a link to an empty folder the folder is meant.
        let target = args.store.canonicalize().unwrap_or_else(|_| args.store.clone());
        let partial = Partial::folder(&target)?;
        let store = OpenOptions::new().open(partial.path())?;
        save(&store, &mut source, &name, args, progress)?;
        store.close()?;
        partial.publish(false, false)?;
    }
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

fn save(
    store: &Store,
    source: &mut Source<'_>,
    name: &str,
    args: &Import,
    progress: &Progress,
) -> NpkResult<()> {
    let header = source.header().clone();
    // Names of columns that the array before came with.
    let columns = format!("{HIDDEN_PREFIX}columns/{name}");
    let array = Incoming {
        name,
        dtype: header.dtype,
        shape: &header.shape,
        overwrite: args.overwrite,
        dropped: &[&columns],
    };
    store.save_from(&array, |writer| {
        source.each_block(npy::block_size(args.chunk_size), |block| {
            writer.write(block)?;
            npy::go_on(progress, header.bytes - writer.missing(), header.bytes)
        })
    })
}

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
            let target = (path.as_path(), args.overwrite);
            npy::export(&store, name, target, args.chunk_size, &work.progress()).map_err(
                |error| match error {
                    NpkError::Io { source, .. } if source.kind() == std::io::ErrorKind::AlreadyExists => {
                        Failure::exists(path)
                    }
                    other => other.into(),
                },
            )?;
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
    if !args.overwrite && path.symlink_metadata().is_ok() {
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

/// Prints what was converted.
fn report(
    mut told: Value,
    target: &Path,
    (arrays, as_json): (&[ArrayMetadata], bool),
    output: &mut Output,
) -> Result<Outcome, Failure> {
    if as_json {
        let describe = |array: &ArrayMetadata| {
            json!({
                "name": array.name,
                "dtype": array.dtype.name(),
                "shape": array.shape,
                "bytes": array.size_bytes,
            })
        };
        told["arrays"] = arrays.iter().map(describe).collect();
        output.json(&told)?;
        return Ok(Outcome::Fine);
    }
    let row = |a: &ArrayMetadata| [clean(&a.name), a.dtype.to_string(), shape(&a.shape), bytes(a.size_bytes)];
    output.table(["NAME", "DTYPE", "SHAPE", "SIZE"], &arrays.iter().map(row).collect::<Vec<_>>())?;
    let all: u64 = arrays.iter().map(|array| array.size_bytes).sum();
    let target = clean(&target.display().to_string());
    output.line(&format!("{target}: {}, {}", output::arrays(arrays.len()), bytes(all)))?;
    Ok(Outcome::Fine)
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure::Told { status: refusal.status, text: refusal.text }
    }
}
