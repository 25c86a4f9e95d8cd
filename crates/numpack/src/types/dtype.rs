//! The fourteen element types an array can have: the one table of them, and what follows from it.
//!
//! The codes are part of the on-disk format (`docs/on-disk-format.md`) and never change.

use std::fmt;

/// The table: variant, code on disk, NumPy's kind and name, Rust type. Calls a macro with all of it.
macro_rules! dtype_table {
    ($with:ident) => {
        $with! {
            /// `bool`, 1 byte, 0 or 1.
            Bool = 0, 'b', "bool", bool;
            /// `u8`, 1 byte.
            Uint8 = 1, 'u', "uint8", u8;
            /// `u16`, 2 bytes.
            Uint16 = 2, 'u', "uint16", u16;
            /// `u32`, 4 bytes.
            Uint32 = 3, 'u', "uint32", u32;
            /// `u64`, 8 bytes.
            Uint64 = 4, 'u', "uint64", u64;
            /// `i8`, 1 byte.
            Int8 = 5, 'i', "int8", i8;
            /// `i16`, 2 bytes.
            Int16 = 6, 'i', "int16", i16;
            /// `i32`, 4 bytes.
            Int32 = 7, 'i', "int32", i32;
            /// `i64`, 8 bytes.
            Int64 = 8, 'i', "int64", i64;
            /// `half::f16`, 2 bytes.
            Float16 = 9, 'f', "float16", half::f16;
            /// `f32`, 4 bytes.
            Float32 = 10, 'f', "float32", f32;
            /// `f64`, 8 bytes.
            Float64 = 11, 'f', "float64", f64;
            /// `num_complex::Complex32`, 8 bytes: real part first.
            Complex64 = 12, 'c', "complex64", num_complex::Complex32;
            /// `num_complex::Complex64`, 16 bytes: real part first.
            Complex128 = 13, 'c', "complex128", num_complex::Complex64;
        }
    };
}
pub(crate) use dtype_table;

/// Writes down what follows from the table.
macro_rules! dtypes {
    ($($(#[$doc:meta])* $variant:ident = $code:literal, $kind:literal, $name:literal, $rust:ty;)*) => {
        /// Element type of an array. Elements are stored little-endian.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum DataType {
            $($(#[$doc])* $variant = $code,)*
        }

        impl DataType {
            /// Every dtype, in the order of the codes.
            pub const ALL: [DataType; [$($code),*].len()] = [$(DataType::$variant),*];

            /// Bytes of one element.
            pub const fn size_bytes(self) -> usize {
                match self {
                    $(DataType::$variant => size_of::<$rust>(),)*
                }
            }

            /// NumPy's name of the dtype, such as `float32`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(DataType::$variant => $name,)*
                }
            }

            /// NumPy's letter for the kind: `b` bool, `u` and `i` integers, `f` floats, `c` complex numbers.
            pub const fn kind(self) -> char {
                match self {
                    $(DataType::$variant => $kind,)*
                }
            }
        }
    };
}

dtype_table!(dtypes);

impl DataType {
    /// The dtype of NumPy's kind with elements of `size` bytes, if there is one.
    ///
    /// ```
    /// use numpack::DataType;
    /// assert_eq!(DataType::of_kind('f', 4), Some(DataType::Float32));
    /// assert_eq!(DataType::of_kind('f', 16), None);
    /// ```
    pub fn of_kind(kind: char, size: usize) -> Option<DataType> {
        Self::ALL.into_iter().find(|dtype| dtype.kind() == kind && dtype.size_bytes() == size)
    }

    /// The dtype with this on-disk code, if there is one.
    pub(crate) fn from_code(code: u8) -> Option<DataType> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// The on-disk code.
    pub(crate) const fn code(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Evaluates an expression with a name bound to the Rust type of a dtype's elements.
///
/// ```
/// use numpack::{DataType, with_element};
/// let size = with_element!(DataType::Complex64, T => size_of::<T>());
/// assert_eq!(size, 8);
/// ```
#[macro_export]
macro_rules! with_element {
    ($dtype:expr, $element:ident => $value:expr) => {{
        macro_rules! with {
            ($rust:ty) => {{
                type $element = $rust;
                $value
            }};
        }
        match $dtype {
            $crate::DataType::Bool => with!(bool),
            $crate::DataType::Uint8 => with!(u8),
            $crate::DataType::Uint16 => with!(u16),
            $crate::DataType::Uint32 => with!(u32),
            $crate::DataType::Uint64 => with!(u64),
            $crate::DataType::Int8 => with!(i8),
            $crate::DataType::Int16 => with!(i16),
            $crate::DataType::Int32 => with!(i32),
            $crate::DataType::Int64 => with!(i64),
            $crate::DataType::Float16 => with!($crate::half::f16),
            $crate::DataType::Float32 => with!(f32),
            $crate::DataType::Float64 => with!(f64),
            $crate::DataType::Complex64 => with!($crate::num_complex::Complex32),
            $crate::DataType::Complex128 => with!($crate::num_complex::Complex64),
        }
    }};
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NpkElement;

    #[test]
    fn codes_are_the_positions_in_all() {
        for (code, dtype) in (0u8..).zip(DataType::ALL) {
            assert_eq!(dtype.code(), code);
            assert_eq!(DataType::from_code(code), Some(dtype));
        }
        assert_eq!(DataType::from_code(14), None);
    }

    #[test]
    fn kind_and_size_name_a_dtype() {
        for dtype in DataType::ALL {
            assert_eq!(DataType::of_kind(dtype.kind(), dtype.size_bytes()), Some(dtype));
            assert_eq!(with_element!(dtype, T => T::DTYPE), dtype);
            assert_eq!(with_element!(dtype, T => size_of::<T>()), dtype.size_bytes());
        }
        assert_eq!(DataType::of_kind('M', 8), None);
    }
}
