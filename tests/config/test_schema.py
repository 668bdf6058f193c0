# SPDX-License-Identifier: Apache-2.0
"""The JSON Schema takes what the reader takes, and refuses the names that it refuses."""

import re
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from txregistry.config import installed_drivers, make_schema
from txregistry.config.foreign import FOREIGN

from .reading import MINIMAL
from .stock import DEBIAN, PASSWORDS, REGISTRY_2, REGISTRY_3
from .test_keys import KEYS, as_yaml
from .test_refusals import ASKING, with_foreign

ROOT = Path(__file__).resolve().parents[2]
#: The guide for authors of drivers shows one of sqlite's.
VALIDATOR = Draft202012Validator(make_schema({*installed_drivers(), "sqlite"}))


def documented():
    """Every configuration that a document or an example shows."""
    for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]):
        for index, text in enumerate(re.findall(r"```yaml\n(.*?)```", path.read_text(), re.DOTALL)):
            if text.startswith("version: 0.1"):
                yield pytest.param(text, id=f"{path.name}-{index}")
    for path in sorted(ROOT.glob("docs/examples/**/registry.yml")):
        yield pytest.param(path.read_text(), id=f"{path.parent.name}-{path.name}")


def faults(text):
    return [error.message for error in VALIDATOR.iter_errors(yaml.safe_load(text))]


def test_it_is_a_schema():
    Draft202012Validator.check_schema(VALIDATOR.schema)


@pytest.mark.parametrize("text", list(documented()))
def test_documented_configurations_are_taken(text):
    assert faults(text) == []


@pytest.mark.parametrize("text", [REGISTRY_2, REGISTRY_3, DEBIAN, DEBIAN + PASSWORDS])
def test_stock_files_are_taken(text):
    assert faults(text) == []


@pytest.mark.parametrize("path", KEYS)
def test_value_that_is_read_is_taken(path):
    assert faults(as_yaml(path, KEYS[path][2])) == []
    assert faults(as_yaml(path, "null")) == []


@pytest.mark.parametrize("path", KEYS)
def test_misspelt_key_is_not_taken(path):
    above, _, name = path.rpartition(".")
    assert faults(as_yaml(f"{above}.{name}x", "1"))


@pytest.mark.parametrize("path", FOREIGN)
def test_key_of_another_registry_is_told_to_be_one(path):
    """Editors strike it through; whether it asks for something, the reader judges."""
    assert faults(with_foreign(path, ASKING[path][0])) == []
    section = VALIDATOR.schema
    for part in path.split("."):
        for choice in section.get("anyOf", [section]):
            section = choice["properties"][part] if "properties" in choice else section
    assert section["deprecated"] is True
    assert section["description"].startswith("not supported: ")


@pytest.mark.parametrize(
    "text",
    [
        "storage: inmemory",
        "version: 0.1",
        "version: 0.2\nstorage: inmemory",
        "version: 0.1\nstorage: shelf",
        "version: 0.1\nstorage: {delete: {enabled: true}}",
        "version: 0.1\nstorage: {inmemory: , filesystem: {rootdirectory: /x}}",
        MINIMAL + "http: :5000",
        MINIMAL + "http: {relativeurls: maybe}",
        MINIMAL + "http: {net: udp}",
        MINIMAL + "http: {limits: {connections: 0}}",
        MINIMAL + "http: {limits: {connections: many}}",
        MINIMAL + "http: {draintimeout: [5s]}",
        MINIMAL + "http: {tls: {clientcas: /ca}}",
        MINIMAL + "http: {headers: x}",
        MINIMAL + "auth: kerberos",
    ],
)
def test_what_can_not_be_is_not_taken(text):
    assert faults(text)


def test_defaults_and_descriptions_are_for_editors():
    http = VALIDATOR.schema["properties"]["http"]["properties"]
    assert http["draintimeout"]["default"] == "8s"
    assert http["net"]["default"] == "tcp"
    assert http["net"]["description"] == "one of tcp, unix"
