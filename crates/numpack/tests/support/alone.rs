//! Tests that change or count what belongs to the whole process run in a process of their own: there no other
//! test forks, starts children, allocates or sets a limit beside them.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::folder::scratch;
use crate::procs::test_name;

/// Set in such a process: the folder to work in.
const FOLDER: &str = "NUMPACK_TEST_FOLDER";

/// The folder to work in, in a process that [`pass`] started.
pub(crate) fn folder() -> Option<PathBuf> {
    std::env::var_os(FOLDER).map(PathBuf::from)
}

/// Runs `command`, which is this binary or becomes it, for the test `name` of `module` alone, and expects it to
/// pass. There [`folder`] is `dir`.
pub(crate) fn pass(mut command: Command, module: &str, name: &str, dir: &Path) {
    let command = command.args(["--exact", &test_name(module, name), "--nocapture", "--test-threads=1"]);
    command.env(FOLDER, dir);
    let output = loop {
        match command.output() {
            // A child of another test, not yet started, has a program open that was just copied.
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
                thread::sleep(Duration::from_millis(1));
            }
            output => break output.unwrap(),
        }
    };
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// Runs `body`, which is all of the test `name` of `module`, in a process of its own, with a folder to work in.
pub(crate) fn alone(module: &str, name: &str, body: impl FnOnce(&Path)) {
    if let Some(dir) = folder() {
        return body(&dir);
    }
    let dir = scratch();
    pass(Command::new(std::env::current_exe().unwrap()), module, name, dir.path());
}
