//! Byte shuffle: the first bytes of all items, then all second bytes, and so on; before it, if wanted, each
//! item becomes its distance from the one before.
//!
//! Numbers of one array have similar signs, exponents and high bytes: put together they compress well, and
//! bytes that are as good as random no longer lie between them. Numbers that change slowly differ by little.

/// Items that are worked on together, so that they stay in the fastest cache.
const TILE: usize = 1024;

/// Shuffles items of `item` bytes; what does not fill an item stays at the end.
pub(super) fn shuffle(source: &[u8], item: usize, distances: bool, target: &mut [u8]) {
    match item {
        2 => shuffle_u16(source, distances, target),
        4 => shuffle_u32(source, distances, target),
        8 => shuffle_u64(source, distances, target),
        _ => target.copy_from_slice(source),
    }
}

/// Undoes [`shuffle`].
pub(super) fn unshuffle(source: &[u8], item: usize, distances: bool, target: &mut [u8]) {
    match item {
        2 => unshuffle_u16(source, distances, target),
        4 => unshuffle_u32(source, distances, target),
        8 => unshuffle_u64(source, distances, target),
        _ => target.copy_from_slice(source),
    }
}

/// The two ways for one width. Each loop is one that compilers turn into vector instructions, but for the sum.
macro_rules! width {
    ($shuffle:ident, $unshuffle:ident, $word:ty) => {
        fn $shuffle(source: &[u8], distances: bool, target: &mut [u8]) {
            let (items, rest) = source.as_chunks::<{ size_of::<$word>() }>();
            let (planes, end) = target.split_at_mut(source.len() - rest.len());
            end.copy_from_slice(rest);
            let (mut words, mut before) = ([0; TILE], 0);
            for (tile, part) in items.chunks(TILE).enumerate() {
                let words = &mut words[..part.len()];
                words.iter_mut().zip(part).for_each(|(word, item)| *word = <$word>::from_le_bytes(*item));
                if distances {
                    for word in &mut *words {
                        (*word, before) = (word.wrapping_sub(before), *word);
                    }
                }
                for (byte, plane) in planes.chunks_exact_mut(items.len()).enumerate() {
                    let plane = &mut plane[tile * TILE..][..words.len()];
                    plane.iter_mut().zip(&*words).for_each(|(to, word)| *to = (word >> (8 * byte)) as u8);
                }
            }
        }

        fn $unshuffle(source: &[u8], distances: bool, target: &mut [u8]) {
            let (items, end) = target.as_chunks_mut::<{ size_of::<$word>() }>();
            let (planes, rest) = source.split_at(source.len() - end.len());
            end.copy_from_slice(rest);
            let (count, mut words, mut before) = (items.len(), [0; TILE], <$word>::default());
            for (tile, part) in items.chunks_mut(TILE).enumerate() {
                let words = &mut words[..part.len()];
                words.fill(0);
                for (byte, plane) in planes.chunks_exact(count).enumerate() {
                    let plane = &plane[tile * TILE..][..words.len()];
                    let join = |(word, from): (&mut $word, &u8)| *word |= <$word>::from(*from) << (8 * byte);
                    words.iter_mut().zip(plane).for_each(join);
                }
                if distances {
                    for word in &mut *words {
                        before = word.wrapping_add(before);
                        *word = before;
                    }
                }
                part.iter_mut().zip(&*words).for_each(|(item, word)| *item = word.to_le_bytes());
            }
        }
    };
}

width!(shuffle_u16, unshuffle_u16, u16);
width!(shuffle_u32, unshuffle_u32, u32);
width!(shuffle_u64, unshuffle_u64, u64);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn shuffling_is_the_plain_transposition_and_back(
            source in proptest::collection::vec(any::<u8>(), 0..40_000),
            item in prop_oneof![Just(1_usize), Just(2), Just(4), Just(8)],
            distances in any::<bool>(),
        ) {
            let count = source.len() / item;
            let number = |at: usize| source[at * item..][..item].iter().rev().fold(0_u64, |n, b| n << 8 | u64::from(*b));
            let mut source_or_distances = source.clone();
            for at in (1..count).filter(|_| distances && item > 1) {
                let distance = number(at).wrapping_sub(number(at - 1)).to_le_bytes();
                source_or_distances[at * item..][..item].copy_from_slice(&distance[..item]);
            }
            let mut plain = source.clone();
            for i in 0..count * item {
                plain[i % item * count + i / item] = source_or_distances[i];
            }
            let mut shuffled = vec![0; source.len()];
            shuffle(&source, item, distances, &mut shuffled);
            prop_assert_eq!(&shuffled, &plain);
            let mut back = vec![0; source.len()];
            unshuffle(&shuffled, item, distances, &mut back);
            prop_assert_eq!(back, source);
        }
    }
}
