//! Plain numbers to the dtype of a stored array, so that no value is lost on the way.
//!
//! A list has no dtype of its own: NumPy makes an array of it first, and each value is cast only if it stays the same.
//! One thing is rounded, as NumPy rounds a Python float beside an array: a float to the precision of a float dtype, as
//! long as it stays finite. Text is not a number, whatever it spells.

use numpack::half::f16;
use numpack::num_complex::{Complex, Complex32, Complex64};
use numpack::{DataType, with_element};
use numpy::{PyArrayDescrMethods, PyUntypedArray, PyUntypedArrayMethods};
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;

use crate::memory::{bytes_of, descr};

/// A number as NumPy made it of plain ones.
#[derive(Clone, Copy)]
enum Number {
    Whole(i128),
    Float(f64),
    Complex(f64, f64),
}

/// A dtype's elements from numbers.
trait FromNumber: Sized {
    /// The element with this value; `None` when there is none.
    fn from_number(number: Number) -> Option<Self>;

    /// Appends the element as a NumPy array of the machine holds it.
    fn push(self, bytes: &mut Vec<u8>);
}

/// The whole number that a number is.
fn whole(number: Number) -> Option<i128> {
    match number {
        Number::Whole(whole) => Some(whole),
        // Beyond this every float is whole, and no integer dtype reaches as far.
        Number::Float(float) if float.fract() == 0.0 && float.abs() < 2_f64.powi(100) => Some(float as i128),
        Number::Complex(re, 0.0) => whole(Number::Float(re)),
        _ => None,
    }
}

macro_rules! from_whole {
    ($($rust:ty),*) => {$(
        impl FromNumber for $rust {
            fn from_number(number: Number) -> Option<Self> {
                whole(number).and_then(|whole| Self::try_from(whole).ok())
            }

            fn push(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_ne_bytes());
            }
        }
    )*};
}

from_whole!(u8, u16, u32, u64, i8, i16, i32, i64);

impl FromNumber for bool {
    fn from_number(number: Number) -> Option<Self> {
        match whole(number)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn push(self, bytes: &mut Vec<u8>) {
        bytes.push(u8::from(self));
    }
}

/// A float dtype: how it is made of an `f64` and read back.
trait Float: Copy {
    fn round(value: f64) -> Self;
    fn wide(self) -> f64;

    fn of(number: Number) -> Option<Self> {
        match number {
            Number::Whole(whole) => {
                let float = Self::round(whole as f64);
                let exact = float.wide().is_finite() && float.wide() as i128 == whole;
                exact.then_some(float)
            }
            Number::Float(value) => {
                let float = Self::round(value);
                (float.wide().is_finite() || !value.is_finite()).then_some(float)
            }
            Number::Complex(re, 0.0) => Self::of(Number::Float(re)),
            Number::Complex(..) => None,
        }
    }
}

macro_rules! from_float {
    ($($rust:ty: $round:expr, $wide:expr;)*) => {$(
        impl Float for $rust {
            fn round(value: f64) -> Self {
                $round(value)
            }

            fn wide(self) -> f64 {
                $wide(self)
            }
        }

        impl FromNumber for $rust {
            fn from_number(number: Number) -> Option<Self> {
                Self::of(number)
            }

            fn push(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_ne_bytes());
            }
        }
    )*};
}

from_float! {
    f16: f16::from_f64, f16::to_f64;
    f32: |value| value as f32, f64::from;
    f64: |value| value, |value| value;
}

fn complex<T: Float>(number: Number) -> Option<Complex<T>> {
    let (re, im) = match number {
        Number::Complex(re, im) => (Number::Float(re), im),
        real => (real, 0.0),
    };
    Some(Complex { re: T::of(re)?, im: T::of(Number::Float(im))? })
}

macro_rules! from_complex {
    ($($rust:ty),*) => {$(
        impl FromNumber for $rust {
            fn from_number(number: Number) -> Option<Self> {
                complex(number)
            }

            fn push(self, bytes: &mut Vec<u8>) {
                self.re.push(bytes);
                self.im.push(bytes);
            }
        }
    )*};
}

from_complex!(Complex32, Complex64);

/// The bytes of `own`, which NumPy made of plain numbers, as elements of a dtype, in C order.
///
/// # Errors
/// `TypeError` that names the first value which the dtype does not have, and its place.
pub(crate) fn cast(own: &Bound<'_, PyUntypedArray>, to: DataType) -> PyResult<Vec<u8>> {
    let numbers = numbers(own, to)?;
    let cast = with_element!(to, T => {
        let mut bytes = Vec::with_capacity(numbers.len() * size_of::<T>());
        let mut lost = None;
        for (place, &number) in numbers.iter().enumerate() {
            match T::from_number(number) {
                Some(element) => element.push(&mut bytes),
                None => {
                    lost = Some(place);
                    break;
                }
            }
        }
        lost.map_or(Ok(bytes), Err)
    });
    cast.or_else(|place| {
        let item = own.call_method0(intern!(own.py(), "ravel"))?.get_item(place)?;
        Err(refused(&item.call_method0(intern!(own.py(), "item"))?, place, to)?)
    })
}

fn refused(value: &Bound<'_, PyAny>, place: usize, to: DataType) -> PyResult<PyErr> {
    let article = if to.kind() == 'i' { "an" } else { "a" };
    let repr = value.repr()?;
    let text = format!(
        "{repr} (value {place}) is not {article} {to}: pass values that the array can hold, or an array of that dtype"
    );
    Ok(PyTypeError::new_err(text))
}

/// The numbers of an array in C order.
fn numbers(own: &Bound<'_, PyUntypedArray>, to: DataType) -> PyResult<Vec<Number>> {
    let py = own.py();
    let wide = match own.dtype().kind() {
        b'b' | b'i' => DataType::Int64,
        b'u' => DataType::Uint64,
        b'f' if own.dtype().itemsize() <= 8 => DataType::Float64,
        b'c' if own.dtype().itemsize() <= 16 => DataType::Complex128,
        _ => return Err(no_number(own, to)?),
    };
    let array = own.call_method1(intern!(py, "astype"), (descr(py, wide), intern!(py, "C")))?;
    let array: Bound<'_, PyUntypedArray> = array.cast_into()?;
    let words = bytes_of(&array).as_chunks::<8>().0;
    Ok(match wide {
        DataType::Int64 => words.iter().map(|&word| Number::Whole(i64::from_ne_bytes(word).into())).collect(),
        DataType::Uint64 => {
            words.iter().map(|&word| Number::Whole(u64::from_ne_bytes(word).into())).collect()
        }
        DataType::Float64 => words.iter().map(|&word| Number::Float(f64::from_ne_bytes(word))).collect(),
        _ => {
            let parts = words.as_chunks::<2>().0.iter();
            parts.map(|&[re, im]| Number::Complex(f64::from_ne_bytes(re), f64::from_ne_bytes(im))).collect()
        }
    })
}

/// Text, dates, integers beyond 64 bits and other objects are not numbers of the store.
fn no_number(own: &Bound<'_, PyUntypedArray>, to: DataType) -> PyResult<PyErr> {
    let first = own.call_method0(intern!(own.py(), "ravel"))?.get_item(0)?;
    let first = first.call_method0(intern!(own.py(), "item")).unwrap_or(first);
    refused(&first, 0, to)
}
