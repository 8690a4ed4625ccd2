//! Changes of a source that keep its lines.

use std::collections::HashSet;

use oxc_span::Span;

/// Why a module isn't taken.
#[derive(Debug)]
pub(super) struct Refusal {
    /// Where, in bytes from the start.
    pub(super) at: u32,
    /// For people.
    pub(super) why: String,
}

impl Refusal {
    pub(super) fn new(at: u32, why: impl Into<String>) -> Self {
        Self { at, why: why.into() }
    }
}

enum Change {
    /// Spaces.
    Blank,
    /// `;` and spaces, so that what stands around it isn't read as one.
    Nothing,
    /// Text, and then the lines that were there.
    Text(String),
}

/// Changes, in any order; none inside another.
pub(super) struct Edits<'a> {
    source: &'a str,
    list: Vec<(u32, u32, Change)>,
    /// Where statements and class members end: a type that is blanked there leaves a semicolon, because what follows it
    /// on the next line may go on with the expression (`a as T` and then `(b)`).
    ends: HashSet<u32>,
}

impl<'a> Edits<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        Self {
            source,
            list: Vec::new(),
            ends: HashSet::new(),
        }
    }

    pub(super) fn source(&self) -> &'a str {
        self.source
    }

    pub(super) fn text(&self, span: Span) -> &'a str {
        self.source
            .get(span.start as usize..span.end as usize)
            .unwrap_or_default()
    }

    pub(super) fn blank(&mut self, start: u32, end: u32) {
        if start < end {
            self.list.push((start, end, Change::Blank));
        }
    }

    /// For whole statements and class members.
    pub(super) fn nothing(&mut self, span: Span) {
        self.list.push((span.start, span.end, Change::Nothing));
    }

    pub(super) fn replace(&mut self, start: u32, end: u32, text: impl Into<String>) {
        self.list.push((start, end, Change::Text(text.into())));
    }

    pub(super) fn insert(&mut self, at: u32, text: impl Into<String>) {
        self.replace(at, at, text);
    }

    pub(super) fn end(&mut self, at: u32) {
        self.ends.insert(at);
    }

    pub(super) fn apply(mut self) -> Result<String, Refusal> {
        // What is put in at one place keeps its order.
        self.list.sort_by_key(|(start, end, _)| (*start, *end));
        let mut made = String::with_capacity(self.source.len() + 256);
        let mut done = 0;
        for (start, end, change) in &self.list {
            let span = *start as usize..*end as usize;
            let (Some(kept), Some(was)) = (self.source.get(done..span.start), self.source.get(span.clone()))
            else {
                return Err(Refusal::new(
                    *start,
                    "the code is of a kind that can't be made JavaScript of",
                ));
            };
            made.push_str(kept);
            done = span.end;
            match change {
                Change::Text(text) => {
                    made.push_str(text);
                    made.extend(was.chars().filter(|c| is_line_end(*c)));
                }
                Change::Nothing => {
                    made.push(';');
                    let mut left = was.chars();
                    made.extend(left.next().filter(|c| is_line_end(*c)));
                    made.extend(left.map(blanked));
                }
                Change::Blank => {
                    made.extend(was.chars().map(blanked));
                    if self.ends.contains(end) && made.ends_with(' ') {
                        made.pop();
                        made.push(';');
                    }
                }
            }
        }
        made.push_str(self.source.get(done..).unwrap_or_default());
        Ok(made)
    }
}

pub(super) fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}')
}

fn blanked(c: char) -> char {
    if is_line_end(c) { c } else { ' ' }
}
