//! The seed's "Concurrent Access": its function, and a `main` that calls it.

include!("../../seed/concurrent_write.rs");

fn main() -> NpkResult<()> {
    concurrent_write()
}
