//! The fourteen element types an array can have.
//!
//! The codes are part of the on-disk format (`docs/on-disk-format.md`) and never change.

use std::fmt;

/// Element type of an array. Elements are stored little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum DataType {
    /// `bool`, 1 byte, 0 or 1.
    Bool = 0,
    /// `u8`, 1 byte.
    Uint8 = 1,
    /// `u16`, 2 bytes.
    Uint16 = 2,
    /// `u32`, 4 bytes.
    Uint32 = 3,
    /// `u64`, 8 bytes.
    Uint64 = 4,
    /// `i8`, 1 byte.
    Int8 = 5,
    /// `i16`, 2 bytes.
    Int16 = 6,
    /// `i32`, 4 bytes.
    Int32 = 7,
    /// `i64`, 8 bytes.
    Int64 = 8,
    /// `half::f16`, 2 bytes.
    Float16 = 9,
    /// `f32`, 4 bytes.
    Float32 = 10,
    /// `f64`, 8 bytes.
    Float64 = 11,
    /// `num_complex::Complex32`, 8 bytes: real part first.
    Complex64 = 12,
    /// `num_complex::Complex64`, 16 bytes: real part first.
    Complex128 = 13,
}

impl DataType {
    /// Every dtype, in the order of the codes.
    pub const ALL: [DataType; 14] = [
        DataType::Bool,
        DataType::Uint8,
        DataType::Uint16,
        DataType::Uint32,
        DataType::Uint64,
        DataType::Int8,
        DataType::Int16,
        DataType::Int32,
        DataType::Int64,
        DataType::Float16,
        DataType::Float32,
        DataType::Float64,
        DataType::Complex64,
        DataType::Complex128,
    ];

    /// Bytes of one element.
    pub const fn size_bytes(self) -> usize {
        match self {
            DataType::Bool | DataType::Uint8 | DataType::Int8 => 1,
            DataType::Uint16 | DataType::Int16 | DataType::Float16 => 2,
            DataType::Uint32 | DataType::Int32 | DataType::Float32 => 4,
            DataType::Uint64 | DataType::Int64 | DataType::Float64 | DataType::Complex64 => 8,
            DataType::Complex128 => 16,
        }
    }

    /// NumPy's name of the dtype, such as `float32`.
    pub const fn name(self) -> &'static str {
        match self {
            DataType::Bool => "bool",
            DataType::Uint8 => "uint8",
            DataType::Uint16 => "uint16",
            DataType::Uint32 => "uint32",
            DataType::Uint64 => "uint64",
            DataType::Int8 => "int8",
            DataType::Int16 => "int16",
            DataType::Int32 => "int32",
            DataType::Int64 => "int64",
            DataType::Float16 => "float16",
            DataType::Float32 => "float32",
            DataType::Float64 => "float64",
            DataType::Complex64 => "complex64",
            DataType::Complex128 => "complex128",
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_positions_in_all() {
        for (code, dtype) in (0u8..).zip(DataType::ALL) {
            assert_eq!(dtype.code(), code);
            assert_eq!(DataType::from_code(code), Some(dtype));
        }
        assert_eq!(DataType::from_code(14), None);
    }
}
