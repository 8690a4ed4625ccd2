//! The console beside Node's, and its bounds.

use std::cell::RefCell;
use std::rc::Rc;

use rquickjs::{Function, Runtime};

use crate::bytecode::{self, Compiler};
use crate::realm::Realm;

/// The lines that a script logs, with their levels.
fn logged(source: &str) -> Vec<(u32, String)> {
    let code = Compiler::new().unwrap().script("script.js", source).unwrap();
    let lines = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&lines);
    let realm = Realm::new(Runtime::new().unwrap(), move |ctx, host| {
        let log = move |level: u32, text: String| log.borrow_mut().push((level, text));
        host.set("log", Function::new(ctx.clone(), log)?)?;
        host.set("now", Function::new(ctx.clone(), || 5)?)
    });
    realm
        .unwrap()
        .with(|ctx, _| {
            bytecode::run(ctx, &code).inspect_err(|_| panic!("{:?}", ctx.catch()))?;
            while ctx.execute_pending_job() {}
            Ok(())
        })
        .unwrap();
    lines.take()
}

fn texts(source: &str) -> Vec<String> {
    logged(source).into_iter().map(|(_, text)| text).collect()
}

/// Cases in which Node's text is another, by their place in the script.
const DIFFERENCES: &[(usize, &str)] = &[
    // `%o` shows what isn't enumerable in Node.
    (
        56,
        "Bob is 42.5 years and 42, 1.5, {\"a\":1} [ 1 ] { b: { c: {} } } % extra",
    ),
    // There is no source text of a function.
    (69, "[Function (anonymous)]"),
];

#[test]
fn values_are_shown_as_node_shows_them() {
    let cases = include_str!("../../tests/crypto/scripts/console.js");
    let mut expected: Vec<String> =
        serde_json::from_str(include_str!("../../tests/vectors/webcrypto/console.json")).unwrap();
    for (case, text) in DIFFERENCES {
        assert_ne!(expected[*case], *text);
        expected[*case] = (*text).to_owned();
    }
    let shown = texts(&format!(
        "{cases}\nfor (const given of cases) console.log(...given);"
    ));
    assert_eq!(shown.len(), expected.len());
    for (case, (shown, expected)) in shown.iter().zip(&expected).enumerate() {
        assert_eq!(shown, expected, "case {case}");
    }
}

#[test]
fn each_method_has_its_level() {
    let lines = logged(
        "console.debug('a'); console.log('b'); console.info('c'); console.warn('d'); console.error('e');
         console.assert(true, 'no'); console.assert(false, 'f %d', 1); console.assert();
         console.dirxml('g');
         console.trace('h'); console.clear(); console.timeStamp(); console.profile();
         console.profileEnd();",
    );
    let lines: Vec<(u32, &str)> = lines
        .iter()
        .map(|(level, text)| (*level, text.lines().next().unwrap_or_default()))
        .collect();
    assert_eq!(
        lines,
        [
            (0, "a"),
            (1, "b"),
            (2, "c"),
            (3, "d"),
            (4, "e"),
            (4, "Assertion failed: f 1"),
            (4, "Assertion failed"),
            (1, "g"),
            (0, "Trace: h"),
        ]
    );
}

#[test]
fn groups_counts_and_timers_keep_their_state() {
    assert_eq!(
        texts(
            "console.group('one'); console.log('a\\nb'); console.groupCollapsed(); console.log('c');
             console.groupEnd();
             console.groupEnd(); console.groupEnd(); console.log('d');
             console.count(); console.count('x'); console.count(); console.countReset(); console.count();
             console.countReset('y');
             console.time('t'); console.time('t'); console.timeLog('t', 'so', { far: 1 });
             console.timeEnd('t'); console.timeEnd('t');"
        ),
        [
            "one",
            "  a\n  b",
            "    c",
            "d",
            "default: 1",
            "x: 1",
            "default: 2",
            "default: 1",
            "Count for 'y' does not exist",
            "Timer 't' already exists",
            "t: 0ms so { far: 1 }",
            "t: 0ms",
            "Timer 't' does not exist",
        ]
    );
}

#[test]
fn tables_are_nodes() {
    let lines = texts(
        "console.table([{ a: 1, b: 'x' }, { a: 2, c: true }]); console.table([1, 'b']);
             console.table(new Map([['k', 1]]));
         console.table({ r: { c: 1, d: 2 } }, ['c']); console.table('text');",
    );
    assert_eq!(
        lines[0],
        "┌─────────┬───┬─────┬──────┐\n│ (index) │ a │ b   │ c    │\n├─────────┼───┼─────┼──────┤\n\
         │ 0       │ 1 │ 'x' │      │\n│ 1       │ 2 │     │ true │\n└─────────┴───┴─────┴──────┘"
    );
    assert_eq!(
        lines[1],
        "┌─────────┬────────┐\n│ (index) │ Values │\n\
         ├─────────┼────────┤\n│ 0       │ 1      │\n│ 1       │ 'b'    │\n└─────────┴────────┘"
    );
    assert_eq!(
        lines[2],
        "┌───────────────────┬─────┬────────┐\n│ (iteration index) │ Key │ Values │\n├───────────────────┼─────┼────────┤\n\
         │ 0                 │ 'k' │ 1      │\n└───────────────────┴─────┴────────┘"
    );
    assert_eq!(
        lines[3],
        "┌─────────┬───┐\n│ (index) │ c │\n├─────────┼───┤\n│ r       │ 1 │\n└─────────┴───┘"
    );
    assert_eq!(lines[4], "text");
}

#[test]
fn errors_are_shown_with_their_calls_causes_and_members() {
    let lines = texts(
        "function inner() { throw new TypeError('bad'); }
         try { inner(); } catch (error) { console.log(error); console.log({ error }); }
         console.log(Object.assign(new Error('outer', { cause: 'why' }), { code: 'E' }));
         const bare = new Error('bare'); delete bare.stack;
         Object.defineProperty(bare, 'stack', { value: undefined }); console.log(bare);",
    );
    assert!(
        lines[0].starts_with("TypeError: bad\n    at inner (script.js:1:"),
        "{}",
        lines[0]
    );
    assert!(
        lines[1].starts_with("{\n  error: TypeError: bad\n      at inner (script.js:1:"),
        "{}",
        lines[1]
    );
    assert!(
        lines[2].starts_with("Error: outer\n    at ")
            && lines[2].ends_with(" {\n  code: 'E',\n  [cause]: 'why'\n}")
    );
    assert_eq!(lines[3], "[Error: bare]");
}

#[test]
fn no_value_makes_a_line_without_end() {
    let lines = texts(
        "const deep = {}; let end = deep; for (let i = 0; i < 100000; i++) end = end.x = {};
             console.log(deep);
         console.dir(deep, { depth: Infinity }); console.dir(deep, { depth: null });
         console.log(Array.from({ length: 100 }, () => Array.from({ length: 100 }, () => ({ a: 'y'.repeat(1000), b: [1, 2, 3] }))));
         console.log(Object.fromEntries(Array.from({ length: 5000 }, (_, at) => ['key' + at, at])));
         console.log(['z'.repeat(1000000)]);
         console.log(new Set(Array.from({ length: 1000 }, (_, at) => at)).size);
         const sparse = []; sparse[4294967290] = 1; console.log(sparse);
         console.log(new Uint8Array(1 << 20));",
    );
    assert_eq!(lines[0], "{ x: { x: { x: [Object] } } }");
    assert!(
        lines.iter().all(|line| line.len() < 200_000),
        "{:?}",
        lines.iter().map(String::len).collect::<Vec<_>>()
    );
    assert_eq!(lines[7], "[ <4294967290 empty items>, 1 ]");
}

#[test]
fn values_that_fight_back_are_shown_all_the_same() {
    let lines = texts(
        "const no = () => { throw new Error('no'); };
         console.log(new Proxy({}, { ownKeys: no })); console.log(new Proxy([], { get: no }));
         console.log(new Proxy(() => 1, { getPrototypeOf: no }));
         console.log({ get boom() { return no(); } });
         console.log({ toString: no, valueOf: no, [Symbol.toPrimitive]: no });
         console.log({ constructor: { name: { toString: no } } });
         console.log(Object.create({ get constructor() { return no(); } }));
         console.log('%s', Object.create({ get toString() { return no(); } }));
         const error = new Error('x'); Object.defineProperty(error, 'stack', { get: no });
         Object.defineProperty(error, 'message', { get: no }); console.log(error);",
    );
    assert_eq!(lines.len(), 9);
    assert_eq!(lines[0], "[object that can't be shown]");
    assert_eq!(lines[3], "{ boom: [Getter] }");
}

#[test]
fn objects_of_the_web_show_what_their_getters_say() {
    let lines = texts(
        "console.log(new Headers({ a: 'b' })); console.log(new URLSearchParams('a=1'));
             console.log(new ReadableStream());
         console.log(new Response('x', { status: 201 })); console.log(AbortSignal.abort('why'));
         crypto.subtle.generateKey('X25519', false, ['deriveBits']).then((pair) => console.log(pair.privateKey));",
    );
    assert_eq!(lines[0], "Headers { a: 'b' }");
    assert_eq!(lines[1], "URLSearchParams { 'a' => '1' }");
    assert_eq!(lines[2], "ReadableStream { locked: false }");
    assert!(
        lines[3].starts_with("Response {\n  status: 201,\n"),
        "{}",
        lines[3]
    );
    assert_eq!(lines[4], "AbortSignal { aborted: true, reason: 'why' }");
    assert_eq!(
        lines[5],
        "CryptoKey {\n  type: 'private',\n  extractable: false,\n  algorithm: { name: 'X25519' },\n  usages: [ 'deriveBits' ]\n}"
    );
}
