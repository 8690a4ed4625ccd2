//! Offers, read from the chain.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use futures_util::{StreamExt, TryStreamExt, stream};
use jeju_chain::{Block, Capability, ChainReader, MAX_PROVIDER_PAGE, ProviderRecord, Service};
use tokio::sync::Mutex;

use super::DiscoverError;
use super::hint;
use super::known::Known;
use super::offer::{Offer, Price};
use crate::deployment::{Contract, OnChainArguments};
use crate::node_url::NodeUrl;
use crate::relying_party::host_is_loopback;
use crate::via::GatewayApi;

/// Providers that are read at a time.
const AT_A_TIME: usize = 16;
/// Providers that are looked at, at most: who wants others names them, or a gateway that knows them.
const MAX_LOOKED_AT: usize = 10_000;

/// Which offers are wanted.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// The model; none: any.
    pub model: Option<String>,
    /// Most wei for a token of a prompt.
    pub max_price_in: Option<u128>,
    /// Most wei for a token of an answer.
    pub max_price_out: Option<u128>,
    /// These providers only; none: any.
    pub providers: Vec<[u8; 20]>,
}

/// Finds offers.
pub struct Finder {
    reader: ChainReader,
    registry: [u8; 20],
    serving: Option<[u8; 20]>,
    limits: Limits,
    hint: Option<GatewayApi>,
    /// Whether endpoints may be on this machine or in private networks: on a development chain.
    private: bool,
    /// Whether to say on standard error how far it is.
    is_told: bool,
    known: Mutex<Known>,
}

/// A provider and what it offers.
#[derive(Debug, Clone)]
pub struct Provider {
    /// As the registry has it.
    pub record: ProviderRecord,
    /// Models of the registry.
    pub capabilities: Vec<Capability>,
    /// Services, which is what is paid.
    pub services: Vec<Service>,
}

impl Finder {
    /// On the chain that the arguments name.
    ///
    /// # Errors
    /// [`DiscoverError::Deployment`].
    pub async fn new(
        arguments: &OnChainArguments,
        limits: Limits,
        hint: Option<GatewayApi>,
    ) -> Result<Self, DiscoverError> {
        let registry = arguments.contract(Contract::ComputeRegistry)?;
        let serving = arguments.find(Contract::InferenceServing)?;
        let chain = arguments.chain().await?;
        Ok(Self {
            reader: chain.reader,
            known: Mutex::new(Known::new(chain.chain_id, registry, serving)),
            registry,
            serving,
            limits,
            hint,
            private: arguments.trust.development,
            is_told: false,
        })
    }

    /// The same that says on standard error how far it is, where there is much to read.
    pub fn told(self) -> Self {
        Self {
            is_told: true,
            ..self
        }
    }

    /// The model that is wanted; empty where any is.
    pub fn model(&self) -> &str {
        self.limits.model.as_deref().unwrap_or_default()
    }

    /// The offers as of the finalised block, the cheapest first. Endpoints that no client can reach are left out.
    ///
    /// # Errors
    /// Where the chain or the gateway that is to give hints can't be read.
    pub async fn offers(&self) -> Result<Vec<Offer>, DiscoverError> {
        let providers = self.providers().await?;
        let mut offers: Vec<Offer> = providers.iter().flat_map(|found| self.offers_of(found)).collect();
        offers.sort_by(|a, b| {
            let key = |offer: &Offer| (offer.price.both(), offer.provider);
            key(a).cmp(&key(b)).then_with(|| a.model.cmp(&b.model))
        });
        Ok(offers)
    }

    /// The active providers as of the finalised block, in the order of their registration. Who asks again waits for those
    /// alone that changed.
    ///
    /// # Errors
    /// As [`Finder::offers`].
    pub async fn providers(&self) -> Result<Vec<Provider>, DiscoverError> {
        let mut known = self.known.lock().await;
        let block = known.catch_up(&self.reader).await?;
        let accounts = self.accounts(&block).await?;
        let (count, done) = (accounts.len(), AtomicUsize::new(0));
        let reading = stream::iter(accounts).map(|account| {
            let (block, done, known) = (&block, &done, known.get(&account));
            async move {
                let found = self.provider(block, &account, known).await?;
                let done = done.fetch_add(1, Relaxed) + 1;
                if self.is_told && done.is_multiple_of(100) {
                    eprintln!("jeju: {done} of {count} providers are read");
                }
                Ok::<_, DiscoverError>(found)
            }
        });
        let found: Vec<Option<Provider>> = reading.buffered(AT_A_TIME).try_collect().await?;
        let found: Vec<Provider> = found.into_iter().flatten().collect();
        known.replace(&found);
        Ok(found)
    }

    /// Whether the registry itself says whom to look at.
    fn reads_registry(&self) -> bool {
        self.limits.providers.is_empty() && self.hint.is_none()
    }

    /// Whom to look at. A gateway's word goes no further than that.
    async fn accounts(&self, block: &Block) -> Result<Vec<[u8; 20]>, DiscoverError> {
        if !self.limits.providers.is_empty() {
            return Ok(self.limits.providers.clone());
        }
        if let Some(hint) = &self.hint {
            return hint::providers(hint, self.limits.model.as_deref()).await;
        }
        let (mut all, mut cursor) = (Vec::new(), 0);
        loop {
            let page = self
                .reader
                .providers_at(block, &self.registry, cursor, MAX_PROVIDER_PAGE)
                .await?;
            all.extend(page.active);
            if page.next <= cursor {
                break;
            }
            cursor = page.next;
            if all.len() >= MAX_LOOKED_AT {
                eprintln!("jeju: only the first {MAX_LOOKED_AT} providers are looked at");
                all.truncate(MAX_LOOKED_AT);
                break;
            }
        }
        Ok(all)
    }

    /// A provider, if it is active. Of one that is known, no more than that can have changed: an agent that is sold and a
    /// least stake that is raised have no event of the provider's.
    async fn provider(
        &self,
        block: &Block,
        account: &[u8; 20],
        known: Option<&Provider>,
    ) -> Result<Option<Provider>, DiscoverError> {
        // Whom the registry lists is active.
        if let Some(known) = known
            && self.reads_registry()
        {
            return Ok(Some(known.clone()));
        }
        let record = self.reader.provider_at(block, &self.registry, account).await?;
        let Some(record) = record.filter(|record| record.active) else {
            return Ok(None);
        };
        if let Some(known) = known {
            return Ok(Some(Provider {
                record,
                ..known.clone()
            }));
        }
        let capabilities = self
            .reader
            .capabilities_at(block, &self.registry, account)
            .await?;
        let services = match &self.serving {
            Some(serving) => self.reader.services_at(block, serving, account).await?,
            None => Vec::new(),
        };
        Ok(Some(Provider {
            record,
            capabilities,
            services,
        }))
    }

    pub(super) fn offers_of(&self, found: &Provider) -> Vec<Offer> {
        let Some(node) = self.node(&found.record) else {
            return Vec::new();
        };
        let offers = found
            .models()
            .into_iter()
            .map(|(model, price, max_context)| Offer {
                provider: found.record.account,
                name: found.record.name.clone(),
                node: node.clone(),
                agent: found.record.agent,
                model: model.to_owned(),
                price,
                max_context,
            });
        let (model, limits) = (self.limits.model.as_deref(), &self.limits);
        offers
            .filter(|offer| model.is_none_or(|model| offer.model == model))
            .filter(|offer| offer.price.is_within(limits.max_price_in, limits.max_price_out))
            .collect()
    }

    /// Where its node is, if that is somewhere.
    fn node(&self, record: &ProviderRecord) -> Option<NodeUrl> {
        let node: NodeUrl = record.endpoint.as_str()?.parse().ok()?;
        // The account is the chain's to say, not the endpoint's.
        let is_plain = node.account().is_none();
        (is_plain && (self.private || is_public(&node))).then(|| node.of(record.account))
    }
}

impl Provider {
    /// Its models with their prices: a service's where there is one, which is what is paid, else the registry's.
    pub fn models(&self) -> Vec<(&str, Price, u64)> {
        let mut models: Vec<(&str, Price, u64)> = Vec::new();
        let services = self.services.iter().filter(|service| service.active);
        for service in services {
            if let Some(model) = service.model.as_str()
                && !models.iter().any(|(known, ..)| *known == model)
            {
                let price = Price {
                    input: service.price_per_input_token,
                    output: service.price_per_output_token,
                    of_service: true,
                };
                models.push((model, price, 0));
            }
        }
        for capability in self.capabilities.iter().filter(|capability| capability.active) {
            let Some(model) = capability.model.as_str() else {
                continue;
            };
            match models.iter_mut().find(|(known, ..)| *known == model) {
                Some((_, _, context)) => *context = capability.max_context,
                None => {
                    let price = Price {
                        input: capability.price_per_input_token,
                        output: capability.price_per_output_token,
                        of_service: false,
                    };
                    models.push((model, price, capability.max_context));
                }
            }
        }
        models
    }
}

/// Whether an endpoint can be a provider's: anybody can write any on chain, the user's own machine and network included.
/// Names are not looked up: nothing but a ClientHello goes to whom a name leads to until it shows evidence.
fn is_public(node: &NodeUrl) -> bool {
    use std::net::IpAddr;
    let host = node.server_name().to_str().into_owned();
    match host.parse::<IpAddr>() {
        Err(_) => !host_is_loopback(&host),
        Ok(IpAddr::V4(v4)) => {
            !(v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_multicast()
                || v4.is_broadcast())
        }
        Ok(IpAddr::V6(v6)) => match v6.to_ipv4_mapped() {
            Some(_) => false,
            None => {
                !(v6.is_loopback()
                    || v6.is_unspecified()
                    || v6.is_multicast()
                    || v6.is_unique_local()
                    || v6.is_unicast_link_local())
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_own_network_is_nobodys_endpoint() {
        for (url, public) in [
            ("https://node.example", true),
            ("https://203.0.113.7:4007", true),
            ("https://[2001:db8::1]", true),
            ("https://localhost:4007", false),
            ("https://127.0.0.1", false),
            ("https://10.1.2.3", false),
            ("https://192.168.0.1:443", false),
            ("https://169.254.169.254", false),
            ("https://0.0.0.0", false),
            ("https://[::1]", false),
            ("https://[fe80::1]", false),
            ("https://[fd00::1]", false),
            ("https://[::ffff:10.0.0.1]", false),
        ] {
            assert_eq!(is_public(&url.parse().unwrap()), public, "{url}");
        }
    }

    #[test]
    fn what_a_service_costs_is_what_is_paid() {
        let service = |model: &str, price, active| Service {
            index: 0,
            provider: [1; 20],
            model: model.as_bytes().into(),
            endpoint: b"".as_slice().into(),
            price_per_input_token: price,
            price_per_output_token: price,
            active,
        };
        let capability = |model: &str, price, active| Capability {
            model: model.as_bytes().into(),
            price_per_input_token: price,
            price_per_output_token: price,
            max_context: 4096,
            active,
        };
        let provider = Provider {
            record: ProviderRecord {
                account: [1; 20],
                name: b"p".as_slice().into(),
                endpoint: b"https://p.example".as_slice().into(),
                attestation_hash: [0; 32],
                stake: 1,
                registered_at: 1,
                agent: [0; 32],
                active: true,
            },
            capabilities: vec![
                capability("a", 1, true),
                capability("b", 2, true),
                capability("c", 3, false),
            ],
            services: vec![
                service("a", 9, false),
                service("a", 5, true),
                service("a", 6, true),
            ],
        };
        let models = provider.models();
        let shown: Vec<_> = models
            .iter()
            .map(|(model, price, context)| (*model, price.input, price.of_service, *context))
            .collect();
        assert_eq!(shown, [("a", 5, true, 4096), ("b", 2, false, 4096)]);
    }
}
