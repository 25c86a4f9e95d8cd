//! The formats of `import` and `export`, and whoever converts those that are not this program's own.

use std::ffi::{OsStr, OsString};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;

use crate::failure::Failure;

/// How far a conversion is, in bytes done and, where it is known, in all; breaks when it is to stop.
pub type Progress = Arc<dyn Fn(u64, Option<u64>) -> ControlFlow<()> + Send + Sync>;

/// Converts the formats that Python libraries own. The host of the program has them: the Python package in the
/// same process, the stand-alone program through an interpreter.
pub trait Formats {
    /// Stores the arrays of `job.file` in `job.store`, in one commit, and returns their names.
    ///
    /// # Errors
    /// What to tell the user; nothing has been stored.
    fn import(&self, job: &Job<'_>, progress: Progress) -> Result<Vec<String>, Refusal>;

    /// Writes arrays of `job.store` to `job.file`.
    ///
    /// # Errors
    /// What to tell the user; nothing has been written.
    fn export(&self, job: &Job<'_>, progress: Progress) -> Result<(), Refusal>;
}

/// The program around a conversion.
pub(crate) struct Host<'a> {
    pub(crate) arguments: &'a [OsString],
    pub(crate) formats: &'a dyn Formats,
}

/// A conversion.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Job<'a> {
    /// The arguments of the program, for a host that hands them over to another program.
    pub arguments: &'a [OsString],
    /// The file, folder or `s3://` URL of the other format.
    pub file: &'a OsStr,
    /// The store's folder.
    pub store: &'a Path,
    /// Name of the format, such as `parquet`.
    pub format: &'static str,
    /// The arrays; all of them when none is named.
    pub arrays: &'a [String],
    /// Name that the only array gets, for an import.
    pub name: Option<&'a str>,
    /// Whether arrays of the same names, or the file, may be replaced.
    pub overwrite: bool,
    /// Bytes of memory for data; `None` for the format's own choice.
    pub chunk_size: Option<u64>,
}

/// Why a host did not convert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The exit status of the program: 2 when other arguments or an installation would help.
    pub status: i32,
    /// What to tell the user.
    pub text: String,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure::Told { status: refusal.status, text: refusal.text }
    }
}

/// A file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Npy,
    Npz,
    Csv,
    Txt,
    Hdf5,
    Zarr,
    Parquet,
    Feather,
    Pt,
    Safetensors,
}

/// Endings of file names.
const ENDINGS: [(&str, Format); 15] = [
    ("npy", Format::Npy),
    ("npz", Format::Npz),
    ("csv", Format::Csv),
    ("txt", Format::Txt),
    ("tsv", Format::Txt),
    ("h5", Format::Hdf5),
    ("hdf5", Format::Hdf5),
    ("zarr", Format::Zarr),
    ("parquet", Format::Parquet),
    ("pq", Format::Parquet),
    ("feather", Format::Feather),
    ("arrow", Format::Feather),
    ("pt", Format::Pt),
    ("pth", Format::Pt),
    ("safetensors", Format::Safetensors),
];

impl Format {
    /// The name, as for `--format`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Format::Npy => "npy",
            Format::Npz => "npz",
            Format::Csv => "csv",
            Format::Txt => "txt",
            Format::Hdf5 => "hdf5",
            Format::Zarr => "zarr",
            Format::Parquet => "parquet",
            Format::Feather => "feather",
            Format::Pt => "pt",
            Format::Safetensors => "safetensors",
        }
    }

    /// Whether a file holds one array, without a name.
    pub(crate) fn holds_one(self) -> bool {
        matches!(self, Format::Npy | Format::Csv | Format::Txt | Format::Parquet | Format::Feather)
    }

    /// The format asked for, or that of the ending.
    ///
    /// # Errors
    /// Usage, when no format has this ending.
    pub(crate) fn of(place: &Place, asked: Option<Format>) -> Result<Format, Failure> {
        let path = place.path();
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase());
        let known = ending.and_then(|ending| ENDINGS.iter().find(|(known, _)| *known == ending));
        asked.or(known.map(|(_, format)| *format)).ok_or_else(|| {
            let names = Format::value_variants().iter().map(|format| format.name()).collect::<Vec<_>>();
            Failure::usage(format!(
                "{}: the ending names no format: choose one by --format: {}",
                path.display(),
                names.join(", ")
            ))
        })
    }
}

/// Where the file of the other format is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On a disk.
    Local(PathBuf),
    /// An object in S3, by its URL.
    S3(PathBuf),
}

impl Place {
    pub(crate) fn of(argument: &OsStr) -> Place {
        let path = PathBuf::from(argument);
        if argument.as_encoded_bytes().starts_with(b"s3://") { Place::S3(path) } else { Place::Local(path) }
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Place::Local(path) | Place::S3(path) => path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_and_wishes() {
        let of = |text: &str, asked| Format::of(&Place::of(OsStr::new(text)), asked).ok();
        assert_eq!(of("a/b.NPY", None), Some(Format::Npy));
        assert_eq!(of("s3://bucket/key.tsv", None), Some(Format::Txt));
        assert_eq!(of("b.tar", None), None);
        assert_eq!(of("b", Some(Format::Pt)), Some(Format::Pt));
        for format in Format::value_variants() {
            let name = format.to_possible_value().map(|value| value.get_name().to_owned());
            assert_eq!(name.as_deref(), Some(format.name()));
            assert!(ENDINGS.iter().any(|(ending, known)| known == format && *ending == format.name()));
        }
    }
}
