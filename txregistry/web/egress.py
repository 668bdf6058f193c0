# SPDX-License-Identifier: Apache-2.0
"""Answers out: a value becomes bytes on the connection.

Room: web. Must not know why it is answered so. A small body leaves with its head in one write. A
large one leaves as it is read; it is opened before the head is sent, so that a refusal can still be
one. After the head there is no refusal any more: whatever goes wrong then breaks the connection, so
that no client takes a part for the whole.
"""

from __future__ import annotations

from txregistry.oci.ranges import Span
from txregistry.storage.contract import Reading
from txregistry.storage.errors import Corrupt
from txregistry.web.answer import BODILESS, Answer, Parts, Source
from txregistry.web.filelane import FileLane, Run
from txregistry.web.outlets import ClientGone, SentOutlet, WrittenOutlet
from txregistry.web.request import RegistryRequest

#: Content up to this size is read whole and written at once, in bytes. Arbitrary: Twisted's write
#: buffer, below which nothing waits.
SMALL = 64 * 1024

#: How much of a file is read at once for a connection that encrypts, in bytes.
PIECE = 256 * 1024


def send_whole(request: RegistryRequest, answer: Answer, standing: bytes) -> None:
    """Send an answer whose body is in memory, or that tells only of one (HEAD)."""
    if request.is_over:
        return
    if request.method == b"HEAD" or answer.status in BODILESS or not answer.body:
        request.send(answer, standing, b"")
        return
    assert isinstance(answer.body, bytes)
    request.sentLength = len(answer.body)
    request.send(answer, standing, answer.body)


async def send_parts(request: RegistryRequest, answer: Answer, standing: bytes, run: Run) -> None:
    """Send an answer whose body is read as it leaves.

    Raises:
        ClientGone: the client left.
        Exception: whatever reading raises; if the head has left by then the answer can't be saved.
    """
    parts = answer.body
    assert isinstance(parts, Parts)
    delivery = _Delivery(request, answer, standing, run)
    for piece in parts.pieces:
        if isinstance(piece, bytes):
            delivery.add(piece)
        else:
            await delivery.add_span(parts.source, piece)
    delivery.flush()
    if request.sentLength != parts.length:
        raise Corrupt(f"{request.sentLength} bytes left where {parts.length} were promised")


class _Delivery:
    """Gathers what is small, so that it leaves in few writes, and passes on what is large."""

    def __init__(self, request: RegistryRequest, answer: Answer, standing: bytes, run: Run) -> None:
        self._request = request
        self._answer = answer
        self._standing = standing
        self._run = run
        self._gathered: list[bytes] = []

    def add(self, data: bytes) -> None:
        """Have ``data`` leave after all before it."""
        self._gathered.append(data)

    async def add_span(self, source: Source, span: Span) -> None:
        """Have a span of ``source`` leave after all before it."""
        reading = await source.read(span.start, span.stop)
        try:
            if (reading.start, reading.stop) != (span.start, span.stop):
                raise Corrupt("the content is shorter than its record says")
            if span.length <= SMALL and reading.file is not None:
                lane = FileLane(reading.file, self._run)
                self._gathered.append(await lane.read_exactly(span.start, span.stop))
            else:
                self.flush()
                await self._pass_on(reading)
        finally:
            await reading.aclose()

    def flush(self) -> None:
        """Write what was gathered, after the head if that has not left yet."""
        request = self._request
        if request.is_over:
            raise ClientGone
        data = b"".join(self._gathered)
        self._gathered.clear()
        request.sentLength += len(data)
        if not request.startedWriting:
            request.send(self._answer, self._standing, data)
        elif data:
            request.channel.transport.write(data)

    async def _pass_on(self, reading: Reading) -> None:
        request = self._request
        if reading.file is not None and request.channel.wire.is_plain:
            await SentOutlet(request, reading.file, reading.start, reading.stop, self._run).send()
            return
        outlet = WrittenOutlet(request)
        try:
            if reading.file is not None:
                await _copy_file(
                    outlet, FileLane(reading.file, self._run), reading.start, reading.stop
                )
            else:
                await _copy_stream(outlet, reading)
        finally:
            outlet.close()


async def _copy_file(outlet: WrittenOutlet, lane: FileLane, start: int, stop: int) -> None:
    while start < stop:
        data = await lane.read(start, min(PIECE, stop - start))
        start += len(data)
        await outlet.write(data)


async def _copy_stream(outlet: WrittenOutlet, reading: Reading) -> None:
    left = reading.stop - reading.start
    async for chunk in reading:
        left -= len(chunk)
        if left < 0:
            raise Corrupt("the stream is longer than the span that was asked for")
        await outlet.write(chunk)
    if left:
        raise Corrupt("the stream ended before the span that was asked for")
