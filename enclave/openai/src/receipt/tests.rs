use jeju_inference::Usage;
use serde_json::json;

use super::*;

fn receipt() -> Receipt {
    let finish = |reason, completion_tokens| Finish {
        reason,
        usage: Usage {
            prompt_tokens: 3,
            completion_tokens,
        },
    };
    let mut first = Run::new(0, 0, u64::MAX);
    first.push("Par");
    first.push("is");
    Receipt {
        engine: "jeju-inference/1".to_owned(),
        model_sha256: [0xab; 32],
        prompts: vec![PromptDigest::of(&[1, 258, u32::MAX], 16)],
        parameters: Parameters {
            sampling: Sampling {
                temperature: 0.2,
                top_p: 0.9,
                seed: u64::MAX,
                logit_bias: vec![(284, -3.3), (7, 100.0)],
                ..Sampling::default()
            },
            stop: vec!["\n".into()],
            json_object: false,
        },
        choices: vec![
            first.finish(finish(FinishReason::Stop, 1)),
            Run::new(1, 0, 0).finish(finish(FinishReason::Length, 16)),
        ],
    }
}

/// Digests by coreutils: `printf '\x01\0\0\0\x02\x01\0\0\xff\xff\xff\xff' | sha256sum`, `printf Paris | sha256sum`,
/// `printf '' | sha256sum`.
fn written() -> Value {
    json!({
        "version": 1,
        "engine": "jeju-inference/1",
        "model_sha256": "ab".repeat(32),
        "prompts": [{"sha256": "5e8691a2fba85be9ae0fadf1a71cffd24439b135a8d90272c9f33c06ec9f7b69", "tokens": 3, "max_tokens": 16}],
        "sampling": {
            "temperature": 0.2, "top_p": 0.9, "seed": "18446744073709551615", "repeat_penalty": 1.1,
            "frequency_penalty": 0.0, "presence_penalty": 0.0, "logit_bias": [[284, -3.3], [7, 100.0]], "stop": ["\n"], "json_object": false,
        },
        "choices": [
            {"index": 0, "prompt": 0, "seed": "18446744073709551615", "finish_reason": "stop", "completion_tokens": 1,
             "output_sha256": "5dd272b4f316b776a7b8e3d0894b37e1e42be3d5d3b204b8a5836cc50597a6b1"},
            {"index": 1, "prompt": 0, "seed": "0", "finish_reason": "length", "completion_tokens": 16,
             "output_sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        ],
    })
}

#[test]
fn the_form_is_the_documented_one() {
    let json = receipt().json();
    assert_eq!(json, written());
    assert!(json.to_string().contains("\"temperature\":0.2,"), "{json}");
}

#[test]
fn what_is_written_is_read_back() {
    let document = json!({"object": "chat.completion", KEY: written()});
    let read = Receipt::of(&document).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(read.json(), written());
    assert!(read.parameters.sampling == receipt().parameters.sampling);
    assert_eq!(*read.parameters.stops(), ["\n"]);
}

#[test]
fn every_parameter_comes_back_with_the_same_bits() {
    // What decimals that people write come to, and neighbours that no short decimal names.
    for bits in (0..1000).map(|step| 0.7_f32.to_bits() + step * 7919) {
        let mut receipt = receipt();
        receipt.parameters.sampling.temperature = f32::from_bits(bits);
        let text = json!({KEY: receipt.json()}).to_string();
        let read =
            Receipt::of(&serde_json::from_str(&text).unwrap()).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(read.parameters.sampling.temperature.to_bits(), bits);
    }
}

#[test]
fn other_forms_are_refused() {
    let read = |value: Value| Receipt::of(&json!({KEY: value})).err();
    assert_eq!(Receipt::of(&json!({})).err(), Some(ReceiptError::Missing));
    for version in [json!(2), json!("1"), Value::Null] {
        let mut other = written();
        other["version"] = version;
        assert_eq!(read(other), Some(ReceiptError::Version));
    }
    let paths_and_values = [
        ("/engine", json!(5)),
        ("/model_sha256", json!("AB".repeat(32))),
        ("/model_sha256", json!("ab")),
        ("/prompts", json!([])),
        ("/prompts/0/sha256", json!("")),
        ("/prompts/0/tokens", json!(0)),
        ("/prompts/0/max_tokens", json!(1 << 30)),
        ("/sampling/temperature", json!("0")),
        ("/sampling/temperature", json!(3)),
        ("/sampling/seed", json!(7)),
        ("/sampling/seed", json!("+7")),
        ("/sampling/seed", json!("18446744073709551616")),
        ("/sampling/logit_bias", json!([[1, 101.0]])),
        ("/sampling/logit_bias", json!([[-1, 1.0]])),
        ("/sampling/stop", json!("x")),
        ("/choices", json!([])),
        ("/choices/0/index", json!(1)),
        ("/choices/0/prompt", json!(1)),
        ("/choices/0/seed", json!("07")),
        ("/choices/0/finish_reason", json!("cancelled")),
        ("/choices/0/completion_tokens", json!(17)),
        ("/choices/0/output_sha256", json!("0x")),
    ];
    for (path, value) in paths_and_values {
        let mut other = written();
        *other.pointer_mut(path).unwrap() = value;
        assert_eq!(read(other), Some(ReceiptError::Malformed), "{path}");
    }
    for path in ["", "/prompts/0", "/sampling", "/choices/0"] {
        let mut other = written();
        let object = other.pointer_mut(path).unwrap().as_object_mut().unwrap();
        object.insert("more".to_owned(), json!(1));
        assert_eq!(read(other), Some(ReceiptError::Malformed), "{path}");
        let mut other = written();
        let object = other.pointer_mut(path).unwrap().as_object_mut().unwrap();
        let first = object.keys().find(|key| *key != "version").unwrap().clone();
        object.remove(&first);
        assert_eq!(
            read(other),
            Some(ReceiptError::Malformed),
            "{path} without {first}"
        );
    }
    let mut many = written();
    many["prompts"] = vec![written()["prompts"][0].clone(); MAX_RUNS + 1].into();
    assert_eq!(read(many), Some(ReceiptError::Malformed));
}
