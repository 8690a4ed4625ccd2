//! What is special about `file:`.

use super::{Parser, State, Step, Stepped};
use crate::web::url::record::{Path, is_drive, is_normal_drive};

impl Parser<'_> {
    pub(super) fn file(&mut self, c: Option<char>) -> Stepped {
        self.url.scheme = "file".to_owned();
        self.url.host = Some(String::new());
        if matches!(c, Some('/' | '\\')) {
            return self.next(State::FileSlash);
        }
        let Some(base) = self.base.filter(|base| base.is_file()) else {
            return self.again(State::Path);
        };
        self.url.host.clone_from(&base.host);
        self.url.path = base.path.clone();
        self.url.query.clone_from(&base.query);
        match c {
            Some('?') => self.begin_query(),
            Some('#') => self.begin_fragment(),
            None => Ok(Step::Next),
            Some(_) => {
                self.url.query = None;
                match self.at_drive() {
                    true => self.url.path = Path::default(),
                    false => self.url.shorten(),
                }
                self.again(State::Path)
            }
        }
    }

    pub(super) fn file_slash(&mut self, c: Option<char>) -> Stepped {
        if matches!(c, Some('/' | '\\')) {
            return self.next(State::FileHost);
        }
        if let Some(base) = self.base.filter(|base| base.is_file()) {
            self.url.host.clone_from(&base.host);
            if let Path::Segments(segments) = &base.path
                && let Some(drive) = segments.first().filter(|first| is_normal_drive(first))
                && !self.at_drive()
                && let Some(segments) = self.url.segments()
            {
                segments.push(drive.clone());
            }
        }
        self.again(State::Path)
    }

    pub(super) fn file_host(&mut self, c: Option<char>) -> Stepped {
        if let Some(c) = c.filter(|c| !matches!(c, '/' | '\\' | '?' | '#')) {
            self.buffer.push(c);
            return Ok(Step::Next);
        }
        if self.setting.is_none() && is_drive(&self.buffer) {
            return self.again(State::Path);
        }
        if self.buffer.is_empty() {
            self.url.host = Some(String::new());
        } else {
            self.take_host()?;
            if self.url.host.as_deref() == Some("localhost") {
                self.url.host = Some(String::new());
            }
        }
        match self.setting {
            Some(_) => Ok(Step::Done),
            None => self.again(State::PathStart),
        }
    }

    /// Whether a drive's name begins here.
    fn at_drive(&self) -> bool {
        let rest = &self.input[self.at.min(self.input.len())..];
        match rest {
            [letter, ':' | '|', rest @ ..] if letter.is_ascii_alphabetic() => {
                matches!(rest, [] | ['/' | '\\' | '?' | '#', ..])
            }
            _ => false,
        }
    }
}
