//! A route, and the gateway that has it: `ROUTE@HOST[:PORT]`.

use std::fmt;
use std::str::FromStr;

use super::RouteError;
use crate::ssh::place::Place;

/// Port of gateways' SSH proxies.
const DEFAULT_PORT: u16 = 2222;

/// A route at a gateway. Its id is all that it takes to use it, short of the renter's SSH key.
#[derive(Clone, PartialEq, Eq)]
pub struct RouteAt {
    id: String,
    gateway: Place,
}

impl RouteAt {
    /// The id, as 8-4-4-4-12 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The gateway's SSH proxy.
    pub fn gateway(&self) -> &Place {
        &self.gateway
    }
}

impl FromStr for RouteAt {
    type Err = RouteError;

    fn from_str(text: &str) -> Result<Self, RouteError> {
        parse(text).ok_or_else(|| RouteError::Route(text.chars().take(200).collect()))
    }
}

impl fmt::Display for RouteAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.id, self.gateway)
    }
}

impl fmt::Debug for RouteAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RouteAt(…@{})", self.gateway)
    }
}

fn parse(text: &str) -> Option<RouteAt> {
    let (id, place) = text.split_once('@')?;
    let has_port = place
        .rsplit_once(':')
        .is_some_and(|(host, _)| !host.is_empty() && !is_open(host));
    let place = match has_port {
        true => place.to_owned(),
        false => format!("{place}:{DEFAULT_PORT}"),
    };
    is_id(id).then_some(RouteAt {
        id: id.to_ascii_lowercase(),
        gateway: place.parse().ok()?,
    })
}

/// Whether a colon behind this is part of an IPv6 address in brackets.
fn is_open(host: &str) -> bool {
    host.starts_with('[') && !host.ends_with(']')
}

/// Whether this is a route's id, of either case.
pub(super) fn is_id(id: &str) -> bool {
    let is_dash = |place: usize| matches!(place, 8 | 13 | 18 | 23);
    let mut bytes = id.bytes().enumerate();
    id.len() == 36
        && bytes.all(|(place, byte)| {
            if is_dash(place) {
                byte == b'-'
            } else {
                byte.is_ascii_hexdigit()
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0f1e2d3c-4b5a-4978-8695-a4b3c2d1e0ff";

    #[test]
    fn takes_routes_apart() {
        for (at, shown) in [
            ("gw.example", "gw.example:2222"),
            ("gw.example:22", "gw.example:22"),
            ("[2001:db8::1]", "[2001:db8::1]:2222"),
            ("[2001:db8::1]:22", "[2001:db8::1]:22"),
        ] {
            let route: RouteAt = format!("{}@{at}", ID.to_uppercase()).parse().unwrap();
            assert_eq!(route.to_string(), format!("{ID}@{shown}"));
            assert!(!format!("{route:?}").contains(ID));
        }
        for wrong in [
            "",
            ID,
            "gw.example",
            "0@gw.example",
            &format!("{ID}@"),
            &format!("{ID}@gw.example:0"),
            &format!("{ID}@-oProxyCommand=x"),
            &format!("{}@gw.example", ID.replace('-', "0")),
        ] {
            assert_eq!(
                wrong.parse::<RouteAt>().unwrap_err().code(),
                "route_invalid",
                "{wrong}"
            );
        }
    }
}
