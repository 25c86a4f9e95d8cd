//! The bitmap of one chunk of rows: which are deleted, and where the live ones are.

use std::array;
use std::hint::select_unpredictable;
use std::ops::Range;
use std::sync::OnceLock;

use crate::rows::deleted::{CHUNK_ROWS, CHUNK_WORDS, WORD_ROWS};

/// The bitmap of a chunk.
pub(crate) struct Bits {
    /// One bit per row, the lowest first, set if the row is deleted.
    words: [u64; CHUNK_WORDS],
    /// The live rows before each word. One number per word, rather than per block of words, costs a
    /// quarter more memory and leaves no bits to count when searching.
    live: [u16; CHUNK_WORDS],
    /// The word of every `HINT_ROWS`-th live row, once rows were looked up.
    hints: OnceLock<[u16; CHUNK_ROWS / HINT_ROWS + 1]>,
}

/// Live rows between two hints: a search then begins among so few words that three steps find the right one,
/// unless most of them are deleted.
const HINT_ROWS: usize = 256;

impl Clone for Bits {
    /// A copy is made to be changed, so it begins without hints.
    fn clone(&self) -> Self {
        Self { words: self.words, live: self.live, hints: OnceLock::new() }
    }
}

impl PartialEq for Bits {
    fn eq(&self, other: &Self) -> bool {
        self.words == other.words
    }
}

impl Eq for Bits {}

/// The bitmap of a chunk before its first deletion.
pub(crate) static NO_DELETIONS: Bits = {
    let mut live = [0; CHUNK_WORDS];
    let mut word = 0;
    while word < CHUNK_WORDS {
        live[word] = (word * WORD_ROWS) as u16;
        word += 1;
    }
    Bits { words: [0; CHUNK_WORDS], live, hints: OnceLock::new() }
};

impl Bits {
    /// Whether the row at `offset` is deleted.
    #[cfg(test)]
    pub(crate) fn contains(&self, offset: usize) -> bool {
        self.words[offset / WORD_ROWS] >> (offset % WORD_ROWS) & 1 == 1
    }

    /// The word of every `HINT_ROWS`-th live row; behind the last one, the last word.
    fn hints(&self) -> &[u16; CHUNK_ROWS / HINT_ROWS + 1] {
        self.hints.get_or_init(|| {
            let mut word = 0;
            array::from_fn(|hint| {
                while word + 1 < CHUNK_WORDS && usize::from(self.live[word + 1]) <= hint * HINT_ROWS {
                    word += 1;
                }
                word as u16
            })
        })
    }

    /// Deletes the rows of `range`, which is not empty.
    pub(crate) fn insert(&mut self, range: Range<usize>) {
        self.hints.take();
        let (first, last) = (range.start / WORD_ROWS, (range.end - 1) / WORD_ROWS);
        let mut added = 0;
        for word in first..=last {
            self.live[word] -= added;
            let mask = mask(word, &range);
            added += (mask & !self.words[word]).count_ones() as u16;
            self.words[word] |= mask;
        }
        for live in &mut self.live[last + 1..] {
            *live -= added;
        }
    }

    /// The live rows among the first `offset` ones.
    pub(crate) fn live_before(&self, offset: usize) -> usize {
        let word = offset / WORD_ROWS;
        if word == CHUNK_WORDS {
            let last = CHUNK_WORDS - 1;
            return usize::from(self.live[last]) + self.words[last].count_zeros() as usize;
        }
        let before = !self.words[word] & ((1 << (offset % WORD_ROWS)) - 1);
        usize::from(self.live[word]) + before.count_ones() as usize
    }

    /// In each lane, the offset of live row number `rank`; there must be more live rows than that.
    #[inline(always)]
    pub(crate) fn select_live<const N: usize>(
        bits: [&Self; N],
        ranks: [usize; N],
        in_word: impl Fn(u64, usize) -> usize,
    ) -> [usize; N] {
        // The last word with at most `rank` live rows before it. The outcome of a comparison is a
        // coin toss, hence no branches.
        let mut near = true;
        let mut words = array::from_fn(|lane| {
            let (hints, hint) = (bits[lane].hints(), ranks[lane] / HINT_ROWS);
            let first = usize::from(hints[hint]);
            near &= usize::from(hints[hint + 1]) < first + 8 && first + 8 <= CHUNK_WORDS;
            first
        });
        let mut step = 4;
        if !near {
            words = [0; N];
            step = CHUNK_WORDS / 2;
        }
        while step > 0 {
            for lane in 0..N {
                let next = words[lane] + step;
                let skip = usize::from(bits[lane].live[next]) <= ranks[lane];
                words[lane] = select_unpredictable(skip, next, words[lane]);
            }
            step /= 2;
        }
        array::from_fn(|lane| {
            let (bits, word) = (bits[lane], words[lane]);
            let rest = ranks[lane] - usize::from(bits.live[word]);
            word * WORD_ROWS + in_word(!bits.words[word], rest)
        })
    }

    /// The first row of `range`, which is not empty, that is `deleted`, or not.
    pub(crate) fn find(&self, deleted: bool, range: Range<usize>) -> Option<usize> {
        let flip = if deleted { 0 } else { u64::MAX };
        (range.start / WORD_ROWS..range.end.div_ceil(WORD_ROWS)).find_map(|word| {
            let found = (self.words[word] ^ flip) & mask(word, &range);
            (found != 0).then(|| word * WORD_ROWS + found.trailing_zeros() as usize)
        })
    }
}

/// The bits of word number `word` that belong to the rows of `range`, which has rows in that word.
fn mask(word: usize, range: &Range<usize>) -> u64 {
    let from = range.start.saturating_sub(word * WORD_ROWS);
    let beyond = ((word + 1) * WORD_ROWS).saturating_sub(range.end);
    u64::MAX << from & u64::MAX >> beyond
}

/// The position of set bit number `rank` of `word`, which has more than `rank` of them.
///
/// Counts by bytes in parallel, as in Vigna, "Broadword Implementation of Rank/Select Queries"
/// (2008), algorithm 2; the bit within its byte comes from a table.
#[inline]
pub(crate) fn select_in_word(word: u64, rank: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    let pairs = word - (word >> 1 & 0x5555_5555_5555_5555);
    let nibbles = (pairs & 0x3333_3333_3333_3333) + (pairs >> 2 & 0x3333_3333_3333_3333);
    let bytes = (nibbles + (nibbles >> 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    // Byte i holds the number of bits set in bytes 0..=i, at most 64, and its top bit is free.
    let sums = bytes.wrapping_mul(ONES);
    let passed = (((rank as u64 * ONES) | TOPS) - sums) & TOPS;
    let shift = ((passed >> 7).wrapping_mul(ONES) >> 56) * 8;
    let rest = rank - ((sums << 8) >> shift & 0xff) as usize;
    shift as usize + usize::from(SELECT_IN_BYTE[rest & 7][(word >> shift & 0xff) as usize])
}

/// The position of set bit number `rank` of `byte` at `[rank][byte]`, 0 if there is none.
static SELECT_IN_BYTE: [[u8; 256]; 8] = {
    let mut table = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let (mut rank, mut bit) = (0, 0);
        while bit < 8 {
            if byte >> bit & 1 == 1 {
                table[rank][byte] = bit;
                rank += 1;
            }
            bit += 1;
        }
        byte += 1;
    }
    table
};
