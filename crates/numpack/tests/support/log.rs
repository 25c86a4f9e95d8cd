//! The framing of a log as `docs/on-disk-format.md` has it, written a second time: valid checksums for any bytes.

const FILE_HEADER: usize = 64;
const HEADER: usize = 40;

/// CRC-32C of `bytes`, continued from `seed`.
fn crc32c(seed: u32, bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!seed, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 })
    })
}

fn put(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// A record with this payload and these redo bytes; [`repair`] gives it its checksums and number.
pub(crate) fn record(payload: &[u8], redo: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    put(&mut bytes, 24, payload.len() as u32);
    put(&mut bytes, 32, redo.len() as u32);
    bytes.extend_from_slice(payload);
    bytes.extend_from_slice(redo);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

/// Makes the file header and every record valid: numbers, lengths that the file can hold, checksums.
pub(crate) fn repair(log: &mut [u8]) {
    if log.len() < FILE_HEADER {
        return;
    }
    log[..8].copy_from_slice(b"NUMPACK\x01");
    put(log, 8, 1);
    put(log, 12, 0);
    let crc = crc32c(0, &log[..60]);
    put(log, 60, crc);
    let mut seed = crc32c(0, &log[..FILE_HEADER]);
    let (mut at, mut seq) = (FILE_HEADER, None);
    while log.len() - at >= HEADER {
        let (total, crc, number) = repair_record(&mut log[at..], seed, seq);
        if total > log.len() - at {
            return;
        }
        (at, seed, seq) = (at + total, crc, Some(number));
    }
}

/// Repairs the record that `rest` begins with; returns its length, its checksum and its number.
fn repair_record(rest: &mut [u8], seed: u32, before: Option<u64>) -> (usize, u32, u64) {
    let room = (rest.len() - HEADER) as u64;
    let payload = u64::from(word(rest, 24) as u32) % (room + 1);
    let redo = word(rest, 32) % (room - payload + 1);
    put(rest, 24, payload as u32);
    rest[32..40].copy_from_slice(&redo.to_le_bytes());
    let seq = before.map_or_else(|| word(rest, 8), |before| before.wrapping_add(1));
    rest[8..16].copy_from_slice(&seq.to_le_bytes());
    let payload_end = HEADER + payload as usize;
    let end = payload_end + redo as usize;
    let redo_crc = crc32c(0, &rest[payload_end..end]);
    put(rest, 4, redo_crc);
    let crc = crc32c(seed, &rest[4..payload_end]);
    put(rest, 0, crc);
    (end.next_multiple_of(8), crc, seq)
}
