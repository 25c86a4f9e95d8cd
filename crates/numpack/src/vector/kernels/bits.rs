//! Scores on sets: packed bits of `uint8`, or one `bool` a byte. Whole counts, so no order matters.
#![expect(unsafe_code, reason = "rows are read through raw pointers")]

use crate::types::dtype::DataType;
use crate::vector::kernels::cpu::SimdLevel;
use crate::vector::kernels::measure::{Measure, Query, ScoreRows, versions};
use crate::vector::kernels::row::load;
use crate::vector::metric::Metric;

/// Words counted side by side.
const LANES: usize = 8;

/// The kernel of a metric on sets.
pub(crate) fn kernel(level: SimdLevel, metric: Metric, rows: DataType) -> ScoreRows {
    match (metric, rows) {
        (Metric::Jaccard, DataType::Bool) => versions::<Jaccard<Flags>>(level),
        (Metric::Jaccard, _) => versions::<Jaccard<Bits>>(level),
        (_, DataType::Bool) => versions::<Hamming<Flags>>(level),
        _ => versions::<Hamming<Bits>>(level),
    }
}

/// How eight bytes become a set.
trait Word {
    fn set(bytes: u64) -> u64;
}

/// Every bit is a member.
struct Bits;

/// Every byte is a member, if it is not 0.
struct Flags;

impl Word for Bits {
    #[inline(always)]
    fn set(bytes: u64) -> u64 {
        bytes
    }
}

impl Word for Flags {
    #[inline(always)]
    fn set(bytes: u64) -> u64 {
        const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
        // A byte's highest bit is set by the carry out of its other bits, or was set before.
        (((bytes & LOW) + LOW) | bytes) & !LOW
    }
}

struct Hamming<W>(std::marker::PhantomData<W>);
struct Jaccard<W>(std::marker::PhantomData<W>);

#[inline(always)]
pub(crate) fn jaccard(both: u64, either: u64) -> f64 {
    if either == 0 { 0.0 } else { (either - both) as f64 / either as f64 }
}

impl<W: Word> Measure for Hamming<W> {
    #[inline(always)]
    unsafe fn score(row: *const u8, query: &Query) -> f64 {
        // SAFETY: the caller has a whole row there, of as many bytes as the query.
        let [differing] = unsafe { counts(row, &query.bytes, |a, b| [W::set(a) ^ W::set(b)]) };
        differing as f64
    }
}

impl<W: Word> Measure for Jaccard<W> {
    #[inline(always)]
    unsafe fn score(row: *const u8, query: &Query) -> f64 {
        let step = |a, b| [W::set(a) & W::set(b), W::set(a) | W::set(b)];
        // SAFETY: as for `Hamming`.
        let [both, either] = unsafe { counts(row, &query.bytes, step) };
        jaccard(both, either)
    }
}

/// Number of members of the sets that `step` makes of each pair of words.
///
/// # Safety
/// `query.len()` bytes must be readable at `row`.
#[inline(always)]
unsafe fn counts<const N: usize>(
    row: *const u8,
    query: &[u8],
    step: impl Fn(u64, u64) -> [u64; N],
) -> [u64; N] {
    let mut lanes = [[0; LANES]; N];
    let (words, rest) = query.as_chunks::<8>();
    let (groups, single) = words.as_chunks::<LANES>();
    let mut add = |index: usize, lane: usize, word: [u8; 8]| {
        // SAFETY: word `index` of the query, and so of the row, is whole.
        let sets = step(unsafe { load::<u64>(row, index) }, u64::from_ne_bytes(word));
        for n in 0..N {
            lanes[n][lane] += u64::from(sets[n].count_ones());
        }
    };
    for (group, words) in groups.iter().enumerate() {
        for (lane, &word) in words.iter().enumerate() {
            add(group * LANES + lane, lane, word);
        }
    }
    for (lane, &word) in single.iter().enumerate() {
        add(groups.len() * LANES + lane, lane, word);
    }
    let mut last = [[0; 8]; 2];
    for (i, &byte) in rest.iter().enumerate() {
        // SAFETY: byte `i` behind the whole words is inside the row.
        last[0][i] = unsafe { load::<u8>(row, words.len() * 8 + i) };
        last[1][i] = byte;
    }
    let sets = step(u64::from_ne_bytes(last[0]), u64::from_ne_bytes(last[1]));
    std::array::from_fn(|n| lanes[n].iter().sum::<u64>() + u64::from(sets[n].count_ones()))
}
