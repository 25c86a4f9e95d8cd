//! Search, in memory and in stores, against the plain oracle.

#[path = "../support/oracle.rs"]
mod oracle;

mod float_mode;
mod in_memory;
mod stored;
