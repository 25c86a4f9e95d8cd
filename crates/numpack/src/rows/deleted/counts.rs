//! The live rows of every chunk, summed so that finding a chunk and changing one are both `O(log n)`.

use std::array;
use std::hint::select_unpredictable;

use crate::rows::deleted::first_row;
use crate::types::error::NpkResult;
use crate::types::room::reserve;

/// The number of live rows per chunk, as a Fenwick tree padded to a power of two with chunks of
/// live rows: node `i`, counted from 1, holds the sum over the `i & -i` chunks that end with the
/// `i`-th. The padding makes the last node the total and keeps every step of a search within the
/// tree.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct LiveCounts {
    /// Node `i` at index `i - 1`.
    pub(crate) nodes: Vec<u64>,
    /// The live rows before each chunk of the tree and before its end; empty in trees above `FLAT_CHUNKS`.
    starts: Vec<u64>,
}

/// Chunks up to which their starts are kept: a deletion moves all that come behind it.
const FLAT_CHUNKS: usize = 1024;
/// With at most this many chunks' worth of deletions no row lies further than this many chunks behind the one
/// that its logical number falls into, and looking is faster than descending the tree.
const STEPS: usize = 2;

impl LiveCounts {
    /// The live rows in all chunks of the tree.
    #[inline]
    pub(crate) fn total(&self) -> u64 {
        self.nodes.last().copied().unwrap_or(0)
    }

    /// Makes room in memory for a tree of `chunks` chunks.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn reserve(&mut self, chunks: usize) -> NpkResult<()> {
        let nodes = chunks.next_power_of_two();
        let starts = if nodes > FLAT_CHUNKS { 0 } else { nodes + 1 };
        let (nodes, starts) =
            (nodes.saturating_sub(self.nodes.len()), starts.saturating_sub(self.starts.len()));
        reserve(&mut self.nodes, nodes)?;
        reserve(&mut self.starts, starts)
    }

    /// A copy.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub(crate) fn try_clone(&self) -> NpkResult<LiveCounts> {
        let (mut nodes, mut starts) = (Vec::new(), Vec::new());
        reserve(&mut nodes, self.nodes.len())?;
        nodes.extend_from_slice(&self.nodes);
        reserve(&mut starts, self.starts.len())?;
        starts.extend_from_slice(&self.starts);
        Ok(LiveCounts { nodes, starts })
    }

    /// Adds chunks up to `chunks`; the new ones are live.
    pub(crate) fn grow(&mut self, chunks: usize) {
        while self.nodes.len() < chunks {
            let (old, total) = (self.nodes.len(), self.total());
            let size = (old * 2).max(1);
            self.nodes.extend((old + 1..=size).map(|node| first_row(span(node))));
            self.nodes[size - 1] = total + first_row(size - old);
            if size > FLAT_CHUNKS {
                self.starts = Vec::new();
            } else {
                let new = (self.starts.len()..=size).map(|chunk| total + first_row(chunk - old));
                self.starts.extend(new);
            }
        }
    }

    /// Subtracts `deleted` from the live rows of `chunk`.
    pub(crate) fn subtract(&mut self, chunk: usize, deleted: u64) {
        let mut node = chunk + 1;
        while node <= self.nodes.len() {
            self.nodes[node - 1] -= deleted;
            node += span(node);
        }
        for start in self.starts.iter_mut().skip(chunk + 1) {
            *start -= deleted;
        }
    }

    /// The live rows in the chunks before `chunk`.
    pub(crate) fn before(&self, chunk: usize) -> u64 {
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
    pub(crate) fn select<const N: usize>(&self, rows: [u64; N]) -> ([usize; N], [usize; N]) {
        let (total, all) = (self.total(), first_row(self.nodes.len()));
        if total > 0 && !self.starts.is_empty() && all - total <= first_row(STEPS) {
            return self.look(rows);
        }
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

    /// As `select`, for few deletions.
    #[inline(always)]
    fn look<const N: usize>(&self, rows: [u64; N]) -> ([usize; N], [usize; N]) {
        let chunks = rows.map(|row| {
            let mut chunk = (row / first_row(1)) as usize;
            for _ in 0..STEPS {
                chunk += usize::from(self.starts[chunk + 1] <= row);
            }
            chunk
        });
        (chunks, array::from_fn(|lane| (rows[lane] - self.starts[chunks[lane]]) as usize))
    }
}

/// The number of chunks that node `node` of the tree sums.
#[inline]
fn span(node: usize) -> usize {
    node & node.wrapping_neg()
}
