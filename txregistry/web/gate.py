# SPDX-License-Identifier: Apache-2.0
"""Asks, before a byte of a body is read, whether a request may be acted upon.

Room: web. Must not decide: ``auth.decisions.decide`` does, from what is handed to it here.
"""

from __future__ import annotations

from collections.abc import Callable, Container

from attrs import evolve, field, frozen

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
    wanted,
)
from txregistry.auth.immutable import ImmutableTags
from txregistry.auth.rules import Granted
from txregistry.oci.names import RepositoryName, Tag
from txregistry.web.answer import Answer
from txregistry.web.connections import group_of
from txregistry.web.faults import refusal
from txregistry.web.peer import peer_certificate
from txregistry.web.request import RegistryRequest


@frozen
class Sight:
    """What somebody is shown in the catalog: the repositories that they may pull from."""

    _rights: Container[Right]

    def sees(self, name: RepositoryName) -> bool:
        """Say whether they are shown a repository."""
        return Right(Resource.repository(name), "pull") in self._rights

    def leads_on(self, directory: str) -> bool:
        """Say whether they might be shown a repository of that name or below it."""
        return not isinstance(self._rights, Granted) or self._rights.leads_on(directory)


@frozen
class Gate:
    """Decides for one registry.

    Attributes:
        state: what the registry does at present.
        identifying: who makes identities of credentials.
        immutable: which tags must stay as they are.
    """

    state: State
    identifying: Identify = field(factory=Everybody)
    immutable: ImmutableTags = field(factory=ImmutableTags)

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
            raise Unauthorized(wanted(action, resource), error.error) from error
        self.check(identity, action, resource)
        return identity

    def challenged(self, error: Unauthorized) -> Answer:
        """Return the 401 that says how to log in. Source: RFC 9110 section 11.6.1."""
        return refusal(error).with_headers(("WWW-Authenticate", self.identifying.challenge(error)))

    def check(
        self,
        identity: Identity,
        action: Action,
        resource: Resource = REGISTRY,
        *,
        is_immutable: bool = False,
    ) -> None:
        """Return if the action may be done.

        Args:
            is_immutable: the target is a tag that must stay as it is, or something that one needs.

        Raises:
            OciError: UNAUTHORIZED, DENIED or UNSUPPORTED.
        """
        state = evolve(self.state, is_immutable=True) if is_immutable else self.state
        decision = decide(identity, action, resource, state)
        if not decision.is_allowed:
            raise decision.refusal()

    def is_offered(self, action: Action) -> bool:
        """Say whether the registry does such things at present, whoever asks."""
        return decide(ANONYMOUS, action, REGISTRY, self.state).is_allowed

    def tag_check(
        self, identity: Identity, repository: RepositoryName
    ) -> Callable[[Tag, bool], None] | None:
        """Return what refuses that a tag is made, or is pointed elsewhere if it is there; None if
        ``identity`` may do all of that, so that nobody need look.
        """
        resource = Resource.repository(repository)
        may_update = decide(identity, Action.TAG_UPDATE, resource, self.state).is_allowed
        if may_update and not self.immutable.concerns(repository.text):
            return None

        def check(tag: Tag, is_there: bool) -> None:
            action = Action.TAG_UPDATE if is_there else Action.TAG_CREATE
            is_immutable = self.immutable.holds(repository.text, tag.text)
            self.check(identity, action, resource, is_immutable=is_immutable)

        return check

    def keeper(self, repository: RepositoryName) -> Callable[[Tag], bool] | None:
        """Return what says whether a tag of a repository must stay as it is; None if none must."""
        if not self.immutable.concerns(repository.text):
            return None
        return lambda tag: self.immutable.holds(repository.text, tag.text)

    def sight(self, identity: Identity) -> Sight | None:
        """Return what ``identity`` is shown in the catalog; None if that is everything."""
        if identity.is_unrestricted:
            return None
        rights = identity.rights if identity.visible is None else identity.visible
        return Sight(rights)

    def reader(self, identity: Identity) -> Callable[[RepositoryName], bool]:
        """Return a function that says whether ``identity`` may pull from a repository."""

        def may_read(name: RepositoryName) -> bool:
            return decide(identity, Action.PULL, Resource.repository(name), self.state).is_allowed

        return may_read


def asker_of(request: RegistryRequest) -> Asker:
    """Return what a request shows of who sends it."""
    certificate = peer_certificate(request.channel.transport)
    address = group_of(request.errand.client)
    return Asker(request.header(b"Authorization"), address, certificate)
