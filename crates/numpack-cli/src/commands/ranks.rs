//! The elements of given ranks, without sorting: each pass over the array settles sixteen bits of their keys.
//!
//! Memory is a table of 65,536 counts for each rank, however large the array is; the answer is exact.

use crate::values::Element;

const DIGIT: u32 = 16;

/// Passes that elements of so many bits need.
pub(super) fn passes(bits: u32) -> u32 {
    bits.div_ceil(DIGIT)
}

/// Ranks that are looked for.
pub(super) struct Ranks {
    /// Bits that the passes to come settle.
    left: u32,
    wanted: Vec<Wanted>,
}

struct Wanted {
    /// Among the elements whose keys begin like this one's.
    rank: u64,
    /// The bits that are settled.
    prefix: u64,
    counts: Vec<u64>,
}

impl Ranks {
    /// A search that begins with no bits settled.
    pub(super) fn new<T: Element>(count: usize) -> Ranks {
        let wanted = || Wanted { rank: 0, prefix: 0, counts: vec![0; 1 << DIGIT] };
        Ranks { left: passes(T::BITS) * DIGIT, wanted: (0..count).map(|_| wanted()).collect() }
    }

    /// Sees an element that is not NaN.
    pub(super) fn see<T: Element>(&mut self, value: T) {
        let Some(shift) = self.left.checked_sub(DIGIT) else { return };
        let digits = value.key() >> shift;
        let (before, digit) = (digits >> DIGIT, (digits & 0xFFFF) as usize);
        for wanted in self.wanted.iter_mut().filter(|wanted| wanted.prefix == before) {
            if let Some(count) = wanted.counts.get_mut(digit) {
                *count += 1;
            }
        }
    }

    /// Says which ranks are meant, once the elements are counted: before the first pass ends.
    pub(super) fn set(&mut self, ranks: &[u64]) {
        self.wanted.iter_mut().zip(ranks).for_each(|(wanted, &rank)| wanted.rank = rank);
    }

    /// Ends a pass.
    pub(super) fn settle(&mut self) {
        self.left = self.left.saturating_sub(DIGIT);
        for wanted in &mut self.wanted {
            let mut digit = 0;
            for (at, &count) in wanted.counts.iter().enumerate() {
                digit = at as u64;
                if wanted.rank < count {
                    break;
                }
                wanted.rank -= count;
            }
            wanted.prefix = wanted.prefix << DIGIT | digit;
            wanted.counts.fill(0);
        }
    }

    /// The elements, after the last pass.
    pub(super) fn found<T: Element>(&self) -> Option<Vec<T>> {
        self.wanted.iter().map(|wanted| T::of_key(wanted.prefix)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Element>(values: &[T]) {
        let mut sorted: Vec<u64> = values.iter().map(|value| value.key()).collect();
        sorted.sort_unstable();
        let wanted: Vec<u64> = (0..values.len() as u64).collect();
        let mut ranks = Ranks::new::<T>(values.len());
        ranks.set(&wanted);
        for _ in 0..passes(T::BITS) {
            values.iter().for_each(|&value| ranks.see(value));
            ranks.settle();
        }
        let found: Vec<u64> = ranks.found::<T>().unwrap().iter().map(|value| value.key()).collect();
        assert_eq!(found, sorted);
    }

    #[test]
    fn ranks_are_those_of_a_sorted_array() {
        check(&[3.5, -1.0, f64::INFINITY, 0.0, -1.0, 1e-300, -1e300]);
        check(&[7_i64, -9_007_199_254_740_993, i64::MAX, i64::MIN, 9_007_199_254_740_993, 7]);
        check(&[200_u8, 3, 3, 0, 255]);
        check(&[true, false, true]);
        check(&[70_000_u32, 5, 65_536, 65_535]);
    }
}
