//! What a path means.

use std::fmt;

use http::Method;

/// What a request is about. Parts of the path are as they were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Resource<'a> {
    Health,
    Metrics,
    AgentCard,
    AgentRegistration,
    Providers,
    Provider(&'a str),
    ReputationOfUser(&'a str),
    ReputationOfProvider(&'a str),
    Models,
    Gateway,
    Stats,
    Rentals,
    Quote,
    Rental(&'a str),
    Change(&'a str, Change),
    Routes,
    Route(&'a str),
    Proxy,
    CloudStatus,
    CloudSkills,
    CloudInference,
    CloudSkill,
}

/// What a renter does with a rental.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Extend,
    Cancel,
    Rate,
}

/// What an answer takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cost {
    /// Next to nothing, and whoever watches the gateway asks for it.
    None,
    /// What is in memory.
    Memory,
    /// Calls to the chain, or the check of a signature.
    Chain,
}

/// Methods that a resource answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Methods {
    Read,
    Create,
    ReadCreate,
    ReplaceDelete,
    Any,
}

impl Methods {
    /// As `Allow` lists them.
    pub(super) const fn list(self) -> &'static str {
        match self {
            Methods::Read => "GET, HEAD",
            Methods::Create => "POST",
            Methods::ReadCreate => "GET, HEAD, POST",
            Methods::ReplaceDelete => "PUT, DELETE",
            Methods::Any => "GET, HEAD, POST, PUT, PATCH, DELETE",
        }
    }

    /// Whether it is one of them.
    pub(super) fn contains(self, method: &Method) -> bool {
        self.list().split(", ").any(|name| name == method.as_str())
    }
}

impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Methods::Read => "GET",
            Methods::ReadCreate => "GET or POST",
            Methods::ReplaceDelete => "PUT or DELETE",
            other => other.list(),
        })
    }
}

impl<'a> Resource<'a> {
    /// What a path means; `None` for one that means nothing.
    pub(super) fn of(path: &'a str) -> Option<Self> {
        let parts: Vec<&str> = path.strip_prefix('/')?.splitn(6, '/').collect();
        Some(match parts.as_slice() {
            ["health"] => Resource::Health,
            ["metrics"] => Resource::Metrics,
            [".well-known", "agent-card.json"] => Resource::AgentCard,
            [".well-known", "agent-registration.json"] => Resource::AgentRegistration,
            ["v1", rest @ ..] => match rest {
                ["providers"] => Resource::Providers,
                ["providers", account] => Resource::Provider(account),
                ["reputation", "user", account] => Resource::ReputationOfUser(account),
                ["reputation", "provider", account] => Resource::ReputationOfProvider(account),
                ["models"] => Resource::Models,
                ["gateway", "info"] => Resource::Gateway,
                ["stats"] => Resource::Stats,
                ["rentals"] => Resource::Rentals,
                // Before any rental.
                ["rentals", "quote"] => Resource::Quote,
                ["rentals", rental] => Resource::Rental(rental),
                ["rentals", rental, "extend"] => Resource::Change(rental, Change::Extend),
                ["rentals", rental, "cancel"] => Resource::Change(rental, Change::Cancel),
                ["rentals", rental, "rate"] => Resource::Change(rental, Change::Rate),
                ["routes"] => Resource::Routes,
                ["routes", route] => Resource::Route(route),
                ["proxy", _, ..] => Resource::Proxy,
                ["cloud", "status"] => Resource::CloudStatus,
                ["cloud", "skills"] => Resource::CloudSkills,
                ["cloud", "inference"] => Resource::CloudInference,
                ["cloud", "skills", _] => Resource::CloudSkill,
                _ => return None,
            },
            _ => return None,
        })
    }

    /// Methods that it answers.
    pub(super) const fn methods(self) -> Methods {
        match self {
            Resource::Rentals | Resource::Routes => Methods::ReadCreate,
            Resource::Change(..) | Resource::CloudInference | Resource::CloudSkill => Methods::Create,
            Resource::Route(_) => Methods::ReplaceDelete,
            Resource::Proxy => Methods::Any,
            _ => Methods::Read,
        }
    }

    /// What an answer takes.
    pub(super) const fn cost(self) -> Cost {
        match self {
            Resource::Provider(_)
            | Resource::ReputationOfUser(_)
            | Resource::ReputationOfProvider(_)
            | Resource::Rentals
            | Resource::Quote
            | Resource::Rental(_)
            | Resource::Change(..)
            | Resource::Routes
            | Resource::Route(_) => Cost::Chain,
            Resource::Health | Resource::Metrics => Cost::None,
            _ => Cost::Memory,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_no_rental() {
        assert_eq!(Resource::of("/v1/rentals/quote"), Some(Resource::Quote));
        assert_eq!(Resource::of("/v1/rentals/0x1"), Some(Resource::Rental("0x1")));
        assert_eq!(
            Resource::of("/v1/rentals/quote/extend"),
            Some(Resource::Change("quote", Change::Extend))
        );
    }

    #[test]
    fn everything_below_a_proxied_provider_is_one() {
        for path in [
            "/v1/proxy/0x1",
            "/v1/proxy/0x1/",
            "/v1/proxy/0x1/v1/chat/completions/and/more",
        ] {
            assert_eq!(Resource::of(path), Some(Resource::Proxy), "{path}");
        }
        for path in [
            "",
            "*",
            "/",
            "/v1",
            "/v1/",
            "/v1/proxy",
            "/v1/models/",
            "//v1/models",
            "/v1/rentals/a/b/c",
            "/v1/rentals/a/end",
            "/V1/models",
            "/v1/moderation/incidents",
        ] {
            assert_eq!(Resource::of(path), None, "{path}");
        }
    }

    #[test]
    fn methods_are_told_apart() {
        assert!(Methods::Read.contains(&Method::HEAD));
        assert!(!Methods::Read.contains(&Method::POST));
        assert!(!Methods::Create.contains(&Method::GET));
        assert!(Methods::Any.contains(&Method::PATCH));
        assert!(!Methods::Any.contains(&Method::from_bytes(b"GE").unwrap()));
    }
}
