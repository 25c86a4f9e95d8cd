//! The commit log `metadata.npkm`: what a record says, how it is framed, read and written.
//!
//! Byte tables are in `docs/on-disk-format.md`. Nothing here touches data files or the catalog.

pub(crate) mod catalog;
pub(crate) mod codec;
pub(crate) mod op;
pub(crate) mod reader;
pub(crate) mod record;
pub(crate) mod redo;
#[cfg(test)]
mod vectors;
pub(crate) mod writer;
