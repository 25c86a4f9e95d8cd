//! Values to store: each differs from the one before it.

pub(crate) fn values(first: usize, n: usize) -> Vec<f32> {
    (first..first + n).map(|v| v as f32).collect()
}
