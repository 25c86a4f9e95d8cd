//! The formats of the stand-alone program: they are handed over to the program of the Python package.
//!
//! Both are this library, so the other one does what this one was asked to. It takes the place of this process:
//! terminal, signals and exit status are its own.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::formats::{Formats, Job, Progress, Refusal};

/// Names the interpreter to use.
const VARIABLE: &str = "NUMPACK_PYTHON";

/// Tells the version of the package. Another package may have the same name and the same version: what tells them
/// apart is the function that converts, which only ours has.
const LOOK: &str = "\
import numpack
try:
    from numpack.io._program import import_file
except ImportError:
    print(\"another\")
else:
    print(\"numpack\", numpack.__version__)
";

/// Starts a Python interpreter that has the package `numpack` of this version: the one that the environment
/// variable `NUMPACK_PYTHON` names, or `python3`, or `python`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Interpreter;

impl Formats for Interpreter {
    fn import(&self, job: &Job<'_>, _progress: Progress) -> Result<Vec<String>, Refusal> {
        Err(hand_over(job))
    }

    fn export(&self, job: &Job<'_>, _progress: Progress) -> Result<(), Refusal> {
        Err(hand_over(job))
    }
}

/// Goes on as the other program; returns only what kept it from that.
fn hand_over(job: &Job<'_>) -> Refusal {
    let mut tried = Vec::new();
    for python in interpreters() {
        match look(&python) {
            Ok(()) => {
                let error = program(&python).args(job.arguments).exec();
                return Refusal { status: 1, text: format!("{}: {error}", python.display()) };
            }
            Err(why) => tried.push(format!("{} {why}", python.display())),
        }
    }
    let (format, version) = (job.format, env!("CARGO_PKG_VERSION"));
    let extra = match format {
        _ if job.file.as_encoded_bytes().starts_with(b"s3://") => "[s3]",
        "npz" | "csv" | "txt" => "",
        "pt" => "[torch]",
        other => &format!("[{other}]"),
    };
    let text = format!(
        "{format} files are converted by the Python package numpack {version}: {}; install it from the folder of its \
         source by python3 -m pip install '.{extra}', or name an interpreter that has it by {VARIABLE}",
        tried.join(", ")
    );
    Refusal { status: 2, text }
}

fn interpreters() -> Vec<OsString> {
    match std::env::var_os(VARIABLE).filter(|python| !python.is_empty()) {
        Some(python) => vec![python],
        None => vec!["python3".into(), "python".into()],
    }
}

/// Whether this interpreter has the package in this version; why not, in words.
fn look(python: &OsString) -> Result<(), String> {
    let output = isolated(python).args(["-c", LOOK]).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("cannot be started ({error})"))?;
    let expected = concat!("numpack ", env!("CARGO_PKG_VERSION"));
    match String::from_utf8_lossy(&output.stdout).trim() {
        found if found == expected => Ok(()),
        found if found.starts_with("numpack ") => Err(format!("has {found}")),
        "another" => Err("has another package of that name".into()),
        _ => Err("does not have it".into()),
    }
}

fn program(python: &OsString) -> Command {
    let mut command = isolated(python);
    command.args(["-m", "numpack"]);
    command
}

/// The interpreter, which does not take a file `csv.py` beside the data for Python's own.
fn isolated(python: &OsString) -> Command {
    let mut command = Command::new(python);
    command.env("PYTHONSAFEPATH", "1");
    command
}
