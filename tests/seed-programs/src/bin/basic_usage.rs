//! The seed's "Basic Usage": a whole program, `main` included.

include!("../../seed/basic_usage.rs");
