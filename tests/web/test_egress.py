# SPDX-License-Identifier: Apache-2.0
"""How content leaves: by the kernel, by writes, over TLS, and what happens when it fails."""

import datetime
import os
import tempfile

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import (
    HostnameEndpoint,
    SSL4ServerEndpoint,
    connectProtocol,
    wrapClientTLS,
)
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import CertificateOptions
from zope.interface import implementer

from txregistry.oci.digests import Digest
from txregistry.storage.errors import Unavailable
from txregistry.web import Limits, WebSettings, make_site, outlets
from txregistry.web.filelane import Truncated, is_in_memory

from .content import digest_of
from .raw import RawClient, request

DATA = bytes(range(251)) * 20_000
DIGEST = digest_of(DATA)


class Reading:
    """An open read of one file or of chunks that a test decides."""

    def __init__(self, blob, start, stop):
        self.size, self.start, self.stop = blob.size, start + blob.shift, stop
        self.file = blob.descriptor
        self._blob = blob

    async def __aiter__(self):
        for chunk in self._blob.chunks:
            if isinstance(chunk, Exception):
                raise chunk
            if isinstance(chunk, Deferred):
                await chunk
            else:
                yield chunk

    async def aclose(self):
        self._blob.events.append("closed")


class Blob:
    """A registry that has one blob, which is read as a test wants."""

    shift = 0

    def __init__(self, size, *, descriptor=None, chunks=(), opening=None):
        self.blobs = self
        self.digest = Digest.parse(DIGEST)
        self.size = size
        self.data = None
        self.descriptor = descriptor
        self.chunks = chunks
        self.opening = opening
        self.events = []

    async def open(self, repository, digest):
        return self

    async def stat(self, repository, digest):
        return self.size

    async def read(self, start, stop):
        self.events.append("opened")
        if isinstance(self.opening, Deferred):
            await self.opening
        elif self.opening is not None:
            raise self.opening
        return Reading(self, start, stop)


@pytest.fixture(params=["disk", "memory"])
def file(request):
    """A file that can tell whether it is cached, and one that can't."""
    if request.param == "memory":
        descriptor = os.memfd_create("x", os.MFD_CLOEXEC)
    else:
        descriptor, path = tempfile.mkstemp()
        os.unlink(path)
    os.write(descriptor, DATA)
    yield descriptor
    os.close(descriptor)


class FilesTests:
    """Content that is a file."""

    async def test_whole_file_is_sent_and_the_connection_kept(self, house, file):
        """The next request is answered as usual, also if it was sent meanwhile."""
        blob = Blob(len(DATA), descriptor=file)
        house.serve(registry=blob)
        client = await house.client()
        client.send(request("GET", f"/v2/a/blobs/{DIGEST}") * 2 + request("GET", "/v2/"))
        for _ in range(2):
            assert (await client.reply()).body == DATA
        assert (await client.reply()).body == b"{}"
        assert blob.events == ["opened", "closed"] * 2
        assert [record.sent for record in house.records] == [len(DATA), len(DATA), 2]

    @pytest.mark.parametrize("asked", ["0-0", "17-3000000", "-70000", "100-200"])
    async def test_part_of_a_file_is_sent(self, house, file, asked):
        """Offsets are explicit."""
        house.serve(registry=Blob(len(DATA), descriptor=file))
        reply = await house.ask("GET", f"/v2/a/blobs/{DIGEST}", headers=[f"Range: bytes={asked}"])
        first, _, last = asked.partition("-")
        expected = DATA[int(first) : int(last) + 1] if first else DATA[-int(last) :]
        assert (reply.status, reply.body) == (206, expected)

    async def test_parts_of_a_file_are_sent(self, house, file):
        """Large and small ones, in one body."""
        house.serve(registry=Blob(len(DATA), descriptor=file))
        reply = await house.ask(
            "GET", f"/v2/a/blobs/{DIGEST}", headers=["Range: bytes=0-9,100-1000000,2000000-3000000"]
        )
        assert reply.status == 206
        assert DATA[100:1000001] in reply.body and DATA[2000000:3000001] in reply.body

    async def test_cold_file_is_read_by_a_thread_first(self, house, file):
        """The reactor never waits for a disk."""
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        house.serve(registry=Blob(len(DATA), descriptor=file))
        assert (await house.ask("GET", f"/v2/a/blobs/{DIGEST}")).body == DATA

    @pytest.mark.parametrize("size", [len(DATA) + 1, len(DATA) * 2])
    async def test_file_that_is_too_short_breaks_the_answer(self, house, file, size, failures):
        """Promise 5: never a short success."""
        blob = Blob(size, descriptor=file)
        house.serve(registry=blob)
        client = await house.client()
        client.send(request("GET", f"/v2/a/blobs/{DIGEST}"))
        assert await client.ended() is False
        assert b"200 OK" in client.received and b"errors" not in client.received
        assert blob.events == ["opened", "closed"]
        assert failures.pop()

    async def test_small_file_that_is_too_short_is_a_500(self, house, file, failures):
        """As long as nothing was sent there can be an answer."""
        os.ftruncate(file, 10)
        house.serve(registry=Blob(1000, descriptor=file))
        reply = await house.ask("GET", f"/v2/a/blobs/{DIGEST}")
        assert (reply.status, reply.code) == (500, "UNKNOWN")
        assert failures.pop()

    async def test_client_that_leaves_frees_the_file(self, house, file):
        """And is noted as incomplete."""
        blob = Blob(len(DATA), descriptor=file)
        house.serve(registry=blob)
        client = await house.client(is_deaf=True)
        client.send(request("GET", f"/v2/a/blobs/{DIGEST}"))
        await house.until(lambda: blob.events == ["opened"])
        await client.close()
        await house.until(lambda: blob.events == ["opened", "closed"])
        [record] = house.records
        assert not record.is_complete and record.sent < len(DATA)


class ThreadsTests:
    """Files that are not cached, or that can't tell."""

    @pytest.fixture
    def cold(self, monkeypatch):
        """A file of a file system that can't tell what is cached."""
        monkeypatch.setattr(outlets, "is_in_memory", lambda file: False)
        descriptor = os.memfd_create("x", os.MFD_CLOEXEC)
        os.write(descriptor, DATA)
        yield descriptor
        os.close(descriptor)

    async def test_threads_of_the_reactor_are_the_default(self, house, cold):
        """Without another place to block, its pool is used."""
        site = make_site(Blob(len(DATA), descriptor=cold), WebSettings(), reactor)
        port = reactor.listenTCP(0, site, interface="127.0.0.1")
        house.ports.append(port)
        house.port = port.getHost().port
        assert (await house.ask("GET", f"/v2/a/blobs/{DIGEST}")).body == DATA
        await site.drain(10)

    async def test_file_in_memory_needs_no_thread(self, house):
        """No disk is waited for where there is none."""
        with tempfile.TemporaryFile(dir="/dev/shm") as file:
            file.write(DATA)
            file.flush()
            house.serve(
                registry=Blob(len(DATA), descriptor=file.fileno()), run=lambda function: 1 / 0
            )
            assert (await house.ask("GET", f"/v2/a/blobs/{DIGEST}")).body == DATA

    async def test_client_that_leaves_while_a_thread_reads(self, house, cold):
        """The file is closed only when the thread is done with it."""
        blob = Blob(len(DATA), descriptor=cold)
        reading = Deferred()
        house.serve(registry=blob, run=lambda function: reading)
        client = await house.client()
        client.send(request("GET", f"/v2/a/blobs/{DIGEST}"))
        assert await client.until(lambda: b"200 OK" in client.received)
        await client.close()
        await house.until(lambda: house.stages() == [])
        assert blob.events == ["opened"]
        reading.callback(None)
        assert blob.events == ["opened", "closed"]

    @pytest.mark.parametrize("is_told_by", ["thread", "kernel"])
    async def test_file_that_can_not_be_read_breaks_the_answer(
        self, house, cold, is_told_by, failures
    ):
        """An error of the disk is in the log; the client sees that it has not all."""

        def run(function):
            return fail(OSError(5, "I/O error")) if is_told_by == "thread" else succeed(None)

        directory = os.open("/", os.O_RDONLY)
        blob = Blob(len(DATA), descriptor=directory)
        house.serve(registry=blob, run=run)
        client = await house.client()
        client.send(request("GET", f"/v2/a/blobs/{DIGEST}"))
        assert not await client.ended()
        os.close(directory)
        assert failures.pop()["log_failure"].check(OSError)
        assert blob.events == ["opened", "closed"]


class KernelTests:
    """What the kernel says while it sends."""

    @pytest.fixture(autouse=True)
    def cached(self, monkeypatch):
        """Everything seems to be cached, so no thread looks first."""
        monkeypatch.setattr(outlets, "is_cached", lambda file, start, stop: True)

    async def ask(self, house, blob):
        """How the connection ends."""
        house.serve(registry=blob)
        client = await house.client()
        client.send(request("GET", f"/v2/a/blobs/{DIGEST}"))
        return await client.ended()

    async def test_file_that_shrinks_breaks_the_answer(self, house, file, failures):
        """Promise 5, also if it happens while it is sent."""
        assert not await self.ask(house, Blob(len(DATA) + 1, descriptor=file))
        assert failures.pop()["log_failure"].check(Truncated)

    async def test_error_of_the_disk_breaks_the_answer(self, house, failures):
        """It is in the log."""
        directory = os.open("/", os.O_RDONLY)
        assert not await self.ask(house, Blob(len(DATA), descriptor=directory))
        os.close(directory)
        assert failures.pop()["log_failure"].check(OSError)

    @pytest.mark.parametrize("error", [BrokenPipeError, ConnectionResetError])
    async def test_client_that_left_is_no_failure(self, house, file, monkeypatch, error):
        """Nobody is left to be told, and nothing is wrong with us."""

        def gone(*arguments):
            raise error

        monkeypatch.setattr(outlets.os, "sendfile", gone)
        blob = Blob(len(DATA), descriptor=file)
        assert not await self.ask(house, blob)
        assert blob.events == ["opened", "closed"]


class LateTests:
    """Clients that leave before the first byte of their answer."""

    @pytest.mark.parametrize("size", [100, len(DATA)], ids=["small", "large"])
    @pytest.mark.parametrize("has_file", [True, False], ids=["file", "stream"])
    async def test_what_was_opened_is_closed(self, house, file, size, has_file):
        """However it would have been sent."""
        gate = Deferred()
        blob = Blob(
            size, descriptor=file if has_file else None, chunks=(DATA[:size],), opening=gate
        )
        house.serve(registry=blob)
        client = await house.client()
        client.send(request("GET", f"/v2/a/blobs/{DIGEST}"))
        await house.until(lambda: blob.events == ["opened"])
        await client.close()
        await house.until(lambda: house.stages() == [])
        gate.callback(None)
        assert blob.events == ["opened", "closed"]


async def test_other_part_than_asked_is_never_sent(house, failures):
    """A reading that begins or ends elsewhere is a fault of ours."""
    blob = Blob(100, chunks=(b"x" * 100,))
    blob.shift = 1
    house.serve(registry=blob)
    assert (await house.ask("GET", f"/v2/a/blobs/{DIGEST}")).status == 500
    assert failures.pop() and blob.events == ["opened", "closed"]


class StreamsTests:
    """Content that is a stream."""

    async def test_chunks_are_passed_on(self, house):
        """In order, however they are cut."""
        chunks = (DATA[:1], DATA[1:100_000], DATA[100_000:])
        blob = Blob(len(DATA), chunks=chunks)
        house.serve(registry=blob)
        client = await house.client()
        client.send(request("GET", f"/v2/a/blobs/{DIGEST}") + request("GET", "/v2/"))
        assert (await client.reply()).body == DATA
        assert (await client.reply()).body == b"{}"
        assert blob.events == ["opened", "closed"]

    async def test_refusal_to_open_is_an_answer(self, house, failures):
        """Before the head everything can still be said."""
        house.serve(registry=Blob(5, opening=Unavailable()))
        assert (await house.ask("GET", f"/v2/a/blobs/{DIGEST}")).status == 500
        assert failures.pop()

    @pytest.mark.parametrize(
        "chunks, is_fault",
        [
            ((b"01234", Unavailable("driver gone")), False),
            ((b"01234",), True),
            ((b"01234", b"56789x"), True),
            ((), True),
        ],
        ids=["fails", "short", "long", "empty"],
    )
    async def test_stream_that_fails_breaks_the_answer(self, house, chunks, is_fault, failures):
        """Promise 5: no error in the middle of a blob, no short success.

        That storage is lost is no fault of the registry, and has no traceback.
        """
        blob = Blob(10, chunks=chunks)
        house.serve(registry=blob)
        client = await house.client()
        client.send(request("GET", f"/v2/a/blobs/{DIGEST}"))
        assert await client.ended() is False
        assert b"errors" not in client.received
        assert blob.events == ["opened", "closed"]
        assert bool(failures) is is_fault
        failures.clear()

    async def test_slow_client_slows_the_stream(self, house):
        """What is read ahead is bounded by what the connection holds."""
        taken = []

        def chunks():
            for number in range(400):
                taken.append(number)
                yield b"x" * 65536

        house.serve(registry=Blob(65536 * 400, chunks=chunks()))
        client = await house.client(is_deaf=True)
        client.send(request("GET", f"/v2/a/blobs/{DIGEST}"))
        await house.until(lambda: house.stages() and house.is_stuck())
        assert 0 < len(taken) < 200
        client.transport.resumeProducing()
        assert len((await client.reply()).body) == 65536 * 400

    async def test_client_that_leaves_ends_the_stream(self, house):
        """Also while the stream waits for its source."""
        gate = Deferred()
        blob = Blob(10, chunks=(b"01234", gate, b"56789"))
        house.serve(registry=blob)
        client = await house.client()
        client.send(request("GET", f"/v2/a/blobs/{DIGEST}"))
        assert await client.until(lambda: client.received.endswith(b"01234"))
        await client.close()
        await house.until(lambda: house.stages() == [])
        gate.callback(None)
        assert blob.events == ["opened", "closed"]


@implementer(IOpenSSLClientConnectionCreator)
class _Trusting:
    """A client that believes any certificate and offers these protocols."""

    def __init__(self, protocols=()):
        self._context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        if protocols:
            self._context.set_alpn_protos(list(protocols))

    def clientConnectionForTLS(self, protocol):
        return SSL.Connection(self._context, None)


class TlsTests:
    """Everything again, encrypted."""

    @pytest.fixture
    def certificate(self):
        """What a server shows that signed its own certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "registry.test")])
        now = datetime.datetime.now(datetime.UTC)
        day = datetime.timedelta(days=1)
        builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - day, now + day)
        return CertificateOptions(privateKey=key, certificate=builder.sign(key, hashes.SHA256()))

    async def connect(self, house, certificate, **options):
        """A client over TLS to the same site."""
        port = await SSL4ServerEndpoint(reactor, 0, certificate, interface="127.0.0.1").listen(
            house.site
        )
        house.ports.append(port)
        plain = HostnameEndpoint(reactor, "127.0.0.1", port.getHost().port)
        client = await connectProtocol(wrapClientTLS(_Trusting(**options), plain), RawClient())
        house.clients.append(client)
        return client

    async def test_upload_and_download(self, house, file, certificate):
        """Files are read and written rather than sent."""
        client = await self.connect(house, certificate)
        client.send(request("POST", f"/v2/a/blobs/uploads/?digest={DIGEST}", body=DATA))
        assert (await client.reply()).status == 201
        blob = Blob(len(DATA), descriptor=file)
        house.serve(registry=blob)
        client = await self.connect(house, certificate)
        client.send(request("GET", f"/v2/a/blobs/{DIGEST}") + request("GET", "/v2/"))
        assert (await client.reply()).body == DATA
        assert (await client.reply()).body == b"{}"
        assert blob.events == ["opened", "closed"]

    async def test_only_http_1_1_is_negotiated(self, house, certificate):
        """H-12: also where h2 could be imported."""
        client = await self.connect(house, certificate, protocols=[b"h2", b"http/1.1"])
        client.send(request("GET", "/v2/"))
        await client.reply()
        assert client.transport.negotiatedProtocol == b"http/1.1"

    async def test_refusal_closes_cleanly(self, house, certificate):
        """What can't be parsed is answered here, too."""
        client = await self.connect(house, certificate)
        client.send("junk\r\n\r\n")
        assert (await client.reply()).status == 400
        await client.ended()

    async def test_connection_above_the_cap_is_told(self, house, certificate):
        """503 comes over TLS, too."""
        house.serve(limits=Limits(connections=1))
        await self.connect(house, certificate)
        await house.accepted(1)
        client = await self.connect(house, certificate)
        assert (await client.reply()).status == 503
        await client.ended()

    async def test_failing_file_breaks_the_answer(self, house, file, certificate, failures):
        """Promise 5, encrypted."""
        house.serve(registry=Blob(len(DATA) + 1, descriptor=file))
        client = await self.connect(house, certificate)
        client.send(request("GET", f"/v2/a/blobs/{DIGEST}"))
        await client.ended()
        assert len(client.received) < len(DATA) + 1 + 600
        [record] = house.records
        assert not record.is_complete
        assert failures.pop()

    async def test_plain_http_on_the_tls_port_is_closed(self, house, certificate):
        """B-034: no traceback, no hanging connection."""
        port = await SSL4ServerEndpoint(reactor, 0, certificate, interface="127.0.0.1").listen(
            house.site
        )
        house.ports.append(port)
        endpoint = HostnameEndpoint(reactor, "127.0.0.1", port.getHost().port)
        client = await connectProtocol(endpoint, RawClient())
        client.send(request("GET", "/v2/"))
        await client.ended()
        assert b"HTTP" not in client.received


class FileSystemTests:
    def test_memory_is_told_from_a_disk(self, tmp_path):
        """A file on tmpfs is sent at once, one on a disk only if it is cached."""
        with tempfile.TemporaryFile(dir="/dev/shm") as file:
            assert is_in_memory(file.fileno())
        with open("/proc/self/exe", "rb") as file:
            assert not is_in_memory(file.fileno())

    def test_closed_descriptor_is_not_in_memory(self):
        assert not is_in_memory(-1)
