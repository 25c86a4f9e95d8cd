//! Rust types that can be elements of an array, and the casts between them and bytes.
//!
//! The trait is sealed by its bounds in practice: every implementation is made here, one line per dtype.

use bytemuck::{CheckedBitPattern, NoUninit};
use half::f16;
use num_complex::{Complex32, Complex64};

use crate::types::dtype::DataType;

#[cfg(target_endian = "big")]
compile_error!(
    "numpack maps little-endian files as they are; big-endian hosts would need a swap on every read"
);

mod sealed {
    pub trait Sealed {}
}

/// A Rust type whose values an array can hold; see the table at [`DataType`].
pub trait NpkElement: sealed::Sealed + NoUninit + CheckedBitPattern + Send + Sync + 'static {
    /// The dtype that holds this type.
    const DTYPE: DataType;
}

macro_rules! elements {
    ($($rust:ty => $dtype:ident),* $(,)?) => {$(
        impl sealed::Sealed for $rust {}
        impl NpkElement for $rust {
            const DTYPE: DataType = DataType::$dtype;
        }
    )*};
}

elements! {
    bool => Bool, u8 => Uint8, u16 => Uint16, u32 => Uint32, u64 => Uint64,
    i8 => Int8, i16 => Int16, i32 => Int32, i64 => Int64,
    f16 => Float16, f32 => Float32, f64 => Float64, Complex32 => Complex64, Complex64 => Complex128,
}

/// The little-endian bytes of `values`, without a copy.
pub(crate) fn bytes_of<T: NpkElement>(values: &[T]) -> &[u8] {
    bytemuck::cast_slice(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same_size<T: NpkElement>() {
        assert_eq!(size_of::<T>(), T::DTYPE.size_bytes());
    }

    #[test]
    fn every_element_is_as_large_as_its_dtype() {
        same_size::<bool>();
        same_size::<u8>();
        same_size::<u16>();
        same_size::<u32>();
        same_size::<u64>();
        same_size::<i8>();
        same_size::<i16>();
        same_size::<i32>();
        same_size::<i64>();
        same_size::<f16>();
        same_size::<f32>();
        same_size::<f64>();
        same_size::<Complex32>();
        same_size::<Complex64>();
    }
}
