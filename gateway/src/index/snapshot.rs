//! One state of the registry.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jeju_chain::Block;

use super::Provider;

/// Most providers of one answer.
pub const MAX_LISTED: usize = 1000;

/// The registry as of one block.
#[derive(Default)]
pub struct Snapshot {
    block: Option<Block>,
    /// In the order of their accounts.
    providers: Vec<Arc<Provider>>,
    by_host: HashMap<String, Vec<usize>>,
    by_model: BTreeMap<String, Vec<usize>>,
    /// The same by the sum of both prices, then in the order of accounts.
    by_price: HashMap<String, Vec<Priced>>,
}

/// A provider's cheapest offer of a model.
#[derive(Debug, Clone, Copy)]
struct Priced {
    place: usize,
    input: u128,
    output: u128,
}

/// What providers ask of a model who ask the same, all in all.
pub(crate) type SamePrice<'a> = Vec<(&'a Arc<Provider>, u128, u128)>;

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

impl Snapshot {
    /// A state with these providers.
    pub fn new(block: Block, mut providers: Vec<Arc<Provider>>) -> Self {
        providers.sort_by_key(|provider| provider.record.account);
        let (mut by_host, mut by_model) = (HashMap::new(), BTreeMap::new());
        for (place, provider) in providers.iter().enumerate() {
            if !provider.record.active {
                continue;
            }
            if let Some(endpoint) = &provider.endpoint {
                push(by_host.entry(endpoint.host.clone()).or_default(), place);
            }
            for capability in &provider.capabilities {
                let model = capability.model.as_str();
                if let Some(model) = model.filter(|model| provider.offers(model)) {
                    push(by_model.entry(model.to_owned()).or_default(), place);
                }
            }
        }
        let by_price = by_model.iter().map(|(model, places): (&String, &Vec<usize>)| {
            let priced = places
                .iter()
                .filter_map(|place| priced(&providers, *place, model));
            let mut priced: Vec<_> = priced.collect();
            priced.sort_by_key(Priced::both);
            (model.clone(), priced)
        });
        Self {
            by_price: by_price.collect(),
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
        self.at(self.by_host.get(host))
    }

    /// Active providers that offer a model now, with what they ask for a token of a prompt and of an answer: the cheapest
    /// first, together those who ask the same, in the order of their accounts.
    pub(crate) fn priced(&self, model: &str) -> impl Iterator<Item = SamePrice<'_>> {
        let priced = self.by_price.get(model).map_or(&[][..], Vec::as_slice);
        let same = priced.chunk_by(|one, next| one.both() == next.both());
        same.map(|same| {
            let of = |priced: &Priced| (&self.providers[priced.place], priced.input, priced.output);
            same.iter().map(of).collect()
        })
    }

    /// All providers.
    pub fn all(&self) -> &[Arc<Provider>] {
        &self.providers
    }

    /// Names of all models that are offered now, in their order, each as often as providers offer it.
    pub fn models(&self) -> impl Iterator<Item = (&str, &Arc<Provider>)> {
        self.by_model.iter().flat_map(|(model, places)| {
            let by = self.at(Some(places));
            by.map(move |provider| (model.as_str(), provider))
        })
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

    fn at<'a>(&'a self, places: Option<&'a Vec<usize>>) -> impl Iterator<Item = &'a Arc<Provider>> {
        let places = places.map_or(&[][..], Vec::as_slice);
        places.iter().map(|place| &self.providers[*place])
    }
}

impl Priced {
    fn both(&self) -> u128 {
        self.input.saturating_add(self.output)
    }
}

fn priced(providers: &[Arc<Provider>], place: usize, model: &str) -> Option<Priced> {
    let offers = providers[place].capabilities.iter();
    let offers = offers.filter(|offer| offer.active && offer.model.as_str() == Some(model));
    let offers = offers.map(|offer| Priced {
        place,
        input: offer.price_per_input_token,
        output: offer.price_per_output_token,
    });
    offers.min_by_key(Priced::both)
}

fn push(places: &mut Vec<usize>, place: usize) {
    if places.last() != Some(&place) {
        places.push(place);
    }
}

#[cfg(test)]
mod tests {
    use jeju_chain::{Capability, ProviderRecord};

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
        let prices: Vec<_> = snapshot.priced("m").map(|same| same.len()).collect();
        assert_eq!((prices, snapshot.priced("b").count()), (vec![3], 0));
        let models: Vec<_> = snapshot.models().map(|(model, _)| model).collect();
        assert_eq!(models, ["m", "m", "m", "n"]);
        assert_eq!(snapshot.provider(&[4; 20]).unwrap().record.account, [4; 20]);
        assert!(snapshot.provider(&[9; 20]).is_none());
    }
}
