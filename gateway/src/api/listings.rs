//! Providers and models.

use serde_json::json;

use super::documents::Beside;
use super::query::{self, ProvidersQuery};
use super::refusal::Refusal;
use super::{Answer, Api, documents};
use crate::config::address;
use crate::health::ranked;
use crate::index::MAX_LISTED;

impl Api {
    pub(super) fn providers(&self, query: &str) -> Result<Answer, Refusal> {
        let (snapshot, health) = (self.parts.index.now(), &self.parts.health);
        Ok(Answer::text(match query::providers(query)? {
            ProvidersQuery::Listed(filter) => {
                let listing = snapshot.list(&filter);
                let providers = listing.providers.iter().map(|provider| {
                    let beside = Beside::new(health.of(&provider.record.account));
                    (&**provider, beside)
                });
                documents::providers(providers, listing.next.as_ref())
            }
            ProvidersQuery::Ranked {
                model,
                healthy,
                limit,
            } => {
                let limit = limit.unwrap_or(MAX_LISTED);
                let found = ranked(&snapshot, health, &model, Some(healthy), limit);
                let providers = found
                    .iter()
                    .map(|ranked| (&*ranked.provider, Beside::priced(ranked)));
                documents::providers(providers, None)
            }
        }))
    }

    pub(super) async fn provider(&self, account: &str) -> Result<Answer, Refusal> {
        let snapshot = self.parts.index.now();
        let account = address(account).ok_or(Refusal::ProviderNotFound)?;
        let provider = snapshot.provider(&account).ok_or(Refusal::ProviderNotFound)?;
        let mut document = documents::whole_provider(provider, &self.parts.health);
        // Where the chain can't be read, what the index knows is still worth saying.
        document["reputation"] = self.reputation_of(&account).await.unwrap_or_default();
        Ok(Answer::json(&document))
    }

    pub(super) fn models(&self, query: &str) -> Result<Answer, Refusal> {
        let wanted = query::models(query)?;
        let snapshot = self.parts.index.now();
        let is = |wanted: &Option<String>, value: &str| wanted.as_ref().is_none_or(|wanted| wanted == value);
        let is_wanted =
            is(&wanted.kind, documents::MODEL_TYPE) && is(&wanted.source, documents::MODEL_SOURCE);
        let models: Vec<_> = snapshot
            .models()
            .filter(|_| is_wanted)
            .filter_map(|(model, provider)| documents::model(model, provider))
            .take(documents::MAX_MODELS)
            .collect();
        Ok(Answer::json(
            &json!({ "count": models.len(), "models": models, "cloudEnabled": false }),
        ))
    }
}
