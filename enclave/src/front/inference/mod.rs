//! Inference: which models there are, and who answers for each.
//!
//! Whoever answers speaks OpenAI's documents ([`Output`]): the embedded engine because it makes them, an upstream because it
//! sends them. [`super::api`] makes responses of them.

mod embedded;
mod model_file;
pub(super) mod places;
mod upstream;

use std::sync::Arc;

use futures_util::stream::BoxStream;
use jeju_attestation::hex_bytes::HexBytes;
use jeju_attestation::launch::LaunchDocument;
use jeju_attestation::launch::upstreams::{Confidentiality, Endpoint};
use jeju_attestation::response::EndReason;
use jeju_openai::RequestError;
use jeju_openai::event::Open;
use jeju_openai::fields::Fields;
use jeju_shim_protocol::fatal::FatalCode;
use serde_json::Value;

use crate::handover::ModelFile;

use super::error::ApiError;

use embedded::Embedded;
use upstream::Upstream;

pub(super) use upstream::Ways;

/// All models of the node.
pub(super) struct Inference {
    embedded: Option<Embedded>,
    upstreams: Vec<Arc<Upstream>>,
}

/// A model as the API shows it.
pub(super) struct ServedModel {
    /// Name in the API.
    pub(super) id: String,
    /// SHA-256 of its file, where this node holds it.
    pub(super) sha256: Option<HexBytes<32>>,
    /// SHA-256 of its weights, where another program holds them and the provider states it.
    pub(super) weights: Option<HexBytes<32>>,
    /// Longest prompt and answer together, in tokens, where it is known.
    pub(super) context_length: Option<usize>,
    /// What runs it.
    pub(super) engine: &'static str,
    /// What it answers.
    pub(super) endpoints: Vec<Endpoint>,
    /// Who can read its prompts, where an upstream gets them.
    pub(super) confidentiality: Option<Confidentiality>,
    /// What to expect of it, where that is little.
    pub(super) quality: Option<&'static str>,
    /// Why it can't be asked at the moment, as a stable code; none where it can.
    pub(super) unavailable: Box<dyn Fn() -> Option<String> + Send + Sync>,
}

impl ServedModel {
    /// Whether nobody outside a verified TEE can read its prompts.
    pub(super) fn is_confidential(&self) -> bool {
        self.confidentiality.is_none_or(Confidentiality::is_confidential)
    }
}

/// One request for inference. Holds what the user wrote: neither Debug nor Display.
pub(super) struct Ask {
    pub(super) endpoint: Endpoint,
    /// A model of [`Inference::models`].
    pub(super) model: String,
    /// Whether chunks are wanted.
    pub(super) stream: bool,
    /// The body's other fields.
    pub(super) fields: Fields,
    /// Who asks: whose requests share limits and may share an upstream's cache.
    pub(super) tenant: Tenant,
    /// Seconds since 1970, for the answer.
    pub(super) created: u64,
}

/// Whose requests belong together. An outsider can't choose another's.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Tenant {
    /// Whoever knows this secret; here is its SHA-256.
    Key([u8; 32]),
    /// Whoever holds this connection, by a number of the node's own.
    Connection(u64),
}

/// What comes of a request: documents of OpenAI's API under this node's id, model and time.
pub(super) enum Output {
    /// The whole answer, with usage.
    Whole(Value),
    /// Pieces, of which the last is [`Chunk::End`]. None after the others: whoever answered has failed. Dropping them tells
    /// whoever answers to stop.
    Stream(BoxStream<'static, Chunk>),
}

/// A piece of a streamed answer.
pub(super) enum Chunk {
    /// A chunk document without usage.
    Event(Value),
    /// The same, already written.
    Written(Open),
    /// The last chunk document, always sent: no choices, and what it took.
    Usage(Value),
    /// The end.
    End(EndReason),
}

impl Inference {
    /// Loads the models of the image, in the launch document's order, and starts to look for upstreams.
    ///
    /// # Errors
    /// [`FatalCode::ModelMissing`] where a model of the image is absent or another, [`FatalCode::LaunchDocumentInvalid`]
    /// where an upstream has no name to reach it by, [`FatalCode::Internal`] where a model can't be run.
    pub(super) fn load(
        launch: &LaunchDocument,
        files: Vec<ModelFile>,
        ways: &Ways,
    ) -> Result<Self, FatalCode> {
        if !launch.services.inference {
            return Ok(Self {
                embedded: None,
                upstreams: Vec::new(),
            });
        }
        let embedded = match launch.models.as_slice() {
            [] => None,
            models => Some(Embedded::load(models, files)?),
        };
        let upstreams = launch.upstreams.iter();
        let upstreams = upstreams.map(|upstream| Upstream::new(upstream, launch, ways).map(Arc::new));
        let upstreams = upstreams.collect::<Result<Vec<_>, _>>()?;
        upstreams.iter().for_each(Upstream::start);
        Ok(Self { embedded, upstreams })
    }

    /// Waits until each model could be asked, or for as long as a node may take to be ready.
    pub(super) async fn warm_up(&self) {
        Upstream::warm_up(&self.upstreams).await;
    }

    /// What is served.
    pub(super) fn models(&self) -> impl Iterator<Item = &ServedModel> {
        let of_upstreams = self.upstreams.iter().flat_map(|upstream| upstream.models());
        self.embedded.iter().map(Embedded::model).chain(of_upstreams)
    }

    /// The model of this name.
    ///
    /// # Errors
    /// [`ApiError`] where none is.
    pub(super) fn model(&self, id: &str) -> Result<&ServedModel, ApiError> {
        self.models()
            .find(|model| model.id == id)
            .ok_or_else(ApiError::model_not_served)
    }

    /// Lets the model answer.
    ///
    /// # Errors
    /// What the user is told: there is no such model, it doesn't answer this endpoint, a field can't be served, or there
    /// is no place.
    pub(super) async fn answer(&self, ask: Ask) -> Result<Output, ApiError> {
        let model = self.model(&ask.model)?;
        if !model.endpoints.contains(&ask.endpoint) {
            return Err(ApiError::invalid(
                "model_not_supported",
                "The model does not answer at this URL.",
                Some("model"),
            ));
        }
        if let Some(embedded) = &self.embedded
            && embedded.model().id == ask.model
        {
            return embedded.answer(ask).await;
        }
        let serves = |upstream: &&Arc<Upstream>| upstream.models().any(|model| model.id == ask.model);
        match self.upstreams.iter().find(serves) {
            Some(upstream) => upstream.answer(ask).await,
            None => Err(ApiError::model_not_served()),
        }
    }
}

impl From<RequestError> for ApiError {
    fn from(error: RequestError) -> Self {
        ApiError::invalid(error.code, error.message, error.param.as_deref())
    }
}
