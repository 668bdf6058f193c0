# SPDX-License-Identifier: Apache-2.0
"""What the registry tells about itself: log lines and access log lines.

Must not know what is logged. The log goes to standard error, one line an event, as ``key=value``
text or as JSON, with registry:3's keys ``time``, ``level``, ``msg`` and the fields of
``log.fields``. The access log goes to standard output in the combined form that web servers use.
Control characters never reach a terminal or a collector unescaped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    formatEvent,
)
from zope.interface import implementer

from txregistry.config import Log
from txregistry.errand import CURRENT
from txregistry.web.settings import AccessRecord

#: Longest text of one value in a line, in characters. Arbitrary; a traceback keeps its end.
VALUE_LIMIT = 4096
_AGENT_LIMIT = 256

_LEVELS = {
    "debug": LogLevel.debug,
    "info": LogLevel.info,
    "warn": LogLevel.warn,
    "error": LogLevel.error,
}
_NAMES = {**{level: name for name, level in _LEVELS.items()}, LogLevel.critical: "fatal"}

# logfmt: what may stand without quotes
_BARE = re.compile(r"[A-Za-z0-9._/@^+:,-]+")


@implementer(ILogObserver)
class LineObserver:
    """Writes each event as one line."""

    def __init__(self, settings: Log, stream: TextIO) -> None:
        self._stream = stream
        self._fields = {name: _plain(value) for name, value in settings.fields.items()}
        self._render = _render_json if settings.formatter == "json" else _render_text

    def __call__(self, event: LogEvent) -> None:
        line = self._render(_entry(event, self._fields))
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            pass  # nobody reads the log any more: serving goes on


@implementer(ILogObserver)
class ConfiguredLog:
    """The log as configured: events of the level and above, as lines on a stream."""

    def __init__(self, settings: Log, stream: TextIO) -> None:
        self._stream = stream
        self.adjust(settings)

    def adjust(self, settings: Log) -> None:
        """Log by other settings from now on."""
        self._observe = _make_filter(settings, self._stream)

    def __call__(self, event: LogEvent) -> None:
        self._observe(event)


def _make_filter(settings: Log, stream: TextIO) -> ILogObserver:
    """Twisted tells of each port and connection; that is for whoever debugs."""
    threshold = LogLevelFilterPredicate(defaultLogLevel=_LEVELS[settings.level])
    if settings.level == "info":
        for namespace in ("twisted", "log_legacy"):
            threshold.setLogLevelForNamespace(namespace, LogLevel.warn)
    return FilteringLogObserver(LineObserver(settings, stream), [threshold])


def _entry(event: LogEvent, fields: Mapping[str, Any]) -> dict[str, Any]:
    moment = datetime.fromtimestamp(event.get("log_time", 0.0), UTC)
    level = event.get("log_level", LogLevel.info)
    entry: dict[str, Any] = {
        "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": _NAMES.get(level, "info"),
        "msg": formatEvent(event)[:VALUE_LIMIT],
        "logger": event.get("log_namespace", "-"),
        **fields,
    }
    errand = CURRENT.get()
    if errand is not None:
        entry["request_id"] = errand.id
    failure = event.get("log_failure")
    if failure is not None:
        entry["error"] = failure.getErrorMessage()[:VALUE_LIMIT]
        entry["traceback"] = failure.getTraceback()[-VALUE_LIMIT:]
    return entry


def _plain(value: Any) -> Any:
    return (
        value
        if isinstance(value, (str, int, float, bool, type(None)))
        else json.dumps(value, default=str)
    )


def _render_json(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, default=str)


def _render_text(entry: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={_quoted(str(value))}" for name, value in entry.items())


def _quoted(text: str) -> str:
    return text if _BARE.fullmatch(text) else json.dumps(text)


def make_access_log(settings: Log, stream: TextIO, now: Callable[[], float]) -> AccessLog | None:
    """The access log as configured, or None.

    Args:
        now: seconds since the epoch.
    """
    return None if settings.access_log.disabled else AccessLog(stream, now)


class AccessLog:
    """Writes each answered request as one line of the combined form.

    Args:
        now: seconds since the epoch.
    """

    def __init__(self, stream: TextIO, now: Callable[[], float]) -> None:
        self._stream = stream
        self._now = now

    def __call__(self, record: AccessRecord) -> None:
        try:
            self._stream.write(
                render_access(record, datetime.fromtimestamp(self._now(), UTC)) + "\n"
            )
            self._stream.flush()
        except (OSError, ValueError):
            pass  # as for the log


def render_access(record: AccessRecord, moment: datetime) -> str:
    """One line; the answer's status is 499 where the client left before there was one.

    Form: ``client - user [time] "method target HTTP/1.1" status bytes "referer" "user agent"``
    """
    stamp = moment.strftime("%d/%b/%Y:%H:%M:%S %z")
    request = _escaped(
        f"{record.method} {record.target}"[:VALUE_LIMIT] + " HTTP/1.1", VALUE_LIMIT + 9
    )
    agent = _escaped(record.user_agent or "-", _AGENT_LIMIT)
    referer = _escaped(record.referer or "-", _AGENT_LIMIT)
    client = _escaped(record.client or "-", _AGENT_LIMIT)
    user = _escaped(record.user or "-", _AGENT_LIMIT).replace(" ", "\\x20")
    outcome = f"{record.status or 499} {record.sent}"
    return f'{client} - {user} [{stamp}] "{request}" {outcome} "{referer}" "{agent}"'


def _escaped(text: str, limit: int) -> str:
    """Printable ASCII as it is, everything else and the quote as ``\\xhh``, as Apache does."""
    text = text[:limit]
    if text.isascii() and text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return "".join(
        character
        if character.isascii() and character.isprintable() and character not in '"\\'
        else _hex(character)
        for character in text
    )


def _hex(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
