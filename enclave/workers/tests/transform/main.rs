//! TypeScript as its own compiler has it: each module of `tests/vectors/typescript` must come to the value that it comes
//! to when TypeScript's compiler and Node.js do it (`expected.mjs` there). Run by the bare engine.

#[path = "../harness/mod.rs"]
mod harness;
mod nesting;
mod on_the_engine;
mod refusals;

use jeju_worker_protocol::{Failure, Language, Module};
use rquickjs::{CatchResultExt, Context, Runtime};
use serde_json::Value;

const MODULES: [(&str, &str); 11] = [
    (
        "annotations.ts",
        include_str!("../vectors/typescript/annotations.ts"),
    ),
    ("casts.ts", include_str!("../vectors/typescript/casts.ts")),
    ("classes.ts", include_str!("../vectors/typescript/classes.ts")),
    ("enums.ts", include_str!("../vectors/typescript/enums.ts")),
    ("exports.ts", include_str!("../vectors/typescript/exports.ts")),
    ("imports.ts", include_str!("../vectors/typescript/imports.ts")),
    ("lines.ts", include_str!("../vectors/typescript/lines.ts")),
    (
        "namespaces.ts",
        include_str!("../vectors/typescript/namespaces.ts"),
    ),
    (
        "semicolons.ts",
        include_str!("../vectors/typescript/semicolons.ts"),
    ),
    ("syntax.ts", include_str!("../vectors/typescript/syntax.ts")),
    ("unicode.ts", include_str!("../vectors/typescript/unicode.ts")),
];

const DATA: &str = "data:text/javascript,";

fn prepare(name: &str, source: &str) -> Result<String, Failure> {
    let module = Module {
        name: name.to_owned(),
        language: Language::of(name).unwrap(),
        source: source.to_owned(),
    };
    jeju_workers::prepare(&module).map(|prepared| prepared.source)
}

fn prepared(name: &str, source: &str) -> String {
    prepare(name, source).unwrap_or_else(|failure| panic!("{}", failure.message))
}

/// The module's default export, as JSON.
fn run(name: &str, source: &str) -> Value {
    let runtime = Runtime::new().unwrap();
    let context = Context::full(&runtime).unwrap();
    context.with(|ctx| {
        // Modules of a data: URL are there before they are imported.
        for url in source.split('"').filter(|part| part.starts_with(DATA)) {
            rquickjs::Module::declare(ctx.clone(), url, &url[DATA.len()..]).unwrap();
        }
        let module = rquickjs::Module::declare(ctx.clone(), name, source);
        let module = module
            .catch(&ctx)
            .unwrap_or_else(|error| panic!("{error}\n{source}"));
        let (module, promise) = module.eval().catch(&ctx).unwrap();
        let done = promise.finish::<()>().catch(&ctx);
        done.unwrap_or_else(|error| panic!("{name}: {error}\n{source}"));
        let value: rquickjs::Value = module.get("default").unwrap();
        let text = ctx.json_stringify(value).unwrap().unwrap().to_string().unwrap();
        serde_json::from_str(&text).unwrap()
    })
}

#[test]
fn typescript_means_what_its_compiler_says() {
    let expected: Value = serde_json::from_str(include_str!("../vectors/typescript/expected.json")).unwrap();
    for (name, source) in MODULES {
        let made = prepared(name, source);
        assert_eq!(run(name, &made), expected[name], "{name}:\n{made}");
    }
}

#[test]
fn lines_stay_where_they_are_and_columns_too_where_types_are_all_that_goes() {
    for (name, source) in MODULES {
        let made = prepared(name, source);
        assert_eq!(made.lines().count(), source.lines().count(), "{name}");
        if !["annotations.ts", "lines.ts", "semicolons.ts"].contains(&name) {
            continue;
        }
        for (was, is) in source.lines().zip(made.lines()) {
            let stays = |(was, is): (char, char)| was == is || " ;()".contains(is);
            assert!(was.chars().zip(is.chars()).all(stays), "{name}:\n{was}\n{is}");
        }
    }
}

#[test]
fn a_json_module_is_its_value() {
    let source = " {\"a\\\"\": [1, -0, 1e400, \"__proto__\", \"\u{2028}\"], \"__proto__\": {\"\\u005f_proto__\" : 1}}\n";
    let prepared = prepared("data.json", source);
    let check = format!(
        "{}\nexport const found = 1;",
        prepared.replacen("export default", "const value = ", 1)
    ) + "export default [Object.keys(value), Object.keys(value.__proto__), value['a\"'][2] === Infinity, \
         Object.is(value['a\"'][1], -0), Object.getPrototypeOf(value) === Object.prototype]";
    assert_eq!(
        run("data.json", &check),
        serde_json::json!([["a\"", "__proto__"], ["__proto__"], true, true, true])
    );
    for (source, line) in [
        ("", 1),
        ("{}x", 1),
        ("{\n 'a': 1}", 2),
        ("[1,]", 1),
        ("undefined", 1),
    ] {
        let failure = prepare("data.json", source).err().unwrap();
        assert_eq!(failure.code, jeju_worker_protocol::code::SYNTAX);
        assert!(
            failure.message.contains(&format!("(data.json:{line}:")),
            "{}",
            failure.message
        );
    }
}

#[test]
fn javascript_stays_as_it_is() {
    let source = "#!/usr/bin/env node\nexport default 1 as any";
    assert!(prepare("a.mjs", source).is_ok_and(|prepared| prepared == source));
}
