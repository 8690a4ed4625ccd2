//! A URL record (URL Standard §4.1), its text, and the sets of characters that are encoded in it.

use std::fmt::Write;

/// A URL.
#[derive(Clone, Default)]
pub(super) struct Record {
    pub scheme: String,
    pub username: String,
    pub password: String,
    /// As it is written.
    pub host: Option<String>,
    pub port: Option<u16>,
    pub path: Path,
    pub query: Option<String>,
    pub fragment: Option<String>,
}

/// A URL's path.
#[derive(Clone)]
pub(super) enum Path {
    Opaque(String),
    Segments(Vec<String>),
}

impl Default for Path {
    fn default() -> Self {
        Self::Segments(Vec::new())
    }
}

impl Record {
    pub(super) fn is_special(&self) -> bool {
        is_special(&self.scheme)
    }

    pub(super) fn is_file(&self) -> bool {
        self.scheme == "file"
    }

    pub(super) fn has_credentials(&self) -> bool {
        !self.username.is_empty() || !self.password.is_empty()
    }

    pub(super) fn has_opaque_path(&self) -> bool {
        matches!(self.path, Path::Opaque(_))
    }

    /// Whether it can have neither a user nor a port.
    pub(super) fn is_bare(&self) -> bool {
        self.host.as_deref().is_none_or(str::is_empty) || self.is_file()
    }

    pub(super) fn segments(&mut self) -> Option<&mut Vec<String>> {
        match &mut self.path {
            Path::Segments(segments) => Some(segments),
            Path::Opaque(_) => None,
        }
    }

    /// Takes the last segment off, but for a drive.
    pub(super) fn shorten(&mut self) {
        let is_file = self.is_file();
        if let Some(segments) = self.segments()
            && !(is_file && segments.len() == 1 && is_normal_drive(&segments[0]))
        {
            segments.pop();
        }
    }

    /// The text, and where its parts begin and end: scheme's end; user name; password; host; port; path's begin; begin of
    /// the query and of the fragment with their marks, or -1. The text is ASCII, so bytes are UTF-16 units.
    pub(super) fn serialize(&self) -> (String, [i32; 12]) {
        let mut text = self.scheme.clone();
        let mut places = [0; 12];
        let mut mark = |place: usize, text: &str| places[place] = text.len() as i32;
        mark(0, &text);
        text.push(':');
        if let Some(host) = &self.host {
            text.push_str("//");
            mark(1, &text);
            text.push_str(&self.username);
            mark(2, &text);
            if !self.password.is_empty() {
                text.push(':');
            }
            mark(3, &text);
            text.push_str(&self.password);
            mark(4, &text);
            if self.has_credentials() {
                text.push('@');
            }
            mark(5, &text);
            text.push_str(host);
            mark(6, &text);
            if let Some(port) = self.port {
                let _ = write!(text, ":{port}");
            }
            mark(7, &text);
            mark(8, &text);
        } else {
            if let Path::Segments(segments) = &self.path
                && segments.len() > 1
                && segments[0].is_empty()
            {
                text.push_str("/.");
            }
            (1..9).for_each(|place| mark(place, &text));
        }
        mark(9, &text);
        match &self.path {
            Path::Opaque(path) => text.push_str(path),
            Path::Segments(segments) => segments.iter().for_each(|segment| {
                text.push('/');
                text.push_str(segment);
            }),
        }
        mark(10, &text);
        if let Some(query) = &self.query {
            text.push('?');
            text.push_str(query);
        }
        mark(11, &text);
        if let Some(fragment) = &self.fragment {
            text.push('#');
            text.push_str(fragment);
        }
        if self.port.is_some() {
            // After the colon.
            places[7] = places[6] + 1;
        }
        if self.query.is_none() {
            places[10] = -1;
        }
        if self.fragment.is_none() {
            places[11] = -1;
        }
        (text, places)
    }

    /// The origin's text, `null` for an opaque one.
    pub(super) fn origin(&self) -> String {
        match (self.scheme.as_str(), &self.path) {
            ("blob", Path::Opaque(path)) => match super::parser::parse(path, None) {
                Some(inner) if inner.scheme == "http" || inner.scheme == "https" => inner.origin(),
                _ => "null".to_owned(),
            },
            ("file", _) => "null".to_owned(),
            (scheme, _) if is_special(scheme) => {
                let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
                format!("{scheme}://{}{port}", self.host.as_deref().unwrap_or_default())
            }
            _ => "null".to_owned(),
        }
    }
}

pub(super) fn is_special(scheme: &str) -> bool {
    scheme == "file" || default_port(scheme).is_some()
}

pub(super) fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        "ftp" => Some(21),
        _ => None,
    }
}

/// `C:`, which is a drive wherever it comes first in a `file:` URL's path.
pub(super) fn is_normal_drive(text: &str) -> bool {
    matches!(text.as_bytes(), [letter, b':'] if letter.is_ascii_alphabetic())
}

/// `C:` or `C|`.
pub(super) fn is_drive(text: &str) -> bool {
    matches!(text.as_bytes(), [letter, b':' | b'|'] if letter.is_ascii_alphabetic())
}

/// Which characters of a part are encoded (URL Standard §1.3).
#[derive(Clone, Copy)]
pub(super) enum Encode {
    Control,
    Fragment,
    Query,
    SpecialQuery,
    Path,
    UserInfo,
}

impl Encode {
    fn has(self, character: char) -> bool {
        let more = match self {
            Self::Control => "",
            Self::Fragment => " \"<>`",
            Self::Query => " \"#<>",
            Self::SpecialQuery => " \"#<>'",
            Self::Path => " \"#<>?^`{}",
            Self::UserInfo => " \"#<>?^`{}/:;=@[\\]|",
        };
        !(' '..='~').contains(&character) || more.contains(character)
    }

    /// Adds a character to a text, encoded where it has to be.
    pub(super) fn push(self, text: &mut String, character: char) {
        if !self.has(character) {
            text.push(character);
            return;
        }
        for byte in character.encode_utf8(&mut [0; 4]).bytes() {
            let digit = |half: u8| char::from(b"0123456789ABCDEF"[usize::from(half & 15)]);
            text.extend(['%', digit(byte >> 4), digit(byte)]);
        }
    }

    /// A text, encoded.
    pub(super) fn text(self, from: &str) -> String {
        let mut text = String::with_capacity(from.len());
        from.chars().for_each(|character| self.push(&mut text, character));
        text
    }
}
