#!/usr/bin/env python3
"""Compares what docs/operating.md lists with the code that it comes from, and follows the links between documents."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
operating = (ROOT / "docs/operating.md").read_text()
problems = []


def source(path):
    """A file without its tests."""
    return (ROOT / path).read_text().split("#[cfg(test)]")[0]


def compare(what, code, docs):
    for missing in sorted(code - docs):
        problems.append(f"operating.md lacks {what} {missing}")
    for unknown in sorted(docs - code):
        problems.append(f"operating.md has {what} {unknown}, the code hasn't")


def section(title):
    return operating.split(f"\n## {title}\n")[1].split("\n## ")[0]


fatal = source("host-shim/protocol/src/fatal.rs")
numbers = dict(re.findall(r"^    (\w+) = (\d+),", fatal, re.M))
meanings = re.findall(r'FatalCode::(\w+) => "([^"]+)"', fatal)
compare("fatal code", {(int(numbers[name]), text) for name, text in meanings},
        {(int(number), text) for number, text in re.findall(r"^\| (\d+) \| ([^|]+?) \|", section("Fatal codes"), re.M)})

errors = section("Error codes over HTTP")
table = r'=> "([a-z][a-z0-9_]+)"'
names = {"usage", "policy", "evidence", "stale", "network"}
sources = ("attestation/src/rejection.rs", "attestation/session/src/error.rs", "client/src/error.rs")
client = {code for path in sources for code in re.findall(table, source(path))} - names
compare("error code", client, set(re.findall(r"`([a-z_]+)`", errors.split("| Class |")[1])) - {"jeju"})

node, worker = set(), set()
for path in sorted([*(ROOT / "enclave/src/front").rglob("*.rs"), *(ROOT / "enclave/openai/src").rglob("*.rs")]):
    text = source(path.relative_to(ROOT))
    if path.is_relative_to(ROOT / "enclave/openai"):
        node |= set(re.findall(r'(?:Self|RequestError)::new\(\s*"([a-z_]+)"', text))
    found = worker if path.is_relative_to(ROOT / "enclave/src/front/workers") else node
    found |= set(re.findall(r'(?:invalid|not_found)\(\s*"([a-z_]+)"', text))
    found |= set(re.findall(r'(?:Self|ApiError)::new\(\s*StatusCode::\w+,\s*"([a-z_]+)"', text))
refusals = set(re.findall(table, source("enclave/src/ipc/rentals.rs")))
node |= refusals | {code for code in re.findall(table, source("client/wallet-auth/src/v2.rs")) if "delegation" not in code}
rental = {code for code in node if code.startswith("rental")}
node = {code for code in node - rental if not code.startswith(("mpc_", "idempotency_"))}
compare("node error code", node, set(re.findall(r"`([a-z_]+)`", errors.split("| Status |", 1)[1].split("From the proxy")[0])))
rentals = source("docs/rentals.md").split("| Status | Code |")[1].split("\n## ")[0]
for code in sorted(rental ^ set(re.findall(r"`(rental[a-z_]+)`", rentals))):
    problems.append(f"rentals.md and the code differ in {code}")

# What a worker, its code or its process does wrong has its codes where front and process share them.
for path in ("message", "bundle", "route", "cron", "api/deploy"):
    worker |= set(re.findall(r'(?:const \w+: &str = |=> |^        )"([a-z]+_[a-z_]+)"', source(f"enclave/workers/protocol/src/{path}.rs"), re.M))
for path in ("failure", "processes/mod", "change"):
    worker |= set(re.findall(r'(?:const \w+: &str = |=> \()"([a-z_]+)"', (ROOT / f"enclave/src/front/workers/{path}.rs").read_text()))
listed = source("docs/workers.md").split("| Status | Code |")[1].split("\n## ")[0]
for code in sorted((worker - node) ^ (set(re.findall(r"`([a-z]+_[a-z_]+|internal)`", listed)) - node)):
    problems.append(f"workers.md and the code differ in {code}")

# Payments: what a node refuses, beside what accounts' signatures have everywhere.
payments = set(re.findall(table, source("enclave/src/front/payments/refusal.rs"))) | set(re.findall(table, source("client/wallet-auth/src/v1.rs")))
listed = source("docs/payments.md").split("| Status | Code |")[1].split("From the client")[0]
for code in sorted((payments - node) ^ (set(re.findall(r"`([a-z0-9]+_[a-z0-9_]+)`", listed)) - node)):
    problems.append(f"payments.md and the code differ in {code}")

gateway = {code for path in ("api/refusal", "routes/error", "auth") for code in re.findall(table, source(f"gateway/src/{path}.rs"))}
for path in ("http_route/refusal", "inside/error", "inside/grant"):
    gateway |= set(re.findall(r'"(route_[a-z_]+)"', source(f"gateway/src/{path}.rs")))
gateway |= set(re.findall(table, source("client/wallet-auth/src/v1.rs")))
listed = source("docs/gateway.md").split("| Status | Code |")[1].split("\n## ")[0]
for code in sorted(gateway ^ set(re.findall(r"`([a-z]+_[a-z_]+)`", listed))):
    problems.append(f"gateway.md and the code differ in {code}")

audit = set(re.findall(table, source("client/src/audit/error.rs")))
listed = source("docs/inference.md").split("| Exit | Codes")[1].split("\n## ")[0]
for code in sorted(audit ^ (set(re.findall(r"`([a-z_]+)`", listed)) - {"file_unreadable"})):
    problems.append(f"inference.md and the code differ in {code}")

refusals = set(re.findall(r'"(mpc_[a-z_]+)"', source("mpc/src/refusal.rs") + source("mpc/src/configuration/mod.rs")))
service = "".join(source(f"enclave/src/front/{path}") for path in ("api/mpc/requests.rs", "error.rs"))
signer = set(re.findall(r'"((?:mpc|idempotency)_[a-z_]+)"', service))
for missing in sorted(refusals - signer):
    problems.append(f"the signer's service gives {missing} no status")
listed = section("Error codes of the signer's service").split("| Status |")[1]
compare("signer's error code", signer, set(re.findall(r"`((?:mpc|idempotency)_[a-z_]+)`", listed)))

wallet = set().union(*(re.findall(r'=> (?:{\s*)?"([a-z_]+)"', source(f"client/src/wallet/{name}.rs")) for name in ("error", "account_key")))
compare("wallet code", wallet, set(re.findall(r"`([a-z_]+)`", section("Wallets").split("| Code |")[1])) - {"export"})

coverage = (ROOT / "docs/attack-coverage.md").read_text()
listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.rs", "*.sol", "*.py"],
                        cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
tests = "".join((ROOT / path).read_text() for path in listed if (ROOT / path).is_file())
functions = set(re.findall(r"\b(?:fn|def|function) (\w+)", tests))
for name in re.findall(r"`(\w+)`", coverage):
    if name != "e2e" and name not in functions:
        problems.append(f"attack-coverage.md names {name}, which is no test")
for path in re.findall(r"`([\w./-]+/[\w./-]+)`", coverage):
    if not (ROOT / path).exists():
        problems.append(f"attack-coverage.md names {path}, which isn't there")

for document in [*ROOT.glob("*.md"), *sorted((ROOT / "docs").rglob("*.md"))]:
    text = document.read_text()
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        if "://" not in target and not (document.parent / target).exists():
            problems.append(f"{document.relative_to(ROOT)} links to {target}, which isn't there")

for problem in problems:
    print(f"docs: {problem}", file=sys.stderr)
if not problems:
    print(f"docs: {len(meanings)} fatal codes, {len(client)} verifier codes and {len(node)} node codes as in the code; links hold")
sys.exit(bool(problems))
