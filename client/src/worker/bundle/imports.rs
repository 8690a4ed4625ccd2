//! What a module imports.

use oxc_allocator::Allocator;
use oxc_parser::Parser;
use oxc_span::{GetSpan, SourceType};

use super::BundlingError;

/// Deep nesting must not overflow the stack.
const STACK: usize = 256 * 1024 * 1024;

/// The imports of a module that are there when it runs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Imports {
    /// What is imported by a name that stands in the source, each once, in order.
    pub named: Vec<String>,
    /// Lines of `import()` whose name is only known when it runs.
    pub computed: Vec<usize>,
}

/// Reads them. Imports of types alone are none.
///
/// # Errors
/// [`BundlingError::Syntax`].
pub fn imports(name: &str, typescript: bool, source: &str) -> Result<Imports, BundlingError> {
    let parse = || parse(name, typescript, source);
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .stack_size(STACK)
            .spawn_scoped(scope, parse);
        thread
            .map_err(BundlingError::System)?
            .join()
            .unwrap_or_else(|_| Err(syntax(name, 0, "it can't be parsed")))
    })
}

fn parse(name: &str, typescript: bool, source: &str) -> Result<Imports, BundlingError> {
    let allocator = Allocator::default();
    let kind = match typescript {
        true => SourceType::ts(),
        false => SourceType::mjs(),
    };
    let parsed = Parser::new(&allocator, source, kind).parse();
    if let Some(error) = parsed.diagnostics.first() {
        let at = error.labels.first();
        let line = at.map_or(0, |label| line_of(source, label.offset() as usize));
        return Err(syntax(name, line, &error.message));
    }
    let record = parsed.module_record;
    let mut named: Vec<(u32, String)> = Vec::new();
    for (specifier, requests) in &record.requested_modules {
        if let Some(first) = requests
            .iter()
            .filter(|request| !request.is_type)
            .map(|request| request.span.start)
            .min()
        {
            named.push((first, specifier.to_string()));
        }
    }
    let mut found = Imports::default();
    for import in &record.dynamic_imports {
        let span = import.module_request.span();
        match literal(&source[span.start as usize..span.end as usize]) {
            Some(specifier) => named.push((span.start, specifier.to_owned())),
            None => found.computed.push(line_of(source, span.start as usize)),
        }
    }
    named.sort();
    for (_, specifier) in named {
        if !found.named.contains(&specifier) {
            found.named.push(specifier);
        }
    }
    Ok(found)
}

/// The text of a string without escapes.
fn literal(expression: &str) -> Option<&str> {
    let quote = expression
        .chars()
        .next()
        .filter(|quote| "\"'`".contains(*quote))?;
    let text = expression.strip_prefix(quote)?.strip_suffix(quote)?;
    let computed = text.contains(['\\', quote, '\n']) || (quote == '`' && text.contains("${"));
    (!computed).then_some(text)
}

fn line_of(source: &str, offset: usize) -> usize {
    let before = source.as_bytes().get(..offset).unwrap_or_default();
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

fn syntax(name: &str, line: usize, words: &str) -> BundlingError {
    BundlingError::Syntax {
        module: name.to_owned(),
        line,
        words: words.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(source: &str) -> Vec<String> {
        imports("a.ts", true, source).unwrap().named
    }

    #[test]
    fn every_form_of_import_is_found() {
        let source = "import a from './a.js';\nimport * as b from \"./b\";\nimport { c } from 'c';\nimport './d';\n\
                      export { e } from './e';\nexport * from './f';\nexport * as g from './g';\n\
                      const h = await import('./h.js');\nimport j from './j.json' with { type: 'json' };\nimport('./a.js');";
        assert_eq!(
            named(source),
            [
                "./a.js", "./b", "c", "./d", "./e", "./f", "./g", "./h.js", "./j.json"
            ]
        );
    }

    #[test]
    fn what_only_looks_like_an_import_is_none() {
        let source = "// import './a';\nconst text = \"import './b'\"; const re = /import '.\\/c'/;\n\
                      const t = `import './d' ${'import \"./e\"'}`;\nimport type { F } from './f';\nexport type { G } from './g';\n\
                      const o = { import: 1 }; o.import; import.meta.url;";
        assert_eq!(named(source), Vec::<String>::new());
    }

    #[test]
    fn names_that_are_computed_are_told() {
        let found = imports(
            "a.js",
            false,
            "const n = 'x';\nawait import(n);\nawait import(`./${n}`);\nimport(`./y`)",
        )
        .unwrap();
        assert_eq!(found.named, ["./y"]);
        assert_eq!(found.computed, [2, 3]);
    }

    #[test]
    fn what_does_not_parse_is_refused_with_its_line() {
        let error = imports("src/a.js", false, "export default {\n  fetch(] {}\n};").unwrap_err();
        let BundlingError::Syntax { module, line, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(
            (module.as_str(), *line, error.code()),
            ("src/a.js", 2, "worker_syntax_error")
        );
        assert!(
            imports("a.js", false, "const a: number = 1").is_err(),
            "types are no JavaScript"
        );
        assert!(imports("a.ts", true, "const a: number = 1").is_ok());
        // Neither here nor in the enclave does nesting overflow a stack.
        let deep = "[".repeat(20_000) + &"]".repeat(20_000);
        let _ = imports("a.js", false, &deep);
    }
}
