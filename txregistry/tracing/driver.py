# SPDX-License-Identifier: Apache-2.0
"""A driver whose calls are spans.

Room: tracing. A ``Driver`` around another, for requests that are traced; every other call passes
through. Names of attributes are registry:3's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

from txregistry.errand import TRACED, TracedCall
from txregistry.storage.contract import Content, Driver, Entry, Listing, Reading, Walk, Writer
from txregistry.storage.errors import Exists, Missing, StorageError

T = TypeVar("T")

_PREFIX = "io.cncf.distribution.storage."


class TracedDriver:
    """A driver whose calls are spans, children of the request's.

    Args:
        name: the driver's.
    """

    def __init__(self, driver: Driver, tracer: Tracer, name: str) -> None:
        self._driver = driver
        self._tracer = tracer
        self._name = name

    async def _trace(self, action: str, path: str, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if not trace.get_current_span().is_recording():
            return await work()
        span = self._tracer.start_span(
            f"storage {action}",
            kind=SpanKind.CLIENT,
            attributes={f"{_PREFIX}driver.name": self._name, f"{_PREFIX}path": path},
        )
        call = TracedCall(_traceparent(span))
        before, began = TRACED.set(call), time.time_ns()
        try:
            return await work()
        except StorageError as error:
            span.set_attribute("error.type", type(error).__name__)
            if not isinstance(error, (Missing, Exists)):  # those are answers
                span.set_status(StatusCode.ERROR)
            raise
        finally:
            TRACED.reset(before)
            ended = time.time_ns()
            if call.elapsed_us:
                self._tell_inside(span, began, ended, call.elapsed_us * 1000)
            span.end(ended)

    def _tell_inside(self, outer: Span, began: int, ended: int, took: int) -> None:
        """Show the time in the driver's process, whose clock is not ours: in the middle."""
        start = began + max(ended - began - took, 0) // 2
        inner = self._tracer.start_span(
            f"driver {self._name}",
            context=trace.set_span_in_context(outer, Context()),
            kind=SpanKind.SERVER,
            start_time=start,
        )
        inner.end(min(start + took, ended))

    async def stat(self, path: str) -> Entry:
        return await self._trace("Stat", path, lambda: self._driver.stat(path))

    async def get(self, path: str) -> Content:
        return await self._trace("GetContent", path, lambda: self._driver.get(path))

    async def get_several(self, paths: Sequence[str]) -> Sequence[Content | StorageError]:
        first = paths[0] if paths else ""
        return await self._trace("GetContent", first, lambda: self._driver.get_several(paths))

    async def put(
        self,
        path: str,
        data: bytes,
        *,
        if_absent: bool = False,
        if_version: str | None = None,
        record: tuple[str, bytes] | None = None,
    ) -> str:
        def work() -> Coroutine[Any, Any, str]:
            return self._driver.put(
                path, data, if_absent=if_absent, if_version=if_version, record=record
            )

        return await self._trace("PutContent", path, work)

    async def read(self, path: str, start: int = 0, stop: int | None = None) -> Reading:
        return await self._trace("Reader", path, lambda: self._driver.read(path, start, stop))

    async def open_writer(
        self, path: str, offset: int, *, algorithms: Sequence[str] = (), states: str | None = None
    ) -> Writer:
        def work() -> Coroutine[Any, Any, Writer]:
            return self._driver.open_writer(path, offset, algorithms=algorithms, states=states)

        return await self._trace("Writer", path, work)

    async def commit(
        self,
        path: str,
        destination: str,
        *,
        size: int,
        digest: str,
        record: tuple[str, bytes] | None = None,
        states: str | None = None,
    ) -> None:
        def work() -> Coroutine[Any, Any, None]:
            return self._driver.commit(
                path, destination, size=size, digest=digest, record=record, states=states
            )

        await self._trace("Commit", destination, work)

    async def move(self, source: str, destination: str) -> None:
        await self._trace("Move", source, lambda: self._driver.move(source, destination))

    async def delete(self, path: str, *, if_version: str | None = None) -> None:
        await self._trace("Delete", path, lambda: self._driver.delete(path, if_version=if_version))

    async def list(self, path: str, *, after: str = "", limit: int = 1000) -> Listing:
        return await self._trace(
            "List", path, lambda: self._driver.list(path, after=after, limit=limit)
        )

    async def walk(
        self, path: str, *, after: str = "", skip_subtree: bool = False, limit: int = 1000
    ) -> Walk:
        def work() -> Coroutine[Any, Any, Walk]:
            return self._driver.walk(path, after=after, skip_subtree=skip_subtree, limit=limit)

        return await self._trace("Walk", path, work)

    async def redirect_url(
        self, path: str, method: str, expires_in: int, *, client: str = ""
    ) -> str | None:
        def work() -> Coroutine[Any, Any, str | None]:
            return self._driver.redirect_url(path, method, expires_in, client=client)

        return await self._trace("RedirectURL", path, work)

    async def sync(self, paths: Sequence[str]) -> None:
        first = paths[0] if paths else ""
        await self._trace("Sync", first, lambda: self._driver.sync(paths))


def _traceparent(span: Span) -> str:
    """Return the span as W3C's trace context has it, version 00."""
    about = span.get_span_context()
    return f"00-{about.trace_id:032x}-{about.span_id:016x}-{about.trace_flags:02x}"
