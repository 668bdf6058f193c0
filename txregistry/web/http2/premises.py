# SPDX-License-Identifier: Apache-2.0
"""What a connection needs of the site that it belongs to.

Room: web.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.interfaces import IAddress

from txregistry.web.room import Room
from txregistry.web.settings import Limits


class Premises(Protocol):
    """The site, as ``Http2Connection`` sees it.

    Attributes:
        queues: bytes that arrived and wait to be stored.
        buffers: bytes of receive buffers that are larger than usual.
    """

    limits: Limits
    reactor: Any
    is_draining: bool
    queues: Room
    buffers: Room
    requestFactory: Any

    def channel_opened(self, channel: Any) -> None:
        """A connection was made."""

    def channel_closed(self, channel: Any) -> None:
        """A connection is gone."""

    def admit_stream(self, host: IAddress) -> str | None:
        """Count a stream as a connection; None if a cap is reached."""

    def stream_left(self, place: str) -> None:
        """Count one less."""
