//! The little of Python's literals that the header of a `.npy` file is made of.
//!
//! Not a parser of Python: a dict of texts to a text, a bool, a tuple of whole numbers, or something else, which
//! is only told apart. Nesting is counted, so no header exhausts the stack.

/// A value of the dict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Literal {
    Text(String),
    Bool(bool),
    Tuple(Vec<u64>),
    /// A list, such as the fields of a structured dtype, or another tuple, as it is written.
    Other(String),
}

/// The entries of the dict that `text` spells; `None` when it spells something else.
pub(super) fn entries(text: &str) -> Option<Vec<(String, Literal)>> {
    let mut rest = Rest(text);
    rest.token("{")?;
    let mut entries = Vec::new();
    while rest.token("}").is_none() {
        let key = rest.text()?;
        rest.token(":")?;
        entries.push((key, rest.literal()?));
        if rest.token(",").is_none() {
            rest.token("}")?;
            break;
        }
    }
    rest.0.trim().is_empty().then_some(entries)
}

/// What has not been read yet.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn token(&mut self, token: &str) -> Option<()> {
        self.0 = self.0.trim_start().strip_prefix(token)?;
        Some(())
    }

    fn literal(&mut self) -> Option<Literal> {
        match self.0.trim_start().chars().next()? {
            '\'' | '"' => self.text().map(Literal::Text),
            'T' => self.token("True").map(|()| Literal::Bool(true)),
            'F' => self.token("False").map(|()| Literal::Bool(false)),
            '(' => {
                let start = self.0;
                self.tuple().map(Literal::Tuple).or_else(|| {
                    self.0 = start;
                    self.nested()
                })
            }
            '[' => self.nested(),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<String> {
        let quote = ["'", "\""].into_iter().find(|quote| self.token(quote).is_some())?;
        let (text, rest) = self.0.split_once(quote)?;
        self.0 = rest;
        (!text.contains('\\')).then(|| text.to_owned())
    }

    fn tuple(&mut self) -> Option<Vec<u64>> {
        self.token("(")?;
        let mut numbers = Vec::new();
        while self.token(")").is_none() {
            numbers.push(self.number()?);
            let comma = self.token(",").is_some();
            // `(3)` is a number in Python, and no shape.
            if !comma {
                self.token(")")?;
                return (numbers.len() > 1).then_some(numbers);
            }
        }
        Some(numbers)
    }

    fn number(&mut self) -> Option<u64> {
        self.0 = self.0.trim_start();
        let end = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at(end);
        // Python 2 wrote long integers so.
        self.0 = rest.strip_prefix('L').unwrap_or(rest);
        digits.parse().ok()
    }

    /// A list or a tuple, whatever is in it.
    fn nested(&mut self) -> Option<Literal> {
        let (start, mut depth) = (self.0.trim_start(), 0_usize);
        loop {
            match self.0.trim_start().chars().next()? {
                '\'' | '"' => drop(self.text()?),
                c => {
                    self.0 = self.0.trim_start().get(c.len_utf8()..)?;
                    match c {
                        '[' | '(' => depth += 1,
                        ']' | ')' => depth = depth.checked_sub(1)?,
                        _ => {}
                    }
                }
            }
            if depth == 0 {
                let text = start.get(..start.len() - self.0.len())?;
                return Some(Literal::Other(text.to_owned()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_numpy_writes_is_read() {
        let found = entries("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }      \n").unwrap();
        let of = |key: &str| found.iter().find(|(name, _)| name == key).unwrap().1.clone();
        assert_eq!(of("descr"), Literal::Text("<f4".into()));
        assert_eq!(of("fortran_order"), Literal::Bool(false));
        assert_eq!(of("shape"), Literal::Tuple(vec![3, 4]));
        let shape = |text: &str| entries(&format!("{{\"shape\":{text}}}")).map(|found| found[0].1.clone());
        assert_eq!(shape("()"), Some(Literal::Tuple(vec![])));
        assert_eq!(shape("(7,)"), Some(Literal::Tuple(vec![7])));
        assert_eq!(shape("( 3L , 4L )"), Some(Literal::Tuple(vec![3, 4])));
        for other in ["[('a', '<f4', [1]), ('b]', '|u1')]", "('<f4', (2,))", "(3)", "(-3,)"] {
            assert_eq!(shape(other), Some(Literal::Other(other.into())));
        }
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for text in [
            "",
            "{",
            "}",
            "{'a'}",
            "{'a':}",
            "{'a': 'b\\'}",
            "{'a': 'b}",
            "{'a': None}",
            "{'a': [}",
            "{'a': True} x",
            "{'a': True 'b': True}",
            "{'a': Trüe}",
        ] {
            assert_eq!(entries(text), None, "{text}");
        }
        assert_eq!(entries(&format!("{{'a': {}", "[".repeat(60_000))), None);
        assert_eq!(entries(&format!("{{'a': {}", "(".repeat(60_000))), None);
    }
}
