# SPDX-License-Identifier: Apache-2.0
"""Log lines and access log lines: their form, their level, and that they stay lines."""

import io
import json
from contextvars import copy_context
from datetime import UTC, datetime

import pytest
from twisted.logger import Logger
from twisted.python.failure import Failure

from txregistry.config import Log
from txregistry.errand import CURRENT, Errand
from txregistry.telemetry import VALUE_LIMIT, ConfiguredLog

MOMENT = datetime(2026, 11, 23, 14, 5, 6, 789000, tzinfo=UTC)


def log_to(settings, stream=None):
    stream = stream or io.StringIO()
    observer = ConfiguredLog(settings, stream)

    def observe(event):
        observer({**event, "log_time": MOMENT.timestamp()})

    return Logger(namespace="tests", observer=observe), stream


def lines(stream):
    return stream.getvalue().splitlines()


class TextTests:
    def test_event_is_one_line_of_keys_and_values(self):
        log, stream = log_to(Log(fields={"service": "registry", "zone": {"a": 1}}))
        log.info("upload {id} done", id="x-1")
        assert lines(stream) == [
            'time=2026-11-23T14:05:06.789Z level=info msg="upload x-1 done" logger=tests service=registry '
            'zone="{\\"a\\": 1}"'
        ]

    def test_what_a_client_sent_stays_on_its_line(self):
        """No client writes log lines of its own, nor to the operator's terminal."""
        log, stream = log_to(Log())
        log.info("name {name}", name='a"b\nlevel=error \x1b[31m')
        assert len(lines(stream)) == 1
        assert "\x1b" not in stream.getvalue()
        assert 'msg="name a\\"b\\nlevel=error \\u001b[31m"' in stream.getvalue()

    def test_failure_keeps_its_traceback_on_the_line(self):
        log, stream = log_to(Log())
        try:
            raise OSError("broken")
        except OSError:
            log.failure("it failed", Failure())
        assert len(lines(stream)) == 1
        assert "level=fatal" in stream.getvalue()
        assert "error=broken" in stream.getvalue()
        assert "Traceback" in stream.getvalue()


class JsonTests:
    def test_event_is_one_document(self):
        log, stream = log_to(Log(formatter="json", fields={"service": "registry", "zone": [1]}))
        log.warn("a\nb")
        assert [json.loads(line) for line in lines(stream)] == [
            {
                "time": "2026-11-23T14:05:06.789Z",
                "level": "warn",
                "msg": "a\nb",
                "logger": "tests",
                "service": "registry",
                "zone": "[1]",
            }
        ]

    def test_events_own_fields_stand_beside_its_sentence(self):
        """Who collects lines needs not take sentences apart; ours win over an event's."""
        log, stream = log_to(Log(formatter="json"))
        log.info("{count} of {name}", count=3, name="x" * 10_000, odd=object(), msg="low")
        document = json.loads(stream.getvalue())
        assert (document["count"], document["msg"]) == (3, "3 of " + "x" * (VALUE_LIMIT - 5))
        assert len(document["name"]) == VALUE_LIMIT
        assert "odd" not in document
        assert not [key for key in document if key.startswith("log_")]

    def test_logstash_has_its_own_names(self):
        log, stream = log_to(Log(formatter="logstash", fields={"service": "registry"}))
        log.warn("a")
        assert json.loads(stream.getvalue()) == {
            "@timestamp": "2026-11-23T14:05:06.789Z",
            "@version": "1",
            "level": "warn",
            "message": "a",
            "logger": "tests",
            "service": "registry",
        }

    def test_line_of_a_request_names_it(self):
        """All that was said for one request is found by its id."""
        log, stream = log_to(Log(formatter="json"))
        context = copy_context()
        context.run(CURRENT.set, Errand("7"))
        context.run(log.info, "x")
        log.info("y")
        first, second = (json.loads(line) for line in lines(stream))
        assert first["request_id"] == "7"
        assert "request_id" not in second

    def test_long_values_are_cut_and_the_line_stays_a_document(self):
        log, stream = log_to(Log(formatter="json"))
        try:
            raise OSError("x" * 100_000)
        except OSError:
            log.failure("y" * 100_000, Failure())
        document = json.loads(stream.getvalue())
        assert {len(document[key]) for key in ("msg", "error", "traceback")} == {VALUE_LIMIT}


@pytest.mark.parametrize(
    ("level", "seen"),
    [
        ("debug", ["debug", "info", "warn", "error", "fatal"]),
        ("info", ["info", "warn", "error", "fatal"]),
        ("warn", ["warn", "error", "fatal"]),
        ("error", ["error", "fatal"]),
    ],
)
def test_level_and_what_is_above_it_is_logged(level, seen):
    log, stream = log_to(Log(level=level, formatter="json"))
    for say in (log.debug, log.info, log.warn, log.error, log.critical):
        say("x")
    assert [json.loads(line)["level"] for line in lines(stream)] == seen


@pytest.mark.parametrize(("level", "count"), [("info", 2), ("debug", 4)])
def test_chatter_of_twisted_is_for_debugging(level, count):
    """An operator is told what the registry does, not which sockets Twisted opens."""
    _, stream = log_to(Log(level=level))
    observer = ConfiguredLog(Log(level=level), stream)
    for namespace in ("twisted.protocols.amp", "log_legacy"):
        log = Logger(namespace=namespace, observer=observer)
        log.info("connected")
        log.warn("odd")
    assert len(lines(stream)) == count


class Closed(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


def test_log_that_nobody_can_take_does_not_stop_the_registry():
    closed = io.StringIO()
    closed.close()
    for stream in (Closed(), closed):
        log_to(Log(), stream)[0].info("x")
