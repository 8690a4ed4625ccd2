//! `/v1/models`.

use serde_json::{Value, json};

use crate::front::Node;
use crate::front::engine::ServedModel;
use crate::front::error::ApiError;
use crate::front::exchange::Answer;

pub(super) fn list(node: &Node) -> Result<Answer, ApiError> {
    let data: Vec<Value> = served(node).iter().map(|model| document(node, model)).collect();
    Ok(Answer::json(&json!({"object": "list", "data": data})))
}

pub(super) fn one(node: &Node, id: &str) -> Result<Answer, ApiError> {
    let model = served(node).iter().find(|model| model.id == id);
    model
        .map(|model| Answer::json(&document(node, model)))
        .ok_or_else(not_served)
}

pub(super) fn not_served() -> ApiError {
    ApiError::not_found(
        "model_not_found",
        "The model does not exist or is not served here.",
    )
}

fn served(node: &Node) -> &[ServedModel] {
    node.engine.as_ref().map_or(&[], |engine| engine.models())
}

fn document(node: &Node, model: &ServedModel) -> Value {
    let epoch = node.attester.current();
    json!({
        "id": model.id,
        "object": "model",
        "created": epoch.anchor.block.timestamp,
        "owned_by": format!("0x{}", hex::encode(node.launch.node.agent.0)),
        "sha256": model.sha256,
        "context_length": model.context_length,
        "engine": "embedded",
        "confidential": true,
        "quality": "smoke-test",
        "evidence": epoch.reference.path(),
    })
}
