//! The program `numpack`: looks into stores of arrays, searches, checks, compacts, packs and unpacks them,
//! imports and exports other formats.
//!
//! A library with one entry, so that the program of the Python package is the same; what its host brings is
//! how to convert the formats that Python libraries own ([`Formats`]). Results go to the standard output, as a
//! table or as JSON; everything else goes to the standard error.

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod args;
mod convert;
mod failure;
mod formats;
mod head;
mod inspect;
mod interpreter;
mod maintain;
mod npy;
mod output;
mod packages;
mod progress;
mod search;
mod stats;
mod values;

use std::ffi::OsString;

use clap::Parser;

pub use formats::{Formats, Job, Progress, Refusal};
pub use interpreter::Interpreter;

use args::{Args, Command};
use convert::Host;
use failure::Failure;
use output::Output;

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
pub fn run(arguments: impl IntoIterator<Item = OsString>, formats: &dyn Formats) -> i32 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let args = match Args::try_parse_from([OsString::from("numpack")].iter().chain(&arguments)) {
        Ok(args) => args,
        Err(error) => {
            // Help and version are no errors; nobody is left to be told when this cannot be printed.
            error.print().unwrap_or_default();
            return error.exit_code();
        }
    };
    let mut output = Output::new();
    let host = Host { arguments: &arguments, formats };
    let result = follow(&args.command, &host, &mut output).and_then(|outcome| {
        output.flush()?;
        Ok(outcome)
    });
    match result {
        Ok(Outcome::Fine) => 0,
        Ok(Outcome::Finding) => 1,
        Err(failure) if failure.is_closed_pipe() => 0,
        Err(failure) => {
            eprintln!("numpack: {}", output::clean(&failure.text()));
            failure.status()
        }
    }
}

fn follow(command: &Command, host: &Host<'_>, output: &mut Output) -> Result<Outcome, Failure> {
    Ok(match command {
        Command::Ls(args) => inspect::list(args, output)?,
        Command::Info(args) => inspect::info(args, output)?,
        Command::Head(args) => head::head(args, output)?,
        Command::Stats(args) => stats::stats(args, output)?,
        Command::Search(args) => search::search(args, output)?,
        Command::Verify(args) => maintain::verify(args, output)?,
        Command::Compact(args) => maintain::compact(args, output)?,
        Command::Pack(args) => packages::pack(args, output)?,
        Command::Unpack(args) => packages::unpack(args, output)?,
        Command::Import(args) => convert::import(args, host, output)?,
        Command::Export(args) => convert::export(args, host, output)?,
    })
}
