//! Estimates in `float32`: products of rows with one query, and of tiles of rows with panels of queries.
//!
//! Where there is no AMX this is faster than products of bfloat16, and its bound is tighter. The code is
//! plain loops over arrays that fill the registers of each level; sums are in no promised order, as their
//! results are estimates only.
#![expect(unsafe_code, reason = "rows are read through raw pointers, and code is compiled for CPU features")]

use crate::types::dtype::DataType;
use crate::vector::candidates::bfloat16::Length;
use crate::vector::kernels::cpu::SimdLevel;
use crate::vector::kernels::element::{Element, Scale, for_numbers, power};
use crate::vector::kernels::row::{AHEAD, load, prefetch};
use crate::vector::vectors::Table;

/// Sums that run side by side.
const LANES: usize = crate::vector::kernels::element::GROUP;
/// Rows of a block of products; buffers hold whole blocks.
pub(crate) const BLOCK_ROWS: usize = 12;
/// Queries of a panel.
const PANEL: usize = 32;
/// Squares outside these are not to be trusted: some may have been flushed, or the sum overflowed.
pub(crate) const SQUARES: std::ops::Range<f64> = 1e-18..1e30;

type Widen = unsafe fn(*const u8, usize, &[u64], &mut [f32], &mut [f32]);
type Direct = unsafe fn(*const u8, &[f32], &[u64], &mut [f32], &mut [f32]);
type Multiply = unsafe fn(*const f32, usize, &[f32], usize, *mut f32, usize);

/// The code for rows of one dtype on one level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Matrix {
    widen: Widen,
    direct: Direct,
    multiply: Multiply,
}

/// Queries in the order that [`Matrix::multiply`] wants: panels of 32, element by element.
#[derive(Debug)]
pub(crate) struct Panels {
    values: Vec<f32>,
    columns: usize,
    dims: usize,
}

impl Panels {
    /// Panels of `columns` queries, a multiple of 32, of `dims` elements each.
    pub(crate) fn new(queries: &[f32], columns: usize, dims: usize) -> Panels {
        assert!(columns.is_multiple_of(PANEL) && queries.len() == columns * dims, "whole panels");
        let mut values = vec![0.0; queries.len()];
        for (query, row) in queries.chunks_exact(dims).enumerate() {
            let panel = &mut values[query / PANEL * PANEL * dims..][..PANEL * dims];
            for (element, &value) in row.iter().enumerate() {
                panel[element * PANEL + query % PANEL] = value;
            }
        }
        Panels { values, columns, dims }
    }
}

impl Matrix {
    pub(crate) fn new(level: SimdLevel, rows: DataType) -> Matrix {
        let matrix = for_numbers!(rows, T => versions::<T>(level), versions::<f64>(level));
        #[cfg(all(target_arch = "x86_64", feature = "avx512"))]
        if rows == DataType::Float16 && level.min(SimdLevel::best()) >= SimdLevel::Avx512 {
            return Matrix { direct: crate::vector::kernels::x86_64::float16::estimate, ..matrix };
        }
        matrix
    }

    /// Copies rows as `f32` and says how long they are; blocks are filled up with zeros.
    ///
    /// # Panics
    /// When a row is not in the table.
    pub(crate) fn widen(&self, table: &Table<'_>, rows: &[u64], out: &mut Vec<f32>, squares: &mut Vec<f32>) {
        assert!(rows.iter().all(|&row| row < table.rows()), "a row leaves the table");
        out.resize(rows.len().next_multiple_of(BLOCK_ROWS) * table.dims(), 0.0);
        squares.resize(rows.len(), 0.0);
        // SAFETY: the rows are in the table, and there is a place for every element.
        unsafe { (self.widen)(table.base(), table.dims(), rows, out, squares) }
    }

    /// The product of each row with one query, and the squared length of each row.
    ///
    /// # Panics
    /// When a row is not in the table or the query has other dimensions.
    pub(crate) fn estimate(
        &self,
        table: &Table<'_>,
        rows: &[u64],
        query: &[f32],
        products: &mut [f32],
        squares: &mut [f32],
    ) {
        assert!(rows.iter().all(|&row| row < table.rows()), "a row leaves the table");
        assert!(query.len() == table.dims(), "the query has the dimensions of the rows");
        assert!(rows.len() == products.len() && rows.len() == squares.len(), "one place for every row");
        // SAFETY: the asserts are what the code asks for; it is for the table's dtype.
        unsafe { (self.direct)(table.base(), query, rows, products, squares) }
    }

    /// The products of whole blocks of rows with all queries: a row of `columns` for each.
    ///
    /// # Panics
    /// When a length does not fit.
    pub(crate) fn multiply(&self, rows: &[f32], panels: &Panels, products: &mut [f32]) {
        let count = rows.len() / panels.dims;
        assert!(rows.len() == count * panels.dims && count.is_multiple_of(BLOCK_ROWS), "whole blocks");
        assert_eq!(products.len(), count * panels.columns, "one place for every pair");
        let (a, c) = (rows.as_ptr(), products.as_mut_ptr());
        // SAFETY: the asserts are what the code asks for.
        unsafe { (self.multiply)(a, count, &panels.values, panels.dims, c, panels.columns) }
    }
}

/// The length of a row from its squares in `f32`.
pub(crate) fn length_of(squares: f32, is_zero: impl FnOnce() -> bool) -> Length {
    let squares = f64::from(squares);
    if SQUARES.contains(&squares) {
        return Length::Scaled { exponent: 0, norm: squares.sqrt() };
    }
    // The square of a small number may have become 0 in `f32`.
    if squares == 0.0 && is_zero() { Length::Zero } else { Length::Unknown }
}

#[cfg(target_arch = "x86_64")]
macro_rules! version {
    ($level:ident, $features:literal, $rows:literal, $panel:literal) => {
        mod $level {
            use super::{Element, blocks, estimate_rows, widen_rows};

            /// # Safety
            /// The CPU must have the features; the rest as for `widen_rows`.
            #[target_feature(enable = $features)]
            pub(crate) unsafe fn widen<T: Element>(
                base: *const u8,
                dims: usize,
                rows: &[u64],
                out: &mut [f32],
                squares: &mut [f32],
            ) {
                // SAFETY: the caller's promise.
                unsafe { widen_rows::<T, true>(base, dims, rows, out, squares) }
            }

            /// # Safety
            /// The CPU must have the features; the rest as for `estimate_rows`.
            #[target_feature(enable = $features)]
            pub(crate) unsafe fn direct<T: Element>(
                base: *const u8,
                query: &[f32],
                rows: &[u64],
                products: &mut [f32],
                squares: &mut [f32],
            ) {
                // SAFETY: the caller's promise.
                unsafe { estimate_rows::<T, true>(base, query, rows, products, squares) }
            }

            /// # Safety
            /// The CPU must have the features; the rest as for `blocks`.
            #[target_feature(enable = $features)]
            pub(crate) unsafe fn multiply(
                a: *const f32,
                rows: usize,
                b: &[f32],
                dims: usize,
                c: *mut f32,
                columns: usize,
            ) {
                // SAFETY: the caller's promise.
                unsafe { blocks::<$rows, $panel, true>(a, rows, b, dims, c, columns) }
            }
        }
    };
}

#[cfg(all(target_arch = "x86_64", feature = "avx512"))]
version!(avx512, "avx512f,avx512bw,avx512dq,avx512vl,avx512vpopcntdq,avx2,fma,f16c,popcnt", 12, 32);
#[cfg(target_arch = "x86_64")]
version!(avx2, "avx2,fma,f16c,popcnt", 6, 16);

#[cfg(target_arch = "x86_64")]
fn versions<T: Element>(level: SimdLevel) -> Matrix {
    match level.min(SimdLevel::best()) {
        SimdLevel::Serial => plain::<T>(),
        #[cfg(feature = "avx512")]
        SimdLevel::Avx512 | SimdLevel::Amx => {
            Matrix { widen: avx512::widen::<T>, direct: avx512::direct::<T>, multiply: avx512::multiply }
        }
        _ => Matrix { widen: avx2::widen::<T>, direct: avx2::direct::<T>, multiply: avx2::multiply },
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn versions<T: Element>(_level: SimdLevel) -> Matrix {
    plain::<T>()
}

fn plain<T: Element>() -> Matrix {
    Matrix {
        widen: widen_rows::<T, false>,
        direct: estimate_rows::<T, false>,
        multiply: blocks::<4, 8, false>,
    }
}

/// # Safety
/// Every row of `dims` elements must be readable behind `base`, and `out` must have a place for each element.
#[inline(always)]
unsafe fn widen_rows<T: Element, const WIDE: bool>(
    base: *const u8,
    dims: usize,
    rows: &[u64],
    out: &mut [f32],
    squares: &mut [f32],
) {
    let (own, behind) = out.split_at_mut(rows.len() * dims);
    behind.fill(0.0);
    for ((&row, out), squares) in rows.iter().zip(own.chunks_exact_mut(dims)).zip(squares) {
        // SAFETY: the caller's promise.
        unsafe { T::widen::<WIDE>(base.add(row as usize * dims * size_of::<T>()), out) };
        // SAFETY: `out` holds a whole row.
        *squares = unsafe { sums::<f32, WIDE>(out.as_ptr().cast(), out).1 };
    }
}

/// # Safety
/// Every row must be readable behind `base`.
#[inline(always)]
unsafe fn estimate_rows<T: Element, const WIDE: bool>(
    base: *const u8,
    query: &[f32],
    rows: &[u64],
    products: &mut [f32],
    squares: &mut [f32],
) {
    let size = query.len() * size_of::<T>();
    for (i, ((&row, product), squares)) in rows.iter().zip(products).zip(squares).enumerate() {
        // SAFETY: the caller's promise.
        unsafe {
            if let Some(&next) = rows.get(i + AHEAD) {
                prefetch(base.add(next as usize * size), size);
            }
            (*product, *squares) = sums::<T, WIDE>(base.add(row as usize * size), query);
        }
    }
}

/// The sums of products with a query and of squares.
///
/// # Safety
/// As many elements as the query has must be readable at `row`.
#[inline(always)]
unsafe fn sums<T: Element, const WIDE: bool>(row: *const u8, query: &[f32]) -> (f32, f32) {
    let (mut products, mut squares) = ([0.0_f32; LANES], [0.0_f32; LANES]);
    let (groups, rest) = query.as_chunks::<LANES>();
    for (group, values) in groups.iter().enumerate() {
        // SAFETY: the group is inside the row.
        let x = unsafe { T::group::<WIDE>(row, group) };
        for lane in 0..LANES {
            products[lane] = add_product::<WIDE>(x[lane], values[lane], products[lane]);
            squares[lane] = add_product::<WIDE>(x[lane], x[lane], squares[lane]);
        }
    }
    let (mut product, mut square) = (total(products), total(squares));
    for (i, &value) in rest.iter().enumerate() {
        // SAFETY: the element is inside the row.
        let x = unsafe { load::<T>(row, groups.len() * LANES + i) }.scaled(Scale::ONE);
        product += x * value;
        square += x * x;
    }
    (product, square)
}

#[inline(always)]
fn total(lanes: [f32; LANES]) -> f32 {
    let sixteen: [f32; 16] = std::array::from_fn(|i| lanes[i] + lanes[i + 16]);
    let eight: [f32; 8] = std::array::from_fn(|i| sixteen[i] + sixteen[i + 8]);
    let four: [f32; 4] = std::array::from_fn(|i| eight[i] + eight[i + 4]);
    (four[0] + four[2]) + (four[1] + four[3])
}

#[inline(always)]
fn add_product<const WIDE: bool>(a: f32, b: f32, sum: f32) -> f32 {
    if WIDE { a.mul_add(b, sum) } else { a * b + sum }
}

/// Does the same for each row of a block, written out: sums stay in registers only if no loop is left, and
/// whether the compiler unrolls one of twelve rounds changes with the crates it is built with.
macro_rules! each_row {
    ($row:ident < $rows:ident $body:block) => {
        each_row!($row $rows $body 0 1 2 3 4 5 6 7 8 9 10 11)
    };
    ($row:ident $rows:ident $body:block $($number:literal)*) => {$(
        if $number < $rows {
            let $row = $number;
            $body
        }
    )*};
}

/// Products of blocks of `R` rows with `C` queries at a time, which stay in registers.
///
/// # Safety
/// `a` must have `rows` rows of `dims`, `c` as many of `columns` places; `R` divides [`BLOCK_ROWS`], which
/// divides `rows`, and `C` divides [`PANEL`].
#[inline(always)]
unsafe fn blocks<const R: usize, const C: usize, const WIDE: bool>(
    a: *const f32,
    rows: usize,
    b: &[f32],
    dims: usize,
    c: *mut f32,
    columns: usize,
) {
    const { assert!(BLOCK_ROWS.is_multiple_of(R) && PANEL.is_multiple_of(C)) };
    for row in (0..rows).step_by(R) {
        for column in (0..columns).step_by(C) {
            let panel = &b[column / PANEL * PANEL * dims..][..PANEL * dims];
            let mut sums = [[0.0_f32; C]; R];
            for (element, values) in panel.as_chunks::<PANEL>().0.iter().enumerate() {
                let values = &values[column % PANEL..][..C];
                each_row!(r < R {
                    // SAFETY: row and element are inside `a`.
                    let x = unsafe { *a.add((row + r) * dims + element) };
                    for (sum, &value) in sums[r].iter_mut().zip(values) {
                        *sum = add_product::<WIDE>(x, value, *sum);
                    }
                });
            }
            each_row!(r < R {
                // SAFETY: row and columns are inside `c`.
                unsafe { c.add((row + r) * columns + column).cast::<[f32; C]>().write_unaligned(sums[r]) };
            });
        }
    }
}

/// The vector times `2^-exponent` in `f32`, and the length of what that rounding took off.
pub(crate) fn scale_query(values: &[f64], exponent: i32) -> (Vec<f32>, f64) {
    let scale = power(-exponent);
    let scaled: Vec<f32> = values.iter().map(|value| (value * scale) as f32).collect();
    let off = values.iter().zip(&scaled).map(|(value, &x)| (value * scale - f64::from(x)).powi(2));
    let off = off.sum::<f64>().sqrt() * (1.0 + 1e-9);
    (scaled, off)
}
