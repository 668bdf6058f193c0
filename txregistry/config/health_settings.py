# SPDX-License-Identifier: Apache-2.0
"""The keys of ``health`` and ``http.debug``: what is checked, and where is told of it.

Room: config. ``docs/operate/health.md`` says what they do. ``health.closeonfailure`` is ours; the
others are registry:3's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from attrs import frozen

from txregistry.config.addresses import TcpAddress, parse_tcp
from txregistry.config.document import Node
from txregistry.config.kinds import (
    FLAG,
    HEADERS,
    TEXT,
    URL_OF_OTHERS,
    Kind,
    Misfit,
    duration,
    whole,
)
from txregistry.config.rows import key, section, sections

#: What a page's path may be: unreserved characters of RFC 3986 between slashes.
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")

#: Paths of the debug listener that are taken.
DEBUG_PATHS = ("/livez", "/readyz", "/debug/health", "/debug/vars", "/debug/stacks")


def _read_path(node: Node) -> str:
    text = TEXT.read(node)
    if not _PATH.fullmatch(text) or text in DEBUG_PATHS:
        raise Misfit
    return text


_METRICS_PATH: Kind[str] = Kind("a path that is free, such as /metrics", _read_path)

# A check's own name is its URL, which is shown; what is secret belongs into a header.
_SECRET_HEADERS: Kind[Mapping[str, tuple[str, ...]]] = Kind(
    HEADERS.expects, HEADERS.read, is_free=True, is_secret=True
)


@frozen
class Prometheus:
    """``http.debug.prometheus``"""

    enabled: bool = key(FLAG, False)
    path: str = key(_METRICS_PATH, "/metrics")


@frozen
class Debug:
    """``http.debug``: a port for those who run the registry; nobody is asked who he is there."""

    addr: str = key(TEXT, "")
    prometheus: Prometheus = section(Prometheus)

    @property
    def address(self) -> TcpAddress | None:
        """``addr`` as a value; None if there is to be no such port.

        Raises:
            ValueError: with what was expected.
        """
        return parse_tcp(self.addr) if self.addr else None

    def contradictions(self) -> Iterable[tuple[str, str, str]]:
        """What can't be meant: the key, the problem, the remedy."""
        try:
            self.address  # noqa: B018  # parsing it is the check
        except ValueError as error:
            yield (
                "addr",
                f"wants {error}, not {self.addr!r}",
                "correct it, for example 127.0.0.1:5001",
            )


@frozen
class StorageHealth:
    """``health.storagedriver``"""

    enabled: bool = key(FLAG, False)
    interval: float = key(duration(0.001), 10.0)
    threshold: int = key(whole(0), 0)


@frozen
class FileHealth:
    """``health.file``: one of them; the check fails while the file exists."""

    file: str = key(TEXT, "")
    interval: float = key(duration(0.001), 10.0)
    threshold: int = key(whole(0), 0)


@frozen
class HttpHealth:
    """``health.http``: one of them."""

    uri: str = key(URL_OF_OTHERS, "")
    headers: Mapping[str, tuple[str, ...]] = key(_SECRET_HEADERS, {})
    status_code: int = key(whole(100, 599), 200)
    timeout: float = key(duration(), 0.0)
    interval: float = key(duration(0.001), 10.0)
    threshold: int = key(whole(0), 0)


@frozen
class TcpHealth:
    """``health.tcp``: one of them."""

    addr: str = key(TEXT, "")
    timeout: float = key(duration(), 0.0)
    interval: float = key(duration(0.001), 10.0)
    threshold: int = key(whole(0), 0)


@frozen
class Health:
    """``health``

    Attributes:
        close_on_failure: while a check fails every request is refused, as registry:3 does.
    """

    close_on_failure: bool = key(FLAG, False)
    storage_driver: StorageHealth = section(StorageHealth)
    file: tuple[FileHealth, ...] = sections(FileHealth)
    http: tuple[HttpHealth, ...] = sections(HttpHealth)
    tcp: tuple[TcpHealth, ...] = sections(TcpHealth)

    def contradictions(self) -> Iterable[tuple[str, str, str]]:
        """What can't be meant: the key, the problem, the remedy."""
        for index, file in enumerate(self.file):
            if not file.file:
                yield f"file.{index}.file", "is missing", "name the file to look for"
        for index, page in enumerate(self.http):
            if not page.uri.startswith(("http://", "https://")) or not page.uri.isascii():
                yield f"http.{index}.uri", "is no http or https URL", "write the whole URL"
            elif "@" in page.uri.split("/")[2]:
                yield (
                    f"http.{index}.uri",
                    "names a user, and it is shown to people",
                    "write an Authorization header below headers",
                )
        for index, port in enumerate(self.tcp):
            try:
                if not parse_tcp(port.addr).host:
                    raise ValueError("a host too")
            except ValueError as error:
                yield f"tcp.{index}.addr", f"wants {error}", "write host:port"
