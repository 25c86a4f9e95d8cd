//! Opening a store: what a crashed writer or a power cut left, and whether files hold what was committed.

pub(crate) mod contents;
pub(crate) mod open;
pub(crate) mod recover;
pub(crate) mod repair;
pub(crate) mod replay;
mod salvage;
pub(crate) mod verify;
