//! Rows on the command line, as Python writes a slice of them.

use std::str::FromStr;

/// A slice as Python writes it: `START:STOP` or `START:STOP:STEP`, each of which may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) start: Option<i64>,
    pub(crate) stop: Option<i64>,
    pub(crate) step: Option<i64>,
}

impl FromStr for Slice {
    type Err = String;

    fn from_str(text: &str) -> Result<Slice, String> {
        let part = |part: &str| match part.trim() {
            "" => Ok(None),
            number => number.parse().map(Some).map_err(|_| format!("{number:?} is not a whole number")),
        };
        match text.split(':').map(part).collect::<Result<Vec<_>, _>>()?[..] {
            [start, stop] => Ok(Slice { start, stop, step: None }),
            [start, stop, step] => Ok(Slice { start, stop, step }),
            _ => Err("a slice is START:STOP or START:STOP:STEP".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_those_of_python() {
        for (text, start, stop, step) in [
            ("1:2", Some(1), Some(2), None),
            (":", None, None, None),
            ("-10:", Some(-10), None, None),
            ("::-2", None, None, Some(-2)),
        ] {
            assert_eq!(text.parse(), Ok(Slice { start, stop, step }), "{text}");
        }
        for wrong in ["", "1", "1:2:3:4", "a:b", "1.5:2"] {
            assert!(wrong.parse::<Slice>().is_err(), "{wrong}");
        }
    }
}
