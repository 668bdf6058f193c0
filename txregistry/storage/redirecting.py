# SPDX-License-Identifier: Apache-2.0
"""What a client that might be sent elsewhere asks for, and who may say where.

Room: storage. Must not know any store. In a driver's process the store itself answers, or a chain
of middlewares in front of it (``middleware.storage`` of the configuration); all of them block.
"""

from __future__ import annotations

from typing import Protocol

from attrs import frozen


@frozen
class Asked:
    """A request that might be answered by a URL.

    Attributes:
        path: of the content, in the store.
        method: ``GET`` or ``HEAD``.
        expires_in: seconds for which the URL is to work.
        client: the client's IP address; empty if it is not known.
    """

    path: str
    method: str
    expires_in: int
    client: str = ""


class Redirects(Protocol):
    """Says where content can be had."""

    def url(self, asked: Asked) -> str | None:
        """A URL at which the client may do it itself, or None to serve it from here.

        Blocks.

        Raises:
            StorageError: it can't be said.
        """

    def key(self, path: str) -> str | None:
        """What the content is called where it lies (the key of an object), if that is public.

        A middleware whose URLs lead to the same place by another way asks this.
        """
