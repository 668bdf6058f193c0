# SPDX-License-Identifier: Apache-2.0
"""Asks, before a byte of a body is read, whether a request may be acted upon.

Room: web. Must not decide: ``auth.decisions.decide`` does, from what is handed to it here.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import field, frozen

from txregistry.auth.asking import Asker, Everybody, Identify
from txregistry.auth.decisions import (
    ANONYMOUS,
    REGISTRY,
    RULES,
    Action,
    Identity,
    Resource,
    Right,
    State,
    Unauthorized,
    decide,
)
from txregistry.oci.names import RepositoryName
from txregistry.web.answer import Answer
from txregistry.web.faults import refusal
from txregistry.web.peer import peer_certificate
from txregistry.web.request import RegistryRequest


@frozen
class Gate:
    """Decides for one registry.

    Attributes:
        state: what the registry does at present.
        identifying: who makes identities of credentials.
    """

    state: State
    identifying: Identify = field(factory=Everybody)

    async def admit(
        self, request: RegistryRequest, action: Action, resource: Resource = REGISTRY
    ) -> Identity:
        """Return who asks, if the action may be done.

        Raises:
            OciError: UNAUTHORIZED, DENIED or UNSUPPORTED; TOOMANYREQUESTS or UNAVAILABLE:
                credentials are not judged now.
        """
        if RULES[action].is_open:
            return Identity()
        try:
            identity = await self.identifying.identify(asker_of(request))
        except Unauthorized as error:
            word = RULES[action].right
            missing = None if word is None else Right(resource, word)
            raise Unauthorized(missing, error.error) from error
        self.check(identity, action, resource)
        return identity

    def challenged(self, error: Unauthorized) -> Answer:
        """Return the 401 that says how to log in. Source: RFC 9110 section 11.6.1."""
        return refusal(error).with_headers(("WWW-Authenticate", self.identifying.challenge(error)))

    def check(self, identity: Identity, action: Action, resource: Resource = REGISTRY) -> None:
        """Return if the action may be done.

        Raises:
            OciError: UNAUTHORIZED, DENIED or UNSUPPORTED.
        """
        decision = decide(identity, action, resource, self.state)
        if not decision.is_allowed:
            raise decision.refusal()

    def is_offered(self, action: Action) -> bool:
        """Say whether the registry does such things at present, whoever asks."""
        return decide(ANONYMOUS, action, REGISTRY, self.state).is_allowed

    def reader(self, identity: Identity) -> Callable[[RepositoryName], bool]:
        """Return a function that says whether ``identity`` may pull from a repository."""

        def may_read(name: RepositoryName) -> bool:
            return decide(identity, Action.PULL, Resource.repository(name), self.state).is_allowed

        return may_read


def asker_of(request: RegistryRequest) -> Asker:
    """Return what a request shows of who sends it."""
    certificate = peer_certificate(request.channel.transport)
    return Asker(request.header(b"Authorization"), request.errand.client, certificate)
