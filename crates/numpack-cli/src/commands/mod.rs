//! A file for each command, and the one place that picks among them.

mod change;
mod compact;
mod converted;
mod export;
mod head;
mod import;
mod info;
mod ls;
mod pack;
mod ranks;
mod repair;
mod search;
mod stats;
mod unpack;
mod verify;

use crate::args::Command;
use crate::failure::Failure;
use crate::formats::Host;
use crate::outcome::Outcome;
use crate::output::Output;

/// Does what the command line says.
///
/// # Errors
/// Those of the command.
pub(crate) fn follow(command: &Command, host: &Host<'_>, output: &mut Output) -> Result<Outcome, Failure> {
    Ok(match command {
        Command::Ls(args) => ls::ls(args, output)?,
        Command::Info(args) => info::info(args, output)?,
        Command::Head(args) => head::head(args, output)?,
        Command::Stats(args) => stats::stats(args, output)?,
        Command::Search(args) => search::search(args, output)?,
        Command::Verify(args) => verify::verify(args, output)?,
        Command::Repair(args) => repair::repair(args, output)?,
        Command::Compact(args) => compact::compact(args, output)?,
        Command::Pack(args) => pack::pack(args, output)?,
        Command::Unpack(args) => unpack::unpack(args, output)?,
        Command::Import(args) => import::import(args, host, output)?,
        Command::Export(args) => export::export(args, host, output)?,
        Command::Append(args) => change::append(args, output)?,
        Command::Drop(args) => change::drop(args, output)?,
        Command::Rename(args) => change::rename(args, output)?,
        Command::Clone(args) => change::clone(args, output)?,
        Command::Sync(args) => change::sync(args, output)?,
    })
}
