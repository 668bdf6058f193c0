# SPDX-License-Identifier: Apache-2.0
"""Klein with our own routing table, and the steps of every request.

Room: web. Must not know connections. Klein asks its ``url_map`` which endpoint a path belongs to;
ours is asked instead of werkzeug's, which would decode paths, merge slashes and redirect.

    route -> gate -> function -> egress           anything that is raised -> faults

A client that leaves cancels nothing: a body raises ``BodyCut``, an answer ``ClientGone``, and what
is being made durable is carried to its end.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from klein import Klein
from twisted.internet.defer import Deferred

from txregistry.auth.decisions import (
    CATALOG,
    REGISTRY,
    Action,
    Resource,
    Unauthorized,
    wanted,
)
from txregistry.errand import CURRENT
from txregistry.oci.errors import Code, OciError
from txregistry.oci.names import RepositoryName
from txregistry.web.answer import Answer
from txregistry.web.call import Call, House
from txregistry.web.egress import send_parts, send_whole
from txregistry.web.faults import Faults, refusal
from txregistry.web.filelane import Run
from txregistry.web.request import RegistryRequest
from txregistry.web.routes import NOWHERE, PROBES, Row, rows_for

#: A colon may come encoded, in a reference only; nothing else in a path may.
_ENCODED_COLON = re.compile("%3[Aa]")


class RegistryMap:
    """What Klein takes for werkzeug's map.

    Args:
        rows: tried in order.
    """

    def __init__(self, rows: tuple[Row, ...]) -> None:
        self._rows = rows

    def bind(self, *_: object, path_info: str, **__: object) -> RegistryAdapter:
        """Find the row of a path; Klein gives it as it came."""
        for row in self._rows:
            match = row.pattern.fullmatch(path_info)
            if match is not None:
                return RegistryAdapter(row, match)
        return RegistryAdapter(NOWHERE, None)


class RegistryAdapter:
    """What Klein takes for werkzeug's map, bound to one request."""

    __slots__ = ("_found", "_row")

    def __init__(self, row: Row, found: re.Match[str] | None) -> None:
        self._row = row
        self._found = found

    def match(self, *, return_rule: bool) -> tuple[Row, dict[str, Any]]:
        """Return the row, and what the endpoint is called with."""
        return self._row, {"row": self._row, "found": self._found}


class RegistryApp(Klein):
    """The registry's routes.

    Attributes:
        standing: formatted headers of every answer; the site keeps them fresh.
        in_flight: requests that are being answered.
        flights: the same by endpoint.
    """

    def __init__(self, house: House, run: Run, seconds: Callable[[], float]) -> None:
        super().__init__()
        self.standing = b""
        self.in_flight = 0
        self.flights: Counter[str] = Counter()
        self._run = run
        self._faults = Faults(seconds)
        self.adopt(house)

    def adopt(self, house: House) -> None:
        """Answer requests by other settings from now on; those in progress keep theirs."""
        self._house = house
        self._most_in_flight = house.settings.limits.requests
        rows = rows_for(house.settings)
        self._map = RegistryMap(rows)
        self._rows = {row.endpoint: row for row in (*rows, NOWHERE)}

    @property
    def url_map(self) -> Any:
        """Our map."""
        return self._map

    @property
    def endpoints(self) -> Any:
        """Endpoint -> what Klein looks up about it."""
        return self._rows

    def execute_endpoint(self, endpoint: str, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Answer a request that was routed; Klein calls this and finishes the request after it."""
        self.in_flight += 1
        serving = Deferred.fromCoroutine(self._serve(request, kwargs["row"], kwargs["found"]))
        if serving.called:
            return None
        # Klein cancels what it is given when the client leaves; the serving goes on.
        until: Deferred[None] = Deferred()
        serving.addBoth(until.callback)
        return until

    def send(self, request: RegistryRequest, answer: Answer) -> None:
        """Send an answer whose body is in memory."""
        send_whole(request, answer, self.standing + request.id_line())

    async def _serve(self, request: RegistryRequest, row: Row, found: re.Match[str] | None) -> None:
        errand = request.errand
        errand.endpoint = row.endpoint
        self.flights[row.endpoint] += 1
        CURRENT.set(errand)  # in this coroutine's own context, which ends with it
        trace = self._house.settings.trace
        traced = None
        if trace is not None:
            headers = request.trace_headers()
            traced = trace.begin(errand, headers, is_from_proxy=request.is_from_proxy)
        try:
            await self._faults.guarded(
                self._attend(request, row, found),
                request,
                lambda answer: self.send(request, answer),
            )
        finally:
            self.in_flight -= 1
            self.flights[row.endpoint] -= 1
            if traced is not None:
                traced.end(request.status)
            request.body.discard()

    async def _attend(
        self, request: RegistryRequest, row: Row, found: re.Match[str] | None
    ) -> None:
        try:
            await self._answer(request, row, found)
        except Unauthorized as error:
            request.errand.error = error.code.value
            self.send(request, self._house.gate.challenged(error))

    async def _answer(
        self, request: RegistryRequest, row: Row, found: re.Match[str] | None
    ) -> None:
        method = row.methods.get(request.method.decode("ascii"))
        if method is None or found is None:
            self.send(request, await self._without_route(request, row))
            return
        if self.in_flight > self._most_in_flight:
            raise OciError(Code.UNAVAILABLE, "too many requests at once")
        is_closed = self._house.settings.is_closed
        if is_closed is not None and row.endpoint not in PROBES and is_closed():
            raise OciError(Code.UNAVAILABLE, "a health check fails")
        try:
            call = await self._admit(request, method.action, found.groupdict())
        except OciError as error:
            if error.code is not Code.UNSUPPORTED:
                raise
            self.send(request, self._not_offered(row, error))
            return
        try:
            answer = await method.route(call)
        except OciError as error:
            if error.code is not Code.UNAUTHORIZED:
                raise
            # The registry found that a lapsed token was no good for what it was shown for.
            resource = Resource.repository(call.repository)
            raise Unauthorized(wanted(method.action, resource), "invalid_token") from error
        request.errand.digest = answer.value_of("Docker-Content-Digest")
        if isinstance(answer.body, bytes) or request.method == b"HEAD":
            self.send(request, answer)
        else:
            standing = self.standing + request.id_line()
            await send_parts(request, answer, standing, self._run)

    async def _admit(self, request: RegistryRequest, action: Action, parts: dict[str, str]) -> Call:
        house = self._house
        name = parts.get("name")
        repository = None if name is None else RepositoryName.parse(name)
        if repository is None:
            resource = CATALOG if action is Action.CATALOG else REGISTRY
        else:
            resource = Resource.repository(repository)
        reference = parts.get("reference", "")
        if "%" in reference:
            reference = _ENCODED_COLON.sub(":", reference)
        errand = request.errand
        errand.repository, errand.reference = name or "", reference
        identity = await house.gate.admit(request, action, resource)
        errand.user = identity.name
        return Call(house, identity, reference, request, repository)

    async def _without_route(self, request: RegistryRequest, row: Row) -> Answer:
        if row is NOWHERE:
            return refusal(
                OciError(Code.UNSUPPORTED, message="there is nothing at this path"), status=404
            )
        gate = self._house.gate
        await gate.admit(request, Action.LOGIN)
        if request.method == b"OPTIONS":
            return Answer(200, (("Allow", row.allow(gate.is_offered)),))
        return self._not_offered(
            row, OciError(Code.UNSUPPORTED, message="the method is not for this path")
        )

    def _not_offered(self, row: Row, error: OciError) -> Answer:
        """Return the 405 with what is offered. Source: RFC 9110 section 15.5.6."""
        return refusal(error).with_headers(("Allow", row.allow(self._house.gate.is_offered)))
