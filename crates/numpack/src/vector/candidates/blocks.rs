//! The blocks of a product of bfloat16 vectors: their sizes, and what a kernel promises.

/// Rows, queries and elements come in multiples of these.
pub(crate) const ROW_STEP: usize = 32;
pub(crate) const COLUMN_STEP: usize = 32;
pub(crate) const DEPTH_STEP: usize = 32;

/// Rows of a tile, and its columns of 4 bytes: one `float32` or two bfloat16.
pub(crate) const TILE: usize = 16;

/// Multiplies `rows` vectors at `a` with `columns` packed ones at `b`, `depth` elements each, into `c`.
///
/// # Safety
/// The sizes are multiples of the steps and not 0; `a` has `rows * depth` elements, `b` is of [`Packed`],
/// `c` has `rows * columns` places; the CPU has the instructions.
pub(crate) type Multiply =
    unsafe fn(a: *const u16, rows: usize, b: *const u16, columns: usize, depth: usize, c: *mut f32);

/// What `ldtilecfg` reads: palette 1, and eight tiles of 16 rows of 64 bytes.
#[cfg(any(test, all(target_arch = "x86_64", target_os = "linux", feature = "avx512")))]
pub(crate) const TILE_CONFIG: [u8; 64] = {
    let mut bytes = [0; 64];
    bytes[0] = 1;
    let mut tile = 0;
    while tile < 8 {
        // Bytes of a row, 16 bits; the rows, 8 bits.
        bytes[16 + 2 * tile] = 4 * TILE as u8;
        bytes[48 + tile] = TILE as u8;
        tile += 1;
    }
    bytes
};
