# SPDX-License-Identifier: Apache-2.0
"""What is asked of a token server, and what it answers.

Room: auth. Must not know how tokens are made (``identify.issuing`` does), nor HTTP.
"""

from __future__ import annotations

from typing import Protocol

from attrs import field, frozen

from txregistry.auth.asking import Asker


@frozen(kw_only=True)
class TokenRequest:
    """What is asked.

    Attributes:
        asker: who asks, by what the request shows.
        service: that the token is for; empty if the client does not say.
        scopes: rights that it should have, as text.
        refresh_token: that is shown in place of other credentials; empty for none.
        is_offline: a refresh token is wanted.
    """

    asker: Asker
    service: str = ""
    scopes: tuple[str, ...] = ()
    refresh_token: str = field(default="", repr=False)
    is_offline: bool = False


@frozen(kw_only=True)
class Issued:
    """What is answered.

    Attributes:
        expires_in: seconds.
        issued_at: RFC 3339.
        scope: what was granted, as the token's scopes are written.
        refresh_token: empty if none was asked for.
    """

    token: str = field(repr=False)
    expires_in: int
    issued_at: str
    scope: str
    refresh_token: str = field(default="", repr=False)


class IssueTokens(Protocol):
    """A token server."""

    @property
    def realm(self) -> str:
        """What a client is asked a password for."""

    async def issue(self, request: TokenRequest) -> Issued:
        """Return a token with those of the rights asked for that may be had.

        Raises:
            Unauthorized: the credentials are not good.
            OciError: UNSUPPORTED, malformed: the request makes no sense; TOOMANYREQUESTS;
                UNAVAILABLE.
        """
