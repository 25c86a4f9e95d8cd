//! Where the stores of tests lie.

use std::path::Path;

use tempfile::TempDir;

/// A folder in memory where there is one, so that no test waits for a disk.
pub(crate) fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir()
        && let Ok(dir) = tempfile::tempdir_in(memory)
    {
        return dir;
    }
    tempfile::tempdir().expect("a temporary folder")
}
