# SPDX-License-Identifier: Apache-2.0
"""Which checks a configuration asks for."""

from twisted.internet.task import Clock

from txregistry.checking import make_checks
from txregistry.config import load_text


def checks(health):
    configuration = load_text(f"version: 0.1\nstorage: inmemory\nhealth: {health}", {})
    found = make_checks(configuration.health, None, "storagedriver_inmemory", Clock())
    return [(check.name, check.kind) for check in found]


def test_each_check_has_the_name_by_which_its_owner_knows_it():
    """And a page's secrets stay out of it, since strangers may see names."""
    assert checks(
        "{storagedriver: {enabled: true}, file: [{file: /tmp/down}], "
        "http: [{uri: 'https://other/health?key=secret'}], tcp: [{addr: '127.0.0.1:6379'}]}"
    ) == [
        ("storagedriver_inmemory", "storage"),
        ("/tmp/down", "file"),
        ("https://other/health", "http"),
        ("127.0.0.1:6379", "tcp"),
    ]


def test_storage_is_not_checked_if_that_is_off():
    assert checks("{storagedriver: {enabled: false}}") == []
