//! Child processes for tests: the test binary runs itself again, with a role in the environment.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const ROLE: &str = "NUMPACK_TEST_ROLE";
const STORE: &str = "NUMPACK_TEST_STORE";

/// This binary again, running the test `child_entry` of `module` in `role` on the store at `path`.
pub(crate) fn child(module: &str, role: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the path of this binary"));
    let test = test_name(module, "child_entry");
    command.args(["--exact", &test, "--nocapture", "--test-threads=1"]);
    command.env(ROLE, role).env(STORE, path);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}

/// The role and the store of this process; nothing in the process that the user started.
pub(crate) fn role() -> Option<(String, PathBuf)> {
    Some((std::env::var(ROLE).ok()?, std::env::var_os(STORE)?.into()))
}

/// The name that the test harness knows a test of `module` by: its path without the name of the binary.
pub(crate) fn test_name(module: &str, test: &str) -> String {
    let (_, inside) = module.split_once("::").expect("a module of the binary");
    format!("{inside}::{test}")
}
