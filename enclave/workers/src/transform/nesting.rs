//! A stack for a parser that calls itself.
//!
//! Whatever nests in code has a token of its own for each level, so a module can't be nested deeper than it has tokens
//! that may open a level. They are counted, without reading the code in any other way (what strings and comments hold
//! counts too), and the stack is made as long as that many levels take. Pages that are never touched cost nothing.

use super::edits::Refusal;

/// Twice what a level was found to take at most, in bytes (`(` and `[`; `tests/transform/nesting.rs` has the kinds).
const LEVEL: usize = 4 * 1024;
/// What is there for code that isn't nested.
const BASE: usize = 512 * 1024;
/// Most levels.
pub(super) const MAX_LEVELS: usize = 48 * 1024;

/// Words that may open a level: operators and statements that are followed by another of their kind without a
/// punctuator.
const WORDS: [&str; 22] = [
    "as",
    "asserts",
    "async",
    "await",
    "delete",
    "do",
    "else",
    "extends",
    "function",
    "in",
    "infer",
    "instanceof",
    "is",
    "keyof",
    "new",
    "of",
    "readonly",
    "satisfies",
    "typeof",
    "unique",
    "void",
    "yield",
];

/// Calls `f` where it can't run out of stack.
pub(super) fn with_stack<T: Send>(source: &str, f: impl FnOnce() -> T + Send) -> Result<T, Refusal> {
    let levels = levels(source);
    if levels > MAX_LEVELS {
        let why = format!(
            "the module has {levels} operators and brackets, at most {MAX_LEVELS} are taken in TypeScript: split it, or \
             deploy it as JavaScript"
        );
        return Err(Refusal::new(0, why));
    }
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("transform".to_owned())
            .stack_size(BASE + levels * LEVEL)
            .spawn_scoped(scope, f);
        let thread = thread.map_err(|_| Refusal::new(0, "there is no memory to read the module"))?;
        thread
            .join()
            .map_err(|_| Refusal::new(0, "the module can't be read"))
    })
}

/// How deep the code can be nested at most.
pub(super) fn levels(source: &str) -> usize {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$') || b >= 0x80;
    let mut levels = 0;
    for piece in source.as_bytes().split(|b| !is_word(*b)) {
        if (2..=10).contains(&piece.len()) && WORDS.iter().any(|word| word.as_bytes() == piece) {
            levels += 1;
        }
    }
    let opens = |b: &u8| b.is_ascii_punctuation() && !b"_$,;)]}'\"@#\\".contains(b);
    levels + source.bytes().filter(|b| opens(b)).count()
}
