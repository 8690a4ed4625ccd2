use crate::harness::{Process, load};

const INDEX: &str = r#"import { greet, type Greeting } from "./greeting";
import type { Env } from "./env";
import { Missing } from "./env.js";
import shout from "shout";
import data from "../data.json";

enum Path { Hello = "/", Broken = "/broken" }

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const path = new URL(request.url).pathname as Path;
    const greeting: Greeting = greet(data.name!, path === Path.Broken);
    return new Response(shout(greeting.text));
  },
} satisfies { fetch(request: Request, env: Env, missing?: Missing): Promise<Response> };
"#;

const GREETING: &str = r#"export interface Greeting {
  text: string;
}

export function greet(name: string, broken: boolean): Greeting {
  if (broken) throw new RangeError(`no ${name as string}`) as Error;
  return { text: `Hello from ${name}` } as Greeting;
}
"#;

#[test]
fn a_typescript_project_runs_and_its_stacks_name_its_sources() {
    let mut process = Process::start();
    let (worker, handlers) = process.load(load(&[
        ("src/index.ts", INDEX),
        ("src/greeting.ts", GREETING),
        (
            "src/env.ts",
            "export interface Env {}\nexport interface Missing {}\n",
        ),
        ("data.json", r#"{"name": "Jeju"}"#),
        (
            "node_modules/shout/package.json",
            r#"{"exports": {"import": "./esm.js"}}"#,
        ),
        (
            "node_modules/shout/esm.js",
            "export default (text) => text + '!';",
        ),
    ]));
    assert!(handlers.fetch);
    assert_eq!(process.get(worker, "/").outcome(), "200 Hello from Jeju!");
    let answer = process.get(worker, "/broken");
    let failure = answer.failure().expect("it throws");
    let stack = failure.stack.as_deref().unwrap_or_default();
    assert_eq!(failure.message, "RangeError: no Jeju");
    // Columns are of the error's `new` and of the call.
    let (throws, calls) = ("src/greeting.ts:6:", "src/index.ts:12:");
    assert!(stack.contains(throws) && stack.contains(calls), "{stack}");
}

#[test]
fn a_module_that_is_none_says_where() {
    let mut process = Process::start();
    let refused = process.try_load(load(&[(
        "src/index.ts",
        "export default {\n  fetch(a: ) {},\n};\n",
    )]));
    let failure = refused.expect_err("it is none");
    assert_eq!(failure.code, jeju_worker_protocol::code::SYNTAX);
    assert!(
        failure.message.ends_with("(src/index.ts:2:12)"),
        "{}",
        failure.message
    );
}
