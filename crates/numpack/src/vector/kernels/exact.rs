//! Which kernel scores a pair of dtypes under a metric, and the one safe way to call it.
#![expect(unsafe_code, reason = "kernels read rows through raw pointers")]

use crate::types::dtype::DataType;
use crate::types::error::NpkResult;
use crate::vector::kernels::bits;
use crate::vector::kernels::bytes;
use crate::vector::kernels::cpu::SimdLevel;
use crate::vector::kernels::element::for_numbers;
use crate::vector::kernels::measure::{Query, ScoreRows};
use crate::vector::kernels::numbers;
use crate::vector::metric::Metric;
use crate::vector::vectors::Table;

/// The kernel of one metric on rows of one dtype.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Exact {
    score: ScoreRows,
}

impl Exact {
    /// The kernel for this level.
    ///
    /// # Errors
    /// `UnsupportedDtype`, `InvalidDtype`.
    pub(crate) fn new(
        level: SimdLevel,
        metric: Metric,
        queries: DataType,
        rows: DataType,
    ) -> NpkResult<Exact> {
        metric.check(queries, rows)?;
        let score = match metric {
            Metric::Hamming | Metric::Jaccard => sets(level, metric, rows),
            _ if are_small(queries, rows) => small(level, metric, rows),
            _ => {
                for_numbers!(rows, T => numbers::kernel::<T>(level, metric), numbers::kernel::<f64>(level, metric))
            }
        };
        Ok(Exact { score })
    }

    /// The score of every row in `rows`, in their order.
    ///
    /// # Panics
    /// When a row is not in the table, the query has other dimensions, or `out` another length.
    pub(crate) fn score(&self, query: &Query, table: &Table<'_>, rows: &[u64], out: &mut [f64]) {
        assert_eq!(rows.len(), out.len(), "one score for every row");
        assert!(rows.iter().all(|&row| row < table.rows()), "a row leaves the table");
        let dims = if query.values.is_empty() { query.bytes.len() } else { query.values.len() };
        assert_eq!(dims, table.dims(), "the query has the dimensions of the rows");
        // SAFETY: the asserts are what the kernels ask for; the kernel is for the table's dtype and for a
        // level that `SimdLevel::best` allows.
        unsafe { (self.score)(query, table.base(), table.row_bytes(), rows, out) }
    }
}

/// Whether both sides are integers of 8 bits of one type, whose scores need no floating point.
pub(crate) fn are_small(queries: DataType, rows: DataType) -> bool {
    queries == rows && matches!(rows, DataType::Int8 | DataType::Uint8)
}

fn sets(level: SimdLevel, metric: Metric, rows: DataType) -> ScoreRows {
    #[cfg(all(target_arch = "x86_64", feature = "avx512"))]
    if level.min(SimdLevel::best()) >= SimdLevel::Avx512 && rows == DataType::Uint8 {
        return crate::vector::kernels::x86_64::popcount::kernel(metric);
    }
    bits::kernel(level, metric, rows)
}

fn small(level: SimdLevel, metric: Metric, rows: DataType) -> ScoreRows {
    #[cfg(all(target_arch = "x86_64", feature = "avx512"))]
    if level.min(SimdLevel::best()) >= SimdLevel::Avx512 {
        return crate::vector::kernels::x86_64::vnni::kernel(metric, rows);
    }
    match rows {
        DataType::Int8 => bytes::kernel::<i8>(level, metric),
        _ => bytes::kernel::<u8>(level, metric),
    }
}
