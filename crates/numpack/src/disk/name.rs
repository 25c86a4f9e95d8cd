//! The closed set of file names in a store's folder.
//!
//! Array names never become file names: a data file is named by two counters, so whatever a record says,
//! the name built from it stays inside the folder.

use std::fmt;

/// Name of a file in a store's folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileName {
    /// `metadata.npkm`, the commit log.
    Log,
    /// `metadata.npkm.new`, the next log while a checkpoint writes it.
    NextLog,
    /// `control.npkc`, the page of hints and sequence words.
    Control,
    /// `writer.lock`, the target of the writers' lock.
    Lock,
    /// `<array>.<generation>.npkd`, raw rows of one array.
    Data {
        /// Id of the array.
        array: u64,
        /// Sequence number of the commit that made the file.
        generation: u64,
    },
    /// `<ingest>.<number>.npki`, raw rows that an ingest has yet to commit; number 0 holds none and is locked as
    /// long as its maker lives.
    Incoming {
        /// Id of the ingest, which is written with 16 hexadecimal digits.
        ingest: u64,
        /// Number of the file in the ingest.
        number: u64,
    },
}

impl FileName {
    /// The name that `text` spells, or `None` when it is not a name of the store's.
    ///
    /// Only the canonical spelling counts: `03.1.npkd` is a stranger.
    pub fn parse(text: &str) -> Option<FileName> {
        let fixed = [FileName::Log, FileName::NextLog, FileName::Control, FileName::Lock];
        if let Some(name) = fixed.into_iter().find(|name| name.to_string() == text) {
            return Some(name);
        }
        let (stem, suffix) = text.rsplit_once('.')?;
        let (owner, number) = stem.split_once('.')?;
        let number = number.parse().ok()?;
        let name = match suffix {
            "npkd" => FileName::Data { array: owner.parse().ok()?, generation: number },
            "npki" => FileName::Incoming { ingest: u64::from_str_radix(owner, 16).ok()?, number },
            _ => return None,
        };
        (name.to_string() == text).then_some(name)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileName::Log => f.write_str("metadata.npkm"),
            FileName::NextLog => f.write_str("metadata.npkm.new"),
            FileName::Control => f.write_str("control.npkc"),
            FileName::Lock => f.write_str("writer.lock"),
            FileName::Data { array, generation } => write!(f, "{array}.{generation}.npkd"),
            FileName::Incoming { ingest, number } => write!(f, "{ingest:016x}.{number}.npki"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back() {
        let data = FileName::Data { array: 3, generation: 17 };
        let incoming = [0, u64::MAX].map(|ingest| FileName::Incoming { ingest, number: 4 });
        let fixed = [FileName::Log, FileName::NextLog, FileName::Control, FileName::Lock, data];
        for name in fixed.into_iter().chain(incoming) {
            assert_eq!(FileName::parse(&name.to_string()), Some(name));
        }
    }

    #[test]
    fn strangers_are_not_names() {
        for text in [
            "",
            "03.1.npkd",
            "+3.1.npkd",
            "3.npkd",
            "3.1.2.npkd",
            "../3.1.npkd",
            "3.1.npkd/",
            "x",
            "1.0.npki",
            "000000000000000A.0.npki",
        ] {
            assert_eq!(FileName::parse(text), None, "{text:?}");
        }
    }
}
