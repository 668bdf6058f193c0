# SPDX-License-Identifier: Apache-2.0
"""Spans of requests.

Room: tracing. A request's span is current in the context of its coroutine, so that spans of what it
awaits become its children. Names of spans are few: routes, not paths.
"""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry import context
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    Link,
    Span,
    SpanKind,
    StatusCode,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from txregistry import __version__
from txregistry.errand import Errand
from txregistry.storage.contract import Driver
from txregistry.tracing.driver import TracedDriver
from txregistry.tracing.exporting import ToldExporter, hush

#: Longest text of an attribute that a client chose, in characters. Arbitrary.
_TEXT_LIMIT = 256


class Tracing:
    """Makes spans and sends them away, in a thread of its own and in bounded memory.

    Args:
        exporter: sends them.
        ratio: of the traces that begin here.
        trust: whose traces are followed, and their decision whether to sample: ``proxies``,
            ``everybody`` or ``nobody``. Other requests begin a trace, which links to the client's:
            else anybody could have every request of his sampled, also by choosing trace ids.
        service: what the spans are shown under.
    """

    def __init__(
        self, exporter: SpanExporter, *, ratio: float, service: str, trust: str = "proxies"
    ) -> None:
        self._provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(ratio)),
            resource=Resource.create({SERVICE_NAME: service, SERVICE_VERSION: __version__}),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self.tracer = self._provider.get_tracer("txregistry", __version__)
        self._propagator = TraceContextTextMapPropagator()
        self._trust = trust

    def begin(
        self, errand: Errand, headers: Mapping[str, str], *, is_from_proxy: bool
    ) -> RequestSpan:
        """Begin the span of a request, and make it current in the running coroutine.

        Args:
            headers: ``traceparent`` and ``tracestate`` of the request, if it has them.
            is_from_proxy: a trusted proxy sent it.
        """
        parent, links = self._parent(headers, is_from_proxy=is_from_proxy)
        span = self.tracer.start_span(
            f"{errand.method} {errand.endpoint}",
            context=parent,
            kind=SpanKind.SERVER,
            links=links,
            attributes={
                "http.request.method": errand.method[:_TEXT_LIMIT],
                "client.address": errand.client[:_TEXT_LIMIT],
                "user_agent.original": errand.user_agent[:_TEXT_LIMIT],
                "http.request.id": errand.id,
            },
        )
        context.attach(set_span_in_context(span))  # of this coroutine, and ends with it
        return RequestSpan(span, errand)

    def _parent(
        self, headers: Mapping[str, str], *, is_from_proxy: bool
    ) -> tuple[Context, list[Link]]:
        """Return what the span is below, and what it only points to. Source: W3C Trace Context,
        section "restarting the trace".
        """
        incoming = self._propagator.extract(dict(headers), Context())
        if self._trust == "everybody" or (self._trust == "proxies" and is_from_proxy):
            return incoming, []
        about = get_current_span(incoming).get_span_context()
        return Context(), [Link(about)] if about.is_valid else []

    def traced(self, driver: Driver, name: str) -> Driver:
        """Return a driver whose calls are spans of requests."""
        return TracedDriver(driver, self.tracer, name)

    def flush(self) -> None:
        """Send what has not been sent; blocks for a few seconds at most."""
        self._provider.force_flush(5000)
        self._provider.shutdown()


class RequestSpan:
    """The span of one request."""

    def __init__(self, span: Span, errand: Errand) -> None:
        self._span = span
        self._errand = errand

    def end(self, status: int) -> None:
        """The request was answered; 0 if it never will be."""
        span, errand = self._span, self._errand
        if span.is_recording():
            for name, value in (
                ("registry.repository", errand.repository),
                ("registry.reference", errand.reference),
                ("registry.digest", errand.digest),
                ("enduser.id", errand.user),
                ("error.type", errand.error),
            ):
                if value:
                    span.set_attribute(name, value[:_TEXT_LIMIT])
            span.set_attribute("http.response.status_code", status or 499)
            if status >= 500:
                span.set_status(StatusCode.ERROR)
        span.end()


def make_tracing(
    endpoint: str, headers: Mapping[str, str], *, ratio: float, service: str, trust: str
) -> Tracing:
    """Send spans to a collector.

    Args:
        endpoint: the collector's URL for traces, by OTLP over HTTP.
        headers: sent with them; secret.
    """
    hush()
    exporter = OTLPSpanExporter(endpoint=endpoint, headers=dict(headers), timeout=5)
    return Tracing(ToldExporter(exporter), ratio=ratio, service=service, trust=trust)
