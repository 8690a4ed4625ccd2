use jeju_worker_protocol::code;

use super::prepare;

fn refusal(source: &str) -> String {
    let failure = prepare("a.ts", source)
        .err()
        .unwrap_or_else(|| panic!("taken: {source}"));
    assert_eq!(failure.code, code::SYNTAX);
    failure.message
}

#[test]
fn what_has_no_javascript_is_refused_by_its_place() {
    for (source, expected) in [
        (
            "@d class A {}",
            "SyntaxError: decorators aren't supported (a.ts:1:1)",
        ),
        (
            "class A {\n  @d() a = 1\n}",
            "SyntaxError: decorators aren't supported (a.ts:2:3)",
        ),
        (
            "class A { b(@d c) {} }",
            "SyntaxError: decorators aren't supported (a.ts:1:13)",
        ),
        (
            "export = 1",
            "SyntaxError: export = isn't supported: use export default (a.ts:1:1)",
        ),
        (
            "import a = require('a')",
            "SyntaxError: import = require() isn't supported: use import from (a.ts:1:1)",
        ),
        (
            "namespace A { export let b = 1 }",
            "SyntaxError: a namespace can't export variables that change: export a const (a.ts:1:15)",
        ),
        (
            "namespace A { const b = 1; export { b } }",
            "SyntaxError: a namespace exports declarations alone, and imports nothing (a.ts:1:28)",
        ),
        (
            "class A extends B { constructor(public a) { if (a) super() } }",
            "SyntaxError: a constructor with parameter properties must call super() in a statement of its own (a.ts:1:32)",
        ),
    ] {
        assert_eq!(refusal(source), expected);
    }
}

#[test]
fn what_is_no_typescript_is_refused_by_its_place() {
    assert!(
        refusal("const a = 1;\nconst é = ;").ends_with("(a.ts:2:11)"),
        "{}",
        refusal("const a = 1;\nconst é = ;")
    );
    for source in [
        "const = 1",
        "let a: = 1",
        "function (",
        "class {",
        "`${",
        "/*",
        "'",
        "a b",
        "if (",
        "import a",
        "<div></div>",
        "\u{0}",
        "type A = ",
        "enum { A }",
        "}",
        "await: 1",
        "new.target",
    ] {
        assert!(refusal(source).starts_with("SyntaxError: "), "{source}");
    }
}
