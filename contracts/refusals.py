#!/usr/bin/env python3
"""Whether tests show each revert of the contracts. A custom error that no test names fails the check. So that one sees what a test
runs into, not what it says, the traces of `forge test`, without invariants and with one run of each fuzz test, are compared with the
pairs of an external function and an error that it can come to through what it inherits and calls. What constructors refuse isn't among
the pairs: forge can't name a contract that wasn't made.

A pair that no trace shows fails the check unless UNREACHABLE names it, and so does a named one that a trace shows. Overloads are one
function here: what one of them shows counts for all.

    refusals.py             whether the rest is out of reach
    refusals.py --pairs     and all pairs that no trace shows
"""
import collections
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent
OPEN_ZEPPELIN = ROOT / "node_modules/@openzeppelin/contracts"
DECLARED = re.compile(r"^(abstract contract|contract|library|interface)\s+(\w+)(?:\s+is\s+([^{]*))?\s*\{", re.M)
FUNCTION = re.compile(r"(function\s+(\w+)|modifier\s+(\w+)|constructor\b|receive\b|fallback\b)\s*(\([^{;]*?)\{", re.S)
# A line of a trace: how deep it is, and the call, or how the call above it ended.
TRACED = re.compile(r"^([ │]*)[├└]─ (?:\[\d+\] (?:(\w+)::(\w+)[({])?|← \[Revert\] (\w+)\()")

# Pairs that no call can come to, by the reason why: the search below looks at names only, so it finds more than there is.
UNREACHABLE = {
    "the call's value was compared with a least stake or deposit before, and none of these can be zero": [
        "ComputeRegistry.register: InvalidAmount",
        "ComputeRegistry.registerWithAgent: InvalidAmount",
        "ComputeStaking.stakeAsGuardian: InvalidAmount",
        "ComputeStaking.stakeAsProvider: InvalidAmount",
        "ComputeStaking.stakeAsUser: InvalidAmount",
        "LedgerManager.createLedger: InvalidAmount",
    ],
    "who registers was no provider before, so it has no link, and nobody registers twice": [
        "ComputeRegistry.registerWithAgent: AgentAlreadyLinked",
    ],
    "it asks for the refund without its lock": [
        "LedgerManager.cancelRefund: RefundNotUnlocked",
    ],
    "it registers no event types": [
        "TriggerRegistry.registerTriggerWithAgent: TooManyEventTypes",
    ],
    "NotAuthorized comes first: it asks whether the same caller may charge the same owner": [
        "TriggerRegistry.recordPrepaidExecution: ChargesNotOpen",
    ],
    "OpenZeppelin's Strings: 32 bytes always fit into 32 bytes": [
        "BondedStake.slash: StringsInsufficientHexLength",
        "BondedStake.slashFor: StringsInsufficientHexLength",
        "ComputeStaking.slash: StringsInsufficientHexLength",
    ],
    "OpenZeppelin's Create2: the factory passes code that is never empty, and no ether": [
        "FrostWalletFactory.deploy: Create2EmptyBytecode",
        "FrostWalletFactory.deploy: InsufficientBalance",
    ],
    "OpenZeppelin's ERC721: a mint has no spender to check and nobody to take from, and its id was never used": [
        "IdentityRegistry.register: ERC721InsufficientApproval",
        "IdentityRegistry.register: ERC721InvalidApprover",
        "IdentityRegistry.register: ERC721InvalidSender",
        "IdentityRegistry.register: ERC721NonexistentToken",
    ],
    "observers hear of agents that move, not of new ones": [
        "IdentityRegistry.register: TooLittleGas",
    ],
}


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


def contracts(paths):
    """By name: kind, bases, and functions by name, each with whether it is external, its head and its body."""
    found = {}
    for path in sorted(paths):
        source = text(path)
        for match in DECLARED.finditer(source):
            body = source[match.end() : closing(source, match.end()) - 1]
            functions = collections.defaultdict(list)
            for function in FUNCTION.finditer(body):
                name = function[2] or function[3] or function[1].split()[0]
                is_external = not function[3] and re.search(r"\b(external|public)\b", function[4])
                inner = body[function.end() : closing(body, function.end()) - 1]
                functions[name].append((bool(is_external), function[4], inner))
            bases = [re.sub(r"\(.*", "", base, flags=re.S).strip() for base in (match[3] or "").split(",") if base.strip()]
            found[match[2]] = (match[1], bases, functions)
    return found


def line(known, name):
    """A contract and all that it inherits from, the nearest first."""
    if name not in known:
        return []
    found = [name]
    for base in reversed(known[name][1]):
        found += [one for one in line(known, base) if one not in found]
    return found


def table(known, name):
    """The functions of a contract and of all that it inherits from, by name: owner, whether external, head and body."""
    found = collections.defaultdict(list)
    for one in line(known, name):
        for function, bodies in known[one][2].items():
            found[function] += [(one, *body) for body in bodies]
    return found


def reached(known, functions, head, body, seen):
    """The code of a function, and of what it calls in its contract and in libraries."""
    found = [head + body]
    called = set(re.findall(r"(?<![.\w])(\w+)\b", head)) | set(re.findall(r"(?:(?<![.\w])|\bsuper\.)(\w+)\s*[({]", body))
    for name in called & set(functions) - seen:
        for _, _, inner_head, inner in functions[name]:
            found += reached(known, functions, inner_head, inner, seen | {name})
    for library, name in re.findall(r"\b(\w+)\.(\w+)\s*\(", body):
        if known.get(library, ("",))[0] == "library" and (library, name) not in seen:
            for inner_head, inner in [one[1:] for one in known[library][2][name]]:
                found += reached(known, table(known, library), inner_head, inner, seen | {name, (library, name)})
    return found


def needed(known, own):
    """Contract that declares it, external function, and error."""
    pairs = set()
    for name in own:
        if known[name][0] != "contract":
            continue
        functions = table(known, name)
        for function, bodies in functions.items():
            for owner, is_external, head, body in bodies:
                if is_external and owner in own:
                    code = "\n".join(reached(known, functions, head, body, frozenset([function])))
                    pairs |= {(owner, function, error) for error in re.findall(r"revert\s+(?:\w+\.)?(\w+)\s*\(", code)}
    return pairs


def traces():
    folders = {"FOUNDRY_OUT": "cache/test/out", "FOUNDRY_CACHE_PATH": "cache/test"}
    # With a seed, so that every run sees the same.
    command = ["node_modules/.bin/forge", "test", "-vvvv", "--no-match-contract", "Invariant"]
    command += ["--fuzz-runs", "1", "--fuzz-seed", "1"]
    run = subprocess.run(command, cwd=ROOT, env=folders | os.environ, stdout=subprocess.PIPE, text=True)
    if run.returncode:
        sys.exit(f"refusals: forge failed\n{run.stdout[-2000:]}")
    return run.stdout


def shown(known, trace):
    """The pairs that a trace shows, for each contract of the called one's line."""
    found = set()
    calls = {}
    for line_of_trace in trace.splitlines():
        match = TRACED.match(line_of_trace)
        if match and match[4]:
            contract, function = calls.get(len(match[1]) - 4, (None, None))
            found |= {(owner, function, match[4]) for owner in line(known, contract)}
        elif match:
            calls[len(match[1])] = (match[2], match[3])
    return found


def main():
    sources, tests = [sorted((ROOT / folder).rglob("*.sol")) for folder in ("src", "test")]
    own = contracts(sources)
    errors = {error for path in sources for error in re.findall(r"\berror\s+(\w+)\s*\(", text(path))}
    named = "\n".join(map(text, tests))
    missing = sorted(error for error in errors if not re.search(rf"\b{error}\b", named))
    print(f"refusals: {len(errors)} errors, of which no test names {missing or 'none'}")

    known = contracts(OPEN_ZEPPELIN.rglob("*.sol")) | contracts(tests) | own
    pairs = needed(known, own)
    unseen = {f"{owner}.{function}: {error}" for owner, function, error in pairs - shown(known, traces())}
    listed = [pair for pairs_of_reason in UNREACHABLE.values() for pair in pairs_of_reason]
    problems = [f"no trace shows it: {pair}" for pair in sorted(unseen - set(listed))]
    problems += [f"listed, but a trace shows it, or it is no pair: {pair}" for pair in sorted(set(listed) - unseen)]
    problems += [f"listed twice: {pair}" for pair, times in collections.Counter(listed).items() if times > 1]
    print(f"refusals: {len(pairs)} pairs of function and error, traces show {len(pairs) - len(unseen)}, {len(listed)} are out of reach")
    print("".join(f"  {problem}\n" for problem in problems), end="")
    if "--pairs" in sys.argv[1:]:
        print("".join(f"  {pair}\n" for pair in sorted(unseen)), end="")
    sys.exit(1 if missing or problems else 0)


if __name__ == "__main__":
    main()
