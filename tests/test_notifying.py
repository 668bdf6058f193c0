# SPDX-License-Identifier: Apache-2.0
"""What a configuration says of notifications, as the room that sends them is told."""

import pytest

from txregistry.config import load_text
from txregistry.events import Endpoint, Form, Wishes
from txregistry.events.directory import QueueDirectory
from txregistry.notifying import endpoint_of, open_notifications, plan_of, source_of
from txregistry.process.spec import StartError

FULL = """\
{name: b, url: 'https://x/', headers: {A: b}, timeout: 2s, threshold: 3, backoff: 4s,
 ignoredmediatypes: [a/b], ignore: {mediatypes: [c/d], actions: [pull]}, secret: s,
 format: cloudevents, batch: 5, queuesize: 2000000, queueage: 6s, refused: retry}
"""


def configured(endpoints="", keys="", rest=""):
    return load_text(
        f"version: 0.1\nstorage: inmemory\n{rest}"
        f"notifications: {{endpoints: [{endpoints}]{keys}}}\n",
        {},
        directory="/work",
    )


def test_defaults_of_the_configuration_are_those_of_the_room():
    [settings] = configured("{name: a, url: 'http://x/'}").notifications.active
    assert endpoint_of(settings) == Endpoint(name="a", url="http://x/")


def test_receiver_is_told_of_every_key():
    [settings] = configured(FULL).notifications.active
    assert endpoint_of(settings) == Endpoint(
        name="b",
        url="https://x/",
        headers={"A": ("b",)},
        timeout=2.0,
        threshold=3,
        backoff=4.0,
        ignored_media_types=frozenset({"a/b", "c/d"}),
        ignored_actions=frozenset({"pull"}),
        secret="s",
        form=Form.CLOUDEVENTS,
        batch=5,
        queue_size=2_000_000,
        queue_age=6.0,
        gives_up=False,
    )


def test_plan():
    keys = ", events: {includereferences: true, uploads: true}, queue: {directory: q, durability: none}"
    plan = plan_of(configured(f"{{disabled: true}}, {FULL}", keys))
    assert [each.name for each in plan.endpoints] == ["b"]
    assert (plan.directory, plan.is_synced) == ("/work/q", False)
    assert plan.wishes == Wishes(references=True, uploads=True)
    assert plan_of(configured(FULL)).is_synced


def test_source_has_the_port_and_the_url_that_clients_use():
    configuration = configured(
        rest="http: {addr: ':5001', host: 'https://r.example', prefix: /p/}\n"
    )
    source = source_of(configuration)
    assert source.address.endswith(":5001")
    assert source.root == "https://r.example/p/v2"
    assert source.instance != source_of(configuration).instance


def test_source_without_a_host_names_none():
    """The Host of a request is not trusted, so the URL is a path."""
    assert source_of(configured()).root == "/v2"


def test_nobody_to_tell_opens_nothing():
    assert open_notifications(configured("{disabled: true}"), None, None) is None


def test_queue_of_another_registry_is_an_error_of_the_start(tmp_path):
    held = QueueDirectory(str(tmp_path))
    with pytest.raises(StartError, match=r"another registry .* notifications\.queue\.directory"):
        open_notifications(configured(FULL, f", queue: {{directory: '{tmp_path}'}}"), None, None)
    held.close()
