//! Opening a store: what a crashed writer or a power cut left, and whether files hold what was committed.

pub(crate) mod contents;
pub(crate) mod open;
pub(crate) mod recover;
pub(crate) mod replay;
pub(crate) mod verify;
