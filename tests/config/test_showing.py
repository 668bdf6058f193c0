# SPDX-License-Identifier: Apache-2.0
"""What holds in the end, as a file: it reads as the same configuration, and tells no secret."""

import re

import pytest
import yaml

from txregistry.config import Configuration, ExternalDriver, Storage, show
from txregistry.config.kinds import without_secrets
from txregistry.config.rows import rows
from txregistry.config.settings import SHIPPED_DRIVERS

from .reading import read, read_keys
from .stock import DEBIAN, PASSWORDS, REGISTRY_2, REGISTRY_3
from .test_keys import KEYS, as_yaml

#: Whose values are masked, so that what is shown reads otherwise.
MASKED = {path for path in KEYS if path.startswith(("middleware.", "redis.")) or "secret" in path}


def shown(configuration):
    return yaml.safe_load(show(configuration))


@pytest.mark.parametrize("path", sorted(set(KEYS) - MASKED))
def test_what_is_shown_reads_as_the_same(path):
    """Somebody may make a file of it."""
    configuration = read(as_yaml(path, KEYS[path][2]))
    assert read(show(configuration)) == configuration


@pytest.mark.parametrize("text", [REGISTRY_2, REGISTRY_3, DEBIAN, DEBIAN + PASSWORDS])
def test_stock_files_read_as_the_same(text):
    configuration = read(text)
    again = read(show(configuration))
    assert again.storage == configuration.storage
    assert again.http == configuration.http
    assert again.auth == configuration.auth


def test_variables_are_in_it():
    assert shown(read_keys("", {"REGISTRY_HTTP_ADDR": ":1"}))["http"]["addr"] == ":1"


def test_defaults_are_in_it():
    document = shown(read("version: 0.1\nstorage: inmemory"))
    assert document["http"]["addr"] == "127.0.0.1:5000"
    assert document["http"]["draintimeout"] == "8s"
    assert document["http"]["host"] is None
    assert document["storage"]["inmemory"] == {}
    assert document["version"] == 0.1


def test_text_stays_text():
    """A secret of digits, or a name that YAML takes for a flag."""
    configuration = read_keys("http: {addr: '0:80'}\nlog: {fields: {on: '0123'}}")
    assert read(show(configuration)) == configuration


def test_secrets_are_masked():
    configuration = read(
        "version: 0.1\n"
        "storage: {external: {command: [/d], options: {secretkey: hunter2, more: [hunter3]}}}\n"
        "http: {secret: hunter4}\n"
        "notifications: {endpoints: [{name: a, url: 'https://u:hunter5@x/', "
        "headers: {Authorization: [hunter6]}}]}\n"
    )
    text = show(configuration)
    assert "hunter" not in text
    document = yaml.safe_load(text)
    assert document["http"]["secret"] == "***"
    assert document["storage"]["external"]["options"] == {"secretkey": "***", "more": ["***"]}
    assert document["notifications"]["endpoints"][0]["url"] == "***"


def test_url_of_others_is_shown_without_what_may_be_secret():
    """A check's page, or a collector, may want a key in its query."""
    configuration = read_keys(
        "health: {http: [{uri: 'https://x.example/ready?key=hunter2#hunter3'}]}\n"
        "tracing: {endpoint: 'https://x.example/v1/traces#hunter4'}\n"
    )
    assert "hunter" not in repr(configuration)
    document = shown(configuration)
    assert document["health"]["http"][0]["uri"] == "https://x.example/ready?***"
    assert document["tracing"]["endpoint"] == "https://x.example/v1/traces#***"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://x/a/b", "https://x/a/b"),
        ("https://u:p@x:1/a@b", "https://***@x:1/a@b"),
        ("https://u:p@q@x/", "https://***@x/"),
        ("https://x?p@q/", "https://x?***"),
        ("", ""),
    ],
)
def test_users_and_queries_are_masked(url, shown):
    assert without_secrets(url) == shown


def test_options_of_a_driver_that_is_not_ours_are_masked():
    """Nobody here knows which of them is a secret."""
    text = "version: 0.1\nstorage: {shelf: {key: hunter2, path: /p, none: }}"
    configuration = read(text, installed={"shelf"})
    assert shown(configuration)["storage"]["shelf"] == {"key": "***", "path": "***", "none": None}


def keys_of(shape, above=""):
    """Path of each key of a section -> its kind."""
    found = {}
    for name, row in rows(shape).items():
        below = row.metadata.get("section") or row.metadata.get("sections")
        if below is None:
            found[above + name] = row.metadata["kind"]
        else:
            found |= keys_of(below, f"{above}{name}.")
    return found


def test_key_that_sounds_secret_is_masked_unless_it_is_known_not_to_be():
    """Who adds one need not remember to have it masked: this test does."""
    kinds = keys_of(Configuration)
    for name, shape in {"": Storage, "external.": ExternalDriver, **SHIPPED_DRIVERS}.items():
        kinds |= keys_of(shape, f"storage.{name}")
    sounding = re.compile(r".*(secret|passw|token|credential|key|headers|options|ur[il])")
    plain = {path for path, kind in kinds.items() if not (kind.is_secret or kind.shown)}
    assert {path for path in plain if sounding.fullmatch(path)} == {
        "http.headers",  # every client is sent them
        "http.limits.headers",
        "http.tls.key",  # a path
    }
