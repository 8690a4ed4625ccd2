//! What setting a part of a URL does to it (URL Standard §6.1).

use super::parser::{State, continue_from};
use super::record::{Encode, Path, Record};

/// The URL with a part set; as it was where the part can't have that value.
pub(super) fn set(mut url: Record, part: &str, value: &str) -> Record {
    match part {
        "protocol" => return continue_from(url, State::SchemeStart, &format!("{value}:")),
        "username" if !url.is_bare() => url.username = Encode::UserInfo.text(value),
        "password" if !url.is_bare() => url.password = Encode::UserInfo.text(value),
        "host" if !url.has_opaque_path() => return continue_from(url, State::Host, value),
        "hostname" if !url.has_opaque_path() => return continue_from(url, State::Hostname, value),
        "port" if !url.is_bare() => {
            if !value.is_empty() {
                return continue_from(url, State::Port, value);
            }
            url.port = None;
        }
        "pathname" if !url.has_opaque_path() => {
            url.path = Path::default();
            return continue_from(url, State::PathStart, value);
        }
        "search" => {
            url.query = None;
            if !value.is_empty() {
                url.query = Some(String::new());
                return continue_from(url, State::Query, value.strip_prefix('?').unwrap_or(value));
            }
        }
        "hash" => {
            url.fragment = None;
            if !value.is_empty() {
                url.fragment = Some(String::new());
                return continue_from(url, State::Fragment, value.strip_prefix('#').unwrap_or(value));
            }
        }
        _ => {}
    }
    url
}
