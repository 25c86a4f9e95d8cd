//! Scores on vectors of numbers: one measure for each metric, for every element type.
#![expect(unsafe_code, reason = "rows are read through raw pointers")]

use crate::vector::kernels::cpu::SimdLevel;
use crate::vector::kernels::element::Element;
use crate::vector::kernels::measure::{Measure, Query, ScoreRows, cosine, sums, versions};
use crate::vector::kernels::row::load;
use crate::vector::metric::Metric;

/// The kernel of a metric on rows of `T`.
pub(crate) fn kernel<T: Element>(level: SimdLevel, metric: Metric) -> ScoreRows {
    match metric {
        Metric::Cosine => versions::<Cosine<T>>(level),
        Metric::L2 => versions::<L2<T>>(level),
        Metric::L2Squared => versions::<L2Squared<T>>(level),
        Metric::KullbackLeibler => versions::<KullbackLeibler<T>>(level),
        Metric::JensenShannon => versions::<JensenShannon<T>>(level),
        _ => versions::<Dot<T>>(level),
    }
}

/// `x·ln(x/y)`, 0 for `x = 0`, and infinite where it is not defined; accurate also where `x/y` is near 1.
#[inline(always)]
fn relative_entropy(x: f64, y: f64) -> f64 {
    if x.is_nan() || y.is_nan() {
        return f64::NAN;
    }
    if x == 0.0 && y >= 0.0 {
        return 0.0;
    }
    if x <= 0.0 || y <= 0.0 {
        return f64::INFINITY;
    }
    let ratio = x / y;
    match ratio {
        _ if 0.5 < ratio && ratio < 2.0 => x * ((x - y) / y).ln_1p(),
        _ if ratio.is_normal() => x * ratio.ln(),
        _ => x * (x.ln() - y.ln()),
    }
}

#[inline(always)]
fn js_term(a: f64, b: f64) -> f64 {
    let middle = 0.5 * (a + b);
    0.5 * relative_entropy(a, middle) + 0.5 * relative_entropy(b, middle)
}

/// Implements [`Measure`] for one struct per metric: `x` is the row's element, `y` the query's, `sums` what
/// the terms add up to.
macro_rules! measures {
    ($($name:ident: |$x:ident, $y:ident| $terms:expr, |$sums:ident, $query:ident| $score:expr;)*) => {$(
        struct $name<T>(std::marker::PhantomData<T>);

        impl<T: Element> Measure for $name<T> {
            #[inline(always)]
            unsafe fn score(row: *const u8, $query: &Query) -> f64 {
                // SAFETY: the caller has a whole row there, of as many elements as the query.
                let element = |i| unsafe { load::<T>(row, i) }.f64();
                let $sums = sums(element, &$query.values, |$x, $y| $terms);
                $score
            }
        }
    )*};
}

measures! {
    Dot: |x, y| [x * y], |sums, query| sums[0];
    Cosine: |x, y| [x * y, x * x], |sums, query| cosine(sums[0], sums[1].sqrt(), query.norm);
    L2: |x, y| [(x - y) * (x - y)], |sums, query| sums[0].sqrt();
    L2Squared: |x, y| [(x - y) * (x - y)], |sums, query| sums[0];
    KullbackLeibler: |x, y| [relative_entropy(y, x)], |sums, query| sums[0];
    JensenShannon: |x, y| [js_term(y, x)], |sums, query| sums[0];
}
