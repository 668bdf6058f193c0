# SPDX-License-Identifier: Apache-2.0
"""The access log: its forms, and that lines stay lines."""

import io
import json
from datetime import UTC, datetime

import pytest

from txregistry.access_log import make_access_log, render_combined
from txregistry.config import Log
from txregistry.web.settings import AccessRecord

MOMENT = datetime(2026, 11, 23, 14, 5, 6, 789000, tzinfo=UTC).timestamp()


class Closed(io.StringIO):
    def write(self, text):
        raise BrokenPipeError


def test_log_that_nobody_can_take_does_not_stop_the_registry():
    closed = io.StringIO()
    closed.close()
    for stream in (Closed(), closed):
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
        make_access_log(Log(), stream, lambda: MOMENT)(record())
        assert stream.getvalue() == (
            '192.0.2.7 - - [23/Nov/2026:14:05:06 +0000] "GET /v2/a/tags/list HTTP/1.1" 200 12 "-" '
            '"skopeo/1.9"\n'
        )

    def test_disabled_access_log_is_none(self):
        settings = Log.__attrs_attrs__.access_log.metadata["section"](disabled=True)
        assert make_access_log(Log(access_log=settings), io.StringIO(), lambda: 0.0) is None

    def test_client_that_left_before_an_answer_has_status_499(self):
        assert '" 499 0 "' in render_combined(record(status=0, sent=0), MOMENT)

    def test_what_was_no_request_is_not_shown_as_one(self):
        """TLS on a port without it, junk, and heads that never ended."""
        line = render_combined(record(method="", target="", status=400), MOMENT)
        assert '] "-" 400 ' in line

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
        line = render_combined(record(**changes), MOMENT)
        assert part in line
        assert line.isascii()
        assert line.isprintable()
        assert len(line) < 6000


FULL = {
    "request_id": "7",
    "user": "alice",
    "endpoint": "blob",
    "repository": "lib/app",
    "reference": "latest",
    "digest": "sha256:00",
    "driver_seconds": 0.0123,
    "received": 3,
}


class StructuredTests:
    def line(self, formatter, fields=None, **changes):
        section = Log.__attrs_attrs__.access_log.metadata["section"]
        settings = Log(access_log=section(formatter=formatter), fields=fields or {})
        stream = io.StringIO()
        make_access_log(settings, stream, lambda: MOMENT)(record(**changes))
        [line] = stream.getvalue().splitlines()
        return line

    def test_json_says_all_that_is_known(self):
        """With the names that registry:3 has in its log, so that what reads it goes on."""
        assert json.loads(self.line("json", {"service": "r"}, **FULL)) == {
            "time": "2026-11-23T14:05:06.789Z",
            "level": "info",
            "msg": "response completed",
            "service": "r",
            "http.request.id": "7",
            "http.request.method": "GET",
            "http.request.uri": "/v2/a/tags/list",
            "http.request.remoteaddr": "192.0.2.7",
            "http.request.useragent": "skopeo/1.9",
            "http.request.received": 3,
            "http.response.status": 200,
            "http.response.written": 12,
            "http.response.duration": 0.1,
            "storage.duration": 0.0123,
            "auth.user.name": "alice",
            "vars.name": "lib/app",
            "vars.reference": "latest",
            "vars.digest": "sha256:00",
        }

    def test_refusal_and_broken_answer_are_told(self):
        document = json.loads(self.line("json", status=0, error="UNKNOWN", is_complete=False))
        assert document["msg"] == "response broken off"
        assert (document["http.response.status"], document["err.code"]) == (499, "UNKNOWN")

    def test_logstash_has_its_own_names(self):
        document = json.loads(self.line("logstash"))
        assert document["@timestamp"] == "2026-11-23T14:05:06.789Z"
        assert (document["@version"], document["message"]) == ("1", "response completed")
        assert not {"time", "msg"} & set(document)

    def test_text_is_keys_and_values(self):
        line = self.line("text", **FULL)
        assert line.startswith('time=2026-11-23T14:05:06.789Z level=info msg="response completed"')
        assert "auth.user.name=alice" in line

    @pytest.mark.parametrize("formatter", ["text", "json", "logstash"])
    @pytest.mark.parametrize(
        "field", ["client", "method", "target", "user_agent", "referer", "user", "repository"]
    )
    def test_hostile_text_stays_in_its_field(self, formatter, field):
        line = self.line(formatter, **{field: 'x"\n\x1b[2J\udc80' + "y" * 100_000})
        assert "\x1b" not in line
        assert line.isascii()
        assert len(line) < 6000
