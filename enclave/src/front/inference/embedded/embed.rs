//! `/v1/embeddings`.

use futures_util::{StreamExt, TryStreamExt, stream};
use jeju_inference::{Embedding, Prompt};
use jeju_openai::embeddings::{Request, document};
use serde_json::Value;
use tokio::sync::oneshot;

use super::{Embedded, aside, refusal};
use crate::front::error::ApiError;

/// Texts of one request that are embedded side by side: one with thousands leaves places for others.
const SIDE_BY_SIDE: usize = 4;

impl Embedded {
    /// Embeds all texts.
    pub(super) async fn embed(&self, model: &str, request: Request) -> Result<Value, ApiError> {
        let length = self.engine.model().embedding_length();
        if request.dimensions.is_some_and(|dimensions| dimensions != length) {
            let message = format!("This model's embeddings have {length} dimensions.");
            return Err(ApiError::invalid(
                "unsupported_parameter",
                message,
                Some("dimensions"),
            ));
        }
        let embeddings = stream::iter(request.inputs).map(|input| self.embed_one(input));
        let embeddings: Vec<Embedding> = embeddings.buffered(SIDE_BY_SIDE).try_collect().await?;
        let tokens = embeddings.iter().map(|embedding| embedding.tokens).sum();
        let vectors: Vec<_> = embeddings.into_iter().map(|embedding| embedding.vector).collect();
        Ok(document(model, &vectors, request.encoding, tokens))
    }

    async fn embed_one(&self, input: Prompt) -> Result<Embedding, ApiError> {
        let (sender, embedding) = oneshot::channel();
        let engine = self.engine.clone();
        let sink = move |embedding| drop(sender.send(embedding));
        let running = aside(move || engine.embed(input, sink))
            .await
            .ok_or_else(ApiError::engine_failed)?
            .map_err(|error| refusal(error, "input"))?;
        let embedding = embedding.await.ok().flatten();
        drop(running);
        embedding.ok_or_else(ApiError::engine_failed)
    }
}
