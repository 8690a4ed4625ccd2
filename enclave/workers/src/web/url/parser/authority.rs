//! User, host and port.

use super::{Failure, Parser, State, Step, Stepped};
use crate::web::url::record::{Encode, default_port};

impl Parser<'_> {
    pub(super) fn authority(&mut self, c: Option<char>) -> Stepped {
        if c == Some('@') {
            let mut user = std::mem::take(&mut self.buffer);
            if self.at_sign_seen {
                user.insert_str(0, "%40");
            }
            self.at_sign_seen = true;
            for character in user.chars() {
                if character == ':' && !self.password_token_seen {
                    self.password_token_seen = true;
                    continue;
                }
                let part = match self.password_token_seen {
                    true => &mut self.url.password,
                    false => &mut self.url.username,
                };
                Encode::UserInfo.push(part, character);
            }
            return Ok(Step::Next);
        }
        if !self.ends_authority(c) {
            self.buffer.extend(c);
            return Ok(Step::Next);
        }
        if self.at_sign_seen && self.buffer.is_empty() {
            return Err(Failure);
        }
        self.at -= self.buffer.chars().count();
        self.buffer.clear();
        self.again(State::Host)
    }

    pub(super) fn host(&mut self, c: Option<char>) -> Stepped {
        if self.setting.is_some() && self.url.is_file() {
            return self.again(State::FileHost);
        }
        if c == Some(':') && !self.inside_brackets {
            if self.buffer.is_empty() || self.setting == Some(State::Hostname) {
                return Err(Failure);
            }
            self.take_host()?;
            return self.next(State::Port);
        }
        if self.ends_authority(c) {
            let bound = self.url.has_credentials() || self.url.port.is_some();
            if self.buffer.is_empty() && (self.url.is_special() || (self.setting.is_some() && bound)) {
                return Err(Failure);
            }
            self.take_host()?;
            return match self.setting {
                Some(_) => Ok(Step::Done),
                None => self.again(State::PathStart),
            };
        }
        match c {
            Some('[') => self.inside_brackets = true,
            Some(']') => self.inside_brackets = false,
            _ => {}
        }
        self.buffer.extend(c);
        Ok(Step::Next)
    }

    pub(super) fn take_host(&mut self) -> Result<(), Failure> {
        let text = std::mem::take(&mut self.buffer);
        let host = match self.url.is_special() {
            true => url::Host::parse(&text),
            false if text.is_empty() => {
                self.url.host = Some(String::new());
                return Ok(());
            }
            false => url::Host::parse_opaque(&text),
        };
        self.url.host = Some(host.map_err(|_| Failure)?.to_string());
        Ok(())
    }

    pub(super) fn port(&mut self, c: Option<char>) -> Stepped {
        if let Some(digit) = c.filter(char::is_ascii_digit) {
            self.buffer.push(digit);
            return Ok(Step::Next);
        }
        if !self.ends_authority(c) && self.setting.is_none() {
            return Err(Failure);
        }
        if !self.buffer.is_empty() {
            // Zeros before it don't make it too large.
            let digits = self.buffer.trim_start_matches('0');
            let port = match digits {
                "" => 0,
                digits => digits.parse().map_err(|_| Failure)?,
            };
            self.url.port = Some(port).filter(|port| default_port(&self.url.scheme) != Some(*port));
            self.buffer.clear();
            if self.setting.is_some() {
                return Ok(Step::Done);
            }
        }
        match self.setting {
            Some(_) => Err(Failure),
            None => self.again(State::PathStart),
        }
    }
}
