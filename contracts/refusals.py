#!/usr/bin/env python3
"""Whether a test shows each custom error of the contracts: one that no test names fails the check. `--calls` lists the pairs of an
external function and an error that it can come to, through what it inherits and calls, which no `expectRevert` directly before a call
of it names; helpers of tests hide some, so that list is to be read, not to be empty.

    refusals.py [--calls]
"""
import collections
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent
DECLARED = re.compile(r"\b(abstract contract|contract|library|interface)\s+(\w+)(?:\s+is\s+([^{]*))?\s*\{")
FUNCTION = re.compile(r"(function\s+(\w+)|modifier\s+(\w+)|constructor\b)\s*([^{;]*?)\{", re.S)


def text(path):
    """Without comments."""
    return re.sub(r"//[^\n]*|/\*.*?\*/", "", path.read_text(), flags=re.S)


def closing(source, at, opens="{", closes="}"):
    """Where the bracket that was opened before `at` ends."""
    depth = 1
    while depth:
        depth += (source[at] == opens) - (source[at] == closes)
        at += 1
    return at


def contracts():
    """By name: kind, bases, and functions by name, each with its kind, head and body."""
    found = {}
    for path in sorted((ROOT / "src").rglob("*.sol")):
        source = text(path)
        for match in DECLARED.finditer(source):
            body = source[match.end() : closing(source, match.end()) - 1]
            functions = collections.defaultdict(list)
            for function in FUNCTION.finditer(body):
                name = function[2] or function[3] or "constructor"
                is_external = function[2] and re.search(r"\b(external|public)\b", function[4])
                inner = body[function.end() : closing(body, function.end()) - 1]
                functions[name].append((bool(is_external), function[4], inner))
            bases = [re.sub(r"\(.*", "", base).strip() for base in (match[3] or "").split(",") if base.strip()]
            found[match[2]] = (match[1], bases, functions)
    return found


def reverts(body):
    return set(re.findall(r"revert\s+(?:\w+\.)?(\w+)\s*\(", body))


def needed(all_contracts):
    """Contract that declares it, external function, and error."""

    def line(name):
        if name not in all_contracts:
            return []
        found = [name]
        for base in reversed(all_contracts[name][1]):
            found += [one for one in line(base) if one not in found]
        return found

    pairs = set()
    for name, (kind, _, _) in all_contracts.items():
        if kind != "contract":
            continue
        table = collections.defaultdict(list)
        for one in line(name):
            for function, bodies in all_contracts[one][2].items():
                table[function] += [(one, *body) for body in bodies]

        def through(head, body, seen):
            found = reverts(body)
            for called in set(re.findall(r"(?<![.\w])(\w+)\b", head + body)) & set(table) - seen:
                for _, _, inner_head, inner in table[called]:
                    found |= through(inner_head, inner, seen | {called})
            for library, called in set(re.findall(r"\b(\w+)\.(\w+)\s*\(", body)):
                if all_contracts.get(library, ("",))[0] == "library":
                    found |= set().union(*(reverts(inner) for _, _, inner in all_contracts[library][2][called]))
            return found

        for function, bodies in table.items():
            for owner, is_external, head, body in bodies:
                if is_external:
                    pairs |= {(owner, function, error) for error in through(head, body, frozenset([function]))}
    return pairs


def shown(tests):
    """Functions called within a few calls after an expected revert, and the error."""
    found = set()
    for source in tests:
        for match in re.finditer(r"expectRevert\(|_refuses?\w*\(|_refused\(|_expect\w*\(", source):
            end = closing(source, match.end(), "(", ")")
            argument = source[match.end() : end]
            calls = re.findall(r"\.(\w+)\s*(?:\{[^}]*\})?\(|encodeCall\(\w+\.(\w+)", argument + source[end : end + 420])
            for error in re.findall(r"(\w+)\.selector", argument):
                found |= {(one or other, error) for one, other in calls[:5]}
    return found


def main():
    all_contracts = contracts()
    tests = [text(path) for path in sorted((ROOT / "test").glob("*.sol"))]
    errors = set()
    for path in (ROOT / "src").rglob("*.sol"):
        errors |= set(re.findall(r"\berror\s+(\w+)\s*\(", text(path)))
    together = "\n".join(tests)
    missing = sorted(error for error in errors if not re.search(rf"\b{error}\b", together))
    print(f"refusals: {len(errors)} errors, of which no test names {missing or 'none'}")
    pairs, seen = needed(all_contracts), shown(tests)
    open_pairs = sorted(pair for pair in pairs if pair[1:] not in seen)
    print(f"refusals: {len(pairs)} pairs of function and error, {len(open_pairs)} of them only through helpers of tests or other functions")
    if "--calls" in sys.argv[1:]:
        for owner, function, error in open_pairs:
            print(f"  {owner}.{function}: {error}")
    sys.exit(1 if missing else 0)


if __name__ == "__main__":
    main()
