//! `.npy` files, NumPy's format of one array: read and written block by block, without NumPy.
//!
//! Versions 1 to 3 are read, headers of Python 2 too, in both byte orders and both orders of elements; version 1 is
//! written, in C order and little-endian. Pickled objects never are. NumPy's manual describes the format
//! (`numpy.lib.format`).
//!
//! ```
//! use numpack::npy::{self, Reader};
//! use numpack::prelude::*;
//!
//! # fn main() -> NpkResult<()> {
//! # let dir = tempfile::tempdir()?;
//! let store = Store::new(dir.path().join("data.npk"))?;
//! store.save_slice("a", &[1_i32, 2, 3, 4, 5, 6], &[3, 2])?;
//! let path = dir.path().join("a.npy");
//! let file = std::fs::File::create(&path)?;
//! npy::write(&store.get_array_view("a")?, &file, npy::BLOCK, &mut |_| Ok(()))?;
//! let reader = Reader::open(&path)?;
//! assert_eq!(reader.header().shape, [3, 2]);
//! let mut second = [0; 8];
//! reader.read_rows(1..2, &mut second)?;
//! assert_eq!(second, [3, 0, 0, 0, 4, 0, 0, 0]);
//! # Ok(())
//! # }
//! ```

mod header;
mod literal;
mod reader;
mod turn;
mod writer;

pub use header::{Element, Header};
pub use reader::Reader;
pub use writer::{header, write};

/// Bytes of a block: what stays in a processor's caches between being read and being written.
pub const BLOCK: u64 = 2 << 20;
