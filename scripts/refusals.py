#!/usr/bin/env python3
"""Writes docs/refusals.md: every reason for which evidence of hardware is refused, from the code that gives it.

    scripts/refusals.py --write     writes the page
    scripts/refusals.py             compares it with the code; check-docs.py calls this
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/refusals.md"
HEAD = """# Refusals of evidence

Every reason for which the verifier refuses evidence of hardware, endorsements or files. Written by `scripts/refusals.py` from the
enums that `reasons!` defines. The class decides the exit code of `jeju`: policy 2, evidence 3, stale 4. A test for each enum
requires that some case reaches each of its codes.
"""
# Enums in the order of the page, and what they are about.
SECTIONS = [
    ("input.rs", "InputError", "Files"),
    ("x509.rs", "X509Error", "Certificates and revocation lists"),
    ("intel.rs", "DcapError", "Intel TDX and SGX alike"),
    ("tdx.rs", "TdxError", "Intel TDX"),
    ("sgx.rs", "SgxError", "Intel SGX"),
    ("sev_snp/reason.rs", "SnpError", "AMD SEV-SNP"),
    ("nitro.rs", "NitroError", "AWS Nitro"),
    ("nvidia.rs", "GpuError", "NVIDIA GPUs and switches"),
    ("nvidia.rs", "RimError", "NVIDIA reference integrity manifests"),
    ("event_log.rs", "LogError", "Event logs"),
]
REASON = re.compile(r'#\[error\(\s*"((?:[^"\\]|\\.)*)".*?=>\s*(Policy|Evidence|Stale)\s+"(\w+)"', re.S)


def reasons(path, enum):
    text = (ROOT / "attestation/src" / path).read_text()
    body = text.split(f"pub enum {enum} {{")[1].split("\n        of {")[0]
    # One piece for each reason, so that a pattern can't reach over into the next.
    for piece in re.split(r"(?=#\[error\()", body):
        if found := REASON.search(piece):
            message, kind, code = found.groups()
            message = re.sub(r"\\\n\s*", "", message).replace('\\"', '"').replace("{{", "{").replace("}}", "}")
            message = re.sub(r"\{(\w*)[^{}]*\}", lambda m: f"…" if m[1].isdigit() or not m[1] else f"‹{m[1]}›", message)
            yield code, kind.lower(), message.replace("|", "\\|")


def page():
    lines, codes = [HEAD], set()
    found = {(str(p.relative_to(ROOT / "attestation/src")), e)
             for p in (ROOT / "attestation/src").rglob("*.rs")
             for e in re.findall(r"reasons! \{\n(?:\s*///.*\n)*\s*pub enum (\w+)", p.read_text())}
    missing = found - {(path, enum) for path, enum, _ in SECTIONS}
    assert not missing, f"refusals.py doesn't know {missing}"
    for path, enum, title in SECTIONS:
        rows = list(reasons(path, enum))
        assert rows, f"{enum} has no reasons"
        lines += [f"\n## {title}\n", "| Code | Class | Reason |", "|---|---|---|"]
        lines += [f"| `{code}` | {kind} | {message} |" for code, kind, message in rows]
        twice = codes & {code for code, _, _ in rows}
        assert not twice, f"codes in two enums: {twice}"
        codes |= {code for code, _, _ in rows}
    return "\n".join(lines) + "\n", codes


def main():
    text, codes = page()
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(text)
    elif not PAGE.exists() or PAGE.read_text() != text:
        sys.exit("docs: docs/refusals.md isn't what the code says; run scripts/refusals.py --write")
    print(f"docs: {len(codes)} reasons for refusing hardware evidence, as in the code")


main()
