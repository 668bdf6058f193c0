# SPDX-License-Identifier: Apache-2.0
"""The keys of ``tracing``: where traces are sent. Ours; registry:3 has only variables.

Room: config. ``docs/operate/monitoring.md`` says what they do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import frozen

from txregistry.config.document import Node
from txregistry.config.kinds import HEADERS, TEXT, URL_OF_OTHERS, Kind, Misfit, choice
from txregistry.config.rows import key


def _read_ratio(node: Node) -> float:
    try:
        ratio = float(TEXT.read(node))  # people who set variables put numbers in quotes
    except ValueError:
        raise Misfit from None
    if not 0.0 <= ratio <= 1.0:
        raise Misfit
    return ratio


_RATIO: Kind[float] = Kind("a number from 0 to 1", _read_ratio)
_SECRET_HEADERS: Kind[Mapping[str, tuple[str, ...]]] = Kind(
    HEADERS.expects, HEADERS.read, is_free=True, is_secret=True
)


@frozen
class Tracing:
    """``tracing``

    Attributes:
        endpoint: a collector's URL for traces, by OTLP over HTTP; empty: nothing is traced.
        ratio: of the traces that begin here.
        trust: whose ``traceparent`` is followed; all others' requests begin a trace here.
        service: what the spans are shown under.
    """

    endpoint: str = key(URL_OF_OTHERS, "")
    headers: Mapping[str, tuple[str, ...]] = key(_SECRET_HEADERS, {})
    ratio: float = key(_RATIO, 1.0)
    trust: str = key(choice("proxies", "everybody", "nobody"), "proxies")
    service: str = key(TEXT, "txregistry")

    def contradictions(self) -> Iterable[tuple[str, str, str]]:
        """What can't be meant: the key, the problem, the remedy."""
        if not self.endpoint:
            if self.headers:
                yield "headers", "has no effect without tracing.endpoint", "add tracing.endpoint"
            return
        if not self.endpoint.startswith(("http://", "https://")) or not self.endpoint.isascii():
            yield (
                "endpoint",
                "is no http or https URL",
                "write it whole, for example http://localhost:4318/v1/traces",
            )
        elif "@" in self.endpoint.split("/")[2]:
            yield "endpoint", "names a user", "write an Authorization header below tracing.headers"
