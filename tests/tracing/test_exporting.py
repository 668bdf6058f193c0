# SPDX-License-Identifier: Apache-2.0
"""A collector that is away is told of in our log, in few words and without its URL."""

import logging

import pytest
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from twisted.logger import formatEvent, globalLogPublisher

from txregistry.tracing import make_tracing
from txregistry.tracing.exporting import ToldExporter

FAILURE, SUCCESS = SpanExportResult.FAILURE, SpanExportResult.SUCCESS


@pytest.fixture
def told():
    """What is logged."""
    sentences = []

    def observe(event):
        sentences.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield sentences
    globalLogPublisher.removeObserver(observe)


class Exporter(SpanExporter):
    def __init__(self, results):
        self.results = list(results)
        self.ended = False

    def export(self, spans):
        return self.results.pop(0)

    def force_flush(self, timeout_millis=0):
        return True

    def shutdown(self):
        self.ended = True


def test_beginning_and_end_of_trouble_are_told(told):
    exporter = Exporter([SUCCESS, FAILURE, FAILURE, SUCCESS, SUCCESS, FAILURE])
    subject = ToldExporter(exporter)
    results = [subject.export([]) for _ in range(6)]
    assert results == [SUCCESS, FAILURE, FAILURE, SUCCESS, SUCCESS, FAILURE]
    away = "traces do not reach tracing.endpoint: spans are dropped until they do"
    assert told == [away, "traces reach tracing.endpoint again", away]


def test_end_is_passed_on():
    exporter = Exporter([])
    subject = ToldExporter(exporter)
    assert subject.force_flush() is True
    subject.shutdown()
    assert exporter.ended


def test_nothing_else_is_said(caplog):
    """OpenTelemetry would write the whole URL to standard error, at each try."""
    make_tracing("http://127.0.0.1:9/?key=hunter2", {}, ratio=1.0, service="x", trust="nobody")
    logging.getLogger("opentelemetry.exporter").error(
        "no connection to http://127.0.0.1:9/?key=hunter2"
    )
    assert caplog.text == ""
