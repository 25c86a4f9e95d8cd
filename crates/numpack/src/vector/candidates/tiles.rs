//! The tile instructions of AMX in plain Rust: the oracle of `amx.rs`, and what tests multiply with elsewhere.
//!
//! Each method does what Intel's manual says of one instruction ("Intel 64 and IA-32 Architectures Software
//! Developer's Manual", volume 2), bit for bit. Where the instruction would fault, it panics.
#![expect(unsafe_code, reason = "tiles are read and written through raw pointers")]

use crate::vector::candidates::blocks::{COLUMN_STEP, DEPTH_STEP, ROW_STEP, TILE_CONFIG};

/// Rows of a tile at most, and its columns of 4 bytes.
const SIDE: usize = 16;

/// The tile registers of one thread.
#[derive(Debug, Default)]
pub(crate) struct Tiles {
    /// `None` before `ldtilecfg` and after `tilerelease`: no tile may be used.
    shapes: Option<[Shape; 8]>,
    /// Rows of `float32`, or of pairs of bfloat16 with the first one in the low half.
    tiles: [[[u32; SIDE]; SIDE]; 8],
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Shape {
    rows: usize,
    /// Of 4 bytes each.
    columns: usize,
}

impl Tiles {
    /// `ldtilecfg`
    pub(crate) fn configure(&mut self, bytes: &[u8; 64]) {
        assert_eq!(bytes[0], 1, "the palette");
        let reserved = bytes[1..16].iter().chain(&bytes[32..48]).chain(&bytes[56..]);
        assert!(reserved.into_iter().all(|&byte| byte == 0), "no restart, and nothing in reserved bytes");
        let shapes = std::array::from_fn(|tile| {
            let row = usize::from(u16::from_le_bytes([bytes[16 + 2 * tile], bytes[17 + 2 * tile]]));
            let rows = usize::from(bytes[48 + tile]);
            assert!(row <= 4 * SIDE && row.is_multiple_of(4) && rows <= SIDE, "{rows} rows of {row} bytes");
            assert_eq!(row == 0, rows == 0, "no half-empty tile");
            Shape { rows, columns: row / 4 }
        });
        *self = Tiles { shapes: Some(shapes), ..Tiles::default() };
    }

    /// `tilerelease`
    pub(crate) fn release(&mut self) {
        *self = Tiles::default();
    }

    /// Whether tiles are in use.
    pub(crate) fn is_configured(&self) -> bool {
        self.shapes.is_some()
    }

    fn shape(&self, tile: usize) -> Shape {
        let shape = self.shapes.expect("configured tiles")[tile];
        assert_ne!(shape, Shape::default(), "tile {tile} is configured");
        shape
    }

    /// `tilezero`
    pub(crate) fn zero(&mut self, tile: usize) {
        self.shape(tile);
        self.tiles[tile] = Default::default();
    }

    /// `tileloadd`
    ///
    /// # Safety
    /// The rows of the tile must be readable at `base`, `stride` bytes apart.
    pub(crate) unsafe fn load(&mut self, tile: usize, base: *const u8, stride: usize) {
        let Shape { rows, columns } = self.shape(tile);
        self.tiles[tile] = Default::default();
        for (row, places) in self.tiles[tile][..rows].iter_mut().enumerate() {
            for (column, place) in places[..columns].iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                *place = unsafe { base.add(row * stride + 4 * column).cast::<u32>().read_unaligned() };
            }
        }
    }

    /// `tilestored`
    ///
    /// # Safety
    /// The rows of the tile must be writable at `base`, `stride` bytes apart.
    pub(crate) unsafe fn store(&self, tile: usize, base: *mut u8, stride: usize) {
        let Shape { rows, columns } = self.shape(tile);
        for (row, places) in self.tiles[tile][..rows].iter().enumerate() {
            for (column, &place) in places[..columns].iter().enumerate() {
                // SAFETY: the caller's promise.
                unsafe { base.add(row * stride + 4 * column).cast::<u32>().write_unaligned(place) };
            }
        }
    }

    /// `tdpbf16ps sums, a, b`: elements with even numbers are added up from 0 in one sum, those with odd ones
    /// in another, each product fused into the addition; then the two are added, and that to what was there.
    pub(crate) fn dot(&mut self, sums: usize, a: usize, b: usize) {
        assert!(sums != a && sums != b && a != b, "three tiles");
        let (shape, left, right) = (self.shape(sums), self.shape(a), self.shape(b));
        assert_eq!(shape, Shape { rows: left.rows, columns: right.columns }, "a sum for every pair");
        assert_eq!(left.columns, right.rows, "as many pairs on both sides");
        for row in 0..shape.rows {
            for column in 0..shape.columns {
                let (mut even, mut odd) = (0.0, 0.0);
                for pair in 0..left.columns {
                    let (x, y) = (self.tiles[a][row][pair], self.tiles[b][pair][column]);
                    even = multiply_add(low(x), low(y), even);
                    odd = multiply_add(high(x), high(y), odd);
                }
                let place = &mut self.tiles[sums][row][column];
                *place = add(f32::from_bits(*place), add(even, odd)).to_bits();
            }
        }
    }
}

fn low(pair: u32) -> f32 {
    f32::from_bits(pair << 16)
}

fn high(pair: u32) -> f32 {
    f32::from_bits(pair & 0xffff_0000)
}

fn add(a: f32, b: f32) -> f32 {
    multiply_add(a, 1.0, b)
}

/// `a·b + sum` rounded once, to the nearest and to even in the middle; numbers below `2^-126` count as 0,
/// before and after, with their sign.
fn multiply_add(a: f32, b: f32, sum: f32) -> f32 {
    /// What is below rounds to less than `2^-126` in 24 bits.
    const TINY: f64 = f32::MIN_POSITIVE as f64 * (1.0 - f32::EPSILON as f64 / 4.0);
    let (a, b, sum) = (flushed(a), flushed(b), flushed(sum));
    let rounded = a.mul_add(b, sum);
    // So near zero this is exact wherever it is near the limit: products have 16 bits.
    let exact = f64::from(a).mul_add(f64::from(b), f64::from(sum));
    if exact.abs() < TINY { 0.0_f32.copysign(rounded) } else { rounded }
}

fn flushed(x: f32) -> f32 {
    if x.is_subnormal() { 0.0_f32.copysign(x) } else { x }
}

/// What `amx.rs` does, instruction by instruction.
///
/// # Safety
/// As for [`Multiply`](crate::vector::candidates::blocks::Multiply).
pub(crate) unsafe fn multiply(
    a: *const u16,
    rows: usize,
    b: *const u16,
    columns: usize,
    depth: usize,
    c: *mut f32,
) {
    let (a_row, c_row) = (2 * depth, 4 * columns);
    let mut tiles = Tiles::default();
    tiles.configure(&TILE_CONFIG);
    for row in (0..rows).step_by(ROW_STEP) {
        let mut b = b.cast::<u8>();
        for column in (0..columns).step_by(COLUMN_STEP) {
            (0..4).for_each(|tile| tiles.zero(tile));
            for element in (0..depth).step_by(DEPTH_STEP) {
                // SAFETY: the sizes are whole blocks, all of which are there.
                unsafe {
                    let a = a.add(row * depth + element).cast::<u8>();
                    tiles.load(4, a, a_row);
                    tiles.load(5, a.add(SIDE * a_row), a_row);
                    tiles.load(6, b, 64);
                    tiles.load(7, b.add(1024), 64);
                    b = b.add(2048);
                }
                for (sums, a, b) in [(0, 4, 6), (1, 4, 7), (2, 5, 6), (3, 5, 7)] {
                    tiles.dot(sums, a, b);
                }
            }
            // SAFETY: as above.
            unsafe {
                let c = c.add(row * columns + column).cast::<u8>();
                tiles.store(0, c, c_row);
                tiles.store(1, c.add(64), c_row);
                tiles.store(2, c.add(SIDE * c_row), c_row);
                tiles.store(3, c.add(SIDE * c_row + 64), c_row);
            }
        }
    }
    tiles.release();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The only sum of one row and one column.
    fn dot_of(pairs: &[(f32, f32)], before: f32) -> f32 {
        let mut config = TILE_CONFIG;
        config[48..56].copy_from_slice(&[1, 1, pairs.len().div_ceil(2) as u8, 0, 0, 0, 0, 0]);
        config[16..32].fill(0);
        (config[16], config[18], config[20]) = (4, 4 * pairs.len().div_ceil(2) as u8, 4);
        let half = |x: f32| {
            assert_eq!(x.to_bits() & 0xffff, 0, "{x} is a bfloat16");
            (x.to_bits() >> 16) as u16
        };
        let (mut a, mut b): (Vec<u16>, Vec<u16>) = pairs.iter().map(|&(x, y)| (half(x), half(y))).unzip();
        a.resize(32, 0);
        b.resize(32, 0);
        let (mut tiles, mut sum) = (Tiles::default(), [before]);
        tiles.configure(&config);
        // SAFETY: a row of 64 bytes at most, 16 rows of 4 bytes at most, and one number.
        unsafe {
            tiles.load(0, sum.as_ptr().cast(), 4);
            tiles.load(1, a.as_ptr().cast(), 64);
            tiles.load(2, b.as_ptr().cast(), 4);
            tiles.dot(0, 1, 2);
            tiles.store(0, sum.as_mut_ptr().cast(), 4);
        }
        tiles.release();
        assert!(!tiles.is_configured());
        sum[0]
    }

    #[test]
    fn even_and_odd_elements_have_sums_of_their_own() {
        let (one, large) = ((1.0, 1.0), (2_f32.powi(24), 1.0));
        assert_eq!(dot_of(&[large, one, one, one], 0.0), 2_f32.powi(24) + 2.0, "1 is lost beside 2^24");
        assert_eq!(dot_of(&[one, large, one, one], 0.0), 2_f32.powi(24) + 2.0);
        assert_eq!(dot_of(&[one, one], 2_f32.powi(24)), 2_f32.powi(24) + 2.0, "they are added first");
    }

    #[test]
    fn products_are_fused_into_the_sum_and_ties_go_to_even() {
        let x = 1.0 + 2_f32.powi(-7);
        let square = 1.0 + 2_f32.powi(-6) + 2_f32.powi(-14);
        assert_eq!(dot_of(&[(x, x)], 0.0), square, "16 bits are kept");
        let shifted = (x * 2_f32.powi(-24), x);
        assert_eq!(
            dot_of(&[(1.0, 1.0), (0.0, 0.0), shifted], 0.0),
            1.0 + 2_f32.powi(-23),
            "above the middle"
        );
        let middle = (2_f32.powi(-24), 1.0);
        assert_eq!(dot_of(&[(1.0, 1.0), (0.0, 0.0), middle], 0.0), 1.0);
        let odd = 1.0 + 2_f32.powi(-23);
        assert_eq!(dot_of(&[middle], odd), 1.0 + 2_f32.powi(-22));
    }

    #[test]
    fn denormal_numbers_are_zeros_before_and_after() {
        let least = f32::MIN_POSITIVE;
        assert_eq!(dot_of(&[(least / 2.0, 2_f32.powi(100))], 0.0), 0.0);
        assert_eq!(dot_of(&[(2_f32.powi(100), least / 128.0)], 1.0), 1.0);
        assert_eq!(dot_of(&[(least, 1.0)], least / 2.0), least, "what was there");
        assert_eq!(dot_of(&[(least, 0.5)], 0.0), 0.0);
        assert_eq!(dot_of(&[(least, 1.5), (0.0, 0.0), (least, -1.0)], 0.0), 0.0, "a small difference");
        assert_eq!(dot_of(&[(least, 1.0)], 0.0), least);
        assert_eq!(multiply_add(-least, 0.5, 0.0).to_bits(), (-0.0_f32).to_bits());
        // Just below the limit: in 24 bits a tie goes to the limit, and what is farther off to a smaller number.
        let beside = |x: f32, y: f32| multiply_add(x, y, least).to_bits();
        assert_eq!(beside(-2_f32.powi(-75), 2_f32.powi(-76)), least.to_bits(), "2^-151 off");
        assert_eq!(beside(-1.5 * 2_f32.powi(-75), 2_f32.powi(-76)), 0, "more than 2^-151 off");
    }

    #[test]
    fn faults_are_panics() {
        let fails = |case: fn(&mut Tiles)| {
            let mut tiles = Tiles::default();
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(&mut tiles))).is_err()
        };
        assert!(fails(|tiles| tiles.zero(0)), "not configured");
        assert!(fails(|tiles| tiles.configure(&[0; 64])), "no palette");
        assert!(fails(|tiles| {
            tiles.configure(&TILE_CONFIG);
            tiles.dot(0, 1, 1);
        }));
        for at in [1, 2, 15, 32, 47, 56, 63] {
            let mut config = TILE_CONFIG;
            config[at] = 1;
            let configure = || Tiles::default().configure(&config);
            assert!(std::panic::catch_unwind(configure).is_err(), "reserved byte {at}");
        }
    }
}
