# SPDX-License-Identifier: Apache-2.0
"""What the registry tells about itself, line by line.

Must not know what is logged. The log goes to standard error, one line an event, as ``key=value``
text or as JSON, with registry:3's keys ``time``, ``level``, ``msg`` and the fields of
``log.fields``. In JSON the event's own fields stand beside its sentence. Control characters never
reach a terminal or a collector unescaped.
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

#: Longest text of one value in a line, in characters. Arbitrary; a traceback keeps its end.
VALUE_LIMIT = 4096

_LEVELS = {
    "debug": LogLevel.debug,
    "info": LogLevel.info,
    "warn": LogLevel.warn,
    "error": LogLevel.error,
}
_NAMES = {**{level: name for name, level in _LEVELS.items()}, LogLevel.critical: "fatal"}

# What Twisted's older log adds to each event.
_LEGACY = frozenset({"format", "isError", "message", "system", "time"})

# logfmt: what may stand without quotes
_BARE = re.compile(r"[A-Za-z0-9._/@^+:,-]+")


@implementer(ILogObserver)
class LineObserver:
    """Writes each event as one line."""

    def __init__(self, settings: Log, stream: TextIO) -> None:
        self._stream = stream
        self._fields = fixed_fields(settings)
        self._render = RENDERERS[settings.formatter]
        self._tells_all = settings.formatter != "text"

    def __call__(self, event: LogEvent) -> None:
        entry = _entry(event, self._fields)
        if self._tells_all:
            entry = {**_own_fields(event), **entry}
        line = self._render(entry)
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
    level = event.get("log_level", LogLevel.info)
    entry: dict[str, Any] = {
        "time": stamp(event.get("log_time", 0.0)),
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


def _own_fields(event: LogEvent) -> dict[str, Any]:
    """What the event says apart from its sentence, as far as it is plain."""
    return {
        name: value[:VALUE_LIMIT] if isinstance(value, str) else value
        for name, value in event.items()
        if isinstance(value, (str, int, float))
        and not name.startswith("log_")
        and name not in _LEGACY
    }


def stamp(moment: float) -> str:
    """Return seconds since the epoch as lines have them."""
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def fixed_fields(settings: Log) -> dict[str, Any]:
    """Return what is added to every line."""
    return {name: _plain(value) for name, value in settings.fields.items()}


def _plain(value: Any) -> Any:
    return (
        value
        if isinstance(value, (str, int, float, bool, type(None)))
        else json.dumps(value, default=str)
    )


def _render_json(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, default=str)


def _render_logstash(entry: Mapping[str, Any]) -> str:
    """Source: registry:3's formatter of that name; logstash's event format, version 1."""
    rest = {name: value for name, value in entry.items() if name not in ("time", "msg")}
    named = {"@timestamp": entry["time"], "@version": "1", "message": entry["msg"]}
    return json.dumps({**rest, **named}, default=str)


def _render_text(entry: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={_quoted(str(value))}" for name, value in entry.items())


def _quoted(text: str) -> str:
    return text if _BARE.fullmatch(text) else json.dumps(text)


#: ``log.formatter`` -> what makes a line of an entry.
RENDERERS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "text": _render_text,
    "json": _render_json,
    "logstash": _render_logstash,
}
