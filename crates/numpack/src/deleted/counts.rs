//! The live rows of every chunk, summed so that finding a chunk and changing one are both `O(log n)`.

use std::hint::select_unpredictable;

use super::first_row;

/// The number of live rows per chunk, as a Fenwick tree padded to a power of two with chunks of
/// live rows: node `i`, counted from 1, holds the sum over the `i & -i` chunks that end with the
/// `i`-th. The padding makes the last node the total and keeps every step of a search within the
/// tree.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct LiveCounts {
    /// Node `i` at index `i - 1`.
    pub(super) nodes: Vec<u64>,
}

impl LiveCounts {
    /// The live rows in all chunks of the tree.
    #[inline]
    pub(super) fn total(&self) -> u64 {
        self.nodes.last().copied().unwrap_or(0)
    }

    /// Makes room for `chunks` chunks; the new ones are live.
    pub(super) fn grow(&mut self, chunks: usize) {
        while self.nodes.len() < chunks {
            let (old, total) = (self.nodes.len(), self.total());
            let size = (old * 2).max(1);
            self.nodes.extend((old + 1..=size).map(|node| first_row(span(node))));
            self.nodes[size - 1] = total + first_row(size - old);
        }
    }

    /// Subtracts `deleted` from the live rows of `chunk`.
    pub(super) fn subtract(&mut self, chunk: usize, deleted: u64) {
        let mut node = chunk + 1;
        while node <= self.nodes.len() {
            self.nodes[node - 1] -= deleted;
            node += span(node);
        }
    }

    /// The live rows in the chunks before `chunk`.
    pub(super) fn before(&self, chunk: usize) -> u64 {
        let mut node = chunk;
        let mut sum = 0;
        while node > 0 {
            sum += self.nodes[node - 1];
            node -= span(node);
        }
        sum
    }

    /// In each lane, the chunk of a logical row and the row's rank among the live rows of that
    /// chunk. The rows must be less than the total; 0 is always accepted, and its result is
    /// meaningless if there are no live rows.
    #[inline(always)]
    pub(super) fn select<const N: usize>(&self, rows: [u64; N]) -> ([usize; N], [usize; N]) {
        let mut chunks = [0; N];
        let mut ranks = rows;
        let mut step = self.nodes.len() / 2;
        while step > 0 {
            for lane in 0..N {
                let next = chunks[lane] + step;
                let live = self.nodes[next - 1];
                let skip = live <= ranks[lane];
                chunks[lane] = select_unpredictable(skip, next, chunks[lane]);
                ranks[lane] -= select_unpredictable(skip, live, 0);
            }
            step /= 2;
        }
        (chunks, ranks.map(|rank| rank as usize))
    }
}

/// The number of chunks that node `node` of the tree sums.
#[inline]
fn span(node: usize) -> usize {
    node & node.wrapping_neg()
}
