//! Queries of URLs, read strictly: names that are known, once each.

use jeju_wallet_auth::account::Account;

use super::refusal::Refusal;
use crate::config::address;
use crate::index::ProviderFilter;

/// Most rentals of one answer.
pub(super) const MAX_RENTALS: usize = 100;

/// Most clients whose word is counted.
const MAX_CLIENTS: usize = 32;

const CLIENTS: &str = "Feedback is counted of clients=ADDRESS,ADDRESS and so on, 32 at most.";
const PROVIDERS: &str = "Providers are listed by model=NAME, active=true|false, after=ADDRESS and limit=1..1000, or by \
                         model=NAME, healthy=true|false and limit, the cheapest and nearest first; once each.";
const MODELS: &str = "Models are listed by type=NAME and source=NAME, once each.";
const RENTALS: &str =
    "Rentals are listed by user=ADDRESS, offset=NUMBER and limit=1..100, once each; a user is needed.";
const QUOTE: &str = "A quote is for provider=ADDRESS and duration=HOURS, once each.";

/// Which providers are listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ProvidersQuery {
    /// In the order of their accounts.
    Listed(ProviderFilter),
    /// The cheapest and nearest of a model first.
    Ranked {
        model: String,
        healthy: bool,
        limit: Option<usize>,
    },
}

/// Which models are listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ModelsQuery {
    pub(super) kind: Option<String>,
    pub(super) source: Option<String>,
}

/// Whose rentals are listed, and which part of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RentalsQuery {
    pub(super) user: Account,
    pub(super) offset: u64,
    pub(super) limit: usize,
}

/// What would be rented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct QuoteQuery {
    pub(super) provider: Account,
    pub(super) hours: u64,
}

pub(super) fn providers(query: &str) -> Result<ProvidersQuery, Refusal> {
    let mut filter = ProviderFilter::default();
    let mut healthy: Option<bool> = None;
    let read = each(query, |name, value| match name {
        "model" => once(&mut filter.model, Some(value)),
        "active" => once(&mut filter.active, value.parse().ok()),
        "after" => once(&mut filter.after, address(&value)),
        "limit" => once(&mut filter.limit, within(&value, 1000)),
        "healthy" => once(&mut healthy, value.parse().ok()),
        _ => None,
    });
    read.ok_or(Refusal::Filter(PROVIDERS))?;
    match (healthy, filter) {
        (None, filter) => Ok(ProvidersQuery::Listed(filter)),
        (
            Some(healthy),
            ProviderFilter {
                model: Some(model),
                active: None | Some(true),
                after: None,
                limit,
            },
        ) => Ok(ProvidersQuery::Ranked {
            model,
            healthy,
            limit,
        }),
        (Some(_), _) => Err(Refusal::Filter(PROVIDERS)),
    }
}

pub(super) fn models(query: &str) -> Result<ModelsQuery, Refusal> {
    let mut wanted = ModelsQuery::default();
    let read = each(query, |name, value| match name {
        "type" => once(&mut wanted.kind, Some(value)),
        "source" => once(&mut wanted.source, Some(value)),
        _ => None,
    });
    read.map(|()| wanted).ok_or(Refusal::Filter(MODELS))
}

pub(super) fn rentals(query: &str) -> Result<RentalsQuery, Refusal> {
    let (mut user, mut offset, mut limit) = (None, None, None);
    let read = each(query, |name, value| match name {
        "user" => once(&mut user, Some(value)),
        "offset" => once(&mut offset, value.parse().ok()),
        "limit" => once(&mut limit, within(&value, MAX_RENTALS)),
        _ => None,
    });
    let user = read.and(user).ok_or(Refusal::Filter(RENTALS))?;
    Ok(RentalsQuery {
        user: user.parse().map_err(|_| Refusal::Address("user"))?,
        offset: offset.unwrap_or(0),
        limit: limit.unwrap_or(MAX_RENTALS),
    })
}

pub(super) fn quote(query: &str) -> Result<QuoteQuery, Refusal> {
    let (mut provider, mut hours) = (None, None);
    let read = each(query, |name, value| match name {
        "provider" => once(&mut provider, Some(value)),
        "duration" => once(&mut hours, value.parse().ok()),
        _ => None,
    });
    let (provider, hours) = read.and(provider.zip(hours)).ok_or(Refusal::Filter(QUOTE))?;
    Ok(QuoteQuery {
        provider: provider.parse().map_err(|_| Refusal::Address("provider"))?,
        hours,
    })
}

/// Whose word counts; none where nobody's was asked for.
pub(super) fn clients(query: &str) -> Result<Vec<[u8; 20]>, Refusal> {
    let mut clients = None;
    let read = each(query, |name, value| match name {
        "clients" => once(&mut clients, Some(value)),
        _ => None,
    });
    read.ok_or(Refusal::Filter(CLIENTS))?;
    let Some(clients) = clients else {
        return Ok(Vec::new());
    };
    let clients = clients
        .split(',')
        .map(|client| client.parse().map(|account: Account| account.0));
    let clients: Vec<_> = clients
        .collect::<Result<_, _>>()
        .map_err(|_| Refusal::Address("clients"))?;
    match clients.len() > MAX_CLIENTS {
        true => Err(Refusal::Filter(CLIENTS)),
        false => Ok(clients),
    }
}

/// Hands each name and value to `take`; `None` where one is malformed or not taken.
fn each(query: &str, mut take: impl FnMut(&str, String) -> Option<()>) -> Option<()> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .try_for_each(|pair| {
            let (name, value) = pair.split_once('=')?;
            take(name, decoded(value)?)
        })
}

/// Puts a value where none is yet.
fn once<T>(place: &mut Option<T>, value: Option<T>) -> Option<()> {
    place.replace(value?).is_none().then_some(())
}

fn within(value: &str, most: usize) -> Option<usize> {
    value.parse().ok().filter(|limit| (1..=most).contains(limit))
}

/// A value of a query (`application/x-www-form-urlencoded`).
fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                let mut byte = [0];
                hex::decode_to_slice(digits, &mut byte).ok()?;
                byte[0]
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: &str = "0x0101010101010101010101010101010101010101";

    #[test]
    fn providers_are_asked_for_strictly() {
        let read = providers(&format!("model=a%2Fb+c&active=true&limit=10&after={ACCOUNT}"));
        let wanted = ProviderFilter {
            model: Some("a/b c".to_owned()),
            active: Some(true),
            after: Some([1; 20]),
            limit: Some(10),
        };
        assert_eq!(read.unwrap(), ProvidersQuery::Listed(wanted));
        assert_eq!(
            providers("").unwrap(),
            ProvidersQuery::Listed(ProviderFilter::default())
        );
        let ranked = providers("healthy=true&model=m").unwrap();
        let model = "m".to_owned();
        assert_eq!(
            ranked,
            ProvidersQuery::Ranked {
                model,
                healthy: true,
                limit: None
            }
        );
        let after = format!("healthy=true&model=m&after={ACCOUNT}");
        for wrong in [
            "model",
            "model=%",
            "model=%zz",
            "model=%ff",
            "model=a&model=b",
            "active=yes",
            "limit=0",
            "limit=1001",
            "after=1",
            "colour=red",
            "healthy=true",
            "healthy=1&model=m",
            "healthy=true&model=m&active=false",
            &after,
        ] {
            assert_eq!(providers(wrong).unwrap_err().code(), "filter_invalid", "{wrong}");
        }
    }

    #[test]
    fn clients_are_a_short_list() {
        assert_eq!(clients("").unwrap(), Vec::<[u8; 20]>::new());
        assert_eq!(
            clients(&format!("clients={ACCOUNT},{ACCOUNT}")).unwrap(),
            [[1; 20]; 2]
        );
        for (wrong, code) in [
            ("clients=".to_owned(), "address_invalid"),
            (format!("clients={ACCOUNT},"), "address_invalid"),
            (format!("clients={}", [ACCOUNT; 33].join(",")), "filter_invalid"),
            ("tag=x".to_owned(), "filter_invalid"),
        ] {
            assert_eq!(clients(&wrong).unwrap_err().code(), code, "{wrong}");
        }
    }

    #[test]
    fn rentals_are_a_users() {
        let read = rentals(&format!("user={ACCOUNT}")).unwrap();
        assert_eq!((read.user.0, read.offset, read.limit), ([1; 20], 0, MAX_RENTALS));
        let read = rentals(&format!("user={ACCOUNT}&offset=7&limit=3")).unwrap();
        assert_eq!((read.offset, read.limit), (7, 3));
        for (wrong, code) in [
            ("", "filter_invalid"),
            ("offset=1", "filter_invalid"),
            ("user=0x01", "address_invalid"),
            (&format!("user={ACCOUNT}&limit=101"), "filter_invalid"),
            (&format!("user={ACCOUNT}&offset=-1"), "filter_invalid"),
        ] {
            assert_eq!(rentals(wrong).unwrap_err().code(), code, "{wrong}");
        }
    }

    #[test]
    fn quotes_and_models_are_asked_for_strictly() {
        let read = quote(&format!("provider={ACCOUNT}&duration=2")).unwrap();
        assert_eq!((read.provider.0, read.hours), ([1; 20], 2));
        for (wrong, code) in [
            (format!("provider={ACCOUNT}"), "filter_invalid"),
            (format!("provider={ACCOUNT}&duration=1.5"), "filter_invalid"),
            ("provider=x&duration=1".to_owned(), "address_invalid"),
        ] {
            assert_eq!(quote(&wrong).unwrap_err().code(), code, "{wrong}");
        }
        assert_eq!(models("type=llm").unwrap().kind.as_deref(), Some("llm"));
        assert_eq!(models("kind=llm").unwrap_err().code(), "filter_invalid");
    }
}
