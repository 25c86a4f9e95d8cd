//! The program `numpack`: looks into stores of arrays, checks, compacts, packs and unpacks them.
//!
//! A library with one entry, so that the program of the Python package is the same. Results go to the
//! standard output, as a table or as JSON; everything else goes to the standard error.

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod args;
mod head;
mod inspect;
mod maintain;
mod output;
mod packages;
mod progress;
mod stats;
mod values;

use std::ffi::OsString;
use std::io::ErrorKind;

use clap::Parser;
use numpack::{NpkError, NpkResult};

use args::{Args, Command};
use output::Output;

/// The exit status of a program that Ctrl-C has ended.
const INTERRUPTED: i32 = 130;

/// How a command ended that could do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing to complain of.
    Fine,
    /// Damage was found.
    Finding,
}

/// Runs the program with its arguments, the program's name not among them, and returns the exit status:
/// 0 when all went well, 1 for damage or work that failed, 2 for arguments that cannot be followed, 130 when
/// it was interrupted.
pub fn run(args: impl IntoIterator<Item = OsString>) -> i32 {
    let args = match Args::try_parse_from([OsString::from("numpack")].into_iter().chain(args)) {
        Ok(args) => args,
        Err(error) => {
            // Help and version are no errors; nobody is left to be told when this cannot be printed.
            error.print().unwrap_or_default();
            return error.exit_code();
        }
    };
    let mut output = Output::new();
    let result = follow(&args.command, &mut output).and_then(|outcome| output.flush().map(|()| outcome));
    match result {
        Ok(Outcome::Fine) => 0,
        Ok(Outcome::Finding) => 1,
        // `numpack ls data.npk | head -1`: the reader has seen enough.
        Err(NpkError::Io { path, source })
            if path.as_os_str().is_empty() && source.kind() == ErrorKind::BrokenPipe =>
        {
            0
        }
        Err(error) => {
            match status(&error) {
                INTERRUPTED => eprintln!("numpack: interrupted"),
                _ => eprintln!("numpack: {}", output::clean(&error.to_string())),
            }
            status(&error)
        }
    }
}

fn follow(command: &Command, output: &mut Output) -> NpkResult<Outcome> {
    match command {
        Command::Ls(args) => inspect::list(args, output),
        Command::Info(args) => inspect::info(args, output),
        Command::Head(args) => head::head(args, output),
        Command::Stats(args) => stats::stats(args, output),
        Command::Verify(args) => maintain::verify(args, output),
        Command::Compact(args) => maintain::compact(args, output),
        Command::Pack(args) => packages::pack(args, output),
        Command::Unpack(args) => packages::unpack(args, output),
    }
}

/// The exit status of an error: 2 when other arguments would help.
fn status(error: &NpkError) -> i32 {
    match error {
        NpkError::ArrayNotFound(_) | NpkError::InvalidArgument { .. } | NpkError::InvalidName { .. } => 2,
        NpkError::Io { source, .. } => match source.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::AlreadyExists => 2,
            ErrorKind::Interrupted => INTERRUPTED,
            _ => 1,
        },
        _ => 1,
    }
}
