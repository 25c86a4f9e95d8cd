//! Why a command ended without its result, and the exit status that says so.

use std::io::ErrorKind;
use std::path::Path;

use numpack::disk::FileName;
use numpack::{FileKind, NpkError};

/// The exit status of a program that Ctrl-C has ended.
const INTERRUPTED: i32 = 130;

/// What ended a command.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An error of the engine, or of printing.
    Store(NpkError),
    /// Anything else, in words.
    Told {
        /// The exit status.
        status: i32,
        /// One line.
        text: String,
    },
}

impl Failure {
    /// Arguments that cannot be followed.
    pub(crate) fn usage(text: impl Into<String>) -> Failure {
        Failure::Told { status: 2, text: text.into() }
    }

    /// Something is there already that only `--overwrite` replaces.
    pub(crate) fn exists(path: &Path) -> Failure {
        Failure::usage(format!("{} already exists: --overwrite replaces it", path.display()))
    }

    /// Ctrl-C.
    pub(crate) fn interrupted() -> Failure {
        Failure::Told { status: INTERRUPTED, text: "interrupted".into() }
    }

    /// The exit status: 2 when other arguments would help.
    pub(crate) fn status(&self) -> i32 {
        match self {
            Failure::Store(error) => status(error),
            Failure::Told { status, .. } => *status,
        }
    }

    /// What to tell the user.
    pub(crate) fn text(&self) -> String {
        match self {
            _ if self.status() == INTERRUPTED => "interrupted".into(),
            Failure::Store(NpkError::NotAStore { path, kind }) => {
                let (text, path) = (format!("{} is {kind}, and not a store", path.display()), path.display());
                match kind {
                    FileKind::Package => format!("{text}: numpack unpack {path} makes one of it"),
                    FileKind::Other => text,
                    _ => format!("{text}: numpack import {path} STORE brings it into one"),
                }
            }
            Failure::Store(error @ NpkError::Corrupted { file, .. }) if is_of_a_store(file) => {
                format!("{error}; `numpack repair OLD NEW` makes a new store of what is intact")
            }
            Failure::Store(error) => error.to_string(),
            Failure::Told { text, .. } => text.clone(),
        }
    }

    /// `numpack ls data.npk | head -1`: the reader has seen enough.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Failure::Store(NpkError::Io { path, source })
            if path.as_os_str().is_empty() && source.kind() == ErrorKind::BrokenPipe)
    }
}

impl From<NpkError> for Failure {
    fn from(error: NpkError) -> Failure {
        Failure::Store(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        Failure::Store(error.into())
    }
}

/// Whether a damaged file is one that a repair can go around: not a package.
fn is_of_a_store(file: &Path) -> bool {
    file.file_name().and_then(|name| name.to_str()).and_then(FileName::parse).is_some()
}

fn status(error: &NpkError) -> i32 {
    match error {
        NpkError::ArrayNotFound(_)
        | NpkError::ArrayExists(_)
        | NpkError::InvalidArgument { .. }
        | NpkError::InvalidName { .. }
        | NpkError::InvalidShape { .. }
        | NpkError::VectorShape { .. }
        | NpkError::DimensionMismatch { .. }
        | NpkError::SetMismatch { .. }
        | NpkError::MaskMismatch { .. }
        | NpkError::NotAStore { .. }
        | NpkError::InvalidDtype { .. }
        | NpkError::UnsupportedDtype { .. }
        | NpkError::IndexOutOfBounds { .. } => 2,
        NpkError::Cancelled => INTERRUPTED,
        NpkError::Io { source, .. } => match source.kind() {
            ErrorKind::NotFound
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
            | ErrorKind::AlreadyExists => 2,
            ErrorKind::Interrupted => INTERRUPTED,
            _ => 1,
        },
        _ => 1,
    }
}
