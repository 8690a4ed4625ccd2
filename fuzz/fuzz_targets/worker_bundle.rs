//! Code of workers. The first byte chooses: a module that is made JavaScript, or modules that import each other.
#![no_main]

use jeju_worker_protocol::{Bundle, Language, Module, Resolver};
use jeju_workers::prepare;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((choice, bytes)) = input.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match choice % 3 {
        0 => module("a.ts", text),
        1 => module("a.json", text),
        _ => bundle(text),
    }
});

fn module(name: &str, source: &str) {
    let module = Module {
        name: name.to_owned(),
        language: Language::of(name).expect("a language"),
        source: source.to_owned(),
    };
    match prepare(&module) {
        Ok(made) => {
            let lines = |text: &str| text.matches('\n').count();
            assert_eq!(lines(&made.source), lines(source), "{}", made.source);
        }
        Err(failure) => assert!(failure.message.contains(name)),
    }
}

/// Lines of a name and a source; those of them that start with a space are imported by every module.
fn bundle(text: &str) {
    let mut modules = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with(' ')) {
        let (name, source) = line.split_once(' ').unwrap_or((line, ""));
        let language = Language::of(name).unwrap_or(Language::JavaScript);
        let (name, source) = (name.to_owned(), source.to_owned());
        modules.push(Module {
            name,
            language,
            source,
        });
    }
    let main = modules
        .first()
        .map(|module| module.name.clone())
        .unwrap_or_default();
    let Ok(bundle) = Bundle::new(main, modules) else {
        return;
    };
    assert!(bundle.check().is_ok());
    bundle.code_hash();
    let resolver = Resolver::new(&bundle);
    for specifier in text.lines().filter_map(|line| line.strip_prefix(' ')) {
        for module in &bundle.modules {
            if let Ok(found) = resolver.resolve(specifier, &module.name) {
                assert!(bundle.modules.iter().any(|module| module.name == found));
            }
        }
    }
}
