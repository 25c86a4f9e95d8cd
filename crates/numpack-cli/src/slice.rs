//! Rows on the command line, as Python writes a slice of them.

use numpack::rows::Selection;

/// A slice as Python writes it: `START:STOP` or `START:STOP:STEP`, each of which may be left out.
///
/// # Errors
/// What is wrong with the text.
pub(crate) fn slice(text: &str) -> Result<Selection<'static>, String> {
    let part = |part: &str| match part.trim() {
        "" => Ok(None),
        number => number.parse().map(Some).map_err(|_| format!("{number:?} is not a whole number")),
    };
    match text.split(':').map(part).collect::<Result<Vec<_>, _>>()?[..] {
        [start, stop] => Ok(Selection::Slice { start, stop, step: None }),
        [start, stop, step] => Ok(Selection::Slice { start, stop, step }),
        _ => Err("a slice is START:STOP or START:STOP:STEP".into()),
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
            assert_eq!(slice(text), Ok(Selection::Slice { start, stop, step }), "{text}");
        }
        for wrong in ["", "1", "1:2:3:4", "a:b", "1.5:2"] {
            assert!(slice(wrong).is_err(), "{wrong}");
        }
    }
}
