//! Path and query.

use super::{Parser, State, Step, Stepped};
use crate::web::url::record::{Encode, Path, is_drive};

impl Parser<'_> {
    pub(super) fn path_start(&mut self, c: Option<char>) -> Stepped {
        if self.url.is_special() {
            return match c {
                Some('/' | '\\') => self.next(State::Path),
                _ => self.again(State::Path),
            };
        }
        match c {
            Some('?') if self.setting.is_none() => self.begin_query(),
            Some('#') if self.setting.is_none() => self.begin_fragment(),
            Some('/') => self.next(State::Path),
            Some(_) => self.again(State::Path),
            None => {
                if self.setting.is_some()
                    && self.url.host.is_none()
                    && let Some(segments) = self.url.segments()
                {
                    segments.push(String::new());
                }
                Ok(Step::Next)
            }
        }
    }

    pub(super) fn path(&mut self, c: Option<char>) -> Stepped {
        let slash = c == Some('/') || (c == Some('\\') && self.url.is_special());
        let mark = self.setting.is_none() && matches!(c, Some('?' | '#'));
        if let Some(c) = c.filter(|_| !slash && !mark) {
            Encode::Path.push(&mut self.buffer, c);
            return Ok(Step::Next);
        }
        let mut segment = std::mem::take(&mut self.buffer);
        let dots = dots(&segment);
        if dots == 2 {
            self.url.shorten();
        }
        let is_file = self.url.is_file();
        if let Some(segments) = self.url.segments() {
            if dots == 0 {
                if is_file && segments.is_empty() && is_drive(&segment) {
                    segment.replace_range(1.., ":");
                }
                segments.push(segment);
            } else if !slash {
                segments.push(String::new());
            }
        }
        match c {
            Some('?') if mark => self.begin_query(),
            Some('#') if mark => self.begin_fragment(),
            _ => Ok(Step::Next),
        }
    }

    pub(super) fn opaque_path(&mut self, c: Option<char>) -> Stepped {
        let before_mark = self.follows('?') || self.follows('#');
        match (c, &mut self.url.path) {
            (Some('?'), _) => return self.begin_query(),
            (Some('#'), _) => return self.begin_fragment(),
            (Some(' '), Path::Opaque(path)) => path.push_str(if before_mark { "%20" } else { " " }),
            (Some(c), Path::Opaque(path)) => Encode::Control.push(path, c),
            _ => {}
        }
        Ok(Step::Next)
    }

    pub(super) fn query(&mut self, c: Option<char>) -> Stepped {
        if c == Some('#') && self.setting.is_none() {
            return self.begin_fragment();
        }
        let set = match self.url.is_special() {
            true => Encode::SpecialQuery,
            false => Encode::Query,
        };
        if let (Some(c), Some(query)) = (c, &mut self.url.query) {
            set.push(query, c);
        }
        Ok(Step::Next)
    }
}

/// Whether a segment is one dot or two, in whatever way they are written; 0 for others.
fn dots(segment: &str) -> usize {
    if segment.len() > "%2e%2e".len() {
        return 0;
    }
    match segment.to_ascii_lowercase().replace("%2e", ".").as_str() {
        "." => 1,
        ".." => 2,
        _ => 0,
    }
}
