//! Child processes for tests: the test binary runs itself again, with a role in the environment.

use std::path::Path;
use std::process::{Command, Stdio};

const ROLE: &str = "NUMPACK_TEST_ROLE";
const STORE: &str = "NUMPACK_TEST_STORE";

/// A folder in memory where there is one, so that no test waits for a disk.
pub(crate) fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir()
        && let Ok(dir) = tempfile::tempdir_in(memory)
    {
        return dir;
    }
    tempfile::tempdir().expect("a temporary folder")
}

/// This binary again, running its test `child_entry` in `role` on the store at `path`.
pub(crate) fn child(role: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the path of this binary"));
    command.args(["--exact", "child_entry", "--nocapture", "--test-threads=1"]);
    command.env(ROLE, role).env(STORE, path);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command
}

/// The role and the store of this process; nothing in the process that the user started.
pub(crate) fn role() -> Option<(String, std::path::PathBuf)> {
    Some((std::env::var(ROLE).ok()?, std::env::var_os(STORE)?.into()))
}

/// Random numbers of no quality: instants and row numbers.
pub(crate) struct Random(u64);

impl Random {
    /// Another sequence in every run.
    pub(crate) fn new() -> Random {
        use std::hash::{BuildHasher, RandomState};
        Random(RandomState::new().hash_one(std::process::id()) | 1)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit.max(1)
    }
}
