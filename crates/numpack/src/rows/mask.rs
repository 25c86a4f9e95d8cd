//! Masks, read 64 flags at a time: how many are set, where, and in which runs. Nothing is listed.

use std::ops::Range;

use crate::types::error::NpkResult;

/// Number of flags that are set.
pub(crate) fn count(mask: &[bool]) -> u64 {
    // Bytes are added up as bytes, many at once, as long as the sum fits one.
    mask.chunks(128).map(|part| u64::from(part.iter().map(|&flag| u8::from(flag)).sum::<u8>())).sum()
}

/// Number of runs of set flags.
pub(crate) fn count_runs(mask: &[bool]) -> u64 {
    let mut before = 0;
    let starts = words(mask).map(|word| {
        let starts = word & !(word << 1 | before);
        before = word >> 63;
        u64::from(starts.count_ones())
    });
    starts.sum()
}

/// The numbers of the flags that are set, in increasing order.
pub(crate) fn numbers(mask: &[bool]) -> impl Iterator<Item = u64> + '_ {
    words(mask).zip((0_u64..).step_by(64)).flat_map(|(mut word, start)| {
        std::iter::from_fn(move || {
            let bit = u64::from((word != 0).then(|| word.trailing_zeros())?);
            word &= word - 1;
            Some(start + bit)
        })
    })
}

/// Calls `visit` with every run of set flags, in increasing order; no two of them touch.
///
/// # Errors
/// Those of `visit`.
pub(crate) fn each_run(mask: &[bool], mut visit: impl FnMut(Range<u64>) -> NpkResult<()>) -> NpkResult<()> {
    let mut open = None;
    for (word, start) in words(mask).zip((0_u64..).step_by(64)) {
        // A bit is set where a flag differs from the one before it.
        let mut edges = word ^ (word << 1 | u64::from(open.is_some()));
        while edges != 0 {
            let place = start + u64::from(edges.trailing_zeros());
            edges &= edges - 1;
            match open.take() {
                None => open = Some(place),
                Some(first) => visit(first..place)?,
            }
        }
    }
    open.map_or(Ok(()), |first| visit(first..mask.len() as u64))
}

/// The flags as bits, the first one lowest; those behind the last flag are not set.
fn words(mask: &[bool]) -> impl Iterator<Item = u64> + '_ {
    let (words, rest) = mask.as_chunks::<64>();
    let last = (!rest.is_empty()).then(|| {
        let mut last = [false; 64];
        last[..rest.len()].copy_from_slice(rest);
        bits(&last)
    });
    words.iter().map(bits).chain(last)
}

fn bits(flags: &[bool; 64]) -> u64 {
    let (eights, _) = flags.as_chunks::<8>();
    eights.iter().rev().fold(0, |bits, eight| {
        let bytes = u64::from_le_bytes(eight.map(u8::from));
        // Byte `i` of the eight, which is 0 or 1, lands in bit `56 + i` of the product; no two of its terms meet.
        bits << 8 | bytes.wrapping_mul(0x0102_0408_1020_4080) >> 56
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn flags_are_counted_and_found(
            runs in proptest::collection::vec((any::<bool>(), prop_oneof![1..4_usize, 1..200_usize]), 0..20),
            cut in 0..64_usize,
        ) {
            let flags: Vec<bool> = runs.iter().flat_map(|&(flag, len)| vec![flag; len]).skip(cut).collect();
            let set: Vec<u64> = (0..flags.len() as u64).filter(|&i| flags[i as usize]).collect();
            prop_assert_eq!(count(&flags), set.len() as u64);
            prop_assert_eq!(numbers(&flags).collect::<Vec<_>>(), set.clone());
            let mut found: Vec<Range<u64>> = Vec::new();
            each_run(&flags, |run| { found.push(run); Ok(()) }).unwrap();
            prop_assert_eq!(count_runs(&flags), found.len() as u64);
            prop_assert!(found.is_sorted_by(|a, b| a.end < b.start) && found.iter().all(|run| !run.is_empty()));
            prop_assert_eq!(found.into_iter().flatten().collect::<Vec<_>>(), set);
        }
    }
}
