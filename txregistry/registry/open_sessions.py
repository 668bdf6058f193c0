# SPDX-License-Identifier: Apache-2.0
"""Which upload sessions this process has begun, and which it is at work on.

Room: registry. Must not know storage. Who opens sessions and leaves them costs everybody room, so
that they and the bytes that they hold are counted against caps: of one client, and of all::

    admit ---> attending* ---> ended              an hour without a request: no longer counted

What is no longer counted is left to the purge, so a client whose uploads keep failing is let in
again by and by. The count is this process's own and begins anew with it: it bounds a flood, it is
no ledger.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import define, frozen

from txregistry.oci.errors import Code, OciError
from txregistry.oci.names import UploadId

#: Seconds without a request after which a session is no longer counted. Arbitrary: longer than a
#: client pauses between two pieces, shorter than people wait to be let in again.
IDLE = 3600.0

#: Most seconds that a refused client is told to wait. Arbitrary: others may finish long before.
LONGEST_WAIT = 60

#: Bytes by which a session has grown when others are told before the request has ended. Arbitrary.
TELL_EVERY = 16 * 1024 * 1024


@frozen
class Change:
    """What one process has counted, for the others.

    Attributes:
        session: the text of its id.
        owner: whose it is.
        size: bytes that it holds now; None: it has ended.
    """

    session: str
    owner: str
    size: int | None


def _tell_nobody(change: Change) -> None:
    """For a process that serves alone."""


@define
class _Open:
    owner: str
    seen: float
    size: int = 0
    told: int = 0


class OpenSessions:
    """Counts sessions and their bytes against caps, and knows which are in use.

    Args:
        now: the clock, seconds.
        total: most in all; None for no cap.
        per_owner: most of one owner; None for no cap.
        total_bytes, bytes_per_owner: likewise, bytes that they hold.

    Attributes:
        tell: told of what is counted here; may be set.
    """

    def __init__(
        self,
        now: Callable[[], float],
        *,
        total: int | None = None,
        per_owner: int | None = None,
        total_bytes: int | None = None,
        bytes_per_owner: int | None = None,
    ) -> None:
        self._now = now
        self._total = math.inf if total is None else total
        self._per_owner = math.inf if per_owner is None else per_owner
        self._total_bytes = math.inf if total_bytes is None else total_bytes
        self._bytes_per_owner = math.inf if bytes_per_owner is None else bytes_per_owner
        self._bytes = 0
        self._bytes_by_owner: Counter[str] = Counter()
        # The one that was seen longest ago comes first.
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._by_owner: Counter[str] = Counter()
        self._attended: Counter[str] = Counter()
        self.tell: Callable[[Change], None] = _tell_nobody

    def admit(self, upload_id: UploadId, owner: str) -> None:
        """Count one more.

        Args:
            owner: whose it is; an empty one is nobody in particular, and counts in all only.

        Raises:
            OciError: TOOMANYREQUESTS: the owner has too many. UNAVAILABLE: there are too many.
        """
        now = self._now()
        self._forget_before(now - IDLE)
        if owner and self._by_owner[owner] >= self._per_owner:
            raise OciError(
                Code.TOOMANYREQUESTS,
                "too many uploads are open; finish or cancel some",
                retry_after=self._wait(now),
            )
        if len(self._open) >= self._total:
            raise OciError(
                Code.UNAVAILABLE, "too many uploads are open", retry_after=self._wait(now)
            )
        self._begin(upload_id.text, owner)
        self.tell(Change(upload_id.text, owner, 0))

    def _begin(self, text: str, owner: str) -> _Open:
        session = self._open[text] = _Open(owner, self._now())
        if owner:
            self._by_owner[owner] += 1
        return session

    def learn(self, change: Change) -> None:
        """Count what another process has counted; no cap refuses it."""
        if change.size is None:
            self._end(change.session)
            return
        session = self._open.get(change.session)
        if session is None and change.size == 0:
            session = self._begin(change.session, change.owner)
        if session is not None:  # else it has ended, or began before we did
            self._weigh(session, change.size)
            session.told = change.size
            self._see(change.session)

    def check_size(self, upload_id: UploadId, size: int) -> None:
        """Make sure that a session may come to hold so many bytes.

        Raises:
            OciError: TOOMANYREQUESTS: its owner's would hold too many. UNAVAILABLE: all would.
        """
        session = self._open.get(upload_id.text)
        if session is None or size <= session.size:
            return
        now, more = self._now(), size - session.size
        self._forget_before(now - IDLE)
        if session.owner and (self._bytes_by_owner[session.owner] + more > self._bytes_per_owner):
            raise OciError(
                Code.TOOMANYREQUESTS,
                "your open uploads hold too many bytes; finish or cancel some",
                retry_after=self._wait(now),
            )
        if self._bytes + more > self._total_bytes:
            raise OciError(
                Code.UNAVAILABLE, "open uploads hold too many bytes", retry_after=self._wait(now)
            )

    def resize(self, upload_id: UploadId, size: int) -> None:
        """Note how many bytes a session is going to hold, as many as :meth:`check_size` lets it.

        Raises:
            OciError: likewise.
        """
        self.check_size(upload_id, size)
        session = self._open.get(upload_id.text)
        if session is not None:
            self._weigh(session, size)
            if size - session.told >= TELL_EVERY:
                self._tell_size(upload_id.text, session)

    def _tell_size(self, text: str, session: _Open) -> None:
        session.told = session.size
        self.tell(Change(text, session.owner, session.size))

    def _weigh(self, session: _Open, size: int) -> None:
        self._bytes += size - session.size
        if session.owner:
            self._bytes_by_owner[session.owner] += size - session.size
        session.size = size

    @property
    def count(self) -> int:
        """How many are counted now."""
        self._forget_before(self._now() - IDLE)
        return len(self._open)

    def ended(self, upload_id: UploadId) -> None:
        """Count one less, if it is counted."""
        if self._end(upload_id.text):
            self.tell(Change(upload_id.text, "", None))

    def _end(self, text: str) -> bool:
        gone = self._open.pop(text, None)
        if gone is None:
            return False
        self._weigh(gone, 0)
        if gone.owner:
            self._by_owner[gone.owner] -= 1
            if not self._by_owner[gone.owner]:
                del self._by_owner[gone.owner]
                del self._bytes_by_owner[gone.owner]
        return True

    @contextmanager
    def attending(self, upload_id: UploadId) -> Iterator[None]:
        """Around a request about a session: it is in use, and was seen."""
        self._see(upload_id.text)
        self._attended[upload_id.text] += 1
        try:
            yield
        finally:
            self._see(upload_id.text)
            session = self._open.get(upload_id.text)
            if session is not None and session.size != session.told:
                self._tell_size(upload_id.text, session)
            self._attended[upload_id.text] -= 1
            if not self._attended[upload_id.text]:
                del self._attended[upload_id.text]

    def is_attended(self, upload_id: UploadId) -> bool:
        """Say whether a request is at work on a session."""
        return upload_id.text in self._attended

    def _see(self, text: str) -> None:
        session = self._open.get(text)
        if session is not None:
            session.seen = self._now()
            self._open.move_to_end(text)

    def _forget_before(self, time: float) -> None:
        while self._open:
            text, session = next(iter(self._open.items()))
            if session.seen >= time:
                return
            if text in self._attended:
                self._see(text)  # one request may last for days
            else:
                self._end(text)

    def _wait(self, now: float) -> int:
        oldest = next(iter(self._open.values()), None)
        left = IDLE if oldest is None else oldest.seen + IDLE - now
        return min(max(math.ceil(left), 1), LONGEST_WAIT)
