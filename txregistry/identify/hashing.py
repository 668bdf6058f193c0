# SPDX-License-Identifier: Apache-2.0
"""bcrypt in a bounded number of threads, behind a bounded queue.

Room: identify. One check takes from 1 ms (cost 4) to a second (cost 14) of a processor, whoever
asks; so few run at once, they yield to the reactor (``nice``), and who comes when the queue is full
is told to come back. bcrypt gives up Python's lock while it works.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any

import bcrypt
from attrs import frozen
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from txregistry.oci.errors import Code, OciError
from txregistry.storage.blocking import shielded

#: Checks at work, and checks that wait. Arbitrary: two leave a processor to the reactor on most
#: hosts; the queue is a few seconds' work at cost 10.
THREADS = 2
QUEUE = 64
#: How far the threads stand back, as ``nice`` counts. They are the only ones with that.
NICENESS = 10

#: bcrypt looks at no more; some versions cut, others raise.
PASSWORD_LIMIT = 72


@frozen(repr=False)
class Check:
    """One password to be compared, and what else is hashed so that it takes as long as any.

    Attributes:
        stored: the hash; a dummy for who is not known.
        padding: dummies that are hashed as well if the password is wrong.
        is_known: False: the answer is no, whatever the comparison says.
    """

    password: bytes
    stored: bytes
    padding: Sequence[bytes] = ()
    is_known: bool = True


class Hashing:
    """Checks passwords.

    Args:
        reactor: whose threads call back.
        queue: checks that may wait.
    """

    def __init__(self, reactor: Any, *, queue: int = QUEUE) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(0, THREADS, "bcrypt")
        self._queue = queue
        self._waiting = 0
        self._is_started = self._is_stopped = False

    async def stop(self) -> None:
        """End the threads, once they have done what they are at; nothing is checked any more."""
        is_running = self._is_started and not self._is_stopped
        self._is_stopped = True
        if is_running:
            # It joins its threads, which may take as long as one check.
            await deferToThreadPool(self._reactor, self._reactor.getThreadPool(), self._pool.stop)

    async def is_right(self, check: Check) -> bool:
        """Compare one password.

        Raises:
            OciError: TOOMANYREQUESTS: too many wait already. UNAVAILABLE: it was stopped, as a
                reload does while requests wait for one another.
        """
        if self._is_stopped:
            raise OciError(Code.UNAVAILABLE, "logins are read anew", retry_after=1)
        if self._waiting >= self._queue + THREADS:
            raise OciError(Code.TOOMANYREQUESTS, "too many logins at once", retry_after=1)
        self._waiting += 1
        if not self._is_started:
            self._is_started = True
            self._pool.start()
        # A client that leaves frees no thread, so its check counts until it is done.
        return await shielded(self._run(check))

    async def _run(self, check: Check) -> bool:
        try:
            return await deferToThreadPool(self._reactor, self._pool, compare, check)
        finally:
            self._waiting -= 1


def compare(check: Check) -> bool:
    """Compare one password; blocks.

    Source: bcrypt. What is longer than it looks at, or holds a NUL, is wrong, and takes as long.
    """
    _stand_back()
    password = check.password
    is_possible = len(password) <= PASSWORD_LIMIT and b"\0" not in password
    if not is_possible:
        password = password[:PASSWORD_LIMIT].replace(b"\0", b"-")
    if bcrypt.checkpw(password, check.stored) and is_possible and check.is_known:
        return True
    for stored in check.padding:
        bcrypt.checkpw(password, stored)
    return False


def _stand_back() -> None:
    """Let other threads go first; asked each time, since pools replace their threads."""
    thread = threading.get_native_id()
    if thread != os.getpid() and os.getpriority(os.PRIO_PROCESS, thread) < NICENESS:
        os.setpriority(os.PRIO_PROCESS, thread, NICENESS)


def dummy_hash(cost: int) -> bytes:
    """Return a well-formed hash of that cost which no password has."""
    return b"$2b$%02d$" % cost + b"." * 53
