//! Folders that are made on the way to a store or a file, and that a power cut must not take.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::types::error::{NpkError, NpkResult};
use crate::types::file_kind::FileKind;

/// Makes the missing folders up to `folder` and returns them, the outermost first.
///
/// # Errors
/// `Io`, with the new folders removed again.
pub(crate) fn make(folder: &Path) -> NpkResult<Vec<PathBuf>> {
    let missing = folder.ancestors().take_while(|path| path.symlink_metadata().is_err());
    // The last ancestor of a relative path is empty.
    let missing = missing.filter(|path| !path.as_os_str().is_empty());
    let mut missing: Vec<PathBuf> = missing.map(Path::to_owned).collect();
    missing.reverse();
    fs::create_dir_all(folder).map_err(|error| {
        remove_empty(&missing);
        NpkError::io(folder, error)
    })?;
    Ok(missing)
}

/// What the plain file at `path` looks like; `None` when something else is there, or nothing.
pub(crate) fn kind_of_file(path: &Path) -> Option<FileKind> {
    path.metadata().ok().filter(fs::Metadata::is_file)?;
    let (mut head, mut len) = ([0; 8], 0);
    if let Ok(mut file) = File::open(path) {
        while let Ok(more @ 1..) = file.read(&mut head[len..]) {
            len += more;
        }
    }
    Some(FileKind::new(path, &head[..len]))
}

/// Makes the names of new folders durable: each stands in its parent.
///
/// # Errors
/// The system's error.
pub(crate) fn sync_parents(made: &[PathBuf]) -> io::Result<()> {
    parents(made).try_for_each(|parent| match File::open(parent) {
        // A parent that may be written and passed through, but not listed.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        opened => opened?.sync_all(),
    })
}

fn parents(made: &[PathBuf]) -> impl Iterator<Item = &Path> {
    // A relative path of one part has an empty parent.
    made.iter().filter_map(|path| path.parent()).map(|parent| match parent.as_os_str().is_empty() {
        true => Path::new("."),
        false => parent,
    })
}

/// Removes those of the folders that hold nothing. One that somebody else uses meanwhile stays.
pub(crate) fn remove_empty(made: &[PathBuf]) {
    for path in made.iter().rev() {
        fs::remove_dir(path).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_of_every_new_folder_is_synced() {
        let dir = tempfile::tempdir().unwrap();
        let made = make(&dir.path().join("a/b/c")).unwrap();
        let expected = [dir.path().to_owned(), dir.path().join("a"), dir.path().join("a/b")];
        assert_eq!(parents(&made).collect::<Vec<_>>(), expected);
        sync_parents(&made).unwrap();
        assert!(make(&dir.path().join("a/b/c")).unwrap().is_empty());
    }

    #[test]
    fn a_relative_folder_stands_in_the_working_folder() {
        assert_eq!(parents(&[PathBuf::from("store")]).collect::<Vec<_>>(), [Path::new(".")]);
    }
}
