//! Elements of any dtype as text, as JSON and as numbers: the one place that tells the dtypes apart.

use numpack::NpkElement;
use numpack::half::f16;
use numpack::num_complex::{Complex32, Complex64};
use serde_json::{Value, json};

/// An element that can be shown and measured.
pub(crate) trait Element: NpkElement + Copy {
    /// Whether elements of this type have an order.
    const ORDERED: bool = true;

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
    ($($type:ty),*) => {$(
        impl Element for $type {
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
    ($($type:ty),*) => {$(
        impl Element for $type {
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

integers!(u8, u16, u32, u64, i8, i16, i32, i64);
floats!(f16, f32, f64);
complexes!(Complex32, Complex64);

impl Element for bool {
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
