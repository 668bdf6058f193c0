# SPDX-License-Identifier: Apache-2.0
"""Clients of a simulated registry, and what they hold it to.

Each has a repository of its own. It pushes at once or in a session, with pauses, cuts and second
thoughts; it leaves uploads behind; it reads what it pushed. It knows what it was told, so it sees
whatever is lost.
"""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from txregistry.oci.digests import Digest
from txregistry.oci.errors import Code, OciError
from txregistry.oci.names import RepositoryName
from txregistry.oci.ranges import Span
from txregistry.registry.body import BodyCut
from txregistry.storage.errors import Unavailable

from .simulation import AGE

#: Sizes of blobs: held in memory, and through a writer.
SIZES = ((1, 2_000), (60_000, 300_000), (1_000_000, 6_000_000))
SHARES = (4, 8, 1)

#: A session that is to be gone on with is not left alone for longer.
LONGEST_PAUSE = AGE * 0.7


class Body:
    """A body that comes piece by piece.

    Args:
        pause: draws the seconds before a piece.
        cut_at: bytes after which nothing more comes.

    Attributes:
        given: bytes so far.
    """

    def __init__(self, tenant, data, cut_at=None):
        self.length = len(data)
        self.given = 0
        self._tenant = tenant
        self._data = data
        self._cut_at = cut_at

    async def __aiter__(self):
        stop = self.length if self._cut_at is None else self._cut_at
        piece = self._tenant.choice.choice((1 << 14, 1 << 16, 1 << 18))
        while self.given < stop:
            await self._tenant.pause(300, rarely=True)
            start, self.given = self.given, min(self.given + piece, stop)
            yield self._data[start : self.given]
        if self.given < self.length:
            raise BodyCut


@dataclass
class Session:
    """An upload as its client knows it.

    Attributes:
        held: bytes that it was told are there.
        sent: bytes that may be there.
        token: of the last answer.
        touched: when it was last told that something was stored. Refused for longer than uploads
            are kept, it may be purged.
        is_disturbed: the end of a request is not known.
        is_closing: so is that of the last one.
    """

    id: object
    data: bytes
    token: str
    touched: float
    held: int = 0
    sent: int = 0
    is_disturbed: bool = False
    is_closing: bool = False


class Tenant:
    """One client.

    Attributes:
        blobs: digest -> bytes that it was told are there.
        done: what it did.
    """

    def __init__(self, house, name):
        self.host, self.house = house.host, house
        self.uploads, self.stored = house.registry.uploads, house.registry.blobs
        self.choice = self.host.choice
        self.name = name
        self.repository = RepositoryName.parse(f"{name}/app")
        self.blobs = {}
        self.done = 0

    async def live(self, until):
        """Do one thing after the other until then."""
        kinds = {
            self.push_at_once: 3,
            self.push_in_session: 5,
            self.pull: 3,
            self.leave: 1,
            self.cancel: 1,
        }
        while self.host.seconds() < until:
            await self.pause(600)
            work = self.choice.choices(list(kinds), list(kinds.values()))[0]
            await work()
            self.done += 1
            self.host.note(f"{self.name} {work.__name__}")

    async def pause(self, most, *, rarely=False):
        """Some seconds, mostly few; ``rarely`` more than a moment."""
        seconds = self.choice.random() ** 4 * most
        if rarely and self.choice.random() < 0.8:
            seconds = self.choice.uniform(0, 0.1)
        await deferLater(self.host, seconds)

    # What is done.

    async def push_at_once(self):
        data = self._content()
        digest = Digest.of(data)
        await self._ask(lambda: self.uploads.push(self.repository, digest, Body(self, data)))
        self.blobs[digest] = data

    async def push_in_session(self):
        session = await self._start()
        while not await self._step(session):
            await self.pause(LONGEST_PAUSE, rarely=True)

    async def leave(self):
        session = await self._start()
        await self._step(session, may_finish=False)

    async def cancel(self):
        session = await self._start()
        await self._step(session, may_finish=False)
        try:
            await self._ask(lambda: self.uploads.cancel(self.repository, session.id, session.token))
        except OciError as error:
            # An earlier attempt may have done it.
            if not (error.code is Code.BLOB_UPLOAD_UNKNOWN and self.host.weather.may_refuse):
                raise

    async def pull(self):
        if self.blobs:
            await self.check(self.choice.choice(list(self.blobs)))

    async def check(self, digest):
        """Read a blob that must be there."""
        data = self.blobs[digest]
        start = self.choice.randrange(len(data))
        found = await self._ask(lambda: self._read(digest, start))
        if found != data[start:]:
            self._problem(f"{digest} is served with other bytes")

    async def _read(self, digest, start):
        content = await self.stored.open(self.repository, digest)
        reading = await content.read(start, content.size)
        pieces = []
        try:
            async for chunk in reading:
                pieces.append(chunk)
                await self.pause(60, rarely=True)
        finally:
            await reading.aclose()
        return b"".join(pieces)

    # Steps of a session.

    async def _start(self):
        upload = await self._ask(lambda: self.uploads.start(self.repository))
        return Session(upload.id, self._content(), upload.token, self.host.seconds())

    async def _step(self, session, *, may_finish=True):
        """Ask where it is and send something; True when it is over."""
        try:
            if not await self._find(session):
                return True
            if may_finish and self.choice.random() < 0.4:
                return await self._finish(session)
            await self._append(session)
        except BodyCut:
            session.is_disturbed = True
        except OciError as error:
            self._judge(session, error)
            await deferLater(self.host, error.retry_after or 0)
        return False

    async def _find(self, session):
        """Hold what it says of itself against what is known; False: it is over."""
        try:
            upload = await self.uploads.status(self.repository, session.id)
        except OciError as error:
            if error.code is not Code.BLOB_UPLOAD_UNKNOWN:
                raise
            if not session.is_closing and self.host.seconds() - session.touched < AGE:
                self._problem(f"a session with {session.held} bytes is gone")
            if self.host.seconds() - session.touched < AGE:
                # It has become a blob, or it is lost: the end will tell.
                self.blobs[Digest.of(session.data)] = session.data
            return False
        if not session.held <= upload.offset <= session.sent:
            self._problem(
                f"a session is at {upload.offset}, not at {session.held} to {session.sent}"
            )
        session.held, session.token = upload.offset, upload.token
        return True

    async def _append(self, session):
        start = session.held
        rest = len(session.data) - start
        if not rest:
            return
        stop = start + self.choice.randint(1, rest)
        body = self._body(session.data[start:stop])
        span = Span(start, stop) if self.choice.random() < 0.5 else None
        upload = await self._send(
            session,
            body,
            self.uploads.append(self.repository, session.id, session.token, span, body),
        )
        if upload.offset != stop:
            self._problem(f"{stop} bytes were taken, {upload.offset} told")
        session.held, session.token = upload.offset, upload.token
        session.touched = self.host.seconds()

    async def _finish(self, session):
        digest = Digest.of(session.data)
        body = self._body(session.data[session.held :])
        session.is_closing = True
        await self._send(
            session,
            body,
            self.uploads.finish(self.repository, session.id, session.token, digest, None, body),
        )
        self.blobs[digest] = session.data
        return True

    def _body(self, data):
        cut_at = self.choice.randrange(len(data)) if data and self.choice.random() < 0.2 else None
        return Body(self, data, cut_at)

    async def _send(self, session, body, request):
        """Make a request; now and then go away before it is answered."""
        session.sent = max(session.sent, session.held + body.length)
        task = Deferred.fromCoroutine(request)
        leaving = None
        if self.choice.random() < 0.1:
            leaving = self.host.callLater(self.choice.uniform(0, 5), task.cancel)
        try:
            return await task
        except CancelledError:
            raise BodyCut from None
        finally:
            if leaving is not None and leaving.active():
                leaving.cancel()

    def _judge(self, session, error):
        """Whether an answer may be."""
        if error.code is Code.UNAVAILABLE:
            self._refused(error)
        elif not (
            (error.code is Code.RANGE_INVALID and session.is_disturbed)
            or (error.code is Code.BLOB_UPLOAD_UNKNOWN and session.is_closing)
        ):
            self._problem(f"a session was answered {error}: {error.__cause__!r}")
        session.is_disturbed = True

    async def _ask(self, make):
        """Ask until there is an answer, no sooner than one was told to."""
        while True:
            try:
                return await make()
            except Unavailable as error:  # of a read that had begun
                self._refused(error)
                later = error.retry_after
            except OciError as error:
                if error.code is not Code.UNAVAILABLE:
                    raise
                self._refused(error)
                later = error.retry_after
            await deferLater(self.host, later or 1)

    def _refused(self, error):
        self.host.refusals += 1
        self.host.note(f"{self.name} is refused")
        if not self.host.weather.may_refuse:
            self._problem(f"a fault was noticed: {error.__cause__ or error}")

    def _content(self):
        least, most = self.choice.choices(SIZES, SHARES)[0]
        return self.choice.randbytes(self.choice.randint(least, most))

    def _problem(self, text):
        self.house.problems.append(f"{self.host.seconds():.3f} {self.name}: {text}")
