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
from txregistry.telemetry import VALUE_LIMIT, ConfiguredLog, make_access_log, render_access
from txregistry.web.settings import AccessRecord

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
        make_access_log(Log(), stream, lambda: 0.0)(record())


def record(**changes):
    values = {
        "client": "192.0.2.7",
        "method": "GET",
        "target": "/v2/a/tags/list",
        "status": 200,
        "sent": 12,
        "received": 0,
        "duration": 0.1,
        "user_agent": "skopeo/1.9",
        "referer": "",
        "is_complete": True,
    }
    return AccessRecord(**{**values, **changes})


class AccessLogTests:
    def test_request_is_one_line_of_the_combined_form(self):
        stream = io.StringIO()
        make_access_log(Log(), stream, lambda: MOMENT.timestamp())(record())
        assert stream.getvalue() == (
            '192.0.2.7 - - [23/Nov/2026:14:05:06 +0000] "GET /v2/a/tags/list HTTP/1.1" 200 12 "-" '
            '"skopeo/1.9"\n'
        )

    def test_disabled_access_log_is_none(self):
        settings = Log.__attrs_attrs__.access_log.metadata["section"](disabled=True)
        assert make_access_log(Log(access_log=settings), io.StringIO(), lambda: 0.0) is None

    def test_client_that_left_before_an_answer_has_status_499(self):
        assert '" 499 0 "' in render_access(record(status=0, sent=0), MOMENT)

    @pytest.mark.parametrize(
        ("changes", "part"),
        [
            ({"user_agent": 'x" 200 "\n\x1b[2J'}, '"x\\x22 200 \\x22\\x0a\\x1b[2J"'),
            ({"user_agent": "naïve\\"}, '"na\\xc3\\xafve\\x5c"'),
            ({"user_agent": "x" * 1000}, f'"{"x" * 256}"'),
            ({"user_agent": ""}, '"-"'),
            ({"target": "/v2/" + "y" * 10_000}, "y HTTP/1.1"),
            ({"client": ""}, "- - - ["),
            ({"user": "al ice]"}, "192.0.2.7 - al\\x20ice] ["),
            ({"user": 'x" 200\n'}, "192.0.2.7 - x\\x22\\x20200\\x0a ["),
            ({"referer": "http://x/\udc80"}, '"http://x/\\x80"'),
        ],
    )
    def test_hostile_text_stays_in_its_field(self, changes, part):
        line = render_access(record(**changes), MOMENT)
        assert part in line
        assert line.isascii()
        assert line.isprintable()
        assert len(line) < 6000
