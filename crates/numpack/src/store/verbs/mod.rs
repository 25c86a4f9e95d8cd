//! The calls that change a store, one file for each.

pub(crate) mod append;
pub(crate) mod copy;
pub(crate) mod delete;
pub(crate) mod ingest;
pub(crate) mod rename;
pub(crate) mod replace;
pub(crate) mod save;
