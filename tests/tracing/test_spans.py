# SPDX-License-Identifier: Apache-2.0
"""Spans: of requests, of calls below them, and on the other side of the process border."""

import inspect
from contextvars import copy_context

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from twisted.internet.defer import Deferred

from tests.ipc.loopback import Loopback, hosting, inline, over
from txregistry.errand import TRACED, Errand
from txregistry.storage.blocking import run_inline
from txregistry.storage.contract import Driver
from txregistry.storage.errors import Missing, Unavailable
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.memory import MemoryStore
from txregistry.storage.suite import CASES, Environment, Verdict, run_case
from txregistry.tracing import TracedDriver, Tracing

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-01"}

#: What the store in memory does not offer.
LACKING = {
    "a redirect is a url",
    "a descriptor holds the whole object",
    "states are saved on the way",
}


class Traced:
    """Traces into memory.

    Attributes:
        errand: of the request that is served.
    """

    def __init__(self, ratio=1.0, trust="proxies"):
        self.exporter = InMemorySpanExporter()
        self.tracing = Tracing(self.exporter, ratio=ratio, service="tests", trust=trust)
        self.errand = Errand("7", method="GET", endpoint="blob", repository="lib/app")

    async def serve(self, work, headers=None, status=200, *, is_from_proxy=True):
        """Do some work for a request."""

        async def served():
            given = SAMPLED if headers is None else headers
            request = self.tracing.begin(self.errand, given, is_from_proxy=is_from_proxy)
            try:
                return await work
            finally:
                request.end(status)

        return await copy_context().run(Deferred.fromCoroutine, served())

    def spans(self):
        self.tracing.flush()
        return {span.name: span for span in self.exporter.get_finished_spans()}


@pytest.fixture
def traced():
    return Traced()


class RequestTests:
    async def nothing(self):
        return TRACED.get()

    async def test_request_goes_on_with_the_clients_trace(self, traced):
        await traced.serve(self.nothing())
        [span] = traced.spans().values()
        assert (span.name, span.kind) == ("GET blob", SpanKind.SERVER)
        assert f"{span.context.trace_id:032x}" == TRACE
        assert f"{span.parent.span_id:016x}" == PARENT
        assert span.attributes["registry.repository"] == "lib/app"
        assert span.attributes["http.response.status_code"] == 200
        assert span.status.status_code is StatusCode.UNSET

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"traceparent": "x" * 10_000},
            {"traceparent": f"00-{TRACE}-{PARENT}"},
            {"traceparent": f"ff-{TRACE}-{PARENT}-01"},
            {"tracestate": "=,=;" * 1000},
            {**SAMPLED, "tracestate": "\x00é" * 1000},
        ],
    )
    async def test_header_that_makes_no_sense_costs_nothing(self, traced, headers):
        await traced.serve(self.nothing(), headers)
        assert len(traced.spans()) == 1

    async def test_client_that_does_not_want_a_trace_has_none(self, traced):
        await traced.serve(self.nothing(), {"traceparent": f"00-{TRACE}-{PARENT}-00"})
        assert traced.spans() == {}

    async def test_share_of_the_traces_that_begin_here_can_be_none(self):
        traced = Traced(ratio=0.0)
        await traced.serve(self.nothing(), {})
        await traced.serve(self.nothing())
        assert len(traced.exporter.get_finished_spans()) <= 1
        assert len(traced.spans()) == 1

    @pytest.mark.parametrize(
        ("trust", "is_from_proxy", "is_followed"),
        [
            ("proxies", True, True),
            ("proxies", False, False),
            ("everybody", False, True),
            ("nobody", True, False),
        ],
    )
    async def test_trace_is_followed_only_of_those_who_are_trusted(
        self, trust, is_from_proxy, is_followed
    ):
        traced = Traced(trust=trust)
        await traced.serve(self.nothing(), is_from_proxy=is_from_proxy)
        [span] = traced.spans().values()
        assert (f"{span.context.trace_id:032x}" == TRACE) == is_followed
        assert (span.parent is not None) == is_followed
        linked = [f"{link.context.trace_id:032x}" for link in span.links]
        assert linked == ([] if is_followed else [TRACE])

    @pytest.mark.parametrize("trace_id", [TRACE, "0" * 31 + "1", "f" * 32])
    async def test_nobody_else_has_his_requests_sampled(self, trace_id):
        """Neither by the flag, nor by a trace id that falls below the ratio."""
        traced = Traced(ratio=0.0)
        headers = {"traceparent": f"00-{trace_id}-{PARENT}-01"}
        await traced.serve(self.nothing(), headers, is_from_proxy=False)
        assert traced.spans() == {}

    async def test_nobody_else_hides_his_requests(self):
        traced = Traced()
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-00"}
        await traced.serve(self.nothing(), headers, is_from_proxy=False)
        assert len(traced.spans()) == 1

    @pytest.mark.parametrize(("status", "shown"), [(503, 503), (0, 499), (404, 404)])
    async def test_trouble_of_ours_is_an_error(self, traced, status, shown):
        traced.errand.error = "UNAVAILABLE"
        await traced.serve(self.nothing(), status=status)
        [span] = traced.spans().values()
        assert span.attributes["http.response.status_code"] == shown
        assert (span.status.status_code is StatusCode.ERROR) == (status >= 500)
        assert span.attributes["error.type"] == "UNAVAILABLE"

    async def test_nothing_stays_current(self, traced):
        await traced.serve(self.nothing())
        assert await self.nothing() is None


class DriverTests:
    async def test_calls_are_children_on_both_sides_of_the_border(self, traced):
        """Over a connection that serialises: the trace goes over, the driver's time comes back."""
        loopback = Loopback(hosting(MemoryStore()), run=inline)
        driver = traced.tracing.traced(over(loopback), "memory")

        async def work():
            await driver.put("/a", b"1")

        await traced.serve(work())
        await loopback.end()
        spans = traced.spans()
        request, call, inside = (
            spans["GET blob"],
            spans["storage PutContent"],
            spans["driver memory"],
        )
        assert call.parent.span_id == request.context.span_id
        assert inside.parent.span_id == call.context.span_id
        assert {f"{span.context.trace_id:032x}" for span in spans.values()} == {TRACE}
        assert call.attributes["io.cncf.distribution.storage.path"] == "/a"
        assert call.start_time <= inside.start_time <= inside.end_time <= call.end_time

    async def test_reads_that_share_a_box_are_traced(self, traced):
        loopback = Loopback(hosting(MemoryStore()), run=inline)
        driver = traced.tracing.traced(over(loopback), "memory")

        async def work():
            await driver.put("/a", b"1")
            await driver.get_several(["/a", "/b"])
            await driver.get("/a")

        await traced.serve(work())
        await loopback.end()
        names = [span.name for span in traced.exporter.get_finished_spans()]
        traced.spans()
        names = [span.name for span in traced.exporter.get_finished_spans()]
        assert names.count("storage GetContent") == 2
        assert names.count("driver memory") == 3

    async def test_driver_that_knows_no_traces_is_one_span(self, traced):
        """What it does not say is not made up."""
        hosted = HostedDriver(MemoryStore(), run=run_inline)
        driver = traced.tracing.traced(hosted, "memory")
        await traced.serve(driver.list("/"))
        assert set(traced.spans()) == {"GET blob", "storage List"}

    async def test_call_outside_of_requests_is_none(self, traced):
        loopback = Loopback(hosting(MemoryStore()), run=inline)
        driver = traced.tracing.traced(over(loopback), "memory")
        await driver.put("/a", b"1")
        await driver.get("/a")
        await loopback.end()
        assert traced.spans() == {}

    @pytest.mark.parametrize(
        ("error", "is_trouble"), [(Missing("x"), False), (Unavailable("x"), True)]
    )
    async def test_absence_is_an_answer_and_no_trouble(self, traced, error, is_trouble):
        class Refusing:
            async def stat(self, path):
                raise error

        driver = traced.tracing.traced(Refusing(), "x")
        with pytest.raises(type(error)):
            await traced.serve(driver.stat("/a"))
        span = traced.spans()["storage Stat"]
        assert span.attributes["error.type"] == type(error).__name__
        assert (span.status.status_code is StatusCode.ERROR) == is_trouble

    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
    async def test_driver_keeps_the_promise(self, case, traced):
        """Each promise of the contract holds for a driver that is traced, over the wire too."""
        loopback = Loopback(hosting(MemoryStore()), run=inline)
        driver = traced.tracing.traced(over(loopback), "memory")

        async def reopen():
            loopback.kill()
            return driver

        outcome = await traced.serve(run_case(case, Environment(driver, "/contract/case", reopen)))
        await loopback.end()
        expected = Verdict.NOT_OFFERED if case.name in LACKING else Verdict.PASSED
        assert outcome.verdict is expected, outcome.why
        traced.tracing.flush()

    def test_nothing_of_a_driver_is_left_out(self):
        """Who adds a method to drivers adds it here."""
        for name, method in inspect.getmembers(Driver, inspect.isfunction):
            if not name.startswith("_"):
                own = inspect.signature(getattr(TracedDriver, name)).parameters
                assert list(own) == list(inspect.signature(method).parameters), name
