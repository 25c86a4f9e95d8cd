//! Byte shuffle: the first bytes of all elements, then all second bytes, and so on.
//!
//! Numbers of one array have similar signs, exponents and high bytes: put together they compress well, and
//! bytes that are as good as random no longer lie between them.

/// Bytes of elements that are worked on together, so that a tile stays in the fastest cache.
const TILE: usize = 4096;

/// Shuffles elements of `item` bytes; what does not fill an element stays at the end.
pub(super) fn shuffle(source: &[u8], item: usize, target: &mut [u8]) {
    match item {
        2 => shuffle_items::<2>(source, target),
        4 => shuffle_items::<4>(source, target),
        8 => shuffle_items::<8>(source, target),
        _ => target.copy_from_slice(source),
    }
}

/// Undoes [`shuffle`].
pub(super) fn unshuffle(source: &[u8], item: usize, target: &mut [u8]) {
    match item {
        2 => unshuffle_items::<2>(source, target),
        4 => unshuffle_items::<4>(source, target),
        8 => unshuffle_items::<8>(source, target),
        _ => target.copy_from_slice(source),
    }
}

fn shuffle_items<const N: usize>(source: &[u8], target: &mut [u8]) {
    let (items, rest) = source.as_chunks::<N>();
    let (planes, end) = target.split_at_mut(items.len() * N);
    end.copy_from_slice(rest);
    for (tile, items) in items.chunks(TILE).enumerate() {
        for byte in 0..N {
            let start = byte * (planes.len() / N) + tile * TILE;
            let plane = &mut planes[start..start + items.len()];
            plane.iter_mut().zip(items).for_each(|(to, item)| *to = item[byte]);
        }
    }
}

fn unshuffle_items<const N: usize>(source: &[u8], target: &mut [u8]) {
    let count = source.len() / N;
    let (planes, rest) = source.split_at(count * N);
    let (items, end) = target.as_chunks_mut::<N>();
    end.copy_from_slice(rest);
    for (tile, items) in items.chunks_mut(TILE).enumerate() {
        let planes: [&[u8]; N] = std::array::from_fn(|byte| {
            let start = byte * count + tile * TILE;
            &planes[start..start + items.len()]
        });
        for (at, item) in items.iter_mut().enumerate() {
            *item = std::array::from_fn(|byte| planes[byte][at]);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn shuffling_is_the_plain_transposition_and_back(
            source in proptest::collection::vec(any::<u8>(), 0..40_000),
            item in prop_oneof![Just(1_usize), Just(2), Just(4), Just(8)],
        ) {
            let count = source.len() / item;
            let mut plain = source.clone();
            for i in 0..count * item {
                plain[i % item * count + i / item] = source[i];
            }
            let mut shuffled = vec![0; source.len()];
            shuffle(&source, item, &mut shuffled);
            prop_assert_eq!(&shuffled, &plain);
            let mut back = vec![0; source.len()];
            unshuffle(&shuffled, item, &mut back);
            prop_assert_eq!(back, source);
        }
    }
}
