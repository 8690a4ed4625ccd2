//! Prompts counted again, against the engine that nodes answer with.

use jeju_client::payment::Recount;

use crate::audit::MODEL;
use crate::audit::computed::Computed;

#[test]
fn prompts_are_counted_as_the_engine_counts_them() {
    let recount = Recount::open(&MODEL).unwrap();
    assert_eq!(hex::encode(recount.digest()), crate::audit::MODEL_SHA256);
    for (path, body) in [
        (
            "/v1/chat/completions",
            r#"{"model":"smollm2","max_tokens":1,"messages":[{"role":"user","content":"Say hello."}]}"#,
        ),
        (
            "/v1/completions",
            r#"{"model":"smollm2","max_tokens":1,"prompt":["Once upon a time","There was"]}"#,
        ),
        (
            "/v1/responses",
            r#"{"model":"smollm2","max_output_tokens":1,"input":"Say hello."}"#,
        ),
    ] {
        let computed = Computed::of(path, body.as_bytes());
        let counted = recount.prompt_tokens(path, body.as_bytes());
        assert_eq!(counted, Some(computed.usage.0 as u64), "{path}");
    }
    for (path, body) in [
        ("/v1/embeddings", r#"{"model":"smollm2","input":"a"}"#),
        ("/v1/chat/completions", "{}"),
        ("/v1/chat/completions", r#"{"model":"smollm2"}"#),
    ] {
        assert_eq!(recount.prompt_tokens(path, body.as_bytes()), None, "{path}");
    }
    assert!(Recount::open(std::path::Path::new("/dev/null")).is_err());
}
