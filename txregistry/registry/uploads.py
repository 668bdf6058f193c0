# SPDX-License-Identifier: Apache-2.0
"""Uploads: how a blob comes into a repository, in one request or over days.

Room: registry. Must not know HTTP. The rules are in ``upload_rules``, what a session consists of in
``sessions``, how a body is stored in ``intake``, how it becomes a blob in ``publication``; this
puts them in order::

    start ----> append* ----> finish          a client that lost its way asks status and goes on
                                |
                                v  publication: commit, link, remove the session

One request of an upload is at work at a time because a newer writer fences an older one, in this
process and in any other; there are no locks. From the commit on a departed client stops nothing.
A PUT that is repeated after a crash finds either the session or the link.

Driver calls of a request, beyond the bytes of its body ("at once" costs one round trip):

    start    1: startedat                          (2 for another algorithm than sha256, or if it
                                                    is somebody's)
    status   3 at once: startedat, size, meta
    append   1 size (2 at once on a new session), 2 open and close the writer
    finish   1 size (2 at once), [2 open and close], 3: commit, link, remove
             a small body on a new session: no writer, 1 put in place of the commit
    push     of a small body 2: put, link; of another 6: startedat, [2], commit, link, remove
    cancel   1
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import field, frozen
from twisted.internet.defer import CancelledError

from txregistry.oci.digests import CANONICAL, Digest, check_algorithm
from txregistry.oci.errors import Code, OciError
from txregistry.oci.names import RepositoryName, UploadId
from txregistry.oci.ranges import Span
from txregistry.registry.body import Body, hold, is_empty
from txregistry.registry.border import border
from txregistry.registry.intake import Intake
from txregistry.registry.observer import Action, Event, Observer
from txregistry.registry.open_sessions import OpenSessions
from txregistry.registry.publication import Publication
from txregistry.registry.sessions import Place, Record, Sessions
from txregistry.registry.tasks import Finishing
from txregistry.registry.tokens import Tokens, UploadState
from txregistry.registry.upload_rules import Accept, Claim, Refuse, judge
from txregistry.registry.uploaders import ANYBODY, Uploader
from txregistry.storage.contract import Driver
from txregistry.storage.errors import Fenced

#: Largest body, in bytes, that is held in memory to be stored by one call, if it is a whole blob.
#: Arbitrary: configs and small layers fit; it bounds what one request costs.
SMALL = 64 * 1024


@frozen
class Upload:
    """A session as a client is told of it.

    Attributes:
        offset: bytes that are stored.
        token: to be shown with the next request.
        started_at: RFC 3339.
    """

    repository: RepositoryName
    id: UploadId
    offset: int
    token: str = field(repr=False)
    started_at: str


class Uploads:
    """Upload sessions of all repositories.

    Args:
        new_id: makes the text of an id that nobody had or can guess.
        open_sessions: counts them, and knows which are in use.
        limit: most bytes of a blob, None for no limit.
    """

    def __init__(
        self,
        driver: Driver,
        *,
        sessions: Sessions,
        publication: Publication,
        tokens: Tokens,
        new_id: Callable[[], str],
        observer: Observer,
        finishing: Finishing,
        open_sessions: OpenSessions,
        limit: int | None = None,
    ) -> None:
        self._driver = driver
        self._sessions = sessions
        self._publication = publication
        self._tokens = tokens
        self._new_id = new_id
        self._observer = observer
        self._finishing = finishing
        self._open = open_sessions
        self._limit = limit

    async def start(
        self,
        repository: RepositoryName,
        *,
        algorithm: str | None = None,
        owner: str = "",
        by: Uploader = ANYBODY,
    ) -> Upload:
        """Begin a session.

        Args:
            algorithm: of the digest that will close it, if the client says; sha256 else.
            owner: whom it is counted against; empty for nobody in particular.
            by: who begins it, and may go on with it.

        Raises:
            OciError: DIGEST_INVALID: no such algorithm. TOOMANYREQUESTS, UNAVAILABLE: too many are
                open.

        Source: distribution-spec end-4a.
        """
        algorithm = check_algorithm(algorithm or CANONICAL)
        place = Place(repository, UploadId(self._new_id()))
        self._open.admit(place.upload_id, owner)
        try:
            with border(Code.UNKNOWN):
                upload = self._told(place, await self._sessions.create(place, algorithm, by.name))
                event = Event(Action.START, repository, upload=place.upload_id)
                await self._observer.happened(event)
        except BaseException:
            # No client knows of it.
            self._open.ended(place.upload_id)
            raise
        return upload

    @property
    def open_sessions(self) -> OpenSessions:
        """Those that are counted here."""
        return self._open

    @property
    def open_count(self) -> int:
        """Sessions that were begun here and have neither ended nor been left for long."""
        return self._open.count

    async def is_in_use(self, upload_id: UploadId) -> bool:
        """Say whether a request of this process is at work on a session."""
        return self._open.is_attended(upload_id)

    async def status(
        self, repository: RepositoryName, upload_id: UploadId, *, by: Uploader = ANYBODY
    ) -> Upload:
        """Say how much a session holds; nothing changes.

        Raises:
            OciError: BLOB_UPLOAD_UNKNOWN, for somebody else's, too; UNAUTHORIZED: see
                ``uploaders``.

        Source: distribution-spec end-13.
        """
        place = Place(repository, upload_id)
        with border(Code.BLOB_UPLOAD_UNKNOWN):
            record = await self._sessions.recall(place)
        if record is None:
            raise OciError(Code.BLOB_UPLOAD_UNKNOWN)
        by.check(record.owner, record.started_at)
        return self._told(place, record)

    async def append(
        self,
        repository: RepositoryName,
        upload_id: UploadId,
        token: str | None,
        span: Span | None,
        body: Body,
        *,
        by: Uploader = ANYBODY,
    ) -> Upload:
        """Put a body behind what a session holds.

        Args:
            span: the request's Content-Range.

        Raises:
            OciError: BLOB_UPLOAD_INVALID (token), BLOB_UPLOAD_UNKNOWN; RANGE_INVALID, with the true
                offset: not behind what is held; SIZE_INVALID: its length is not what was said (413
                if over the limit). TOOMANYREQUESTS, UNAVAILABLE: open uploads hold too many bytes.
            BodyCut: the body ended early; what arrived is stored.

        Source: distribution-spec end-5.
        """
        state = self._tokens.open(token, repository, upload_id)
        by.check(state.owner, state.started_at)
        place = Place(repository, upload_id)
        with self._open.attending(upload_id), border(Code.BLOB_UPLOAD_UNKNOWN):
            verdict = await self._judge(place, state, span, body)
            if isinstance(verdict, Refuse):
                raise _refusal(verdict)
            offset = await self._take_in(place, verdict, body, state.algorithm)
        return self._told(place, Record(offset, state.started_at, state.algorithm, state.owner))

    async def finish(
        self,
        repository: RepositoryName,
        upload_id: UploadId,
        token: str | None,
        digest: Digest,
        span: Span | None,
        body: Body | None,
        *,
        by: Uploader = ANYBODY,
    ) -> Digest:
        """Take the rest, if any, and make the whole a blob of the repository.

        A request that did so before and is repeated succeeds again.

        Raises:
            OciError: as for :meth:`append`; DIGEST_INVALID: the bytes are others. The session stays
                open with all its bytes then, and nothing is published.
            BodyCut: as for :meth:`append`.

        Source: distribution-spec end-6.
        """
        state = self._tokens.open(token, repository, upload_id)
        by.check(state.owner, state.started_at)
        place = Place(repository, upload_id)
        with self._open.attending(upload_id), border(Code.BLOB_UPLOAD_UNKNOWN):
            verdict = await self._judge(place, state, span, body)
            if isinstance(verdict, Accept):
                await self._finish(place, verdict, digest, body)
                self._open.ended(upload_id)
            elif not (verdict.may_be_done and await self._is_repeated(place, digest, verdict)):
                raise _refusal(verdict)
            await self._observer.told(repository, digest)
        return digest

    async def push(self, repository: RepositoryName, digest: Digest, body: Body) -> Digest:
        """Take a whole blob in one request. Nothing of it stays if that fails: no client knows of
        it.

        Raises:
            OciError: DIGEST_INVALID, SIZE_INVALID.
            BodyCut: the body ended early.

        Source: distribution-spec end-4b.
        """
        with border(Code.BLOB_UPLOAD_UNKNOWN):
            verdict = judge(Claim(0, None, body.length), 0, self._limit)
            if isinstance(verdict, Refuse):
                raise _refusal(verdict)
            if _is_small(body):
                await self._push_small(repository, digest, body)
            else:
                await self._push_large(repository, verdict, digest, body)
            await self._observer.told(repository, digest)
        return digest

    async def cancel(
        self,
        repository: RepositoryName,
        upload_id: UploadId,
        token: str | None,
        *,
        by: Uploader = ANYBODY,
    ) -> None:
        """End a session without a blob.

        Raises:
            OciError: BLOB_UPLOAD_INVALID (token), BLOB_UPLOAD_UNKNOWN.

        Source: distribution-spec end-14.
        """
        state = self._tokens.open(token, repository, upload_id)
        by.check(state.owner, state.started_at)
        with border(Code.BLOB_UPLOAD_UNKNOWN):
            await self._finishing.run(self._cancel(Place(repository, upload_id)))

    async def _cancel(self, place: Place) -> None:
        await self._sessions.remove(place)
        self._open.ended(place.upload_id)
        await self._observer.happened(
            Event(Action.CANCEL, place.repository, upload=place.upload_id)
        )

    async def _judge(
        self, place: Place, state: UploadState, span: Span | None, body: Body | None
    ) -> Accept | Refuse:
        held = await self._sessions.held(place, is_new=state.offset == 0)
        length = 0 if body is None else body.length
        return judge(Claim(state.offset, span, length), held, self._limit)

    async def _take_in(self, place: Place, verdict: Accept, body: Body, algorithm: str) -> int:
        """Store a body; returns the bytes that are held then.

        Raises:
            OciError: also TOOMANYREQUESTS, UNAVAILABLE: the bytes of open uploads are too many. What
                came before is stored.
        """
        if is_empty(body):
            return verdict.start
        self._open.check_size(place.upload_id, verdict.start + (verdict.length or 0))
        intake = Intake(
            body,
            lambda: self._driver.open_writer(
                place.data, verdict.start, algorithms=(algorithm,), states=place.states
            ),
            verdict.room if verdict.length is None else verdict.length,
            check=lambda received: self._open.resize(place.upload_id, verdict.start + received),
        )
        try:
            await self._finishing.run(intake.run())
        except CancelledError:
            intake.stop()
            raise
        except Fenced as error:
            held = await self._sessions.held(place)
            code = Code.BLOB_UPLOAD_UNKNOWN if held is None else Code.RANGE_INVALID
            raise OciError(code, "another request took the upload over", offset=held) from error
        if intake.has_excess and verdict.length is None:
            # Whatever was meant to be uploaded is over the limit: nothing will come of the session.
            await self._finishing.run(self._sessions.clear(place))
            self._open.ended(place.upload_id)
            raise OciError(Code.SIZE_INVALID, too_large=True)
        held = verdict.start + intake.received
        if intake.has_excess or intake.received < (verdict.length or 0):
            raise OciError(Code.SIZE_INVALID, offset=held)
        return held

    async def _finish(
        self, place: Place, verdict: Accept, digest: Digest, body: Body | None
    ) -> None:
        """Take the rest and publish; a small blob that comes whole is published as it comes."""
        if body is not None and verdict.start == 0 and _is_small(body):
            held = await hold(body)
            if held.is_complete and digest.matches(held.data):
                work = self._publication.in_place_of_session(place, digest, held.data)
                await self._finishing.run(work)
                return
            body = held
        size = verdict.start
        if body is not None:
            size = await self._take_in(place, verdict, body, digest.algorithm)
        await self._finishing.run(self._publication.from_session(place, digest, size))

    async def _is_repeated(self, place: Place, digest: Digest, verdict: Refuse) -> bool:
        return await self._finishing.run(
            self._publication.is_repeated(place, digest, verdict.offset)
        )

    async def _push_small(self, repository: RepositoryName, digest: Digest, body: Body) -> None:
        held = await hold(body)
        if held.failure is not None:
            raise held.failure
        if not held.is_complete:
            raise OciError(Code.SIZE_INVALID)
        if not digest.matches(held.data):
            raise OciError(Code.DIGEST_INVALID)
        await self._finishing.run(self._publication.from_memory(repository, digest, held.data))

    async def _push_large(
        self, repository: RepositoryName, verdict: Accept, digest: Digest, body: Body
    ) -> None:
        place = Place(repository, UploadId(self._new_id()))
        await self._sessions.create(place)
        is_published = False
        try:
            with self._open.attending(place.upload_id):
                size = await self._take_in(place, verdict, body, digest.algorithm)
                await self._finishing.run(self._publication.from_session(place, digest, size))
            is_published = True
        finally:
            if not is_published:
                await self._finishing.run(self._sessions.clear(place))

    def _told(self, place: Place, record: Record) -> Upload:
        state = UploadState(
            place.repository,
            place.upload_id,
            record.offset,
            record.started_at,
            record.algorithm,
            record.owner,
        )
        token = self._tokens.seal(state)
        return Upload(place.repository, place.upload_id, record.offset, token, record.started_at)


def _is_small(body: Body) -> bool:
    return body.length is not None and 0 < body.length <= SMALL


def _refusal(verdict: Refuse) -> OciError:
    return OciError(verdict.code, offset=verdict.offset, too_large=verdict.is_too_large)
