//! The program `numpack`: looks into stores of arrays, searches, checks, compacts, packs and unpacks them,
//! imports and exports other formats.
//!
//! A library with one entry, so that the program of the Python package is the same; what its host brings is
//! how to convert the formats that Python libraries own ([`Formats`]). Results go to the standard output, as a
//! table or as JSON; everything else goes to the standard error.

#![cfg_attr(not(test), deny(clippy::unwrap_used))]

mod args;
mod commands;
mod failure;
mod formats;
mod interpreter;
mod open;
mod outcome;
mod output;
mod progress;
mod slice;
mod values;

use std::ffi::OsString;

use clap::Parser;

pub use formats::{Formats, Job, Progress, Refusal};
pub use interpreter::Interpreter;

use args::Args;
use formats::Host;
use outcome::Outcome;
use output::Output;

/// Runs the program with its arguments, the program's name not among them, and returns the exit status:
/// 0 when all went well, 1 for damage or work that failed, 2 for arguments that cannot be followed, 130 when
/// it was interrupted.
pub fn run(arguments: impl IntoIterator<Item = OsString>, formats: &dyn Formats) -> i32 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let args = match Args::try_parse_from([OsString::from("numpack")].iter().chain(&arguments)) {
        Ok(args) => args,
        Err(error) => {
            // Help and version are not errors; nobody is left to be told when this cannot be printed.
            error.print().unwrap_or_default();
            return error.exit_code();
        }
    };
    let mut output = Output::new();
    let host = Host { arguments: &arguments, formats };
    let result = commands::follow(&args.command, &host, &mut output).and_then(|outcome| {
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
