# SPDX-License-Identifier: Apache-2.0
"""What a request shows of who sends it, and who makes an identity of that.

Room: auth. Must not know how anything is proven (``identify`` does), nor HTTP: the text of a
credential is opaque here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from attrs import field, frozen

from txregistry.auth.decisions import ANONYMOUS, Identity, Unauthorized


class Certificate(Protocol):
    """A client's certificate, verified by the connection that it came on."""

    @property
    def subject(self) -> str:
        """As RFC 4514 writes it."""

    @property
    def common_name(self) -> str:
        """Of the subject; empty if it has none."""

    @property
    def dns_names(self) -> Sequence[str]:
        """Of the subject's alternative names."""

    @property
    def emails(self) -> Sequence[str]:
        """Likewise."""

    @property
    def uris(self) -> Sequence[str]:
        """Likewise."""


@frozen
class Asker:
    """Who sends a request, as far as it shows.

    Attributes:
        authorization: the header of that name; None if there is none.
        address: that the client's failures count under: its own, or its network where one client
            has a whole network of them; empty if it has none.
        certificate: that it was verified by; None without one.
    """

    authorization: str | None = field(default=None, repr=False)
    address: str = ""
    certificate: Certificate | None = None


class Identify(Protocol):
    """All ways in which clients of one registry may prove who they are."""

    async def identify(self, asker: Asker) -> Identity:
        """Return who asks; nobody is an identity, too.

        Raises:
            Unauthorized: credentials were shown that are not good.
            OciError: TOOMANYREQUESTS; UNAVAILABLE: they can't be judged now.
        """

    def challenge(self, error: Unauthorized) -> str:
        """Return how to log in, as ``WWW-Authenticate`` has it.

        Source: RFC 7617, RFC 6750; Docker's token specification.
        """


@frozen
class Everybody:
    """Nobody is asked for credentials, and everybody may do everything."""

    async def identify(self, asker: Asker) -> Identity:
        """Return the same for all."""
        return ANONYMOUS

    def challenge(self, error: Unauthorized) -> str:
        """Return nothing: there is no way to log in."""
        return ""
