//! The basic URL parser (URL Standard §4.4): a state machine over characters. States, names and order are the standard's.

mod authority;
mod file;
mod path;

use super::record::{Encode, Path, Record, default_port, is_special};

/// What the parser is in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    SchemeStart,
    Scheme,
    NoScheme,
    SpecialRelativeOrAuthority,
    PathOrAuthority,
    Relative,
    RelativeSlash,
    SpecialAuthoritySlashes,
    SpecialAuthorityIgnoreSlashes,
    Authority,
    Host,
    Hostname,
    Port,
    File,
    FileSlash,
    FileHost,
    PathStart,
    Path,
    OpaquePath,
    Query,
    Fragment,
}

/// What comes after a character.
enum Step {
    /// The next one.
    Next,
    /// The same one again, in another state.
    Again,
    /// Nothing: a part is set.
    Done,
}

/// Not a URL, or no value for the part that is set.
struct Failure;

type Stepped = Result<Step, Failure>;

/// A URL of its text.
pub(super) fn parse(input: &str, base: Option<&Record>) -> Option<Record> {
    let input = input.trim_matches(|character| character <= ' ');
    let mut parser = Parser::new(Record::default(), State::SchemeStart, input, base);
    parser.run().ok()?;
    Some(parser.url)
}

/// A URL whose part that begins in `state` is set. What was set before a failure stays.
pub(super) fn continue_from(url: Record, state: State, input: &str) -> Record {
    let mut parser = Parser::new(url, state, input, None);
    parser.setting = Some(state);
    let _ = parser.run();
    parser.url
}

struct Parser<'a> {
    url: Record,
    base: Option<&'a Record>,
    state: State,
    /// The state in which a setter began: the standard's state override.
    setting: Option<State>,
    input: Vec<char>,
    at: usize,
    buffer: String,
    at_sign_seen: bool,
    inside_brackets: bool,
    password_token_seen: bool,
}

impl<'a> Parser<'a> {
    fn new(url: Record, state: State, input: &str, base: Option<&'a Record>) -> Self {
        let input = input
            .chars()
            .filter(|character| !matches!(character, '\t' | '\n' | '\r'));
        Self {
            url,
            base,
            state,
            setting: None,
            input: input.collect(),
            at: 0,
            buffer: String::new(),
            at_sign_seen: false,
            inside_brackets: false,
            password_token_seen: false,
        }
    }

    fn run(&mut self) -> Result<(), Failure> {
        loop {
            let character = self.input.get(self.at).copied();
            match self.step(character)? {
                Step::Again => {}
                Step::Done => return Ok(()),
                Step::Next if character.is_none() => return Ok(()),
                Step::Next => self.at += 1,
            }
        }
    }

    fn step(&mut self, c: Option<char>) -> Stepped {
        match self.state {
            State::SchemeStart => self.scheme_start(c),
            State::Scheme => self.scheme(c),
            State::NoScheme => self.no_scheme(c),
            State::SpecialRelativeOrAuthority => {
                if c == Some('/') && self.follows('/') {
                    self.at += 1;
                    return self.next(State::SpecialAuthorityIgnoreSlashes);
                }
                self.again(State::Relative)
            }
            State::PathOrAuthority if c == Some('/') => self.next(State::Authority),
            State::PathOrAuthority => self.again(State::Path),
            State::Relative => self.relative(c),
            State::RelativeSlash => self.relative_slash(c),
            State::SpecialAuthoritySlashes => {
                if c == Some('/') && self.follows('/') {
                    self.at += 1;
                    return self.next(State::SpecialAuthorityIgnoreSlashes);
                }
                self.again(State::SpecialAuthorityIgnoreSlashes)
            }
            State::SpecialAuthorityIgnoreSlashes if matches!(c, Some('/' | '\\')) => Ok(Step::Next),
            State::SpecialAuthorityIgnoreSlashes => self.again(State::Authority),
            State::Authority => self.authority(c),
            State::Host | State::Hostname => self.host(c),
            State::Port => self.port(c),
            State::File => self.file(c),
            State::FileSlash => self.file_slash(c),
            State::FileHost => self.file_host(c),
            State::PathStart => self.path_start(c),
            State::Path => self.path(c),
            State::OpaquePath => self.opaque_path(c),
            State::Query => self.query(c),
            State::Fragment => {
                if let (Some(c), Some(fragment)) = (c, &mut self.url.fragment) {
                    Encode::Fragment.push(fragment, c);
                }
                Ok(Step::Next)
            }
        }
    }

    fn scheme_start(&mut self, c: Option<char>) -> Stepped {
        match c {
            Some(letter) if letter.is_ascii_alphabetic() => {
                self.buffer.push(letter.to_ascii_lowercase());
                self.next(State::Scheme)
            }
            _ if self.setting.is_none() => self.again(State::NoScheme),
            _ => Err(Failure),
        }
    }

    fn scheme(&mut self, c: Option<char>) -> Stepped {
        match c {
            Some(c) if c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.') => {
                self.buffer.push(c.to_ascii_lowercase());
                Ok(Step::Next)
            }
            Some(':') => self.scheme_end(),
            _ if self.setting.is_none() => {
                self.buffer.clear();
                self.at = 0;
                self.again(State::NoScheme)
            }
            _ => Err(Failure),
        }
    }

    fn scheme_end(&mut self) -> Stepped {
        let scheme = std::mem::take(&mut self.buffer);
        if self.setting.is_some() {
            let changes_kind = self.url.is_special() != is_special(&scheme);
            let becomes_file = scheme == "file" && (self.url.has_credentials() || self.url.port.is_some());
            let was_file = self.url.is_file() && self.url.host.as_deref().is_none_or(str::is_empty);
            if changes_kind || becomes_file || was_file {
                return Ok(Step::Done);
            }
            self.url.scheme = scheme;
            if self.url.port == default_port(&self.url.scheme) {
                self.url.port = None;
            }
            return Ok(Step::Done);
        }
        self.url.scheme = scheme;
        if self.url.is_file() {
            return self.next(State::File);
        }
        if self.url.is_special() {
            let same = self.base.is_some_and(|base| base.scheme == self.url.scheme);
            return self.next(match same {
                true => State::SpecialRelativeOrAuthority,
                false => State::SpecialAuthoritySlashes,
            });
        }
        if self.follows('/') {
            self.at += 1;
            return self.next(State::PathOrAuthority);
        }
        self.url.path = Path::Opaque(String::new());
        self.next(State::OpaquePath)
    }

    fn no_scheme(&mut self, c: Option<char>) -> Stepped {
        let base = self.base.ok_or(Failure)?;
        if !base.has_opaque_path() {
            return self.again(if base.is_file() {
                State::File
            } else {
                State::Relative
            });
        }
        if c != Some('#') {
            return Err(Failure);
        }
        self.url.scheme.clone_from(&base.scheme);
        self.url.path = base.path.clone();
        self.url.query.clone_from(&base.query);
        self.begin_fragment()
    }

    fn relative(&mut self, c: Option<char>) -> Stepped {
        let base = self.base.ok_or(Failure)?;
        self.url.scheme.clone_from(&base.scheme);
        if c == Some('/') || (c == Some('\\') && self.url.is_special()) {
            return self.next(State::RelativeSlash);
        }
        self.take_authority(base);
        self.url.path = base.path.clone();
        self.url.query.clone_from(&base.query);
        match c {
            Some('?') => self.begin_query(),
            Some('#') => self.begin_fragment(),
            None => Ok(Step::Next),
            Some(_) => {
                self.url.query = None;
                self.url.shorten();
                self.again(State::Path)
            }
        }
    }

    fn relative_slash(&mut self, c: Option<char>) -> Stepped {
        let special = self.url.is_special();
        match c {
            Some('/') | Some('\\') if special => self.next(State::SpecialAuthorityIgnoreSlashes),
            Some('/') => self.next(State::Authority),
            _ => {
                self.take_authority(self.base.ok_or(Failure)?);
                self.again(State::Path)
            }
        }
    }

    fn take_authority(&mut self, base: &Record) {
        self.url.username.clone_from(&base.username);
        self.url.password.clone_from(&base.password);
        self.url.host.clone_from(&base.host);
        self.url.port = base.port;
    }

    fn begin_query(&mut self) -> Stepped {
        self.url.query = Some(String::new());
        self.next(State::Query)
    }

    fn begin_fragment(&mut self) -> Stepped {
        self.url.fragment = Some(String::new());
        self.next(State::Fragment)
    }

    fn next(&mut self, state: State) -> Stepped {
        self.state = state;
        Ok(Step::Next)
    }

    fn again(&mut self, state: State) -> Stepped {
        self.state = state;
        Ok(Step::Again)
    }

    fn follows(&self, character: char) -> bool {
        self.input.get(self.at + 1) == Some(&character)
    }

    fn ends_authority(&self, c: Option<char>) -> bool {
        matches!(c, None | Some('/' | '?' | '#')) || (c == Some('\\') && self.url.is_special())
    }
}
