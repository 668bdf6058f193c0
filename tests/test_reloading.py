# SPDX-License-Identifier: Apache-2.0
"""A reload: all parts or none, and what has to wait is named."""

import re
from pathlib import Path

import attrs
import pytest
from twisted.logger import LogLevel, globalLogPublisher

from txregistry.config import ConfigError, load_text
from txregistry.config.settings import known_paths
from txregistry.reloading import LIVE, Reloading, differences, waiting

ROOT = Path(__file__).resolve().parent.parent


def configured(text=""):
    return load_text(f"version: 0.1\nstorage: inmemory\n{text}", {}, source="r.yml")


@pytest.fixture
def log():
    lines = []

    def observe(event):
        if event.get("log_namespace") == "txregistry.reloading":
            text = event["log_format"].format(**event)
            lines.append((event["log_level"].name, text))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


class Unfit(Exception):
    """What a part of these tests refuses with."""


class World:
    """Two parts that note what they are asked to do, and a configuration that changes."""

    def __init__(self):
        self.events = []
        self.now = configured()
        self.unfit = None
        self.reloading = Reloading(
            self.now, self.read, [self.part("one"), self.part("two")], (Unfit,)
        )

    def read(self):
        if isinstance(self.now, Exception):
            raise self.now
        return self.now

    def part(self, name):
        def prepare(configuration):
            self.events.append(f"{name} prepares")
            if self.unfit == name:
                raise Unfit("the file of two is not there; make it")
            return lambda: self.events.append(f"{name} applies {configuration.log.level}")

        return prepare


@pytest.fixture
def world():
    return World()


def test_all_parts_prepare_before_one_applies(world, log):
    world.now = configured("log: {level: debug}")
    assert world.reloading.reload() is world.now
    assert world.events == [
        "one prepares",
        "two prepares",
        "one applies debug",
        "two applies debug",
    ]
    assert log == [("info", "reloaded r.yml")]


def test_file_that_can_not_be_used_changes_nothing(world, log):
    world.now = ConfigError("r.yml, line 3: htpp is not a known key; did you mean http?")
    assert world.reloading.reload() is None
    assert world.events == []
    assert log == [
        (
            "error",
            "not reloaded, everything stays as it was: r.yml, line 3: htpp is not a known key; did "
            "you mean http?",
        )
    ]


def test_part_that_can_not_use_it_keeps_the_others_from_changing(world, log):
    world.unfit = "two"
    assert world.reloading.reload() is None
    assert world.events == ["one prepares", "two prepares"]
    assert log == [
        (
            "error",
            "not reloaded, everything stays as it was: the file of two is not there; make it",
        )
    ]


def test_what_waits_for_a_start_is_named_each_time(world, log):
    world.now = configured("http: {addr: ':1'}\nlog: {level: debug}")
    for _ in range(2):
        world.reloading.reload()
        assert log.pop() == ("info", "reloaded r.yml")
        assert log.pop() == ("warn", "http.addr has changed, and is taken at the next start")
    assert log == []


def test_warnings_of_the_new_file_are_told(world, log):
    world.now = configured("http: {relativeurls: false}")
    world.reloading.reload()
    assert log[0][0] == LogLevel.warn.name
    assert "has no effect without http.host" in log[0][1]


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("", []),
        ("log: {level: debug, accesslog: {disabled: true}}", ["log.accesslog.disabled"]),
        ("http: {limits: {idle: 5s}, headers: {X-A: [b]}, host: 'https://r.example'}", []),
        ("http: {prefix: /r/, net: unix, addr: /s}", ["http.addr", "http.net", "http.prefix"]),
        ("http: {tls: {certificate: /c, key: /k}}", ["http.tls"]),
        ("catalog: {maxentries: 4}\ntags: {maxtags: 4}", []),
    ],
)
def test_keys_that_wait_are_those_that_can_not_change(text, paths):
    assert sorted(waiting(configured(), configured(text))) == paths


def test_other_driver_waits():
    other = load_text("version: 0.1\nstorage: {filesystem: {rootdirectory: /x}}", {})
    assert waiting(configured(), other) == ["storage.driver.name", "storage.driver.options"]
    external = load_text("version: 0.1\nstorage: {external: {socket: /x}}", {})
    assert waiting(configured(), external) == ["storage.driver"]


def test_equal_configurations_do_not_differ():
    assert list(differences(configured(), attrs.evolve(configured(), source="elsewhere"))) == []


def test_document_lists_what_changes():
    """docs/operate/reload.md and the table are the same list."""
    text = (ROOT / "docs" / "operate" / "reload.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([a-z0-9.]+)` \|", text, re.MULTILINE)
    assert sorted(listed) == sorted(LIVE)
    assert set(LIVE) <= set(known_paths())
