//! What the Rust types of elements have in common, and the cast to bytes.
//!
//! The table at [`DataType`] implements the trait, once for each dtype; nothing else can.

use bytemuck::{CheckedBitPattern, NoUninit};

use crate::types::dtype::{DataType, dtype_table};

#[cfg(target_endian = "big")]
compile_error!(
    "numpack maps little-endian files as they are; big-endian hosts would need a swap on every read"
);

/// Keeps [`NpkElement`] to the types of the table.
pub trait Sealed {}

/// A Rust type whose values an array can hold; see the table at [`DataType`].
pub trait NpkElement: Sealed + NoUninit + CheckedBitPattern + Send + Sync + 'static {
    /// The dtype that holds this type.
    const DTYPE: DataType;
}

macro_rules! elements {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $kind:literal, $name:literal, $rust:ty;)*) => {$(
        impl Sealed for $rust {}
        impl NpkElement for $rust {
            const DTYPE: DataType = DataType::$variant;
        }
    )*};
}

dtype_table!(elements);

/// The little-endian bytes of `values`, without a copy.
pub(crate) fn bytes_of<T: NpkElement>(values: &[T]) -> &[u8] {
    bytemuck::cast_slice(values)
}
