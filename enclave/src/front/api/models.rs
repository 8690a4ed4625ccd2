//! `/v1/models`.

use serde_json::{Value, json};

use crate::front::Node;
use crate::front::error::ApiError;
use crate::front::exchange::Answer;
use crate::front::inference::ServedModel;

use super::node::provider;

pub(super) fn list(node: &Node) -> Result<Answer, ApiError> {
    let models = node.inference.models();
    let data: Vec<Value> = models.map(|model| document(node, model)).collect();
    Ok(Answer::json(&json!({"object": "list", "data": data})))
}

pub(super) fn one(node: &Node, id: &str) -> Result<Answer, ApiError> {
    let model = node.inference.model(id)?;
    Ok(Answer::json(&document(node, model)))
}

fn document(node: &Node, model: &ServedModel) -> Value {
    let epoch = node.attester.current();
    let unavailable = (model.unavailable)();
    json!({
        "id": model.id,
        "object": "model",
        "created": epoch.anchor.block.timestamp,
        "owned_by": provider(node),
        "sha256": model.sha256,
        "weights": model.weights,
        "context_length": model.context_length,
        "engine": model.engine,
        "endpoints": model.endpoints,
        "confidential": model.is_confidential(),
        "confidentiality": model.confidentiality,
        "status": if unavailable.is_none() { "available" } else { "unavailable" },
        "reason": unavailable,
        "quality": model.quality,
        "evidence": epoch.reference.path(),
    })
}
