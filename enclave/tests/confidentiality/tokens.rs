//! What the model makes of a text: a prompt is as readable in its tokens as in its letters.

use std::sync::LazyLock;

use jeju_inference::{Message, Model, Role};

use crate::node::MODEL_FILE;

static MODEL: LazyLock<Model> = LazyLock::new(|| Model::open(&*MODEL_FILE).expect("the pinned model"));

pub fn of_text(text: &str) -> Vec<u32> {
    MODEL.tokenizer().encode(text).to_vec()
}

pub fn of_chat(messages: &[(Role, &String)]) -> Vec<u32> {
    let messages: Vec<Message> = messages
        .iter()
        .map(|(role, content)| Message {
            role: *role,
            content: content.as_str().into(),
        })
        .collect();
    let template = MODEL.template().expect("a chat template");
    template.render(&messages, MODEL.tokenizer()).to_vec()
}
