//! Names of the files that hold no rows, and where the records of a log begin and end, by the lengths in their headers.

pub(crate) const LOG: &str = "metadata.npkm";
pub(crate) const CONTROL: &str = "control.npkc";

/// Bytes of the log up to the last one that is not zero.
pub(crate) fn used(log: &[u8]) -> usize {
    log.iter().rposition(|&byte| byte != 0).unwrap() + 1
}

/// Starts of the log's records, by the lengths in their headers.
pub(crate) fn record_starts(log: &[u8]) -> Vec<usize> {
    let (mut at, mut starts) = (64, Vec::new());
    while at + 40 <= log.len() && log[at..at + 40].iter().any(|&byte| byte != 0) {
        starts.push(at);
        at = record_end(log, at).next_multiple_of(8);
    }
    starts
}

/// The end of the record at `at`, without its padding.
pub(crate) fn record_end(log: &[u8], at: usize) -> usize {
    let payload = u32::from_le_bytes(log[at + 24..at + 28].try_into().unwrap()) as usize;
    let redo = u64::from_le_bytes(log[at + 32..at + 40].try_into().unwrap()) as usize;
    at + 40 + payload + redo
}
