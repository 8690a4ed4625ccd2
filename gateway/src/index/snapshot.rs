//! One state of the registry.

use std::collections::HashMap;
use std::sync::Arc;

use jeju_chain::{Block, Capability, ProviderRecord};

/// Most providers of one answer.
pub const MAX_LISTED: usize = 1000;

/// A provider and what it offers.
#[derive(Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its record.
    pub record: ProviderRecord,
    /// Models that it offers or offered.
    pub capabilities: Vec<Capability>,
    /// Where its API is, where the record names a place that can be dialled.
    pub endpoint: Option<Endpoint>,
}

/// Where a provider's API is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Name in lower case, or address; an IPv6 address without brackets.
    pub host: String,
    /// Port of the node's API.
    pub port: u16,
}

/// The registry as of one block.
#[derive(Default)]
pub struct Snapshot {
    block: Option<Block>,
    /// In the order of their accounts.
    providers: Vec<Arc<Provider>>,
    by_host: HashMap<String, Vec<usize>>,
    by_model: HashMap<String, Vec<usize>>,
}

/// Which providers are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProviderFilter {
    /// Those that offer this model now.
    pub model: Option<String>,
    /// Active ones, or those that aren't.
    pub active: Option<bool>,
    /// Those whose account comes after this one.
    pub after: Option<[u8; 20]>,
    /// How many; at most [`MAX_LISTED`] of them.
    pub limit: Option<usize>,
}

/// A part of a list.
pub struct Listing {
    /// In the order of their accounts.
    pub providers: Vec<Arc<Provider>>,
    /// The last account, where there are more.
    pub next: Option<[u8; 20]>,
}

impl Provider {
    /// Reads what the record says about the endpoint.
    pub fn new(record: ProviderRecord, capabilities: Vec<Capability>) -> Self {
        let endpoint = record.endpoint.as_str().and_then(Endpoint::parse);
        Self {
            record,
            capabilities,
            endpoint,
        }
    }

    /// Whether the model is offered now.
    pub fn offers(&self, model: &str) -> bool {
        let named = |capability: &Capability| capability.active && capability.model.as_str() == Some(model);
        self.record.active && self.capabilities.iter().any(named)
    }
}

impl Endpoint {
    /// Of an `https` URL. Anything may stand on chain: what has a user, or a host that is none, is no endpoint.
    pub fn parse(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("https://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']')?;
                let host = host.parse::<std::net::Ipv6Addr>().ok()?.to_string();
                (host, port)
            }
            None => {
                let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
                (is_host(host).then(|| host.to_ascii_lowercase())?, port)
            }
        };
        let port = match port {
            "" => 443,
            port => port
                .strip_prefix(':')
                .filter(|port| port.bytes().all(|b| b.is_ascii_digit()))?
                .parse()
                .ok()?,
        };
        (port != 0).then_some(Self { host, port })
    }
}

/// Whether this can be a name of a host, in ASCII.
pub(crate) fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    host.len() <= 253 && host.split('.').all(label)
}

impl Snapshot {
    /// A state with these providers.
    pub fn new(block: Block, mut providers: Vec<Arc<Provider>>) -> Self {
        providers.sort_by_key(|provider| provider.record.account);
        let (mut by_host, mut by_model) = (HashMap::new(), HashMap::new());
        for (place, provider) in providers.iter().enumerate() {
            if !provider.record.active {
                continue;
            }
            if let Some(endpoint) = &provider.endpoint {
                push(&mut by_host, &endpoint.host, place);
            }
            for capability in &provider.capabilities {
                let model = capability.model.as_str();
                if let Some(model) = model.filter(|model| provider.offers(model)) {
                    push(&mut by_model, model, place);
                }
            }
        }
        Self {
            block: Some(block),
            providers,
            by_host,
            by_model,
        }
    }

    /// The block that it was read at; none before the first reading.
    pub fn block(&self) -> Option<Block> {
        self.block
    }

    /// How many providers there are, active or not.
    pub fn len(&self) -> usize {
        self.providers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.providers.is_empty()
    }

    /// A provider by its account.
    pub fn provider(&self, account: &[u8; 20]) -> Option<&Arc<Provider>> {
        let place = self
            .providers
            .binary_search_by_key(account, |provider| provider.record.account);
        place.ok().map(|place| &self.providers[place])
    }

    /// Active providers whose endpoint has this host.
    pub fn at_host(&self, host: &str) -> impl Iterator<Item = &Arc<Provider>> {
        self.places(&self.by_host, host)
    }

    /// Active providers that offer a model now.
    pub fn offering(&self, model: &str) -> impl Iterator<Item = &Arc<Provider>> {
        self.places(&self.by_model, model)
    }

    /// All providers.
    pub fn all(&self) -> &[Arc<Provider>] {
        &self.providers
    }

    /// Names of all models that are offered now, in their order, with those that offer them.
    pub fn models(&self) -> Vec<(&str, Vec<&Arc<Provider>>)> {
        let mut models: Vec<_> = self
            .by_model
            .keys()
            .map(|model| (model.as_str(), self.places(&self.by_model, model).collect()))
            .collect();
        models.sort_by_key(|(model, _)| *model);
        models
    }

    /// How many providers a filter lets through, wherever a list of them would begin and end.
    pub fn count(&self, filter: &ProviderFilter) -> usize {
        let named =
            |provider: &&Arc<Provider>| filter.model.as_ref().is_none_or(|model| provider.offers(model));
        let active = |provider: &&Arc<Provider>| {
            filter
                .active
                .is_none_or(|active| active == provider.record.active)
        };
        self.providers.iter().filter(named).filter(active).count()
    }

    /// Providers that a filter lets through.
    pub fn list(&self, filter: &ProviderFilter) -> Listing {
        let limit = filter.limit.unwrap_or(MAX_LISTED).min(MAX_LISTED);
        let after = filter.after.map_or(0, |after| {
            self.providers
                .partition_point(|provider| provider.record.account <= after)
        });
        let wanted = |provider: &&Arc<Provider>| {
            filter
                .active
                .is_none_or(|active| active == provider.record.active)
        };
        let mut found: Vec<Arc<Provider>> = match &filter.model {
            Some(model) => {
                let places = self.by_model.get(model).map_or(&[][..], Vec::as_slice);
                let places = &places[places.partition_point(|place| *place < after)..];
                let providers = places.iter().map(|place| &self.providers[*place]);
                providers.filter(wanted).take(limit + 1).cloned().collect()
            }
            None => self.providers[after..]
                .iter()
                .filter(wanted)
                .take(limit + 1)
                .cloned()
                .collect(),
        };
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found
            .last()
            .filter(|_| more)
            .map(|provider| provider.record.account);
        Listing {
            providers: found,
            next,
        }
    }

    fn places<'a>(
        &'a self,
        index: &'a HashMap<String, Vec<usize>>,
        key: &str,
    ) -> impl Iterator<Item = &'a Arc<Provider>> {
        let places = index.get(key).map_or(&[][..], Vec::as_slice);
        places.iter().map(|place| &self.providers[*place])
    }
}

fn push(index: &mut HashMap<String, Vec<usize>>, key: &str, place: usize) {
    let places = index.entry(key.to_owned()).or_default();
    if places.last() != Some(&place) {
        places.push(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(number: u8, active: bool, endpoint: &str, models: &[&str]) -> Arc<Provider> {
        let record = ProviderRecord {
            account: [number; 20],
            name: format!("p{number}").as_bytes().into(),
            endpoint: endpoint.as_bytes().into(),
            attestation_hash: [0; 32],
            stake: 1,
            registered_at: 1,
            agent: [0; 32],
            active,
        };
        let capability = |model: &&str| Capability {
            model: model.trim_start_matches('-').as_bytes().into(),
            price_per_input_token: 1,
            price_per_output_token: 2,
            max_context: 3,
            active: !model.starts_with('-'),
        };
        Arc::new(Provider::new(record, models.iter().map(capability).collect()))
    }

    fn snapshot() -> Snapshot {
        let block = Block {
            number: 1,
            hash: [1; 32],
            timestamp: 1,
        };
        Snapshot::new(
            block,
            vec![
                provider(4, true, "https://d.example", &["m", "-n"]),
                provider(2, false, "https://b.example", &["m"]),
                provider(3, true, "https://A.example/v1", &["n", "m", "m"]),
                provider(1, true, "https://a.example:4007", &["m"]),
                provider(5, true, "http://e.example", &[]),
            ],
        )
    }

    fn numbers(providers: &[Arc<Provider>]) -> Vec<u8> {
        providers
            .iter()
            .map(|provider| provider.record.account[0])
            .collect()
    }

    #[test]
    fn lists_are_filtered_and_come_in_parts() {
        let snapshot = snapshot();
        let list = |filter: ProviderFilter| {
            let listing = snapshot.list(&filter);
            (
                numbers(&listing.providers),
                listing.next.map(|account| account[0]),
            )
        };
        let all = ProviderFilter::default();
        let model = |name: &str| Some(name.to_owned());
        assert_eq!(list(all.clone()), (vec![1, 2, 3, 4, 5], None));
        assert_eq!(
            list(ProviderFilter {
                active: Some(false),
                ..all.clone()
            }),
            (vec![2], None)
        );
        let of_model = ProviderFilter {
            model: model("m"),
            ..all.clone()
        };
        assert_eq!(
            list(of_model.clone()),
            (vec![1, 3, 4], None),
            "who is inactive offers nothing"
        );
        assert_eq!(
            list(ProviderFilter {
                model: model("n"),
                ..all.clone()
            }),
            (vec![3], None)
        );
        assert_eq!(
            list(ProviderFilter {
                model: model("o"),
                ..all
            }),
            (vec![], None)
        );
        let part = ProviderFilter {
            limit: Some(2),
            ..of_model
        };
        assert_eq!(list(part.clone()), (vec![1, 3], Some(3)));
        assert_eq!(
            list(ProviderFilter {
                after: Some([3; 20]),
                ..part.clone()
            }),
            (vec![4], None)
        );
        assert_eq!(
            list(ProviderFilter {
                after: Some([2; 20]),
                ..part
            }),
            (vec![3, 4], None)
        );
    }

    #[test]
    fn hosts_and_models_lead_to_active_providers() {
        let snapshot = snapshot();
        let at = |host: &str| {
            snapshot
                .at_host(host)
                .map(|p| p.record.account[0])
                .collect::<Vec<_>>()
        };
        assert_eq!(
            (at("a.example"), at("b.example"), at("e.example")),
            (vec![1, 3], vec![], vec![])
        );
        let models: Vec<_> = snapshot
            .models()
            .into_iter()
            .map(|(model, by)| (model, by.len()))
            .collect();
        assert_eq!(models, [("m", 3), ("n", 1)]);
        assert_eq!(snapshot.provider(&[4; 20]).unwrap().record.account, [4; 20]);
        assert!(snapshot.provider(&[9; 20]).is_none());
    }

    #[test]
    fn endpoints_are_hosts_and_ports_of_https() {
        let parse = |url: &str| Endpoint::parse(url).map(|endpoint| (endpoint.host, endpoint.port));
        let is = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(
            parse("https://Node.Example:4007/v1?x#y"),
            is("node.example", 4007)
        );
        assert_eq!(parse("https://node.example"), is("node.example", 443));
        assert_eq!(parse("https://[2001:DB8::1]:4007"), is("2001:db8::1", 4007));
        assert_eq!(parse("https://192.0.2.1"), is("192.0.2.1", 443));
        for wrong in [
            "http://node.example",
            "https://",
            "https://user@node.example",
            "https://node.example:0",
            "https://node.example:99999",
            "https://node.example:+80",
            "https://node.example:",
            "https://node..example",
            "https://-a.example",
            "https://a b.example",
            "https://[::1",
            "https://[::1]x:1",
            "https://é.example",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
