//! Licence expressions (SPDX 2.3, annex D): whether one can be met with licences from a list.

use std::iter::Peekable;
use std::str::Chars;

/// Longest nesting of parentheses that is followed.
const MAX_DEPTH: usize = 16;

/// Whether an expression can be met by allowed licences alone. What can't be understood isn't met.
///
/// `WITH` and its exception belong to the licence before them. The slash of old manifests means `OR`.
pub fn allowed(expression: &str, list: &[String]) -> bool {
    let mut parser = Parser {
        words: words(expression),
        at: 0,
        list,
    };
    let met = parser.any(0);
    met.unwrap_or(false) && parser.at == parser.words.len()
}

/// An expression as SPDX writes it: without the slash.
pub fn normal(expression: &str) -> String {
    let words = words(expression);
    words.join(" ").replace("( ", "(").replace(" )", ")")
}

struct Parser<'a> {
    words: Vec<String>,
    at: usize,
    list: &'a [String],
}

impl Parser<'_> {
    fn any(&mut self, depth: usize) -> Option<bool> {
        let mut met = self.all(depth)?;
        while self.takes("OR") {
            met |= self.all(depth)?;
        }
        Some(met)
    }

    fn all(&mut self, depth: usize) -> Option<bool> {
        let mut met = self.one(depth)?;
        while self.takes("AND") {
            met &= self.one(depth)?;
        }
        Some(met)
    }

    fn one(&mut self, depth: usize) -> Option<bool> {
        if self.takes("(") {
            let met = (depth < MAX_DEPTH).then(|| self.any(depth + 1))??;
            return self.takes(")").then_some(met);
        }
        let mut licence = self.word()?;
        if self.takes("WITH") {
            licence = format!("{licence} WITH {}", self.word()?);
        }
        Some(self.list.contains(&licence))
    }

    fn takes(&mut self, word: &str) -> bool {
        let found = self.words.get(self.at).is_some_and(|next| next == word);
        self.at += usize::from(found);
        found
    }

    fn word(&mut self) -> Option<String> {
        let word = self.words.get(self.at)?.clone();
        let name = !["(", ")", "OR", "AND", "WITH"].contains(&word.as_str());
        self.at += 1;
        name.then_some(word)
    }
}

fn words(expression: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = expression.chars().peekable();
    while let Some(next) = rest.peek().copied() {
        match next {
            '(' | ')' => words.push(next.to_string()),
            '/' => words.push("OR".to_owned()),
            _ if next.is_whitespace() => {}
            _ => {
                words.push(name(&mut rest));
                continue;
            }
        }
        rest.next();
    }
    words
}

fn name(rest: &mut Peekable<Chars>) -> String {
    let mut name = String::new();
    while let Some(next) = rest.next_if(|next| !next.is_whitespace() && !['(', ')', '/'].contains(next)) {
        name.push(next);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(expression: &str) -> bool {
        let list = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned);
        allowed(expression, &list)
    }

    #[test]
    fn one_of_several_or_all_of_several() {
        for good in [
            "MIT",
            "MIT OR GPL-3.0-only",
            "Unlicense/MIT",
            "MIT AND ISC",
            "ISC AND (GPL-2.0-only OR ISC)",
            "(MIT OR Unknown) AND ISC",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0",
        ] {
            assert!(of(good), "{good}");
        }
        for bad in [
            "GPL-3.0-only",
            "MIT AND GPL-3.0-only",
            // AND binds tighter than OR.
            "GPL-2.0-only OR MIT AND GPL-3.0-only",
            "Apache-2.0",
            "ISC AND (GPL-2.0-only OR MPL-2.0)",
        ] {
            assert!(!of(bad), "{bad}");
        }
    }

    #[test]
    fn what_is_no_expression_is_not_met() {
        for bad in [
            "", "MIT OR", "(MIT", "MIT)", "MIT ISC", "AND MIT", "MIT WITH", "()",
        ] {
            assert!(!of(bad), "{bad:?}");
        }
        let deep = format!("{}MIT{}", "(".repeat(100_000), ")".repeat(100_000));
        assert!(!of(&deep));
    }

    #[test]
    fn slashes_become_or() {
        assert_eq!(normal("MIT/Apache-2.0"), "MIT OR Apache-2.0");
        assert_eq!(
            normal("( MIT OR Apache-2.0 )  AND Unicode-3.0"),
            "(MIT OR Apache-2.0) AND Unicode-3.0"
        );
    }
}
