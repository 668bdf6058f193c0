# SPDX-License-Identifier: Apache-2.0
"""Asks, before a byte of a body is read, whether a request may be acted upon.

Room: web. Must not decide: ``auth.decisions.decide`` does, from what is handed to it here.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from txregistry.auth.decisions import ANONYMOUS, REGISTRY, Action, Identity, Resource, State, decide
from txregistry.oci.names import RepositoryName


@frozen
class Gate:
    """Decides for one registry.

    Attributes:
        state: what the registry does at present.
    """

    state: State

    def identify(self) -> Identity:
        """Return who asks: everybody is the same, as long as nobody is asked for credentials."""
        return ANONYMOUS

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
