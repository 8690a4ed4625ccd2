//! What was computed as it was told passes, by every way in which it can be told.

use std::process::Command;

use jeju_attestation::response::EndReason;
use serde_json::{Value, json};

use super::computed::Computed;
use super::notary::Notary;
use super::{MODEL, MODEL_ID, MODEL_SHA256, audit, audit_file, verdict};

const CHAT: &str = "/v1/chat/completions";
const COMPLETIONS: &str = "/v1/completions";
const RESPONSES: &str = "/v1/responses";

#[tokio::test]
async fn answers_of_every_form_are_recomputed() {
    let notary = Notary::new().await;
    let colour = json!({"messages": [{"role": "user", "content": "Name a colour."}], "max_tokens": 6});
    let many = json!({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi 👋"}],
        "max_completion_tokens": 5, "temperature": 1.2, "top_p": 0.9, "n": 3, "seed": -1, "stop": ["\n"],
        "presence_penalty": 0.5, "frequency_penalty": 0.25, "logit_bias": {"284": -3.5, "260": 2}});
    let object = json!({"messages": [{"role": "user", "content": "An object, please."}], "max_tokens": 8,
        "response_format": {"type": "json_object"}});
    let prompts = json!({"prompt": ["Once upon a time", [504, 253, 2240]], "n": 2, "temperature": 0.8, "max_tokens": 4});
    let echo = |prompt: Value| json!({"prompt": prompt, "echo": true, "max_tokens": 4});
    let response = json!({"instructions": "Be brief.", "input": "Name a city.", "max_output_tokens": 4});
    let asked = [
        (CHAT, colour, false),
        (CHAT, many, true),
        (CHAT, object, false),
        (COMPLETIONS, prompts, true),
        (COMPLETIONS, echo(json!("The sky is")), false),
        (COMPLETIONS, echo(json!([504, 253, 2240])), true),
        (RESPONSES, response.clone(), false),
        (RESPONSES, response, true),
    ];
    for (path, mut request, streamed) in asked {
        request["model"] = MODEL_ID.into();
        let computed = Computed::of(path, request.to_string().as_bytes());
        let exchange = match streamed {
            true => notary.stream(path, &request, &computed.events(), EndReason::Length),
            false => notary.whole(path, &request, &computed.whole()),
        };
        let (exit, verdict) = verdict(exchange.to_string().as_bytes(), &[]);
        assert_eq!(
            (exit, &verdict["status"]),
            (0, &json!("recomputed")),
            "{request} {verdict}"
        );
        assert_eq!(verdict["appraisal"], "none");
        assert_eq!(verdict["model_sha256"], MODEL_SHA256);
        assert_eq!(verdict["completion_tokens"], computed.usage.1);
        assert_eq!(
            verdict["outputs"].as_array().unwrap().len(),
            computed.choices.len()
        );
    }
}

#[tokio::test]
async fn what_was_verified_and_what_was_not_is_said() {
    let notary = Notary::new().await;
    let request =
        json!({"model": MODEL_ID, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 3});
    let computed = Computed::of(CHAT, request.to_string().as_bytes());
    let exchange = notary.whole(CHAT, &request, &computed.whole()).to_string();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let lines = |more: &[&str]| {
        let output = audit(exchange.as_bytes(), more);
        let text = String::from_utf8(output.stdout).unwrap() + std::str::from_utf8(&output.stderr).unwrap();
        (output.status.code().unwrap(), text)
    };

    let (exit, text) = lines(&[]);
    assert_eq!(exit, 0, "{text}");
    assert!(text.starts_with("recomputed: by jeju-inference/"), "{text}");
    assert!(text.contains("NOT VERIFIED"), "{text}");
    assert!(
        text.contains("not checked: whether the evidence is genuine"),
        "{text}"
    );
    assert!(text.contains("every byte the same"), "{text}");

    let policy = write("policy.toml", &notary.policy());
    let (exit, text) = lines(&["--policy", &policy, "--development"]);
    assert_eq!(exit, 0, "{text}");
    assert!(
        text.lines().all(|line| line.starts_with("[development] ")),
        "{text}"
    );
    assert!(text.starts_with("[development] affirming: "), "{text}");
    assert!(
        !text.contains("NOT VERIFIED") && !text.contains("genuine"),
        "{text}"
    );
    let (_, verdict) = verdict(exchange.as_bytes(), &["--policy", &policy, "--development"]);
    assert_eq!(
        (&verdict["status"], &verdict["policy_kind"]),
        (&json!("affirming"), &json!("development"))
    );
    assert_eq!(
        (&verdict["node"]["channel_bound"], &verdict["node"]["age_seconds"]),
        (&json!(false), &Value::Null)
    );

    let other = write(
        "other.toml",
        &notary
            .policy()
            .replace(&hex::encode([0x08; 32]), &"aa".repeat(32)),
    );
    let (exit, text) = lines(&["--policy", &other, "--development"]);
    assert!(exit == 2 && text.contains("agent_not_accepted"), "{text}");
    let (exit, text) = lines(&["--policy", &policy]);
    assert!(exit == 1 && text.contains("policy_invalid"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn chat_saves_what_audit_takes() {
    let notary = Notary::new().await;
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.toml");
    std::fs::write(&policy, notary.policy()).unwrap();
    for (name, more) in [("whole", None), ("streamed", Some("--stream"))] {
        let path = folder.path().join(name);
        let chat = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_jeju"));
            command.args([
                "chat",
                "Name a river.",
                "--max-tokens",
                "4",
                "--development",
                "--model",
                MODEL_ID,
            ]);
            command
                .args(["--node", &notary.node.url(), "--policy"])
                .arg(&policy)
                .arg("--save")
                .arg(&path);
            command.args(more);
            tokio::task::spawn_blocking(move || command.output().unwrap())
        };
        let output = chat().await.unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let saved = std::fs::metadata(&path).unwrap();
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&saved.permissions()) & 0o777,
            0o600
        );

        let audited = audit_file(
            &path,
            &MODEL,
            &["--policy", policy.to_str().unwrap(), "--development"],
        );
        let text = String::from_utf8_lossy(&audited.stdout);
        assert!(
            audited.status.success(),
            "{}",
            String::from_utf8_lossy(&audited.stderr)
        );
        assert!(text.contains("affirming"), "{text}");

        let before = std::fs::read(&path).unwrap();
        let asked = notary.node.requests().len();
        let again = chat().await.unwrap();
        assert!(String::from_utf8_lossy(&again.stderr).contains("file_unwritable"));
        assert_eq!(again.status.code(), Some(1));
        assert_eq!(
            std::fs::read(&path).unwrap(),
            before,
            "an answer that was saved is kept"
        );
        assert_eq!(
            notary.node.requests().len(),
            asked,
            "nothing is asked that can't be saved"
        );
    }
}
