//! Tables and JSON on the standard output, fitted to the terminal; a pipe gets everything.

use std::io::{BufWriter, IsTerminal, Stdout, Write, stdout};

use numpack::NpkResult;
use serde_json::Value;

/// Narrower columns say nothing.
const NARROWEST: usize = 8;

/// The standard output.
pub(crate) struct Output {
    out: BufWriter<Stdout>,
    /// Columns of the terminal; none on a pipe.
    width: Option<usize>,
}

impl Output {
    pub(crate) fn new() -> Output {
        let terminal = stdout().is_terminal();
        let width = terminal.then(terminal_size::terminal_size).flatten();
        let width = width.map(|(width, _)| usize::from(width.0)).filter(|&width| width > 0);
        Output { out: BufWriter::new(stdout()), width }
    }

    /// Columns to draw in.
    pub(crate) fn width(&self) -> usize {
        self.width.unwrap_or(80)
    }

    /// Prints a line, cut to the terminal's width.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn line(&mut self, text: &str) -> NpkResult<()> {
        let text = match self.width {
            Some(width) => shortened(text, width),
            None => text.to_owned(),
        };
        Ok(writeln!(self.out, "{text}")?)
    }

    /// Prints a line of any length.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn whole_line(&mut self, text: &str) -> NpkResult<()> {
        Ok(writeln!(self.out, "{text}")?)
    }

    /// Prints a value and ends the line.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn json(&mut self, value: &Value) -> NpkResult<()> {
        Ok(writeln!(self.out, "{value:#}")?)
    }

    /// Prints rows under their titles: the first column to the left, the others to the right. Where the
    /// terminal is too narrow the first column is cut.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn table<const N: usize>(&mut self, titles: [&str; N], rows: &[[String; N]]) -> NpkResult<()> {
        let mut widths = titles.map(columns);
        for row in rows {
            widths.iter_mut().zip(row).for_each(|(width, cell)| *width = columns(cell).max(*width));
        }
        let others: usize = widths.iter().skip(1).map(|width| width + 2).sum();
        if let (Some(terminal), Some(first)) = (self.width, widths.first_mut()) {
            *first = (*first).min(terminal.saturating_sub(others).max(NARROWEST));
        }
        self.row(&titles.map(str::to_owned), &widths)?;
        rows.iter().try_for_each(|row| self.row(row, &widths))
    }

    fn row<const N: usize>(&mut self, row: &[String; N], widths: &[usize; N]) -> NpkResult<()> {
        let mut line = String::new();
        for (at, (cell, &width)) in row.iter().zip(widths).enumerate() {
            let cell = shortened(cell, width);
            let space = " ".repeat(width - columns(&cell));
            line += &if at == 0 { format!("{cell}{space}") } else { format!("  {space}{cell}") };
        }
        self.line(line.trim_end())
    }

    /// Writes out what waits.
    ///
    /// # Errors
    /// `Io`.
    pub(crate) fn flush(&mut self) -> NpkResult<()> {
        Ok(self.out.flush()?)
    }
}

fn columns(text: &str) -> usize {
    text.chars().count()
}

/// The text, with an ellipsis for what does not fit.
fn shortened(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// A text that somebody else chose, such as a name: nothing in it moves the cursor.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
        .collect()
}

/// Bytes as people read them.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = count as f64;
    let mut unit = "B";
    for larger in UNITS {
        if value < 1024.0 {
            break;
        }
        (value, unit) = (value / 1024.0, larger);
    }
    if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") }
}

/// A number of arrays.
pub(crate) fn arrays(count: usize) -> String {
    if count == 1 { "1 array".to_owned() } else { format!("{count} arrays") }
}

/// A number of rows.
pub(crate) fn rows(count: u64) -> String {
    if count == 1 { "1 row".to_owned() } else { format!("{count} rows") }
}

/// A shape as Python writes a tuple.
pub(crate) fn shape(dims: &[u64]) -> String {
    match dims {
        [one] => format!("({one},)"),
        _ => format!("({})", dims.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_what_was_meant() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(u64::MAX), "16384.0 PiB");
        assert_eq!((arrays(0), arrays(1)), ("0 arrays".into(), "1 array".into()));
        assert_eq!((rows(0), rows(1)), ("0 rows".into(), "1 row".into()));
        assert_eq!(shape(&[]), "()");
        assert_eq!(shape(&[3]), "(3,)");
        assert_eq!(shape(&[3, 4]), "(3, 4)");
        assert_eq!(clean("a\x1b[31mb\n"), "a\\u{1b}[31mb\\n");
        assert_eq!(shortened("abcdef", 4), "abc…");
    }
}
