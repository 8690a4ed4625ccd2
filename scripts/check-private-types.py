#!/usr/bin/env python3
"""Checks that what holds prompts and answers can't be printed by accident.

    scripts/check-private-types.py          checks the code that prompts and answers go through
    scripts/check-private-types.py test     checks this check, with code that it must refuse

A type there that holds text or tokens, itself or through another type of ours, has neither Debug nor Display. Nothing there
prints, and nothing but errors of model files formats with `{:?}`. Tests are left out. It reads source, not types: what a macro
makes or an alias hides isn't seen.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ["enclave/openai/src", "enclave/inference/src", "enclave/src/front/inference", "enclave/src/front/api/inference",
           "enclave/src/front/workers", "enclave/workers/broker/src"]
FILES = [
    "enclave/src/front/api/inference.rs",
    "enclave/src/front/api/models.rs",
    "enclave/src/front/exchange.rs",
    "enclave/src/front/signing.rs",
    "enclave/src/front/error.rs",
]
# What text and tokens are kept in.
HOLDERS = re.compile(
    r"\b(String|PrivateText|Zeroizing|Value|Map|Bytes|BytesMut|Cow|CString|OsString|Fields)\b"
    r"|Vec<(u8|u32|Vec|\(u32)|Box<(str|\[)|Arc<(str|\[)|&'?[a-z_]*\s*(mut )?(str|\[u8\]|\[u32\])"
)
STATIC = re.compile(r"&'static (str|\[[^\]]*\])")
# Printable all the same: what they hold is never what a user or a model wrote.
PRINTABLE = {
    "RequestError": "names of fields and limits; that no prompt is in it is shown by enclave/tests/confidentiality/errors.rs",
    "ApiError": "the same at the HTTP edge",
    "GgufError": "names in the model's file, which is public",
    "LoadError": "names in the model's file, which is public",
    "TokenizerError": "names in the model's file, which is public",
    "Head": "id, model and time of an answer",
    "Registered": "what the chain says of a worker",
    "WorkerKey": "a worker's id and owner",
    "CallContext": "a worker's id and owner",
    "ConnectError": "stable codes of our own",
    "Reason": "stable codes of our own",
}
# Their errors quote names of the model's file.
MODEL_FILE = {"enclave/inference/src/gguf.rs", "enclave/inference/src/model.rs", "enclave/inference/src/tokenizer.rs"}
PRINTS = re.compile(r"\b(e?print(?:ln)?|dbg)!|\b(log|tracing)::\w+!")
DEBUG_FORMAT = re.compile(r"\{[\w.]*:[^{}\"]*\?\}")
PANIC = re.compile(r"\b(panic|unreachable|assert|assert_eq|assert_ne|debug_assert|debug_assert_eq)!\(")
LITERAL = re.compile(r'"(?:[^"\\]|\\.)*"', re.S)
TYPE = re.compile(r"((?:^[ \t]*#\[[^\n]*\n)*)^[ \t]*(?:pub(?:\([^)]*\))? )?(struct|enum) (\w+)([^;{]*)", re.M)
IMPLEMENTS = re.compile(r"impl(?:<[^{]*?>)? (?:std::)?(?:fmt::)?(Debug|Display) for (\w+)")


def production(text):
    """The code without comments and without tests, line numbers kept."""
    kept, in_test = [], False
    for line in text.split("\n"):
        if in_test:
            in_test = line != "}"
            kept.append("")
            continue
        if kept and kept[-1].strip() == "#[cfg(test)]" and re.match(r"(pub(\(\w+\))? )?(mod|fn|impl|struct|enum)\b", line):
            in_test = line.endswith("{")
            kept.append("")
            continue
        kept.append(re.sub(r"^\s*//.*", "", line))
    return "\n".join(kept)


def braces(text, start):
    """The body from a brace or parenthesis at `start` to the one that ends it."""
    pair = {"{": "}", "(": ")"}[text[start]]
    depth = 0
    for at in range(start, len(text)):
        depth += (text[at] == text[start]) - (text[at] == pair)
        if depth == 0:
            return text[start : at + 1]
    return text[start:]


def package(path):
    return "/".join(path.split("/")[:2])


def types(sources):
    """Each type by its file and name: where it is, what it holds, and how it can be printed."""
    found = {}
    for path, text in sources.items():
        for match in TYPE.finditer(text):
            attributes, kind, name, rest = match.groups()
            end = match.end()
            body = braces(text, end) if text[end : end + 1] == "{" else rest
            body = STATIC.sub("", re.sub(r"#\[[^\n]*", "", body))
            if kind == "enum":
                # A variant's name may be that of another type.
                body = re.sub(r"^(\s*)\w+(?=\s*[({,=\n])", r"\1", body, flags=re.M)
            derived = re.findall(r"derive\(([^)]*)\)", attributes)
            prints = {trait for trait in ("Debug", "Display") if any(re.search(rf"\b{trait}\b", one) for one in derived)}
            # thiserror's derive is a Display as well.
            prints |= {"Display"} if any("Error" in one for one in derived) else set()
            line = text.count("\n", 0, match.start(3)) + 1
            known = {"place": f"{path}:{line}", "body": "", "prints": set()}
            known = found.setdefault((path, name), known)
            known["body"] += body
            known["prints"] |= prints
    for path, text in sources.items():
        for trait, name in IMPLEMENTS.findall(text):
            if (path, name) in found:
                found[path, name]["prints"].add(trait)
    return found


def refers(found, path, one):
    """The types of ours in a body: of the same file, else of the same package, else of any."""
    for name in set(re.findall(r"\w+", one["body"])):
        same = [key for key in found if key[1] == name]
        for near in (lambda key: key[0] == path, lambda key: package(key[0]) == package(path), lambda key: True):
            if nearest := [key for key in same if near(key)]:
                yield from nearest
                break


def quoting_panics(text):
    """Panics whose text is made of what the code was given."""
    for match in PANIC.finditer(text):
        arguments = braces(text, match.end() - 1)
        if any(re.search(r"\{[^{]", literal) for literal in LITERAL.findall(arguments)):
            yield match


def problems(sources):
    sources = {path: production(text) for path, text in sources.items()}
    found = {key: one for key, one in types(sources).items() if key[1] not in PRINTABLE}
    private = {key for key, one in found.items() if HOLDERS.search(one["body"])}
    while more := {key for key, one in found.items() if key not in private and private & set(refers(found, key[0], one))}:
        private |= more
    bad = [
        f"{found[key]['place']}: {key[1]} holds what a user or a model wrote, and has {' and '.join(sorted(found[key]['prints']))}"
        for key in sorted(private)
        if found[key]["prints"]
    ]
    for path, text in sources.items():
        places = [(match, "prints") for match in PRINTS.finditer(text)]
        places += [(match, "panics with a text of its own making") for match in quoting_panics(text)]
        if path not in MODEL_FILE:
            places += [(match, "formats with {:?}") for match in DEBUG_FORMAT.finditer(text)]
        bad += [f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {what}" for match, what in places]
    return bad, {name for _, name in private}


def read():
    paths = [ROOT / file for file in FILES if (ROOT / file).exists()]
    for folder in FOLDERS:
        paths += sorted((ROOT / folder).rglob("*.rs"))
    names = {path: path.relative_to(ROOT).as_posix() for path in paths}
    return {name: path.read_text() for path, name in names.items() if not re.search(r"(^|/)tests?(/|\.rs|_)|test_model", name)}


def test():
    """Code that must be refused, each for one reason, and code that mustn't."""
    refused = [
        "#[derive(Debug)]\npub struct A {\n    text: String,\n}",
        "#[derive(Clone, Debug)]\nstruct A(PrivateText);",
        "struct B(PrivateText);\n/// Doc.\n#[derive(Debug)]\n#[must_use]\npub(super) struct A {\n    inner: Option<B>,\n}",
        "enum A {\n    Tokens(Vec<u32>),\n}\nimpl std::fmt::Debug for A {\n}",
        "struct A<'a> {\n    text: &'a str,\n}\nimpl<'a> fmt::Display for A<'a> {\n}",
        '#[derive(thiserror::Error)]\n#[error("{0}")]\nstruct A(String);',
        'fn a(text: &str) {\n    eprintln!("{text}");\n}',
        'fn a(text: &str) -> String {\n    format!("{text:?}")\n}',
        'fn a(text: &str) {\n    assert!(text.is_empty(), "is {text}");\n}',
        'fn a(text: &str) {\n    log::warn!("{}", text);\n}',
        "#[derive(Debug)]\nenum A {\n    Short { text: Option<Vec<u32>> },\n}",
    ]
    passed = [
        "struct A(String);",
        "#[derive(Debug)]\nenum A {\n    Short(&'static str),\n    Count(usize),\n}",
        '#[cfg(test)]\nmod tests {\n    fn a() {\n        println!("x");\n    }\n}',
        "struct Text(String);\n#[derive(Debug)]\nenum A {\n    Text,\n    String(usize),\n}",
        'fn a() {\n    unreachable!("never");\n}\nfn b() {\n    c("{");\n}',
        '// println!("x")\nfn a() {\n    assert!(true, "always");\n}',
    ]
    for code in refused:
        assert problems({"a.rs": code})[0], f"passed:\n{code}"
    for code in passed:
        assert not problems({"a.rs": code})[0], f"refused:\n{code}"
    print(f"check-private-types: {len(refused)} refused, {len(passed)} passed, as they should")


def main():
    test()
    if sys.argv[1:] == ["test"]:
        return
    bad, private = problems(read())
    # A pattern that has come to find nothing would pass everything.
    for name in ["PrivateText", "Ask", "Call", "Chunk", "GenerateRequest", "Answer"]:
        assert name in private, f"{name} isn't found any more"
    print(f"check-private-types: {len(private)} types hold prompts or answers")
    if bad:
        sys.exit("\n".join(bad))


main()
