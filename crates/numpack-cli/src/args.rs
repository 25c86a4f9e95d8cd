//! What can be said on the command line, and the help that says so.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  numpack ls data.npk                      the arrays of a store
  numpack head data.npk embeddings -n 3    its first rows
  numpack stats data.npk --json            minimum, maximum, mean and more, for programs
  numpack pack data.npk                    the store in one file, data.npkg
  numpack verify data.npk && echo sound

Exit status: 0 when all went well, 1 for damage or work that failed, 2 for arguments that cannot be followed.";

/// Looks into stores of arrays, checks, compacts, packs and unpacks them.
#[derive(Debug, Parser)]
#[command(name = "numpack", version, after_help = EXAMPLES, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Ls(Ls),
    Info(Info),
    Head(Head),
    Stats(Stats),
    Verify(Verify),
    Compact(Compact),
    Pack(Pack),
    Unpack(Unpack),
}

/// List the arrays of a store: name, dtype, shape, bytes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: numpack ls data.npk --json")]
pub(crate) struct Ls {
    /// The store's folder.
    pub(crate) store: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Tell where the bytes of a store are, or what a package holds.
///
/// Live bytes are those of the rows there are; deleted ones come back with `numpack compact`; free ones are
/// in data files, kept for rows to come.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  numpack info data.npk --files\n  numpack info data.npkg")]
pub(crate) struct Info {
    /// The store's folder, or a package.
    pub(crate) path: PathBuf,
    /// Also say which file holds which array.
    #[arg(long)]
    pub(crate) files: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Print the first rows of an array.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: numpack head data.npk embeddings -n 3")]
pub(crate) struct Head {
    /// The store's folder.
    pub(crate) store: PathBuf,
    /// The array.
    pub(crate) array: String,
    /// Rows to print.
    #[arg(short = 'n', long, default_value_t = 10, value_name = "N")]
    pub(crate) rows: u32,
    /// Print JSON: shape, dtype and the elements of the rows in C order.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Minimum, maximum, mean, NaN count and a histogram of arrays.
///
/// Reads each array twice, some megabytes at a time. Complex numbers have a mean and no order.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  numpack stats data.npk\n  numpack stats data.npk embeddings --bins 20")]
pub(crate) struct Stats {
    /// The store's folder.
    pub(crate) store: PathBuf,
    /// The arrays; all of them when none is named.
    pub(crate) arrays: Vec<String>,
    /// Bars of the histogram; 0 for none.
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub(crate) bins: u16,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Check log and data files of a store; exit status 1 when data is damaged.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: numpack verify data.npk || echo damaged")]
pub(crate) struct Verify {
    /// The store's folder.
    pub(crate) store: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Rewrite arrays without their deleted rows.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: numpack compact data.npk embeddings")]
pub(crate) struct Compact {
    /// The store's folder.
    pub(crate) store: PathBuf,
    /// The arrays; all of them when none is named.
    pub(crate) arrays: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Put a store into one compressed file.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  numpack pack data.npk\n  numpack pack data.npk backup/data.npkg --overwrite"
)]
pub(crate) struct Pack {
    /// The store's folder.
    pub(crate) store: PathBuf,
    /// The file to make; without it the store's name with the ending .npkg.
    pub(crate) package: Option<PathBuf>,
    /// Level of compression, as of zstd.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub(crate) level: Option<i32>,
    /// Do not compress.
    #[arg(long, conflicts_with = "level")]
    pub(crate) no_compression: bool,
    /// Keep deleted rows, so that the unpacked store has them too.
    #[arg(long)]
    pub(crate) keep_deleted: bool,
    /// Take the place of a file that is there.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Make a store from a package, checking every byte.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  numpack unpack data.npkg\n  numpack unpack data.npkg restored --overwrite"
)]
pub(crate) struct Unpack {
    /// The package.
    pub(crate) package: PathBuf,
    /// The store's folder; without it the package's name with the ending .npk.
    pub(crate) store: Option<PathBuf>,
    /// Take the place of all arrays of a store that is there, in one commit.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Check the blocks alone and not each array as a whole.
    #[arg(long)]
    pub(crate) no_verify: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}
