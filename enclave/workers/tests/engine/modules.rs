//! Bundles: imports, what can't be loaded, and module state.

use crate::harness::{Process, load};

fn outcome(modules: &[(&str, &str)]) -> String {
    let mut process = Process::start();
    match process.try_load(load(modules)) {
        Ok((worker, _)) => process.get(worker, "/").outcome(),
        Err(failure) => format!("{}: {}", failure.code, failure.message),
    }
}

#[test]
fn modules_import_each_other() {
    let main = "import { twice } from './lib/math.js'; import data from './data.json' with { type: 'json' };
                import * as self from './index.js';
                export const base = 20;
                const late = await import('./lib/late.js');
                export default { async fetch() {
                  const again = await import('./lib/late.js');
                  return new Response([twice(self.base) + data.n, late === again, late.name, import.meta.url].join()); } };";
    let modules = [
        ("index.js", main),
        (
            "lib/math.js",
            "import { base } from '../index.js'; export const twice = (n) => n + (base, n);",
        ),
        ("lib/late.js", "export const name = import.meta.url.slice(-7);"),
        ("data.json", r#"{"n": 2}"#),
    ];
    assert_eq!(outcome(&modules), "200 42,true,late.js,file:///index.js");
}

#[test]
fn modules_may_wait_for_timers_and_log() {
    let source =
        "console.log('loading'); const at = await new Promise((go) => setTimeout(() => go('later'), 5));
                  export default { fetch: () => new Response(at) };";
    let mut process = Process::start();
    let worker = process.worker(source);
    let answer = process.get(worker, "/");
    assert_eq!(answer.outcome(), "200 later");
    // What was written before the first event comes with it.
    assert_eq!(answer.log(), ["loading"]);
}

#[test]
fn what_cannot_be_loaded_says_why() {
    let missing = outcome(&[("index.js", "import './gone.js'; export default {};")]);
    assert!(
        missing.starts_with("worker_import_not_found: ") && missing.contains("./gone.js"),
        "{missing}"
    );
    let deep = outcome(&[
        ("index.js", "import './b.js';"),
        ("b.js", "export * from 'lodash';"),
    ]);
    assert!(
        deep.starts_with("worker_import_not_found: ") && deep.contains("b.js"),
        "{deep}"
    );
    let syntax = outcome(&[("index.js", "export default {\n  fetch() { return 1 +; }\n};")]);
    assert!(
        syntax.starts_with("worker_syntax_error: ") && syntax.contains("index.js:2"),
        "{syntax}"
    );
    let other = outcome(&[("index.js", "import './b.js';"), ("b.js", "let a;\nlet a;")]);
    assert!(
        other.starts_with("worker_syntax_error: ") && other.contains("b.js:2"),
        "{other}"
    );
    let thrown = outcome(&[("index.js", "throw new RangeError('at once');")]);
    assert_eq!(thrown, "worker_module_failed: RangeError: at once");
    let late = outcome(&[("index.js", "await null; throw new Error('later');")]);
    assert_eq!(late, "worker_module_failed: later");
    let hangs = outcome(&[("index.js", "await new Promise(() => {});")]);
    assert!(hangs.starts_with("worker_module_failed: "), "{hangs}");
    let name = outcome(&[("index.js", "import { a } from './b.js';"), ("b.js", "")]);
    assert!(name.starts_with("worker_module_failed: SyntaxError: "), "{name}");
    let fetches = outcome(&[("index.js", "await fetch('https://a.example/');")]);
    assert!(
        fetches.starts_with("worker_module_failed: TypeError: ") && fetches.contains("fetch"),
        "{fetches}"
    );
    assert_eq!(
        outcome(&[("index.js", "export const a = 1;")]),
        "worker_no_handler: No fetch handler exported"
    );
    assert_eq!(
        outcome(&[("index.js", "")]),
        "worker_no_handler: No fetch handler exported"
    );
}

#[test]
fn a_module_that_cannot_be_compiled_matters_only_where_it_is_imported() {
    let main = "export default { async fetch() {
        try { await import('./broken.js'); } catch (error) { return new Response(error.name); } } };";
    let modules = [("index.js", main), ("broken.js", "let let;")];
    assert_eq!(outcome(&modules), "200 SyntaxError");
    let main = "export default { async fetch() {
        try { await import('./gone.js'); } catch (error) { return new Response(error.message); } } };";
    assert!(outcome(&[("index.js", main)]).contains("./gone.js"));
}

#[test]
fn long_chains_of_imports_are_loaded_or_refused() {
    let chain = |len: usize| {
        let name = |i: usize| {
            if i == 0 {
                "index.js".to_owned()
            } else {
                format!("m{i}.js")
            }
        };
        let source = |i: usize| {
            match i {
            0 => "import { depth } from './m1.js'; export default { fetch: () => new Response(String(depth)) };".to_owned(),
            i if i + 1 == len => "export const depth = 1;".to_owned(),
            i => format!("import {{ depth as d }} from './m{}.js'; export const depth = d + 1;", i + 1),
        }
        };
        let modules: Vec<_> = (0..len).map(|i| (name(i), source(i))).collect();
        let modules: Vec<_> = modules
            .iter()
            .map(|(name, source)| (name.as_str(), source.as_str()))
            .collect();
        outcome(&modules)
    };
    assert_eq!(chain(500), "200 499");
    let all = chain(1024);
    assert!(
        all == "200 1023" || all.starts_with("worker_module_failed: RangeError"),
        "{all}"
    );
}

#[test]
fn a_worker_may_be_loaded_anew_and_unloaded() {
    let mut process = Process::start();
    let one = process.worker("export default { fetch: () => new Response('1') };");
    let two = process.worker("export default { fetch: () => new Response('2') };");
    assert_eq!(
        (process.get(one, "/").text(), process.get(two, "/").text()),
        ("1".into(), "2".into())
    );
    process.send(&jeju_worker_protocol::ToProcess::Unload(one));
    assert_eq!(process.get(one, "/").code(), "worker_crashed");
    assert_eq!(process.get(two, "/").text(), "2");
}
