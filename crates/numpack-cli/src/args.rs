//! What can be said on the command line, and the help that says so.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgGroup, Parser, Subcommand};
use numpack::rows::Selection;

use crate::formats::Format;
use crate::slice::slice;

const EXAMPLES: &str = "\
Examples:
  numpack ls data.npk                      the arrays of a store
  numpack head data.npk embeddings -n 3    its first rows
  numpack stats data.npk --json            minimum, maximum, mean and more, for programs
  numpack import vectors.npy data.npk      an array from a file
  numpack export data.npk out.h5           all arrays to a file
  numpack search data.npk vectors --row 7  the rows most like row 7
  numpack pack data.npk                    the store in one file, data.npkg
  numpack verify data.npk && echo intact
  numpack repair data.npk new.npk          what is intact of a damaged store

Exit status: 0 when all went well, 1 for damage or work that failed, 2 for arguments that cannot be followed.";

/// Looks into stores of arrays, searches, checks, compacts and packs them, imports and exports other formats.
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
    Search(Search),
    Verify(Verify),
    Repair(Repair),
    Compact(Compact),
    Pack(Pack),
    Unpack(Unpack),
    Import(Import),
    Export(Export),
    Append(Append),
    Drop(Drop),
    Rename(Rename),
    Clone(Clone),
    Sync(Sync),
}

/// Append the rows of a .npy file to an array, in one commit.
///
/// dtype and shape of a row must be those of the array. Memory: the file.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: numpack append data.npk embeddings new.npy")]
pub(crate) struct Append {
    /// The store's folder.
    pub(crate) store: PathBuf,
    /// The array.
    pub(crate) array: String,
    /// The .npy file.
    pub(crate) file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Remove arrays, or delete rows of one, in one commit.
///
/// Rows that are deleted keep their room until `numpack compact`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  numpack drop data.npk old older\n  numpack drop data.npk embeddings --rows -100:"
)]
pub(crate) struct Drop {
    /// The store's folder.
    pub(crate) store: PathBuf,
    /// The arrays.
    #[arg(required = true)]
    pub(crate) arrays: Vec<String>,
    /// Delete these rows of the array instead, as a slice of Python's.
    #[arg(long, value_name = "START:STOP[:STEP]", value_parser = slice, allow_hyphen_values = true)]
    pub(crate) rows: Option<Selection<'static>>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Give an array another name.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: numpack rename data.npk embeddings old/embeddings")]
pub(crate) struct Rename {
    /// The store's folder.
    pub(crate) store: PathBuf,
    /// The array.
    pub(crate) array: String,
    /// Its new name.
    pub(crate) name: String,
    /// Take the place of an array of that name.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Copy an array under another name of the same store.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: numpack clone data.npk embeddings before")]
pub(crate) struct Clone {
    /// The store's folder.
    pub(crate) store: PathBuf,
    /// The array.
    pub(crate) array: String,
    /// Name of the copy.
    pub(crate) name: String,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Make everything that was committed so far survive a power cut.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: numpack sync data.npk && rsync -a data.npk backup/")]
pub(crate) struct Sync {
    /// The store's folder.
    pub(crate) store: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// List the arrays of a store or a package: name, dtype, shape, bytes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: numpack ls data.npk --json")]
pub(crate) struct Ls {
    /// The store's folder, or a package.
    pub(crate) store: PathBuf,
    /// List hidden arrays too: those that conversions keep beside others, such as the names of columns.
    #[arg(short, long)]
    pub(crate) all: bool,
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
    /// Print every element of long rows, and lines of any length.
    #[arg(long)]
    pub(crate) full: bool,
    /// Print JSON: shape, dtype and the elements of the rows in C order.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Minimum, quartiles, maximum, mean, standard deviation, NaN count and a histogram of arrays.
///
/// Reads each array some times, some megabytes at a time. Quartiles are elements: of an even number the lower one in the
/// middle. Complex numbers have a mean and no order.
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

/// Print the rows of an array that are nearest to a query, with their scores.
///
/// The answer is exact. Dot and cosine rank the highest score first, all other metrics the lowest. Deleted rows
/// are stepped over and do not count.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  numpack search data.npk embeddings --row 7
  numpack search data.npk embeddings --query '0.1, -0.2, 0.3' -k 3 --metric l2
  numpack search data.npk embeddings --query-file queries.npy --where 0:100000 --json")]
#[command(group(ArgGroup::new("question").required(true).args(["query", "query_file", "row"])))]
pub(crate) struct Search {
    /// The store's folder.
    pub(crate) store: PathBuf,
    /// The array, of two dimensions: its rows are searched.
    pub(crate) array: String,
    /// The query: numbers between commas.
    #[arg(long, value_name = "NUMBERS", allow_hyphen_values = true)]
    pub(crate) query: Option<String>,
    /// A .npy file with one query, or with several as the rows of a matrix.
    #[arg(long, value_name = "FILE")]
    pub(crate) query_file: Option<PathBuf>,
    /// A row of the array as the query; negative numbers count from the end.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) row: Option<i64>,
    /// Rows to print.
    #[arg(short, default_value_t = 10, value_name = "K")]
    pub(crate) k: usize,
    /// dot, cosine, l2, l2sq, hamming, jaccard, kl or js.
    #[arg(long, default_value = "cosine", value_name = "METRIC")]
    pub(crate) metric: String,
    /// Rows to search, as a slice of Python's.
    #[arg(long = "where", value_name = "START:STOP[:STEP]", value_parser = slice, allow_hyphen_values = true)]
    pub(crate) rows: Option<Selection<'static>>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Check a store or a package; exit status 1 when data is damaged.
///
/// Of a store the log and the data files are checked, of a package every block and every array. Nothing is
/// written.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  numpack verify data.npk || echo damaged\n  numpack verify data.npkg --json"
)]
pub(crate) struct Verify {
    /// The store's folder, or a package.
    pub(crate) path: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Rebuild a damaged store as a new one; exit status 1 when something is missing.
///
/// Every array that is provably intact comes over, and what does not is told with the reason. The old store is not
/// written to.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: numpack repair data.npk repaired.npk")]
pub(crate) struct Repair {
    /// The damaged store's folder.
    pub(crate) store: PathBuf,
    /// The folder of the store to make.
    pub(crate) new_store: PathBuf,
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

/// Store the arrays of a file of another format, in one commit.
///
/// A store that is missing is made. .npy files are read by this program itself; the other formats are converted
/// by the Python package, whose interpreter the environment variable NUMPACK_PYTHON may name.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  numpack import embeddings.npy data.npk                     the array \"embeddings\"
  numpack import table.csv data.npk --name prices --overwrite
  numpack import run.h5 data.npk train/x train/y             two of its arrays
  numpack import s3://bucket/model.safetensors model.npk --json")]
pub(crate) struct Import {
    /// The file, a Zarr folder, or s3://bucket/key.
    pub(crate) source: OsString,
    /// The store's folder.
    pub(crate) store: PathBuf,
    /// The arrays of a file that holds several; all of them when none is named.
    #[arg(value_name = "ARRAY")]
    pub(crate) arrays: Vec<String>,
    /// Name of the array in the store; without it, its own or the file's without ending.
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The format, whatever the ending says.
    #[arg(long)]
    pub(crate) format: Option<Format>,
    /// Take the place of arrays of the same names.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Memory for data, such as 64M; small values take longer.
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub(crate) chunk_size: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Write arrays to a file of another format.
///
/// The file appears when it is whole. .npy files are written by this program itself; the other formats are
/// converted by the Python package, whose interpreter the environment variable NUMPACK_PYTHON may name.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  numpack export data.npk embeddings.npy embeddings
  numpack export data.npk all.npz                            every array
  numpack export data.npk table.parquet prices --overwrite
  numpack export data.npk s3://bucket/run.h5 train/x train/y")]
pub(crate) struct Export {
    /// The store's folder.
    pub(crate) store: PathBuf,
    /// The file, a Zarr folder, or s3://bucket/key.
    pub(crate) destination: OsString,
    /// The arrays; all of them when none is named.
    #[arg(value_name = "ARRAY")]
    pub(crate) arrays: Vec<String>,
    /// The format, whatever the ending says.
    #[arg(long)]
    pub(crate) format: Option<Format>,
    /// Take the place of a file that is there.
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Memory for data, such as 64M; small values take longer.
    #[arg(long, value_name = "BYTES", value_parser = size)]
    pub(crate) chunk_size: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Reads a number of bytes: 65536, 64K, 100MiB.
fn size(text: &str) -> Result<u64, String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let shift = match unit.to_ascii_uppercase().trim_end_matches("IB").trim_end_matches('B') {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        _ => return Err("a number of bytes ends in K, M, G or nothing".into()),
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    bytes.filter(|&bytes| bytes > 0).ok_or_else(|| "a number of bytes greater than 0 is expected".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bytes) in
            [("1", 1), ("64k", 64 << 10), ("3M", 3 << 20), ("2GiB", 2 << 30), ("5kb", 5 << 10)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "0", "-1", "K", "1.5M", "1T", "99999999999999999999", "18446744073709551615G"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_arguments_are_sound() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }
}
