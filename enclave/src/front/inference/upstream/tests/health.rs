//! Upstreams that are away, not yet there, or not what they should be.

use super::super::connect::ConnectError;
use super::fake::{Wire, answer, script};
use super::*;

/// Answers the list of models, descriptions, and questions.
async fn serve(mut wire: Wire, listed: &'static str, shown: Value, says: &'static str) {
    while let Some((head, body)) = wire.request().await {
        let path = head.split(' ').nth(1).unwrap();
        match path {
            "/v1/models" => {
                wire.json(&json!({"object": "list", "data": [{"id": listed}]}))
                    .await
            }
            "/api/show" if body["model"] == listed => wire.json(&shown).await,
            "/v1/chat/completions" => {
                assert_eq!(body["model"], "theirs");
                // What isn't a user's question has one answer.
                assert!(body.get("max_tokens").is_none() || body["temperature"] == 0);
                let mut answer = answer();
                answer["choices"][0]["message"]["content"] = says.into();
                wire.json(&answer).await;
            }
            _ => wire.respond("404 Not Found", "", "").await,
        }
    }
}

const PROBE: &str = r#"{"models":[{"id":"ours","name":"theirs","probe":{"prompt":"2+2?","answer":"4"}}]}"#;

async fn outcome(
    kind: Kind,
    more: &str,
    listed: &'static str,
    shown: Value,
    says: &'static str,
) -> Result<(), Reason> {
    let script = script(move |_, wire| serve(wire, listed, shown.clone(), says));
    let (upstream, _) = upstream(kind, more, Duration::ZERO, script);
    upstream.probe(&upstream.models[0]).await
}

#[tokio::test(start_paused = true)]
async fn a_model_must_be_there_and_answer_as_it_should() {
    let none = || Value::Null;
    for kind in [Kind::Vllm, Kind::Openai] {
        assert_eq!(outcome(kind, "{}", "theirs", none(), "").await, Ok(()));
        assert_eq!(
            outcome(kind, "{}", "another", none(), "").await,
            Err(Reason::ModelMissing)
        );
    }
    // It has one model, and calls it what it likes.
    assert_eq!(
        outcome(Kind::LlamaCpp, "{}", "model.gguf", none(), "").await,
        Ok(())
    );
    assert_eq!(
        outcome(Kind::Vllm, PROBE, "theirs", none(), " \n4.").await,
        Ok(())
    );
    for wrong in ["five", "", "2+2=4"] {
        assert_eq!(
            outcome(Kind::Vllm, PROBE, "theirs", none(), wrong).await,
            Err(Reason::WrongAnswer)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn ollamas_models_must_be_its_own() {
    let local = json!({"details": {"family": "llama"}, "remote_host": "", "model_info": {}});
    assert_eq!(
        outcome(Kind::Ollama, "{}", "theirs", local.clone(), "").await,
        Ok(())
    );
    assert_eq!(
        outcome(Kind::Ollama, "{}", "another", local.clone(), "").await,
        Err(Reason::ModelMissing)
    );
    for remote in [
        json!({"remote_host": "https://ollama.com:443"}),
        json!({"remote_model": "gpt-oss:120b"}),
    ] {
        assert_eq!(
            outcome(Kind::Ollama, "{}", "theirs", remote, "").await,
            Err(Reason::RemoteModel)
        );
    }
    // Names that mean its maker's machines, whatever it says of them.
    for name in ["gpt-oss:120b-cloud", "kimi:cloud"] {
        let models = format!(r#"{{"models":[{{"id":"ours","name":"{name}"}}]}}"#);
        assert_eq!(
            outcome(Kind::Ollama, &models, "theirs", local.clone(), "").await,
            Err(Reason::RemoteModel)
        );
    }
    assert_eq!(
        outcome(Kind::Ollama, "{}", "theirs", json!([]), "").await,
        Err(Reason::Failed)
    );
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_away_is_not_asked_until_it_is_back() {
    let (upstream, fake) = upstream(
        Kind::Vllm,
        "{}",
        Duration::ZERO,
        script(|_, wire| serve(wire, "theirs", Value::Null, "hi")),
    );
    upstream.start();
    assert!(whole(&upstream).await.is_ok());
    fake.refuse(Some(ConnectError::Unreachable));
    assert_eq!(refusal(&upstream, false).await, (503, "upstream_unavailable"));
    let shown = || (upstream.models[0].served.unavailable)();
    assert_eq!(shown().as_deref(), Some("unreachable"));
    let opened = fake.opened();
    for _ in 0..10 {
        assert_eq!(refusal(&upstream, true).await, (503, "upstream_unavailable"));
    }
    assert_eq!(fake.opened(), opened, "nobody was asked");
    // Ever more seldom.
    tokio::time::sleep(Duration::from_secs(600)).await;
    let probes = fake.opened() - opened;
    assert!((15..40).contains(&probes), "{probes} probes in ten minutes");
    fake.refuse(None);
    tokio::time::sleep(Duration::from_secs(31)).await;
    assert!(whole(&upstream).await.is_ok());
    assert_eq!(shown(), None);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_not_the_right_one_is_told_as_such() {
    let (upstream, fake) = upstream(Kind::Openai, "{}", Duration::ZERO, script(|_, _| async {}));
    fake.refuse(Some(ConnectError::NotVerified(
        "measurement_not_allowed".to_owned(),
    )));
    for _ in 0..2 {
        let error = upstream.answer(chat(false)).await.err().unwrap();
        assert_eq!(
            (error.status.as_u16(), error.code),
            (502, "upstream_not_verified")
        );
        assert!(
            error.message.contains("(measurement_not_allowed)"),
            "{}",
            error.message
        );
    }
    assert_eq!(fake.opened(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_node_waits_for_its_upstreams_but_not_for_ever() {
    let script = || script(|_, wire| serve(wire, "theirs", Value::Null, "hi"));
    let (slow, fake) = upstream(Kind::Vllm, "{}", Duration::ZERO, script());
    slow.models[0].health.set(Some(Reason::Starting));
    assert_eq!(refusal(&slow, false).await, (503, "upstream_unavailable"));
    fake.refuse(Some(ConnectError::Unreachable));
    slow.start();
    let start = tokio::time::Instant::now();
    let upstreams = [slow.clone()];
    let comes = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        fake.refuse(None);
    };
    tokio::join!(Upstream::warm_up(&upstreams), comes);
    assert!(start.elapsed() < WARM_UP);
    assert!(whole(&slow).await.is_ok());
    let (never, fake) = upstream(Kind::Vllm, "{}", Duration::ZERO, script());
    never.models[0].health.set(Some(Reason::Starting));
    fake.refuse(Some(ConnectError::Unreachable));
    never.start();
    let start = tokio::time::Instant::now();
    Upstream::warm_up(std::slice::from_ref(&never)).await;
    assert_eq!(start.elapsed().as_secs(), WARM_UP.as_secs());
    assert_eq!(
        (never.models[0].served.unavailable)().as_deref(),
        Some("unreachable")
    );
}

#[tokio::test(start_paused = true)]
async fn an_error_of_one_request_closes_no_model() {
    let upstream = vllm(script(|number, mut wire| async move {
        wire.request().await;
        match number {
            0 => wire.respond("500 Oops", "", "").await,
            1 => {}
            _ => wire.json(&answer()).await,
        }
    }));
    for _ in 0..2 {
        assert_eq!(refusal(&upstream, false).await, (502, "upstream_failed"));
    }
    assert!(whole(&upstream).await.is_ok());
}
