# SPDX-License-Identifier: Apache-2.0
"""SIGHUP: the configuration is read again, and what can change while serving does.

Must not know what the parts do. All parts prepare before any of them changes, so that a mistake in
one place leaves everything as it was::

    read the file --> every part prepares (reads its files) --> every part applies
         |                       |
         `-----------------------`--> a sentence for each mistake in the log, nothing has changed

What can't change while serving is named in the log, and waits for the next start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
from twisted.logger import Logger

from txregistry.config import ConfigError, Configuration
from txregistry.config.rows import key_name

#: Reads what a part needs of a new configuration; what it returns puts that to use, and can't fail.
#: Raises what the part was announced to refuse with, as one sentence that is free of secrets.
Prepare = Callable[[Configuration], Callable[[], None]]

#: Keys that change while serving, with all below them; docs/operate/reload.md lists them.
LIVE = (
    "auth",
    "catalog",
    "http.acme.webroot",
    "http.draintimeout",
    "http.headers",
    "http.host",
    "http.http2",
    "http.limits",
    "http.root",
    "http.tls",
    "http.trustedproxies",
    "log.fields",
    "log.formatter",
    "log.level",
    "storage.delete",
    "storage.maintenance.readonly",
    "tags",
)

_log = Logger()


class Reloading:
    """Reloads one running registry.

    Args:
        configuration: that it was started with.
        read: reads the configuration anew.
        parts: what changes, in order.
        refusals: exceptions of parts that mean "not with this configuration", as a sentence.
    """

    def __init__(
        self,
        configuration: Configuration,
        read: Callable[[], Configuration],
        parts: Sequence[Prepare],
        refusals: tuple[type[Exception], ...] = (),
    ) -> None:
        self._started_with = configuration
        self._read = read
        self._parts = parts
        self._refusals: tuple[type[Exception], ...] = (ConfigError, *refusals)

    def reload(self) -> Configuration | None:
        """Reload; returns the configuration that holds now, None if the old one stays."""
        try:
            configuration = self._read()
            changes = [prepare(configuration) for prepare in self._parts]
        except self._refusals as error:
            for sentence in str(error).splitlines():
                _log.error("not reloaded, everything stays as it was: {error}", error=sentence)
            return None
        for apply in changes:
            apply()
        for warning in configuration.warnings:
            _log.warn("{warning}", warning=warning)
        for path in waiting(self._started_with, configuration):
            _log.warn("{path} has changed, and is taken at the next start", path=path)
        _log.info("reloaded {source}", source=configuration.source)
        return configuration


def waiting(old: Configuration, new: Configuration) -> list[str]:
    """Which keys differ that do not change while serving, as dotted paths."""
    paths = [path for path in differences(old, new) if not _is_live(path)]
    if old.http.tls.is_on != new.http.tls.is_on:
        paths.append("http.tls")
    return paths


def differences(old: Any, new: Any, above: str = "") -> Iterator[str]:
    """Dotted paths of all keys in which two values of one class differ."""
    for row in attrs.fields(type(old)):
        if row.name in ("source", "warnings", "tree"):
            continue
        path = above + key_name(row.name)
        one, other = getattr(old, row.name), getattr(new, row.name)
        if one == other:
            continue
        if attrs.has(type(one)) and type(one) is type(other):
            yield from differences(one, other, f"{path}.")
        else:
            yield path


def _is_live(path: str) -> bool:
    return any((path + ".").startswith(live + ".") for live in LIVE)
