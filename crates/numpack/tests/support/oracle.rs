//! Search in the plainest code: every score by its definition, all of them sorted.

use numpack::vector::{Hits, Metric};

/// Element `i` goes to sum `i mod 16`; the sums are added in halves. This is the order that the crate defines.
pub(crate) fn sum(terms: impl Iterator<Item = f64>) -> f64 {
    let mut sums = [0.0; 16];
    for (i, term) in terms.enumerate() {
        sums[i % 16] += term;
    }
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            sums[i] += sums[i + half];
        }
    }
    sums[0]
}

/// The score of a query `a` and a row `b`, both as numbers; for sets one number a byte.
pub(crate) fn score(metric: Metric, a: &[f64], b: &[f64], is_bool: bool) -> f64 {
    let pairs = || a.iter().copied().zip(b.iter().copied());
    let squares = |v: &[f64]| sum(v.iter().map(|x| x * x)).sqrt();
    match metric {
        Metric::Dot => sum(pairs().map(|(a, b)| b * a)),
        Metric::Cosine => {
            let (dot, row, query) = (sum(pairs().map(|(a, b)| b * a)), squares(b), squares(a));
            if row == 0.0 || query == 0.0 { 0.0 } else { (dot / row / query).clamp(-1.0, 1.0) }
        }
        Metric::L2 => sum(pairs().map(|(a, b)| (b - a) * (b - a))).sqrt(),
        Metric::L2Squared => sum(pairs().map(|(a, b)| (b - a) * (b - a))),
        Metric::KullbackLeibler => sum(pairs().map(|(a, b)| entropy(a, b))),
        Metric::JensenShannon => sum(pairs().map(|(a, b)| {
            let m = 0.5 * (a + b);
            0.5 * entropy(a, m) + 0.5 * entropy(b, m)
        })),
        Metric::Hamming => members(a, b, is_bool, |a, b| a != b) as f64,
        Metric::Jaccard => {
            let (both, either) =
                (members(a, b, is_bool, |a, b| a && b), members(a, b, is_bool, |a, b| a || b));
            if either == 0 { 0.0 } else { (either - both) as f64 / either as f64 }
        }
        _ => unreachable!("a metric without an oracle"),
    }
}

fn entropy(x: f64, y: f64) -> f64 {
    if x.is_nan() || y.is_nan() {
        f64::NAN
    } else if x == 0.0 && y >= 0.0 {
        0.0
    } else if x <= 0.0 || y <= 0.0 {
        f64::INFINITY
    } else if 0.5 < x / y && x / y < 2.0 {
        x * ((x - y) / y).ln_1p()
    } else if (x / y).is_normal() {
        x * (x / y).ln()
    } else {
        x * (x.ln() - y.ln())
    }
}

/// Members of the set that `keep` makes of two sets.
fn members(a: &[f64], b: &[f64], is_bool: bool, keep: fn(bool, bool) -> bool) -> u32 {
    let mut count = 0;
    for (&a, &b) in a.iter().zip(b) {
        for bit in 0..if is_bool { 1 } else { 8 } {
            let member = |byte: f64| if is_bool { byte != 0.0 } else { (byte as u8 >> bit) & 1 == 1 };
            count += u32::from(keep(member(a), member(b)));
        }
    }
    count
}

/// The best `k` of the rows that are `kept`: the best score first, NaN last, equal scores by the lower row.
pub(crate) fn best(metric: Metric, k: usize, scores: &[f64], kept: impl Fn(u64) -> bool) -> Vec<(u64, f64)> {
    let mut all: Vec<(u64, f64)> = (0..).zip(scores.iter().copied()).filter(|(row, _)| kept(*row)).collect();
    all.sort_by(|(row, a), (other, b)| {
        let by_score = match a.partial_cmp(b) {
            Some(order) if metric.is_similarity() => order.reverse(),
            Some(order) => order,
            None => a.is_nan().cmp(&b.is_nan()),
        };
        by_score.then(row.cmp(other))
    });
    all.truncate(k);
    all
}

/// Panics unless the hits are exactly these, to the last bit of every score.
pub(crate) fn assert_hits(hits: &Hits, expected: &[Vec<(u64, f64)>], what: &str) {
    let found: Vec<(u64, u64)> =
        hits.indices.iter().zip(&hits.scores).map(|(row, score)| (*row, bits(*score))).collect();
    let wanted: Vec<(u64, u64)> =
        expected.iter().flatten().map(|(row, score)| (*row, bits(*score))).collect();
    if found != wanted {
        let at = found.iter().zip(&wanted).position(|(a, b)| a != b).unwrap_or(found.len().min(wanted.len()));
        panic!(
            "{what}: hit {at} of {} is {:?}, expected {:?} of {}",
            found.len(),
            found.get(at).map(|(row, score)| (row, f64::from_bits(*score))),
            wanted.get(at).map(|(row, score)| (row, f64::from_bits(*score))),
            wanted.len(),
        );
    }
    assert_eq!(hits.k, expected.first().map_or(0, Vec::len), "{what}: hits of a query");
}

/// One value for every NaN, and for both zeros.
fn bits(score: f64) -> u64 {
    if score.is_nan() { f64::NAN.to_bits() } else { (score + 0.0).to_bits() }
}
