//! Elements of any dtype as text, as JSON and as numbers: the one place that tells the dtypes apart.

use numpack::NpkElement;
use numpack::half::f16;
use numpack::num_complex::{Complex32, Complex64};
use serde_json::{Value, json};

/// An element that can be shown and measured.
pub(crate) trait Element: NpkElement + Copy {
    /// Whether elements of this type have an order.
    const ORDERED: bool = true;

    /// Bits of [`Element::key`]; 0 where there is no order.
    const BITS: u32 = 0;

    /// A number with the order of the elements; of those that are not NaN.
    fn key(self) -> u64 {
        0
    }

    /// The element of a key; `None` where there is no order.
    fn of_key(_key: u64) -> Option<Self> {
        None
    }

    /// As NumPy prints it.
    fn text(self) -> String;

    /// As JSON, which has no word for NaN and infinity: they are texts, and complex numbers are pairs.
    fn json(self) -> Value;

    /// Real and imaginary part.
    fn parts(self) -> (f64, f64);

    /// Whether it is the smaller one; false where there is no order.
    fn is_less(self, other: Self) -> bool;
}

macro_rules! integers {
    ($($type:ty as $bits:ty),*) => {$(
        impl Element for $type {
            const BITS: u32 = <$bits>::BITS;

            fn key(self) -> u64 {
                // Of a signed type the smallest value becomes 0.
                u64::from((self as $bits).wrapping_sub(<$type>::MIN as $bits))
            }

            fn of_key(key: u64) -> Option<Self> {
                Some((key as $bits).wrapping_add(<$type>::MIN as $bits) as $type)
            }

            fn text(self) -> String {
                self.to_string()
            }

            fn json(self) -> Value {
                json!(self)
            }

            fn parts(self) -> (f64, f64) {
                (self as f64, 0.0)
            }

            fn is_less(self, other: Self) -> bool {
                self < other
            }
        }
    )*};
}

macro_rules! floats {
    ($($type:ty as $bits:ty),*) => {$(
        impl Element for $type {
            const BITS: u32 = <$bits>::BITS;

            fn key(self) -> u64 {
                // Negative ones have the order of their bits turned round, and come first.
                let (bits, sign) = (self.to_bits(), 1 << (<$bits>::BITS - 1));
                u64::from(if bits & sign == 0 { bits | sign } else { !bits })
            }

            fn of_key(key: u64) -> Option<Self> {
                let (bits, sign) = (key as $bits, 1 << (<$bits>::BITS - 1));
                Some(Self::from_bits(if bits & sign == 0 { !bits } else { bits & !sign }))
            }

            fn text(self) -> String {
                // As many digits as tell it from its neighbours.
                format!("{self:?}").to_lowercase()
            }

            fn json(self) -> Value {
                float(f64::from(self), self.text())
            }

            fn parts(self) -> (f64, f64) {
                (f64::from(self), 0.0)
            }

            fn is_less(self, other: Self) -> bool {
                self < other
            }
        }
    )*};
}

macro_rules! complexes {
    ($($type:ty),*) => {$(
        impl Element for $type {
            const ORDERED: bool = false;

            fn text(self) -> String {
                let sign = if self.im.is_sign_negative() { "" } else { "+" };
                format!("{}{sign}{}j", self.re.text(), self.im.text())
            }

            fn json(self) -> Value {
                json!([self.re.json(), self.im.json()])
            }

            fn parts(self) -> (f64, f64) {
                (f64::from(self.re), f64::from(self.im))
            }

            fn is_less(self, _other: Self) -> bool {
                false
            }
        }
    )*};
}

integers!(u8 as u8, u16 as u16, u32 as u32, u64 as u64, i8 as u8, i16 as u16, i32 as u32, i64 as u64);
floats!(f16 as u16, f32 as u32, f64 as u64);
complexes!(Complex32, Complex64);

impl Element for bool {
    const BITS: u32 = 1;

    fn key(self) -> u64 {
        u64::from(self)
    }

    fn of_key(key: u64) -> Option<Self> {
        Some(key > 0)
    }

    fn text(self) -> String {
        (if self { "True" } else { "False" }).to_owned()
    }

    fn json(self) -> Value {
        json!(self)
    }

    fn parts(self) -> (f64, f64) {
        (f64::from(u8::from(self)), 0.0)
    }

    fn is_less(self, other: Self) -> bool {
        !self & other
    }
}

/// A number, or the text where JSON has none.
pub(crate) fn float(value: f64, text: String) -> Value {
    if value.is_finite() { json!(value) } else { json!(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_order_of_the_elements() {
        fn check<T: Element>(ordered: &[T]) {
            let keys: Vec<u64> = ordered.iter().map(|value| value.key()).collect();
            assert!(keys.is_sorted_by(|a, b| a < b), "{keys:?}");
            assert!(keys.iter().all(|&key| T::BITS == 64 || key >> T::BITS == 0));
            let back: Vec<String> = keys.iter().map(|&key| T::of_key(key).unwrap().text()).collect();
            assert_eq!(back, ordered.iter().map(|value| value.text()).collect::<Vec<_>>());
        }
        check(&[f64::NEG_INFINITY, -1e300, -1.0, -0.0, 0.0, 5e-324, 1.0, f64::INFINITY]);
        check(&[f32::MIN, -1.5, 0.0, 1.5, f32::MAX]);
        check(&[f16::from_f32(-2.0), f16::from_f32(0.25), f16::from_f32(3.0)]);
        check(&[i64::MIN, -1, 0, 1, i64::MAX]);
        check(&[i8::MIN, -1, 0, i8::MAX]);
        check(&[0, 1, u64::MAX]);
        check(&[0, 200, u8::MAX]);
        check(&[false, true]);
    }

    #[test]
    fn elements_are_shown_as_numpy_shows_them() {
        assert_eq!(1.0_f32.text(), "1.0");
        assert_eq!(0.1_f32.text(), "0.1");
        assert_eq!(f64::NAN.text(), "nan");
        assert_eq!((-f64::INFINITY).text(), "-inf");
        assert_eq!(f16::from_f32(0.5).text(), "0.5");
        assert_eq!(Complex32::new(1.0, -2.5).text(), "1.0-2.5j");
        assert_eq!(Complex64::new(0.0, f64::NAN).text(), "0.0+nanj");
        assert_eq!(true.text(), "True");
        assert_eq!(u64::MAX.json().to_string(), "18446744073709551615");
        assert_eq!(Complex64::new(0.5, f64::INFINITY).json(), json!([0.5, "inf"]));
    }
}
