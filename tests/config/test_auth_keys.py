# SPDX-License-Identifier: Apache-2.0
"""The keys of ``auth``: each one's default, a value that it takes and how that is read, and values
that it refuses, beside what it can't do without.
"""

from operator import attrgetter

import pytest
import yaml

from txregistry.config.auth_settings import Auth

from .reading import read_keys, refusal_of_keys
from .test_keys import leaves

HTPASSWD = {"htpasswd": {"realm": "r", "path": "/p"}}
SILLY = {"silly": {"realm": "r", "service": "s"}}

#: path -> (what stands beside it, attribute, default, value, as read, values that are refused)
KEYS = {
    "silly.realm": (SILLY, "silly.realm", "", "x y", "x y", [["x"], 'a"b', "é"]),
    "silly.service": (SILLY, "silly.service", "", "x", "x", [["x"], "a\\b"]),
    "htpasswd.realm": (HTPASSWD, "htpasswd.realm", "", "x", "x", [["x"]]),
    "htpasswd.path": (HTPASSWD, "htpasswd.path", "", "/etc/p", "/etc/p", [["x"]]),
    "failures.peraddress": (HTPASSWD, "failures.per_address", 30, 0, 0, [-1, "x"]),
    "failures.peruser": (HTPASSWD, "failures.per_user", 60, 5, 5, [-1]),
}


def as_yaml(path, value):
    """The section with one key set beside what it can't do without."""
    section = {name: dict(keys) for name, keys in KEYS[path][0].items()}
    *above, name = path.split(".")
    place = section
    for part in above:
        place = place.setdefault(part, {})
    place[name] = value
    return yaml.safe_dump({"auth": section})


def test_table_has_every_key():
    """No key without a test."""
    assert set(KEYS) == {*leaves(Auth)}


@pytest.mark.parametrize("path", KEYS)
class KeyTests:
    def test_absent_key_has_its_default(self, path):
        _, attribute, default, *_ = KEYS[path]
        assert attrgetter(attribute)(read_keys("").auth) == default

    def test_value_is_read(self, path):
        _, attribute, _, value, expected, _ = KEYS[path]
        assert attrgetter(attribute)(read_keys(as_yaml(path, value)).auth) == expected

    def test_wrong_value_is_refused_with_the_path_of_the_key(self, path):
        for value in KEYS[path][5]:
            assert f": auth.{path} wants " in refusal_of_keys(as_yaml(path, value))

    def test_variable_sets_it(self, path):
        """REGISTRY_ and the path in upper case."""
        beside, attribute, _, value, expected, _ = KEYS[path]
        name = "REGISTRY_AUTH_" + path.upper().replace(".", "_")
        configuration = read_keys(yaml.safe_dump({"auth": beside}), {name: yaml.safe_dump(value)})
        assert attrgetter(attribute)(configuration.auth) == expected
        assert configuration.warnings == ()


@pytest.mark.parametrize("text", ["", "auth:", "auth: none", "auth: {none: }", "auth: {}"])
def test_nobody_is_asked_for_credentials_unless_a_scheme_is_named(text):
    """Saying so (``none``) and saying nothing are the same."""
    assert read_keys(text).auth.scheme in ("", "none")


def test_scheme_can_be_named_by_a_variable():
    """As with registry:3."""
    environ = {
        "REGISTRY_AUTH": "htpasswd",
        "REGISTRY_AUTH_HTPASSWD_REALM": "r",
        "REGISTRY_AUTH_HTPASSWD_PATH": "/p",
    }
    auth = read_keys("", environ).auth
    assert (auth.scheme, auth.htpasswd.path) == ("htpasswd", "/p")
