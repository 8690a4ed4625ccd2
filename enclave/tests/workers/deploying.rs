use serde_json::{Value, json};

use super::owner::{Owner, anybody, text, value};
use super::{deploy, deploy_with, node, node_with};

fn returns(text: &str) -> String {
    format!("export default {{ fetch: () => new Response({text:?}) }};")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_deployed_changed_rolled_back_paused_and_deleted() {
    let host = node().await;
    let owner = Owner::new(1);
    let health = value(&anybody(&host, "GET", "/health", "").await);
    assert_eq!(health, json!({"status": "ok", "workers": 0, "storage": "sealed"}));

    let first = json!({"name": "Hello World", "code": returns("one"), "routes": ["/hello/:name"]});
    let (status, answer) = owner.ask(&host, "POST", "/api/v1/workers", &first).await;
    assert_eq!(status, 201, "{answer}");
    let deployment = &answer["deployment"];
    let id = deployment["workerId"].as_str().unwrap();
    let hash = deployment["codeHash"].as_str().unwrap();
    assert_eq!(id, format!("worker-hello-world-{}", &hash[2..10]));
    assert_eq!(
        (&deployment["version"], &deployment["status"]),
        (&json!(1), &json!("active"))
    );
    assert_eq!(
        deployment["deployedBy"].as_str().unwrap().to_lowercase(),
        format!("0x{}", hex::encode(owner.address()))
    );
    let (_, list) = owner.get(&host, "/api/v1/workers").await;
    assert_eq!(list["workers"][0]["name"], "Hello World");

    // Every way to it, and whose answer it is.
    let endpoint = deployment["endpoint"].as_str().unwrap().to_owned();
    let with_address = format!("/w/0x{}/hello/you", hex::encode(owner.address()));
    for path in [
        "/w/hello/you",
        &with_address,
        &endpoint,
        &format!("{endpoint}/below?a=b"),
    ] {
        let answered = anybody(&host, "GET", path, "").await;
        assert_eq!((answered.status, text(&answered)), (200, "one"), "{path}");
        let worker = answered.worker.unwrap();
        assert_eq!((worker.id.as_str(), worker.version), (id, 1));
        assert_eq!(format!("0x{}", hex::encode(worker.code_hash)), hash);
    }

    let path = format!("/api/v1/workers/{id}");
    let (status, answer) = owner
        .ask(&host, "PUT", &path, &json!({"code": returns("two")}))
        .await;
    assert_eq!((status, &answer["deployment"]["version"]), (200, &json!(2)));
    assert_eq!(text(&anybody(&host, "GET", "/w/hello/you", "").await), "two");
    // Variables alone are a version too; routes aren't.
    let (_, answer) = owner.ask(&host, "PUT", &path, &json!({"env": {"A": "1"}})).await;
    assert_eq!(answer["deployment"]["version"], 3);
    let (_, answer) = owner.ask(&host, "PUT", &path, &json!({"routes": ["/bye"]})).await;
    assert_eq!(answer["deployment"]["version"], 3);
    assert_eq!(anybody(&host, "GET", "/w/hello/you", "").await.status, 404);
    assert_eq!(text(&anybody(&host, "GET", "/w/bye", "").await), "two");

    let (_, answer) = owner
        .ask(&host, "POST", &format!("{path}/rollback"), &json!({"version": 1}))
        .await;
    assert_eq!(answer["deployment"]["version"], 1);
    assert_eq!(text(&anybody(&host, "GET", "/w/bye", "").await), "one");
    // A name that is there is a new version, and numbers never repeat.
    let again = json!({"name": "Hello World", "code": returns("four")});
    let (status, answer) = owner.ask(&host, "POST", "/api/v1/workers", &again).await;
    assert_eq!((status, &answer["deployment"]["version"]), (200, &json!(4)));
    assert_eq!(answer["deployment"]["workerId"], id);
    let (_, versions) = owner.get(&host, &format!("{path}/versions")).await;
    let numbers: Vec<_> = versions["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v["version"].clone())
        .collect();
    assert_eq!(numbers, [4, 3, 2, 1]);
    let (status, answer) = owner
        .ask(&host, "POST", &format!("{path}/rollback"), &json!({"version": 9}))
        .await;
    assert_eq!(
        (status, &answer["code"]),
        (404, &json!("worker_version_not_found"))
    );

    let (_, answer) = owner
        .ask(&host, "POST", &format!("{path}/pause"), &Value::Null)
        .await;
    assert_eq!(answer, json!({"success": true}));
    let paused = anybody(&host, "GET", "/w/bye", "").await;
    assert_eq!(
        (paused.status, &value(&paused)["error"]),
        (404, &json!(format!("Worker {id} is not active")))
    );
    owner
        .ask(&host, "POST", &format!("{path}/resume"), &Value::Null)
        .await;
    assert_eq!(text(&anybody(&host, "GET", "/w/bye", "").await), "four");

    for _ in 0..2 {
        let (status, answer) = owner.ask(&host, "DELETE", &path, &Value::Null).await;
        assert_eq!((status, answer), (200, json!({"success": true})));
    }
    assert_eq!(owner.get(&host, &path).await.0, 404);
    let gone = anybody(&host, "GET", "/w/bye", "").await;
    assert_eq!(value(&gone)["error"], "No worker found for route: /bye");
    assert_eq!(gone.worker, None, "the node's own answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_deployed_is_refused_with_its_reason() {
    let host = node_with("max_per_owner = 2\ntimeout_ms = 5000").await;
    let owner = Owner::new(1);
    let fine = returns("x");
    let hash = format!("0x{}", "00".repeat(32));
    for (body, status, code) in [
        (json!({"name": "a"}), 400, "worker_code_missing"),
        (json!({"code": fine}), 400, "worker_name_invalid"),
        (
            json!({"name": "a", "code": fine, "nonsense": 1}),
            400,
            "body_invalid",
        ),
        (
            json!({"name": "a", "code": "export default {"}),
            400,
            "worker_syntax_error",
        ),
        (
            json!({"name": "a", "code": "import 'nothing'"}),
            400,
            "worker_import_not_found",
        ),
        (
            json!({"name": "a", "code": "throw new Error('at load')"}),
            400,
            "worker_module_failed",
        ),
        (
            json!({"name": "a", "code": fine, "runtime": "wasm"}),
            400,
            "worker_runtime_unsupported",
        ),
        (
            json!({"name": "a", "code": fine, "codeHash": hash}),
            400,
            "code_hash_mismatch",
        ),
        (
            json!({"name": "a", "code": fine, "timeoutMs": 5001}),
            400,
            "worker_limit_invalid",
        ),
        (
            json!({"name": "a", "code": fine, "memoryLimitMb": 0}),
            400,
            "worker_limit_invalid",
        ),
        (
            json!({"name": "a", "code": fine, "maxConcurrent": 1000}),
            400,
            "worker_limit_invalid",
        ),
        (
            json!({"name": "a", "code": fine, "cronSchedule": "every day"}),
            400,
            "cron_invalid",
        ),
        (
            json!({"name": "a", "code": fine, "routes": ["a"]}),
            400,
            "route_invalid",
        ),
        (
            json!({"name": "a", "code": fine, "env": {"A-B": ""}}),
            400,
            "worker_env_invalid",
        ),
    ] {
        let (found, answer) = owner.ask(&host, "POST", "/api/v1/workers", &body).await;
        assert_eq!(
            (found, &answer["code"]),
            (status, &json!(code)),
            "{body}: {answer}"
        );
    }
    // Nothing of that is left, and the same names can be had.
    assert_eq!(
        owner.get(&host, "/api/v1/workers").await.1,
        json!({"workers": []})
    );
    deploy(&host, &owner, "a", &fine).await;
    deploy(&host, &owner, "b", &fine).await;
    let third = json!({"name": "c", "code": fine});
    let (status, answer) = owner.ask(&host, "POST", "/api/v1/workers", &third).await;
    assert_eq!((status, &answer["code"]), (403, &json!("worker_quota_exceeded")));
    assert_eq!(value(&anybody(&host, "GET", "/health", "").await)["workers"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn modules_import_each_other_and_typescript_runs() {
    let host = node().await;
    let owner = Owner::new(1);
    let id = deploy_with(
        &host,
        &owner,
        json!({
            "name": "typed",
            "main": "src/index.ts",
            "modules": {
                "src/index.ts": "import { greet } from './greet';\nimport data from '../data.json';\n\
                    interface Env { NAME: string }\n\
                    export default { async fetch(request: Request, env: Env): Promise<Response> { return new Response(greet(env.NAME + data.mark)); } };",
                "src/greet.ts": "export const greet = (name: string): string => `Hello ${name}`;",
                "data.json": "{\"mark\": \"!\"}"
            },
            "env": {"NAME": "Jeju"}
        }),
    )
    .await;
    let answered = anybody(&host, "GET", &format!("/workers/{id}"), "").await;
    assert_eq!(text(&answered), "Hello Jeju!");
    let (_, shown) = owner.get(&host, &format!("/api/v1/workers/{id}")).await;
    let config = &shown["worker"]["config"];
    assert_eq!(
        (&config["entrypoint"], &config["runtime"]),
        (&json!("src/index.ts"), &json!("typescript"))
    );
    assert_eq!(config["modules"].as_object().unwrap().len(), 3);
    assert_eq!(config["env"], json!({"NAME": "Jeju"}));
}
