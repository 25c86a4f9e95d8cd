//! How a command ended that could do its work; why it could not is in `failure.rs`.

/// How a command ended that could do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing to complain of.
    Fine,
    /// Damage was found.
    Finding,
}
