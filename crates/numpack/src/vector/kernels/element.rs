//! Elements as numbers: every dtype to `f64`, to `f32`, and scaled by a power of two to `f32`.
//!
//! The dispatch from a dtype to a Rust type is the macro [`for_numbers`], and nowhere else.

#![expect(unsafe_code, reason = "rows are read through raw pointers")]

use half::f16;

use crate::vector::kernels::row::load;

/// Elements that are widened at a time.
pub(crate) const GROUP: usize = 32;

/// A power of two, in pieces that `f32` can hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    first: f32,
    second: f32,
    whole: f64,
}

impl Scale {
    /// 1.
    pub(crate) const ONE: Scale = Scale { first: 1.0, second: 1.0, whole: 1.0 };

    /// `2^exponent`, for exponents of -600 to 600.
    pub(crate) fn new(exponent: i32) -> Scale {
        let first = (exponent / 2).clamp(-126, 127);
        let second = (exponent - first).clamp(-126, 127);
        Scale { first: power(first) as f32, second: power(second) as f32, whole: power(exponent) }
    }
}

/// `2^exponent`, for exponents of a normal `f64`.
pub(crate) fn power(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

/// An element of a vector of numbers.
pub(crate) trait Element: Copy + 'static {
    /// The value; integers beyond 2^53 are rounded to the nearest `f64`.
    fn f64(self) -> f64;

    /// The value times a power of two, rounded to `f32`. What gets too small for `f32` may become 0.
    fn scaled(self, scale: Scale) -> f32;

    /// [`GROUP`] elements of a row from a group on, rounded to `f32`; `WIDE` in code for AVX2 or more.
    ///
    /// # Safety
    /// The group must be readable.
    #[inline(always)]
    unsafe fn group<const WIDE: bool>(row: *const u8, group: usize) -> [f32; GROUP] {
        // SAFETY: the caller's promise.
        let elements: [Self; GROUP] = unsafe { load(row, group) };
        let mut wide = [0.0; GROUP];
        // A loop becomes vector code where `map` does not.
        for (wide, element) in wide.iter_mut().zip(elements) {
            *wide = element.scaled(Scale::ONE);
        }
        wide
    }

    /// The elements of a row, rounded to `f32`.
    ///
    /// # Safety
    /// `out.len()` elements must be readable at `row`.
    #[inline(always)]
    unsafe fn widen<const WIDE: bool>(row: *const u8, out: &mut [f32]) {
        let (groups, rest) = out.as_chunks_mut::<GROUP>();
        for (group, out) in groups.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *out = unsafe { Self::group::<WIDE>(row, group) };
        }
        for (i, out) in rest.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *out = unsafe { load::<Self>(row, groups.len() * GROUP + i) }.scaled(Scale::ONE);
        }
    }
}

impl Element for f32 {
    #[inline(always)]
    fn f64(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn scaled(self, scale: Scale) -> f32 {
        self * scale.first * scale.second
    }
}

impl Element for f64 {
    #[inline(always)]
    fn f64(self) -> f64 {
        self
    }

    #[inline(always)]
    fn scaled(self, scale: Scale) -> f32 {
        (self * scale.whole) as f32
    }
}

impl Element for f16 {
    #[inline(always)]
    fn f64(self) -> f64 {
        f64::from(widen(self.to_bits()))
    }

    #[inline(always)]
    fn scaled(self, scale: Scale) -> f32 {
        widen(self.to_bits()).scaled(scale)
    }

    #[cfg(target_arch = "x86_64")]
    #[inline(always)]
    unsafe fn group<const WIDE: bool>(row: *const u8, group: usize) -> [f32; GROUP] {
        use std::arch::x86_64::{_mm_loadu_si128, _mm256_cvtph_ps, _mm256_storeu_ps};
        if !WIDE {
            // SAFETY: the caller's promise.
            let elements: [u16; GROUP] = unsafe { load(row, group) };
            return elements.map(widen);
        }
        let mut out = [0.0; GROUP];
        for (eight, out) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            // SAFETY: the caller's promise; `WIDE` code runs where there is F16C.
            unsafe {
                let half = _mm_loadu_si128(row.cast::<u16>().add(group * GROUP + eight * 8).cast());
                _mm256_storeu_ps(out.as_mut_ptr(), _mm256_cvtph_ps(half));
            }
        }
        out
    }
}

/// The value of a half-precision number, without a branch: its bits are those of a smaller `f32`, so a
/// multiplication by 2^112 puts the exponent right, also that of a subnormal number.
#[inline(always)]
fn widen(bits: u16) -> f32 {
    let bits = u32::from(bits);
    let sign = (bits & 0x8000) << 16;
    let magnitude = f32::from_bits((bits & 0x7fff) << 13) * f32::from_bits(0x7780_0000);
    let special = if bits & 0x7c00 == 0x7c00 { 0x7f80_0000 } else { 0 };
    f32::from_bits(magnitude.to_bits() | special | sign)
}

macro_rules! integers {
    ($($integer:ty)*) => {$(
        impl Element for $integer {
            #[inline(always)]
            fn f64(self) -> f64 {
                self as f64
            }

            #[inline(always)]
            fn scaled(self, scale: Scale) -> f32 {
                (self as f32).scaled(scale)
            }
        }
    )*};
}

integers!(u8 u16 u32 u64 i8 i16 i32 i64);

/// Evaluates an expression with `$element` standing for the Rust type of a dtype of numbers, or the last
/// expression for any other dtype.
macro_rules! for_numbers {
    ($dtype:expr, $element:ident => $body:expr, $otherwise:expr) => {{
        macro_rules! with {
            ($rust:ty) => {{
                type $element = $rust;
                $body
            }};
        }
        match $dtype {
            DataType::Float64 => with!(f64),
            DataType::Float32 => with!(f32),
            DataType::Float16 => with!(half::f16),
            DataType::Int64 => with!(i64),
            DataType::Int32 => with!(i32),
            DataType::Int16 => with!(i16),
            DataType::Int8 => with!(i8),
            DataType::Uint64 => with!(u64),
            DataType::Uint32 => with!(u32),
            DataType::Uint16 => with!(u16),
            DataType::Uint8 => with!(u8),
            _ => $otherwise,
        }
    }};
}

pub(crate) use for_numbers;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_widens_to_its_value() {
        for bits in 0..=u16::MAX {
            let (ours, theirs) = (widen(bits), f16::from_bits(bits).to_f32());
            assert!(ours.to_bits() == theirs.to_bits() || (ours.is_nan() && theirs.is_nan()), "{bits:#x}");
        }
    }

    #[test]
    fn scales_are_powers_of_two() {
        for exponent in [-600, -298, -149, -1, 0, 1, 149, 252] {
            let scale = Scale::new(exponent);
            assert_eq!(scale.whole, 2_f64.powi(exponent));
            if (-252..=252).contains(&exponent) {
                assert_eq!(f64::from(scale.first) * f64::from(scale.second), scale.whole, "{exponent}");
            }
        }
    }
}
