# SPDX-License-Identifier: Apache-2.0
"""What is looked at, as configured; tests/functional/test_observed.py looks at one that runs."""

import sys

import attrs
import pytest
from twisted.internet.task import Clock

from txregistry.config import load_text
from txregistry.config.tracing_settings import Tracing
from txregistry.process.spec import StartError
from txregistry.watching import Watch, open_tracing
from txregistry.web import AccessRecord, WebSettings


def watch(text=""):
    return Watch(load_text(f"version: 0.1\nstorage: inmemory\n{text}", {}), Clock())


RECORD = AccessRecord("", "GET", "/", 200, 0, 0, 0.0, "", "", True)


class TracingTests:
    def test_nothing_is_traced_unless_it_was_asked_for(self, monkeypatch):
        """OpenTelemetry is not even loaded."""
        monkeypatch.setitem(sys.modules, "txregistry.tracing", None)
        assert open_tracing(Tracing()) is None

    def test_missing_package_is_one_sentence_with_the_way_out(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "txregistry.tracing", None)
        with pytest.raises(StartError, match=r"pip install 'txregistry\[otel\]'"):
            open_tracing(Tracing(endpoint="http://x/"))


class ReadinessTests:
    def test_registry_that_starts_or_stops_is_not_ready(self):
        subject = watch()
        settings = subject.settings_of(WebSettings())
        assert settings.not_ready() == ["registry"]
        subject.serving(None, None)
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
        """Those that serve at the moment: a reload puts others in their place."""
        pools = {"passwords": Busy(working=2, waiting=5, refused=1)}
        text = "version: 0.1\nstorage: inmemory\n"
        subject = Watch(load_text(text, {}), Clock(), lambda: pools)
        told = {each.name: (each.labels, each.value) for each in subject._samples()}
        assert told["registry_pool_working"] == (("passwords",), 2)
        assert told["registry_pool_waiting"] == (("passwords",), 5)
        assert told["registry_pool_refused"] == (("passwords",), 1)


@attrs.define
class Busy:
    working: int
    waiting: int
    refused: int
