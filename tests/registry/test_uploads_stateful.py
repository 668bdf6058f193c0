# SPDX-License-Identifier: Apache-2.0
"""Upload sessions against a model: whatever clients do, in any order, over any of several
processes.

The model is a dictionary of bytes. What must hold after each step: a session holds exactly the
bytes that were taken, its status says how many, nothing is published that did not verify, and
everything that was published stays readable.
"""

from __future__ import annotations

import contextlib
from typing import Any

from attrs import define, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from txregistry.oci.digests import Digest
from txregistry.oci.errors import Code, OciError
from txregistry.oci.ranges import Span
from txregistry.registry import BodyCut
from txregistry.storage.errors import NoSpace, Unavailable

from .world import APP, Bytes, World, cut, done

chunks = st.lists(st.binary(min_size=1, max_size=8), max_size=3)
algorithms = st.sampled_from(["sha256", "sha512"])


@define(eq=False)
class Session:
    """A session as a client and the model know it.

    Attributes:
        tokens: every token that was ever given, with the offset that it stands for.
        closed: the digest that it became.
    """

    upload: Any
    held: bytes = b""
    tokens: list[tuple[str, int]] = field(factory=list)
    is_cancelled: bool = False
    closed: Digest | None = None

    @property
    def is_open(self) -> bool:
        return self.closed is None and not self.is_cancelled


class UploadsMachine(RuleBasedStateMachine):
    sessions = Bundle("sessions")

    @initialize()
    def begin(self) -> None:
        self.world = World()
        self.fronts = [self.world.registry.uploads, self.world.open().uploads]
        self.open: list[Session] = []
        self.blobs: dict[Digest, bytes] = {}

    def front(self, number: int) -> Any:
        return self.fronts[number % 2]

    @rule(target=sessions, algorithm=algorithms, front=st.integers(0, 1))
    def start(self, algorithm: str, front: int) -> Session:
        upload = done(self.front(front).start(APP, algorithm=algorithm))
        session = Session(upload, tokens=[(upload.token, 0)])
        self.open.append(session)
        return session

    @rule(
        session=sessions,
        parts=chunks,
        which=st.integers(0, 3),
        start=st.none() | st.integers(-2, 2),
        declares=st.booleans(),
        is_cut=st.booleans(),
        front=st.integers(0, 1),
    )
    def append(self, session, parts, which, start, declares, is_cut, front) -> None:
        """Any token of the session, any range near its end, any body."""
        token, offset = session.tokens[-1 - which % len(session.tokens)]
        data = b"".join(parts)
        span = None
        if start is not None and data:
            begin = max(len(session.held) + start, 0)
            span = Span(begin, begin + len(data))
        is_cut = is_cut and span is None
        length = len(data) + is_cut if declares else None
        body = cut(*parts, length=length) if is_cut else Bytes(*parts, length=length)
        place = offset if span is None else span.start
        try:
            upload = done(self.front(front).append(APP, session.upload.id, token, span, body))
        except BodyCut:
            assert session.is_open and is_cut and place == len(session.held)
            session.held += data
        except OciError as error:
            assert body.pulls == 0
            if not session.is_open:
                assert error.code is Code.BLOB_UPLOAD_UNKNOWN
            else:
                assert error.code is Code.RANGE_INVALID and place != len(session.held)
                assert error.offset == len(session.held)
        else:
            assert session.is_open and place == len(session.held)
            session.held += data
            assert upload.offset == len(session.held)
            session.tokens.append((upload.token, upload.offset))

    @rule(session=sessions, front=st.integers(0, 1))
    def ask(self, session, front) -> None:
        try:
            upload = done(self.front(front).status(APP, session.upload.id))
        except OciError as error:
            assert error.code is Code.BLOB_UPLOAD_UNKNOWN and not session.is_open
        else:
            assert session.is_open
            session.tokens.append((upload.token, upload.offset))

    @rule(
        session=sessions,
        parts=chunks,
        which=st.integers(0, 2),
        algorithm=algorithms,
        is_wrong=st.booleans(),
        front=st.integers(0, 1),
    )
    def finish(self, session, parts, which, algorithm, is_wrong, front) -> None:
        token, offset = session.tokens[-1 - which % len(session.tokens)]
        data = b"".join(parts)
        digest = Digest.of(session.held + data + b"!" * is_wrong, algorithm)
        body = Bytes(*parts)
        try:
            done(self.front(front).finish(APP, session.upload.id, token, digest, None, body))
        except OciError as error:
            if not session.is_open:
                assert error.code is Code.BLOB_UPLOAD_UNKNOWN and digest not in self.blobs
            elif offset != len(session.held):
                assert error.code is Code.RANGE_INVALID and body.pulls == 0
            else:
                assert error.code is Code.DIGEST_INVALID and is_wrong
                session.held += data
        else:
            if session.is_open and offset == len(session.held):
                assert not is_wrong
                session.held += data
                self.blobs[digest] = session.held
                session.closed = digest
            else:
                # A repetition, as far as anybody can tell: the repository has just that.
                assert digest in self.blobs
                assert not session.is_open or len(self.blobs[digest]) == len(session.held)
                session.closed = session.closed or digest

    @rule(session=sessions)
    def finish_again(self, session) -> None:
        """A 201 that was lost is given again, with any token of the session."""
        if session.closed is not None:
            for token, _ in session.tokens:
                again = self.front(0).finish(
                    APP, session.upload.id, token, session.closed, None, None
                )
                assert done(again) == session.closed

    @rule(session=sessions, which=st.integers(0, 2), front=st.integers(0, 1))
    def cancel(self, session, which, front) -> None:
        token, _ = session.tokens[-1 - which % len(session.tokens)]
        try:
            done(self.front(front).cancel(APP, session.upload.id, token))
        except OciError as error:
            assert error.code is Code.BLOB_UPLOAD_UNKNOWN and not session.is_open
        else:
            assert session.is_open
            session.is_cancelled = True

    @rule(
        session=sessions,
        call=st.sampled_from(
            ["^stat", "^open_writer", "^close", "^commit", "^put .*_layers", "^delete"]
        ),
        error=st.sampled_from([NoSpace(), Unavailable()]),
    )
    def fail_to_finish(self, session, call, error) -> None:
        """The driver fails at some call of a finish: nothing that was held is lost."""
        digest = Digest.of(session.held)
        self.world.driver.fail(call, error)
        with contextlib.suppress(OciError):
            done(
                self.front(0).finish(
                    APP, session.upload.id, session.tokens[-1][0], digest, None, None
                )
            )
        self.world.driver.obeyed()
        with contextlib.suppress(OciError):
            upload = done(self.front(1).status(APP, session.upload.id))
            session.tokens.append((upload.token, upload.offset))
        member = self.world.has(f"APP/_layers/sha256/{digest.encoded}/link")
        if session.is_open and member:
            self.blobs[digest] = session.held
            if not self.world.has(f"APP/_uploads/{session.upload.id.text}"):
                session.closed = digest

    @rule(data=st.binary(max_size=8), algorithm=algorithms, is_wrong=st.booleans())
    def push(self, data, algorithm, is_wrong) -> None:
        digest = Digest.of(data + b"!" * is_wrong, algorithm)
        try:
            done(self.front(0).push(APP, digest, Bytes(data)))
        except OciError as error:
            assert error.code is Code.DIGEST_INVALID and is_wrong
        else:
            self.blobs[digest] = data

    @invariant()
    def sessions_hold_what_was_taken(self) -> None:
        for session in getattr(self, "open", ()):
            path = f"APP/_uploads/{session.upload.id.text}"
            assert self.world.has(path) == session.is_open
            if session.is_open and session.held:
                assert self.world.get(f"{path}/data") == session.held
                upload = done(self.fronts[0].status(APP, session.upload.id))
                assert upload.offset == len(session.held)

    @invariant()
    def blobs_are_what_was_published(self) -> None:
        for digest, data in getattr(self, "blobs", {}).items():
            content = done(self.world.registry.blobs.open(APP, digest))
            assert content.data == data and digest.matches(data)


UploadsMachineTests = UploadsMachine.TestCase
UploadsMachineTests.settings = settings(max_examples=60, stateful_step_count=30)
