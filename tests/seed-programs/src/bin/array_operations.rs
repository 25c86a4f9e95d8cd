//! The seed's "Array Operations": its function, and a `main` that calls it.

include!("../../seed/array_operations.rs");

fn main() -> NpkResult<()> {
    example()
}
