//! Products of bfloat16 vectors in blocks of 32 rows and 32 queries: how operands lie in memory.
//!
//! A kernel computes `C = A · Bᵀ` in `float32`: the tile instructions of AMX (`amx.rs`), where the CPU and the
//! system have them. Sizes are whole blocks, so that no kernel has code for remainders. The results are
//! estimates with a bound (`bound.rs`); no score that a caller sees is computed here.
#![expect(unsafe_code, reason = "kernels read and write through raw pointers")]

use crate::vector::candidates::blocks::{COLUMN_STEP, DEPTH_STEP, Multiply, ROW_STEP, TILE};

/// The code that multiplies on this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Product {
    multiply: Multiply,
}

/// Queries in the order of tiles: for every panel of 32 queries and every 32 elements two tiles of 16 queries
/// each. Row `k` of a tile holds elements `2k` and `2k + 1` of each of its queries, side by side.
#[derive(Debug)]
pub(crate) struct Packed {
    lines: Vec<Line>,
    columns: usize,
    depth: usize,
}

/// A row of a tile, in a cache line of its own.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Line([u16; 2 * TILE]);

impl Product {
    /// `None` when the CPU has no code for it or the system refuses its registers; tests emulate it then.
    pub(crate) fn new() -> Option<Product> {
        kernel().map(|multiply| Product { multiply })
    }

    /// `c[i][j] = a[i] · b[j]`; `c` has a row of all columns for each row of `a`.
    ///
    /// # Panics
    /// When a length does not fit, or the rows are not whole blocks.
    pub(crate) fn multiply(&self, a: &[u16], b: &Packed, c: &mut [f32]) {
        let rows = a.len() / b.depth;
        assert!(a.len() == rows * b.depth && rows.is_multiple_of(ROW_STEP), "whole blocks of rows");
        assert_eq!(Some(c.len()), rows.checked_mul(b.columns), "one result for every pair");
        if c.is_empty() {
            return;
        }
        let packed = b.lines.as_ptr().cast();
        // SAFETY: the asserts, and `Packed::new` has checked its sizes; `new` found the code for this CPU.
        unsafe { (self.multiply)(a.as_ptr(), rows, packed, b.columns, b.depth, c.as_mut_ptr()) }
    }
}

impl Packed {
    /// Packs `columns` vectors of `depth` elements each.
    ///
    /// # Panics
    /// When the sizes are not multiples of the steps, `depth` is 0 or `values` has another length.
    pub(crate) fn new(values: &[u16], columns: usize, depth: usize) -> Packed {
        assert!(depth > 0 && depth.is_multiple_of(DEPTH_STEP), "vectors fill tiles");
        assert!(columns.is_multiple_of(COLUMN_STEP), "columns fill tiles");
        assert_eq!(Some(values.len()), columns.checked_mul(depth), "whole vectors");
        let mut lines = vec![Line([0; 2 * TILE]); values.len() / (2 * TILE)];
        let steps = depth / DEPTH_STEP;
        for (column, vector) in values.chunks_exact(depth).enumerate() {
            let (panel, half, place) = (column / COLUMN_STEP, column % COLUMN_STEP / TILE, column % TILE);
            for (step, elements) in vector.chunks_exact(DEPTH_STEP).enumerate() {
                let tile = &mut lines[((panel * steps + step) * 2 + half) * TILE..][..TILE];
                for (Line(row), pair) in tile.iter_mut().zip(elements.as_chunks::<2>().0) {
                    row[2 * place..][..2].copy_from_slice(pair);
                }
            }
        }
        Packed { lines, columns, depth }
    }
}

/// Whether the CPU and the system have AMX; the system may still refuse to give its registers.
#[cfg(target_arch = "x86_64")]
pub(crate) fn has_amx() -> bool {
    #[cfg(all(target_os = "linux", feature = "avx512"))]
    return crate::vector::candidates::amx::is_detected();
    #[cfg(not(all(target_os = "linux", feature = "avx512")))]
    return false;
}

fn machine_kernel() -> Option<Multiply> {
    #[cfg(all(target_arch = "x86_64", target_os = "linux", feature = "avx512"))]
    return crate::vector::candidates::amx::kernel();
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux", feature = "avx512")))]
    return None;
}

#[cfg(not(test))]
fn kernel() -> Option<Multiply> {
    machine_kernel()
}

/// Tests go through products of bfloat16 on every machine.
#[cfg(test)]
fn kernel() -> Option<Multiply> {
    machine_kernel().or(Some(super::tiles::multiply))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::candidates::tiles;
    use crate::vector::kernels::element::power;
    use proptest::prelude::*;

    /// Every way to multiply on this machine; the assembly of AMX is emulated where there is none.
    fn products() -> Vec<(&'static str, Product)> {
        let emulation = ("emulation", Product { multiply: tiles::multiply });
        #[cfg(all(target_arch = "x86_64", target_os = "linux", feature = "avx512"))]
        {
            let multiply = machine_kernel().unwrap_or(crate::vector::candidates::amx_trap::multiply);
            vec![emulation, ("assembly", Product { multiply })]
        }
        #[cfg(not(all(target_arch = "x86_64", target_os = "linux", feature = "avx512")))]
        vec![emulation]
    }

    fn value(bits: u16) -> f64 {
        f64::from(f32::from_bits(u32::from(bits) << 16))
    }

    /// Checks every product against a plain sum, with the bound of `docs/search.md` for its arithmetic.
    fn check(a: &[u16], rows: usize, b: &[u16], columns: usize, depth: usize) {
        let packed = Packed::new(b, columns, depth);
        let mut found = Vec::new();
        for (name, product) in products() {
            let mut c = vec![f32::NAN; rows * columns];
            product.multiply(a, &packed, &mut c);
            for (i, x) in a.chunks_exact(depth).enumerate() {
                for (j, y) in b.chunks_exact(depth).enumerate() {
                    let terms = || x.iter().zip(y).map(|(&x, &y)| value(x) * value(y));
                    let (plain, sizes) = (terms().sum::<f64>(), terms().map(f64::abs).sum::<f64>());
                    let largest = x.iter().chain(y).map(|&x| value(x).abs()).fold(1.0, f64::max);
                    let flushed = 2.0 * depth as f64 * power(-126) * largest;
                    let bound = (depth + 64) as f64 * power(-23) * sizes + flushed;
                    let off = (f64::from(c[i * columns + j]) - plain).abs();
                    assert!(off <= bound, "{name}: row {i}, query {j}, {depth} elements: {off} > {bound}");
                }
            }
            found.push(c);
        }
        // A CPU's own AMX has to keep to the bound and to nothing else.
        if machine_kernel().is_none() {
            let bits = |c: &Vec<f32>| c.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert!(found.iter().all(|c| bits(c) == bits(&found[0])), "the same bits from all");
        }
    }

    /// Bfloat16 of any size whose products of up to a hundred stay finite; a third of them denormal or zero.
    fn any_bfloat16() -> impl Strategy<Value = u16> {
        prop_oneof![
            4 => (0x3000..0x4800_u16, any::<bool>()).prop_map(|(bits, sign)| bits | u16::from(sign) << 15),
            1 => (0x0080..0x5c00_u16, any::<bool>()).prop_map(|(bits, sign)| bits | u16::from(sign) << 15),
            1 => (0..0x0080_u16, any::<bool>()).prop_map(|(bits, sign)| bits | u16::from(sign) << 15),
            1 => Just(0x3f80_u16),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

        #[test]
        fn products_are_sums_within_the_bound(
            (rows, columns, depth, a, b) in (1..4_usize, 1..4_usize, 1..5_usize).prop_flat_map(|(r, c, d)| {
                let (rows, columns, depth) = (r * ROW_STEP, c * COLUMN_STEP, d * DEPTH_STEP);
                let side = |vectors| proptest::collection::vec(any_bfloat16(), vectors * depth);
                (Just(rows), Just(columns), Just(depth), side(rows), side(columns))
            }),
        ) {
            check(&a, rows, &b, columns, depth);
        }
    }

    #[test]
    fn every_pair_has_its_place() {
        // Products of whole numbers are exact, and all of them differ.
        let (rows, columns, depth) = (3 * ROW_STEP, 2 * COLUMN_STEP, 2 * DEPTH_STEP);
        let bits = |x: usize| ((x as f32).to_bits() >> 16) as u16;
        let one_of = |vectors: usize, first: usize| -> Vec<u16> {
            let vector =
                |i| (0..depth).map(move |e| if e == first { bits(i) } else { bits(usize::from(e == 63)) });
            (0..vectors).flat_map(vector).collect()
        };
        for first in [0, 1, 31, 32, 62] {
            let (a, b) = (one_of(rows, first), one_of(columns, first));
            let packed = Packed::new(&b, columns, depth);
            for (name, product) in products() {
                let mut c = vec![f32::NAN; rows * columns];
                product.multiply(&a, &packed, &mut c);
                for (i, row) in c.chunks_exact(columns).enumerate() {
                    let expected: Vec<f32> = (0..columns).map(|j| (i * j + 1) as f32).collect();
                    assert_eq!(row, expected, "{name}: row {i}, element {first}");
                }
            }
        }
    }

    #[test]
    fn no_rows_and_no_queries_have_no_products() {
        for (_, product) in products() {
            product.multiply(&[], &Packed::new(&[0; 32 * 32], 32, 32), &mut []);
            product.multiply(&[0; 32 * 32], &Packed::new(&[], 0, 32), &mut []);
        }
    }

    #[test]
    fn threads_multiply_at_the_same_time() {
        let (a, b) = (vec![0x3f80; 64 * 64], Packed::new(&vec![0x4000; 32 * 64], 32, 64));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for (name, product) in products() {
                        let mut c = vec![0.0; 64 * 32];
                        product.multiply(&a, &b, &mut c);
                        assert!(c.iter().all(|&x| x == 128.0), "{name}");
                    }
                });
            }
        });
    }
}
