# SPDX-License-Identifier: Apache-2.0
"""An object that is being read, over as many connections as it takes.

Driver: s3. Nothing is read ahead: a reader that is slow is a connection that is slow, and one that S3
gave up meanwhile is made anew where the reader stands.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError
from urllib3.exceptions import HTTPError

from txregistry.driver import Unavailable
from txregistry_drivers.objects import ObjectHead

#: What a body raises that breaks off; botocore translates most of it, and not all.
_BROKEN = (BotoCoreError, HTTPError, OSError)

#: Connections without a byte between them, after which a read is given up.
_FRUITLESS_LIMIT = 3


class S3Object:
    """An :class:`~txregistry_drivers.objects.OpenObject`.

    Args:
        body: of the first answer, standing at ``position``; None if there is nothing to read.
        reopen: the body from a position on, of the same version.
    """

    def __init__(
        self, head: ObjectHead, body: Any, position: int, reopen: Callable[[int], Any]
    ) -> None:
        self.head = head
        self._body = body
        self._position = position
        self._reopen = reopen
        self._fruitless = 0

    def read(self, limit: int) -> bytes:
        while self._position < self.head.size:
            try:
                if self._body is None:
                    self._body = self._reopen(self._position)
                piece = bytes(self._body.read(min(limit, self.head.size - self._position)))
            except _BROKEN as err:
                self._count(type(err).__name__)
                continue
            if not piece:
                self._count("it ended early")
                continue
            self._position += len(piece)
            self._fruitless = 0
            return piece
        return b""

    def close(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None

    def _count(self, reason: str) -> None:
        self.close()
        self._fruitless += 1
        if self._fruitless > _FRUITLESS_LIMIT:
            raise Unavailable(f"an answer of S3 broke at {self._position}: {reason}")
