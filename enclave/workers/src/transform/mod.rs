//! Modules as they are deployed become modules as the engine takes them: types are blanked out of TypeScript, JSON becomes
//! a default export. Every line stays where it is, and every column that no rewriting lies to the left of, so stacks name
//! places of the sources that were deployed.
//!
//! | module | what it does |
//! |---|---|
//! | `strip` | walks the tree and blanks types |
//! | `classes` | modifiers, members without code, parameter properties |
//! | `imports` | imports and exports of types, and of names that only types use |
//! | `enums`, `namespaces` | what TypeScript has code for and JavaScript hasn't |
//! | `edits` | puts the changes into the source |
//! | `trivia` | finds tokens that the tree has no places for |
//! | `nesting` | keeps a recursive parser within its stack |
//! | `json` | JSON modules |
//!
//! Decorators, `export =`, `import = require()` and variables that a namespace exports are refused.

mod classes;
mod edits;
mod enums;
mod imports;
mod json;
mod namespaces;
mod nesting;
mod strip;
mod trivia;

use jeju_worker_protocol::{Failure, Language, Module, code};
use oxc_allocator::Allocator;
use oxc_parser::Parser;
use oxc_span::SourceType;

use edits::Refusal;

/// What the engine takes.
pub struct Prepared {
    /// An ES module in JavaScript.
    pub source: String,
}

/// Makes JavaScript of a module. JavaScript stays as it is: the engine finds its errors.
///
/// # Errors
/// [`code::SYNTAX`], with the module's name, line and column.
pub fn prepare(module: &Module) -> Result<Prepared, Failure> {
    let source = module.source.as_str();
    let prepared = match module.language {
        Language::JavaScript => Ok(source.to_owned()),
        Language::Json => json::module(source),
        Language::TypeScript => {
            nesting::with_stack(source, || typescript(source)).and_then(|prepared| prepared)
        }
    };
    match prepared {
        Ok(source) => Ok(Prepared { source }),
        Err(refusal) => Err(failure(module, &refusal)),
    }
}

fn typescript(source: &str) -> Result<String, Refusal> {
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, source, SourceType::ts().with_module(true)).parse();
    if let Some(error) = parsed.diagnostics.errors().next() {
        let at = error.labels.first().map_or(0, |label| label.offset());
        return Err(Refusal::new(at, error.message.to_string()));
    }
    if parsed.panicked {
        return Err(Refusal::new(0, "the module can't be parsed"));
    }
    strip::strip(source, &parsed.program)
}

fn failure(module: &Module, refusal: &Refusal) -> Failure {
    let mut end = module.source.len().min(refusal.at as usize);
    while !module.source.is_char_boundary(end) {
        end -= 1;
    }
    let before = &module.source[..end];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |text| text.chars().count()) + 1;
    let place = format!("{}:{line}:{column}", module.name);
    Failure::new(code::SYNTAX, format!("SyntaxError: {} ({place})", refusal.why))
}
