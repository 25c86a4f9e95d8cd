//! The metrics: their names, which way they rank, and which dtypes they take.
//!
//! How a score is computed is in `exact.rs` and `bits.rs`.

use std::fmt;
use std::str::FromStr;

use crate::types::dtype::DataType;
use crate::types::error::{NpkError, NpkResult};

/// How two vectors are compared. `a` is the query, `b` the row; sums run over the elements.
///
/// Every score is computed in `float64`, whatever the dtypes. Dot and cosine are similarities (the highest
/// score is the best), all others are distances (the lowest is the best).
///
/// ```
/// use numpack::vector::Metric;
///
/// let metric: Metric = "euclidean".parse()?;
/// assert_eq!(metric, Metric::L2);
/// assert_eq!(metric.to_string(), "l2");
/// assert!(!metric.is_similarity());
/// # Ok::<(), numpack::NpkError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Metric {
    /// Inner product, `Σ a·b`. Any integer or float dtype.
    Dot,
    /// Cosine of the angle, `Σ a·b / (√Σ a² · √Σ b²)`, held inside `-1..=1`; 0 when a vector has length 0.
    /// Any integer or float dtype.
    Cosine,
    /// Euclidean distance, `√Σ (a-b)²`. Any integer or float dtype.
    L2,
    /// Squared Euclidean distance, `Σ (a-b)²`. Any integer or float dtype.
    L2Squared,
    /// Number of differing bits (`uint8`, eight bits an element) or elements (`bool`).
    Hamming,
    /// Jaccard distance, `1 - |a ∩ b| / |a ∪ b|` over the set bits (`uint8`) or true elements (`bool`);
    /// 0 when both sets are empty.
    Jaccard,
    /// Kullback-Leibler divergence, `Σ a·ln(a/b)` in nats. A term is 0 where `a` is 0 and `b` is not
    /// negative, and infinite where it is not defined otherwise. Floats; nothing is normalised.
    KullbackLeibler,
    /// Jensen-Shannon divergence, `½ Σ a·ln(a/m) + ½ Σ b·ln(b/m)` with `m = (a+b)/2`, in nats: the
    /// divergence, not its square root. Terms as for [`Metric::KullbackLeibler`]. Floats.
    JensenShannon,
}

/// Every name of every metric; the first of a metric is the one that `Display` writes.
const NAMES: [(&str, Metric); 20] = [
    ("dot", Metric::Dot),
    ("dot_product", Metric::Dot),
    ("dotproduct", Metric::Dot),
    ("inner", Metric::Dot),
    ("inner_product", Metric::Dot),
    ("cosine", Metric::Cosine),
    ("cos", Metric::Cosine),
    ("cosine_similarity", Metric::Cosine),
    ("l2", Metric::L2),
    ("euclidean", Metric::L2),
    ("l2_distance", Metric::L2),
    ("l2sq", Metric::L2Squared),
    ("l2_squared", Metric::L2Squared),
    ("squared_euclidean", Metric::L2Squared),
    ("hamming", Metric::Hamming),
    ("jaccard", Metric::Jaccard),
    ("kl", Metric::KullbackLeibler),
    ("kl_divergence", Metric::KullbackLeibler),
    ("js", Metric::JensenShannon),
    ("js_divergence", Metric::JensenShannon),
];

impl Metric {
    /// Every metric.
    pub const ALL: [Metric; 8] = [
        Metric::Dot,
        Metric::Cosine,
        Metric::L2,
        Metric::L2Squared,
        Metric::Hamming,
        Metric::Jaccard,
        Metric::KullbackLeibler,
        Metric::JensenShannon,
    ];

    /// Whether a higher score is a better one.
    pub const fn is_similarity(self) -> bool {
        matches!(self, Metric::Dot | Metric::Cosine)
    }

    /// The short name.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, metric)| *metric == self).map_or("", |(name, _)| name)
    }

    /// Whether the metric is defined on vectors of this dtype.
    pub const fn takes(self, dtype: DataType) -> bool {
        match dtype {
            DataType::Complex64 | DataType::Complex128 => false,
            DataType::Bool => self.is_on_sets(),
            DataType::Uint8 => !self.is_divergence(),
            DataType::Float16 | DataType::Float32 | DataType::Float64 => !self.is_on_sets(),
            _ => !self.is_on_sets() && !self.is_divergence(),
        }
    }

    /// Whether vectors are sets of bits.
    pub(crate) const fn is_on_sets(self) -> bool {
        matches!(self, Metric::Hamming | Metric::Jaccard)
    }

    const fn is_divergence(self) -> bool {
        matches!(self, Metric::KullbackLeibler | Metric::JensenShannon)
    }

    /// Checks the dtypes of both sides. Numbers may be mixed; sets are both bits or both booleans.
    pub(crate) fn check(self, queries: DataType, rows: DataType) -> NpkResult<()> {
        for dtype in [rows, queries] {
            if !self.takes(dtype) {
                return Err(NpkError::UnsupportedDtype { metric: self.name(), dtype });
            }
        }
        if self.is_on_sets() && queries != rows {
            return Err(NpkError::SetMismatch { queries, rows });
        }
        Ok(())
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Metric {
    type Err = NpkError;

    /// Accepts every documented name; upper case and lower case are the same.
    fn from_str(name: &str) -> NpkResult<Metric> {
        let known = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        known.map(|(_, metric)| *metric).ok_or_else(|| NpkError::InvalidArgument {
            argument: "metric",
            value: format!("{name:?}"),
            reason: "known are dot, cosine, l2, l2sq, hamming, jaccard, kl and js, and their long names",
        })
    }
}
