# SPDX-License-Identifier: Apache-2.0
"""The keys of ``notifications``: registry:3's, as it spells them, and ours."""

import pytest

from txregistry.config import NotificationEndpoint, load
from txregistry.config.notification_settings import Ignore, Notifications

from .reading import read_keys, refusal_of_keys

ENDPOINT = "{name: a, url: 'https://user:hunter2@hooks.example/in?token=hunter3'}"

#: The example of registry:3's documentation.
REGISTRY_3 = """
notifications:
  events:
    includereferences: true
  endpoints:
    - name: alistener
      disabled: false
      url: https://my.listener.com/event
      headers: {Authorization: [Bearer hunter2]}
      timeout: 1s
      threshold: 10
      backoff: 1s
      ignoredmediatypes:
        - application/octet-stream
      ignore:
        mediatypes:
           - application/octet-stream
        actions:
           - pull
"""

#: Key of an endpoint -> attribute, YAML value, value as read, YAML values that are refused.
KEYS = {
    "name": ("name", "b", "b", ["[x]"]),
    "disabled": ("disabled", "false", False, ["x"]),
    "url": (
        "url",
        "'http://[::1]:80/x'",
        "http://[::1]:80/x",
        [
            "x",
            "ftp://x/",
            "http://",
            "http://x:y/",
            "http://x:99999/",
            "http://x:0/",
            "'http://x/ y'",
        ],
    ),
    "headers": (
        "headers",
        "{X-A: b}",
        {"X-A": ("b",)},
        ["x", "{'X Y': [a]}", '{X: ["a\\r\\nB: c"]}'],
    ),
    "timeout": ("timeout", "2s", 2.0, ["-1s", "soon"]),
    "threshold": ("threshold", "3", 3, ["-1", "x"]),
    "backoff": ("backoff", "3s", 3.0, ["-1s"]),
    "ignoredmediatypes": ("ignored_media_types", "[x/y]", ("x/y",), ["x/y"]),
    "ignore": ("ignore", "{actions: [Pull]}", Ignore(actions=("pull",)), ["x", "{actions: [eat]}"]),
    "secret": ("secret", "0123", "0123", ["[x]"]),
    "format": ("format", "CloudEvents", "cloudevents", ["xml"]),
    "batch": ("batch", "10", 10, ["0", "1001"]),
    "queuesize": ("queue_size", "1048576", 1048576, ["1", "1GiB"]),
    "queueage": ("queue_age", "1h", 3600.0, ["0"]),
    "refused": ("refused", "retry", "retry", ["ignore"]),
}


def notifications(text="", environ=None):
    return read_keys(f"notifications: {text}", environ).notifications


def test_nobody_is_told_by_default():
    assert read_keys("").notifications.active == ()
    assert notifications("").active == ()


def test_file_of_registry_3_is_taken():
    [endpoint] = read_keys(REGISTRY_3).notifications.active
    assert endpoint == NotificationEndpoint(
        name="alistener",
        url="https://my.listener.com/event",
        headers={"Authorization": ("Bearer hunter2",)},
        ignored_media_types=("application/octet-stream",),
        ignore=Ignore(media_types=("application/octet-stream",), actions=("pull",)),
    )
    assert read_keys(REGISTRY_3).notifications.events.include_references


@pytest.mark.parametrize("key", KEYS)
class EndpointKeyTests:
    def test_value_is_read(self, key):
        attribute, text, expected, _ = KEYS[key]
        given = {"name": "a", "url": "http://x/", key: text}
        keys = ", ".join(f"{name}: {value}" for name, value in given.items())
        [endpoint] = notifications(f"{{endpoints: [{{{keys}}}]}}").endpoints
        assert getattr(endpoint, attribute) == expected

    def test_wrong_value_is_refused_with_the_path_of_the_key(self, key):
        for text in KEYS[key][3]:
            sentence = refusal_of_keys(f"notifications: {{endpoints: [{{{key}: {text}}}]}}")
            assert f"notifications.endpoints.0.{key}" in sentence

    def test_variable_sets_it(self, key):
        attribute, text, expected, _ = KEYS[key]
        prefix = "REGISTRY_NOTIFICATIONS_ENDPOINTS_0_"
        environ = {
            f"{prefix}NAME": "a",
            f"{prefix}URL": "http://x/",
            f"{prefix}{key.upper()}": text,
        }
        configuration = read_keys("", environ)
        [endpoint] = configuration.notifications.endpoints
        assert getattr(endpoint, attribute) == expected
        assert not [warning for warning in configuration.warnings if "REGISTRY_" in warning]

    def test_misspelt_neighbor_is_refused_and_the_right_key_named(self, key):
        sentence = refusal_of_keys(f"notifications: {{endpoints: [{{{key}x: 1}}]}}")
        assert f"notifications.endpoints.0.{key}x is not a known key" in sentence
        assert f"did you mean notifications.endpoints.{key}" in sentence


@pytest.mark.parametrize("key", ["timeout", "backoff"])
def test_zero_means_the_default(key):
    """As in registry:3."""
    [endpoint] = notifications(
        f"{{endpoints: [{{name: a, url: 'http://x/', {key}: 0}}]}}"
    ).endpoints
    assert getattr(endpoint, key) == 1.0


@pytest.mark.parametrize(
    ("items", "problem"),
    [
        ("[{name: a}]", "notifications.endpoints.0 has no url; say where"),
        ("[{url: 'http://x/'}]", "notifications.endpoints.0 has no name; give it one"),
        (f"[{ENDPOINT}, {ENDPOINT}]", "notifications.endpoints.1 has the name of another one"),
        ("{name: a}", "notifications.endpoints wants a list of sections, not a mapping"),
        ("[a]", "notifications.endpoints.0 wants a section of keys"),
    ],
)
def test_endpoint_that_can_not_work_is_refused_with_its_line(items, problem):
    sentence = refusal_of_keys(f"notifications: {{endpoints: {items}}}")
    assert sentence.startswith("registry.yml, line 6: ")
    assert problem in sentence


def test_disabled_endpoint_needs_nothing():
    assert notifications("{endpoints: [{disabled: true}]}").active == ()


def test_go_spelling_of_events_works():
    for name in ("EVENTS", "EVENTCONFIG"):
        environ = {f"REGISTRY_NOTIFICATIONS_{name}_INCLUDEREFERENCES": "true"}
        assert read_keys("", environ).notifications.events.include_references


def test_queue_is_below_the_directory_of_the_start():
    assert Notifications().queue.directory == "registry-events"
    assert notifications("").queue.directory == "/work/registry-events"
    assert notifications("{queue: {directory: /q}}").queue.directory == "/q"
    assert notifications("{queue: {durability: none}}").queue.durability == "none"
    assert "notifications.queue.durability wants" in refusal_of_keys(
        "notifications: {queue: {durability: manifest}}"
    )


def test_uploads_are_told_of_if_wanted():
    assert notifications("{events: {uploads: true}}").events.uploads


def test_secrets_are_masked():
    """A configuration may be logged."""
    keys = "url: 'https://u:hunter2@x/?t=hunter3', secret: hunter4, headers: {A: hunter5}"
    assert "hunter" not in repr(notifications(f"{{endpoints: [{{name: a, {keys}}}]}}"))
    for value in ("url: 'ftp://u:hunter2@x/'", "secret: [hunter2]", "headers: {A B: hunter2}"):
        assert "hunter2" not in refusal_of_keys(f"notifications: {{endpoints: [{{{value}}}]}}")


@pytest.mark.parametrize(
    ("keys", "warned"), [("secret: s", True), ("headers: {A: b}", True), ("batch: 2", False)]
)
def test_file_with_secrets_that_everybody_may_read_is_warned_of(tmp_path, keys, warned):
    path = tmp_path / "registry.yml"
    path.write_text(
        "version: 0.1\nstorage: inmemory\n"
        f"notifications: {{endpoints: [{{name: a, url: 'http://x/', {keys}}}]}}\n"
    )
    path.chmod(0o644)
    assert any("holds a secret" in each for each in load(str(path), {}).warnings) is warned
