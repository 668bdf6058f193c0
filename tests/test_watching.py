# SPDX-License-Identifier: Apache-2.0
"""What is looked at, as configured; tests/functional/test_observed.py looks at one that runs."""

import attrs
from twisted.internet.task import Clock

from txregistry.config import load_text
from txregistry.watching import Watch
from txregistry.web import AccessRecord, WebSettings


def watch(text=""):
    return Watch(load_text(f"version: 0.1\nstorage: inmemory\n{text}", {}), Clock())


class Front:
    """Serves clients, and is asked nothing."""


RECORD = AccessRecord("", "GET", "/", 200, 0, 0, 0.0, "", "", True)


class ReadinessTests:
    def test_registry_that_starts_or_stops_is_not_ready(self):
        subject = watch()
        settings = subject.settings_of(WebSettings())
        assert settings.not_ready() == ["registry"]
        subject.serving(Front())
        assert settings.not_ready() == []
        subject.stopping()
        assert settings.not_ready() == ["registry"]

    def test_requests_are_refused_only_if_it_was_asked_for(self):
        assert watch().settings_of(WebSettings()).is_closed is None
        closing = watch("health: {closeonfailure: true}").settings_of(WebSettings())
        assert closing.is_closed() is False


class CountingTests:
    ON = "http: {debug: {addr: '127.0.0.1:0', prometheus: {enabled: true}}}"

    def test_requests_are_counted_only_for_somebody(self):
        told = []
        settings = WebSettings(access_log=told.append)
        assert watch().settings_of(settings).access_log is settings.access_log
        watch(self.ON).settings_of(settings).access_log(RECORD)
        assert told == [RECORD]

    def test_registry_without_an_access_log_is_counted_too(self):
        assert watch().settings_of(WebSettings()).access_log is None
        watch(self.ON).settings_of(WebSettings()).access_log(RECORD)


class PoolTests:
    def test_collector_is_told_of_processes_that_are_busy(self):
        pools = {"manifests": Busy(working=2, waiting=5, refused=1)}
        text = "version: 0.1\nstorage: inmemory\n"
        subject = Watch(load_text(text, {}), Clock(), pools)
        told = {each.name: (each.labels, each.value) for each in subject._samples()}
        assert told["registry_pool_working"] == (("manifests",), 2)
        assert told["registry_pool_waiting"] == (("manifests",), 5)
        assert told["registry_pool_refused"] == (("manifests",), 1)


@attrs.define
class Busy:
    working: int
    waiting: int
    refused: int
