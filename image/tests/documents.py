#!/usr/bin/env python3
"""Holds what `jeju-image audit` writes to the published formats, by programs that aren't ours: a bill of materials to the
CycloneDX 1.6 schema, a provenance statement to the protocol buffers of in-toto Statement v1 and SLSA provenance v1.

    documents.py SBOM PROVENANCE IMAGE

Needs the packages of image/tests/requirements.txt."""

import hashlib
import json
import pathlib
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement
from license_expression import get_spdx_licensing
from packageurl import PackageURL


def main() -> None:
    sbom_path, provenance_path, image = map(pathlib.Path, sys.argv[1:4])
    components = check_sbom(sbom_path.read_text())
    dependencies = check_provenance(provenance_path.read_text(), image, sbom_path)
    print(f"documents: {components} components, {dependencies} resolved dependencies, both valid")


def check_sbom(text: str) -> int:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    errors = validator.validate_str(text)
    assert errors is None, errors
    # The validator must be one that refuses.
    assert validator.validate_str(text.replace('"purl"', '"purls"', 1)) is not None
    sbom = json.loads(text)
    references = {component["bom-ref"] for component in sbom["components"]}
    assert len(references) == len(sbom["components"]), "a reference stands there twice"
    known = references | {sbom["metadata"]["component"]["bom-ref"]}
    for dependency in sbom["dependencies"]:
        assert {dependency["ref"], *dependency["dependsOn"]} <= known, dependency
    spdx = get_spdx_licensing()
    for component in sbom["components"]:
        url = PackageURL.from_string(component["purl"])
        assert (url.name, url.version) == (component["name"], component["version"]), url
        for licence in component["licenses"]:
            spdx.parse(licence["expression"], validate=True, strict=True)
    values = {entry["name"]: entry["value"] for entry in sbom["metadata"]["properties"]}
    assert values["jeju:advisories"] == "not checked"
    return len(references)


def check_provenance(text: str, image: pathlib.Path, sbom: pathlib.Path) -> int:
    document = json.loads(text)
    # Unknown fields are errors here.
    statement = json_format.ParseDict(document, statement_pb2.Statement())
    Statement.copy_from_pb(statement).validate()
    assert statement.predicate_type == "https://slsa.dev/provenance/v1"
    provenance = json_format.ParseDict(document["predicate"], Provenance())
    assert provenance.run_details.builder.id and provenance.build_definition.build_type
    described = [*provenance.build_definition.resolved_dependencies, *provenance.run_details.byproducts]
    for descriptor in described:
        ResourceDescriptor.copy_from_pb(descriptor).validate()
        assert descriptor.digest, descriptor
    for subject in statement.subject:
        assert subject.digest["sha256"] == digest(image / subject.name), subject.name
    byproducts = {entry.name: entry.digest["sha256"] for entry in provenance.run_details.byproducts}
    assert byproducts["manifest.json"] == digest(image / "manifest.json")
    assert byproducts["sbom.cdx.json"] == digest(sbom)
    return len(provenance.build_definition.resolved_dependencies)


def digest(path: pathlib.Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
