# SPDX-License-Identifier: Apache-2.0
"""The access log: a line for each answered request, on standard output.

Must not know how requests are answered. The combined form of web servers, or the forms of the log
with all that is known of a request. A query, which may hold a session's token, is in no form.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TextIO

from txregistry.config import Log
from txregistry.telemetry import RENDERERS, VALUE_LIMIT, fixed_fields, stamp
from txregistry.web.settings import AccessRecord

#: Longest text that a client chose, in characters, but for the path. Arbitrary.
_AGENT_LIMIT = 256

#: Longest name of a protocol, in characters: ``HTTP/1.1``.
_PROTOCOL_LIMIT = 8


def make_access_log(settings: Log, stream: TextIO, now: Callable[[], float]) -> AccessLog | None:
    """The access log as configured, or None.

    Args:
        now: seconds since the epoch.
    """
    if settings.access_log.disabled:
        return None
    if settings.access_log.formatter == "combined":
        return AccessLog(stream, now, render_combined)
    render, fields = RENDERERS[settings.access_log.formatter], fixed_fields(settings)
    return AccessLog(
        stream, now, lambda record, moment: render({**entry_of(record, moment), **fields})
    )


class AccessLog:
    """Writes each answered request as one line.

    Args:
        now: seconds since the epoch.
        render: makes the line of a record and the moment.
    """

    def __init__(
        self,
        stream: TextIO,
        now: Callable[[], float],
        render: Callable[[AccessRecord, float], str],
    ) -> None:
        self._stream = stream
        self._now = now
        self._render = render

    def __call__(self, record: AccessRecord) -> None:
        try:
            self._stream.write(self._render(record, self._now()) + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            pass  # nobody reads it any more: serving goes on


def entry_of(record: AccessRecord, moment: float) -> dict[str, Any]:
    """Return a request as keys and values, which have registry:3's names where it has them.

    What there is nothing to say of is left out. Times are seconds.
    """
    entry: dict[str, Any] = {
        "time": stamp(moment),
        "level": "info",
        "msg": "response completed" if record.is_complete else "response broken off",
        "http.request.id": record.request_id,
        "http.request.method": record.method[:VALUE_LIMIT],
        "http.request.uri": record.target[:VALUE_LIMIT],
        "http.request.remoteaddr": record.client[:_AGENT_LIMIT],
        "http.request.useragent": record.user_agent[:_AGENT_LIMIT],
        "http.request.referer": record.referer[:_AGENT_LIMIT],
        "http.request.received": record.received,
        "http.response.status": record.status or 499,
        "http.response.written": record.sent,
        "http.response.duration": round(record.duration, 6),
        "storage.duration": round(record.driver_seconds, 6),
        "auth.user.name": record.user[:_AGENT_LIMIT],
        "vars.name": record.repository[:_AGENT_LIMIT],
        "vars.reference": record.reference[:_AGENT_LIMIT],
        "vars.digest": record.digest,
        "err.code": record.error,
    }
    return {name: value for name, value in entry.items() if value != ""}


def render_combined(record: AccessRecord, moment: float) -> str:
    """One line; the answer's status is 499 where the client left before there was one.

    Form: ``client - user [time] "method target protocol" status bytes "referer" "user agent"``,
    and ``"-"`` where what came was no request.
    """
    clock = _clock(int(moment))
    request = _request_of(record)
    agent = _escaped(record.user_agent or "-", _AGENT_LIMIT)
    referer = _escaped(record.referer or "-", _AGENT_LIMIT)
    client = _escaped(record.client or "-", _AGENT_LIMIT)
    user = _escaped(record.user or "-", _AGENT_LIMIT).replace(" ", "\\x20")
    outcome = f"{record.status or 499} {record.sent}"
    return f'{client} - {user} [{clock}] "{request}" {outcome} "{referer}" "{agent}"'


def _request_of(record: AccessRecord) -> str:
    if not record.method:
        return "-"
    line = (
        f"{record.method} {record.target}"[:VALUE_LIMIT] + f" {record.protocol[:_PROTOCOL_LIMIT]}"
    )
    return _escaped(line, VALUE_LIMIT + 1 + _PROTOCOL_LIMIT)


@lru_cache(maxsize=1)
def _clock(second: int) -> str:
    """The time as web servers write it; most lines have that of the line before."""
    return datetime.fromtimestamp(second, UTC).strftime("%d/%b/%Y:%H:%M:%S %z")


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
