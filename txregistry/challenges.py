# SPDX-License-Identifier: Apache-2.0
"""The answers that an ACME client leaves in a directory, so that an authority can fetch them.

Must not know HTTP. Only plain files of a challenge's size and name are read, whatever else lies
there.
"""

from __future__ import annotations

import os
import re
import stat
from typing import Any

from twisted.internet.threads import deferToThreadPool

#: Below the webroot; certbot, lego and acme.sh all put them there. Source: RFC 8555 section 8.3.
BELOW = ".well-known/acme-challenge"

#: Most bytes of an answer: a token and a thumbprint are about a hundred. Arbitrary beyond that.
SIZE_LIMIT = 4096

# base64url, RFC 8555 section 8.3; the length is arbitrary.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,255}")


class Webroot:
    """The directory that an ACME client was told."""

    def __init__(self, path: str, reactor: Any) -> None:
        self._directory = os.path.join(path, BELOW)
        self._reactor = reactor

    async def read(self, token: str) -> bytes | None:
        """Return the answer to a challenge, None if there is none."""
        if not _TOKEN.fullmatch(token):
            return None
        pool = self._reactor.getThreadPool()
        content: bytes | None = await deferToThreadPool(
            self._reactor, pool, _read, os.path.join(self._directory, token)
        )
        return content


def _read(path: str) -> bytes | None:
    try:
        # Without O_NONBLOCK the open of a FIFO would wait for a writer.
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return os.read(file, SIZE_LIMIT) if stat.S_ISREG(os.fstat(file).st_mode) else None
    finally:
        os.close(file)
