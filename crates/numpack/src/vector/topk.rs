//! The best scores seen so far, in a total order that no thread or tile can change.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Scores that are compared at a time.
const CHUNK: usize = 32;

/// A scored row. The order is that of results: the best score first, NaN behind every number, equal scores
/// by the lower row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hit {
    /// The score, negated for distances, so that higher is better.
    pub(crate) merit: f64,
    pub(crate) row: u64,
}

impl Ord for Hit {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_merit = match other.merit.partial_cmp(&self.merit) {
            Some(order) => order,
            None => self.merit.is_nan().cmp(&other.merit.is_nan()),
        };
        by_merit.then(self.row.cmp(&other.row))
    }
}

impl PartialOrd for Hit {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Hit {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Hit {}

/// The `k` best of the hits that were pushed.
#[derive(Clone, Debug)]
pub(crate) struct TopK {
    k: usize,
    /// The worst kept hit on top.
    heap: BinaryHeap<Hit>,
}

impl TopK {
    pub(crate) fn new(k: usize) -> TopK {
        TopK { k, heap: BinaryHeap::new() }
    }

    /// A hit with a lower merit cannot get in. `-inf` until there are `k` hits that are numbers.
    pub(crate) fn threshold(&self) -> f64 {
        match self.heap.peek() {
            Some(worst) if self.heap.len() >= self.k && !worst.merit.is_nan() => worst.merit,
            _ => f64::NEG_INFINITY,
        }
    }

    /// Hits that are kept at most.
    pub(crate) fn k(&self) -> usize {
        self.k
    }

    /// Whether there are `k` hits.
    pub(crate) fn is_full(&self) -> bool {
        self.heap.len() >= self.k
    }

    pub(crate) fn push(&mut self, hit: Hit) {
        if self.heap.len() < self.k {
            self.heap.push(hit);
        } else if let Some(mut worst) = self.heap.peek_mut()
            && hit < *worst
        {
            *worst = hit;
        }
    }

    /// Pushes scored rows; rows that cannot get in cost part of a comparison each.
    pub(crate) fn push_all(&mut self, rows: &[u64], scores: &[f64], is_similarity: bool) {
        let sign = if is_similarity { 1.0 } else { -1.0 };
        let mut threshold = self.threshold();
        for (rows, scores) in rows.chunks(CHUNK).zip(scores.chunks(CHUNK)) {
            if scores.iter().fold(true, |below, score| below & (sign * score < threshold)) {
                continue;
            }
            for (&row, &score) in rows.iter().zip(scores) {
                let merit = sign * score;
                if merit < threshold || (merit.is_nan() && threshold > f64::NEG_INFINITY) {
                    continue;
                }
                self.push(Hit { merit, row });
                threshold = self.threshold();
            }
        }
    }

    pub(crate) fn merge(&mut self, other: TopK) {
        other.heap.into_iter().for_each(|hit| self.push(hit));
    }

    /// The hits, the best first.
    pub(crate) fn into_hits(self) -> Vec<Hit> {
        self.heap.into_sorted_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keeps_the_head_of_the_sorted_list(
            merits in proptest::collection::vec(
                prop_oneof![Just(f64::NAN), Just(f64::INFINITY), Just(f64::NEG_INFINITY), Just(0.0),
                    Just(-0.0), (-3..3).prop_map(f64::from)], 0..60),
            k in 1..70_usize,
            cut in 0..60_usize,
        ) {
            let rows: Vec<u64> = (0..merits.len() as u64).rev().collect();
            let mut all: Vec<Hit> = merits.iter().zip(&rows).map(|(&merit, &row)| Hit { merit, row }).collect();
            all.sort();
            all.truncate(k);
            let cut = cut.min(rows.len());
            let (mut a, mut b) = (TopK::new(k), TopK::new(k));
            a.push_all(&rows[..cut], &merits[..cut], true);
            b.push_all(&rows[cut..], &merits[cut..], true);
            a.merge(b);
            let found: Vec<u64> = a.into_hits().iter().map(|hit| hit.row).collect();
            prop_assert_eq!(found, all.iter().map(|hit| hit.row).collect::<Vec<_>>());
        }
    }
}
