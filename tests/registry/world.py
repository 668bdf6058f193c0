# SPDX-License-Identifier: Apache-2.0
"""A registry to test with: its driver records what it is asked and fails or waits where it is told
to.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

from twisted.internet.defer import Deferred

from txregistry.oci.digests import Digest
from txregistry.oci.manifests import parse_manifest
from txregistry.oci.media_types import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from txregistry.oci.names import RepositoryName, Tag
from txregistry.registry import BodyCut, Event, Options, Registry, open_registry
from txregistry.registry.contents import SharedCache
from txregistry.storage import paths
from txregistry.storage.blocking import run_inline
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.memory import MemoryStore

APP = RepositoryName("lib/app")
OTHER = RepositoryName("lib/other")
LATEST = Tag("latest")

#: When the tests' clock starts: 2025-01-31T10:20:30Z.
NOW = 1738318830.5

_HEX = re.compile(r"[0-9a-f]{60,}")


class Bytes:
    """A body of chunks.

    Args:
        length: what was declared; -1: as much as there is, None: nothing.
        cut: raise after the last chunk.
    """

    def __init__(
        self, *chunks: bytes, length: int | None = -1, cut: Exception | None = None
    ) -> None:
        self.length = sum(map(len, chunks)) if length == -1 else length
        self.pulls = 0
        self._chunks = list(chunks)
        self._cut = cut

    def __aiter__(self) -> Bytes:
        return self

    async def __anext__(self) -> bytes:
        self.pulls += 1
        if self._chunks:
            return self._chunks.pop(0)
        if self._cut is not None:
            raise self._cut
        raise StopAsyncIteration


def cut(*chunks: bytes, length: int | None = 1000) -> Bytes:
    """A body that ends early."""
    return Bytes(*chunks, length=length, cut=BodyCut("gone"))


class Fed:
    """A body whose chunks a test feeds while it is pulled; ``pull`` is set while somebody waits."""

    def __init__(self, length: int | None = None) -> None:
        self.length = length
        self.pull: Deferred[None] | None = None
        self._chunks: list[bytes | Exception] = []

    def feed(self, *chunks: bytes | Exception) -> None:
        self._chunks += chunks
        pull, self.pull = self.pull, None
        if pull is not None and not pull.called:
            pull.callback(None)

    def __aiter__(self) -> Fed:
        return self

    async def __anext__(self) -> bytes:
        while not self._chunks:
            self.pull = Deferred()
            await self.pull
        chunk = self._chunks.pop(0)
        if isinstance(chunk, Exception):
            raise chunk
        return chunk


#: What ends a fed body well.
END = StopAsyncIteration()


class Spy:
    """A driver, and the writers of it, that records calls as ``"method path"``.

    Attributes:
        calls: in the order in which they began; digests are cut to four digits.
    """

    def __init__(self, driver: Any) -> None:
        self.calls: list[str] = []
        self._driver = driver
        self._orders: list[tuple[str, Exception | Deferred[None]]] = []

    def fail(self, call: str, error: Exception) -> None:
        """Let the next call that the pattern ``call`` is found in fail."""
        self._orders.append((call, error))

    def hold(self, call: str) -> Deferred[None]:
        """Let the next call that ``call`` is found in wait until what is returned is fired."""
        gate: Deferred[None] = Deferred()
        self._orders.append((call, gate))
        return gate

    def forget(self) -> None:
        """Begin to record again."""
        self.calls.clear()

    def obeyed(self) -> None:
        """Give up what was ordered and did not come to pass."""
        self._orders.clear()

    async def obey(self, method: str, path: str) -> None:
        call = f"{method} {short(path)}"
        self.calls.append(call)
        for order in self._orders:
            if re.search(order[0], call):
                self._orders.remove(order)
                if isinstance(order[1], Exception):
                    raise order[1]
                await order[1]
                return

    def __getattr__(self, method: str) -> Any:
        function = getattr(self._driver, method)

        async def call(path: Any, *args: Any, **kwargs: Any) -> Any:
            await self.obey(method, path if isinstance(path, str) else " ".join(path))
            result = await function(path, *args, **kwargs)
            return SpyWriter(self, result, path) if method == "open_writer" else result

        return call


class SpyWriter:
    """A writer whose calls are recorded with its driver's."""

    def __init__(self, spy: Spy, writer: Any, path: str) -> None:
        self._spy = spy
        self._writer = writer
        self._path = path

    def __getattr__(self, method: str) -> Any:
        function = getattr(self._writer, method)

        async def call(*args: Any) -> Any:
            await self._spy.obey(method, self._path)
            return await function(*args)

        return call


def short(path: str) -> str:
    """A path as the tests write it."""
    text = _HEX.sub(lambda match: match[0][:4], path.replace(paths.ROOT + "/", ""))
    return text.replace("repositories/lib/app", "APP").replace("repositories/lib/other", "OTHER")


class Witness:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.told_of: list[tuple[str, Digest]] = []
        self.events: list[Event] = []

    async def told(self, repository: RepositoryName, digest: Digest) -> None:
        self.told_of.append((repository.text, digest))

    async def happened(self, event: Event) -> None:
        self.events.append(event)


async def parse(data: bytes, content_type: str | None) -> Any:
    return parse_manifest(data, content_type)


class World:
    """A registry over a recorded memory store."""

    def __init__(self, **options: Any) -> None:
        self.now = NOW
        self.store = MemoryStore(now=lambda: int(self.now * 1e9))
        self.driver = Spy(HostedDriver(self.store, run=run_inline))
        self.witness = Witness()
        self._ids = itertools.count(1)
        self.registry = self.open(**options)

    @property
    def calls(self) -> list[str]:
        return self.driver.calls

    def open(self, shared_cache: SharedCache | None = None, **options: Any) -> Registry:
        """Another process over the same storage."""
        return open_registry(
            self.driver,
            secret=b"asecret",
            now=lambda: self.now,
            parse=parse,
            new_id=lambda: f"id-{next(self._ids)}",
            observer=self.witness,
            options=Options(**options) if options else None,
            shared_cache=shared_cache,
        )

    def put(self, path: str, data: bytes) -> None:
        """Write to the tree behind the registry's back; ``APP`` and ``OTHER`` as in ``short``."""
        self.store.put(self.path(path), data, if_absent=False, if_version=None)

    def get(self, path: str) -> bytes:
        return self.store.get(self.path(path)).data

    def has(self, path: str) -> bool:
        *parents, name = self.path(path).split("/")
        try:
            children = self.store.list("/".join(parents), "", 10_000).children
        except Exception:
            return False
        return name in {child.name for child in children}

    def delete(self, path: str) -> None:
        self.store.delete(self.path(path), if_version=None)

    def path(self, path: str) -> str:
        path = path.replace("APP", "repositories/lib/app").replace(
            "OTHER", "repositories/lib/other"
        )
        return path if path.startswith("/") else f"{paths.ROOT}/{path}"

    async def blob(
        self, data: bytes, repository: RepositoryName = APP, algorithm: str = "sha256"
    ) -> Digest:
        """Push a blob."""
        return await self.registry.uploads.push(repository, Digest.of(data, algorithm), Bytes(data))

    async def image(
        self,
        note: str = "",
        reference: Tag | Digest | None = LATEST,
        repository: RepositoryName = APP,
        **members: Any,
    ) -> Digest:
        """Push an image manifest with its blobs; None as reference: by its digest."""
        await self.blob(b"{}", repository)
        await self.blob(b"layer", repository)
        data = image(note, **members)
        reference = Digest.of(data) if reference is None else reference
        result = await self.registry.manifests.put(repository, reference, OCI_MANIFEST, data)
        return result.digest


def descriptor(media_type: str, data: bytes, **members: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(Digest.of(data)), "size": len(data)} | members


def image(note: str = "", **members: Any) -> bytes:
    """The bytes of an image manifest; each note makes another one."""
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(OCI_CONFIG, b"{}"),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", b"layer")],
        "annotations": {"note": note},
    }
    return json.dumps(document | members).encode()


def index(*children: dict[str, Any], **members: Any) -> bytes:
    """The bytes of an index."""
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": list(children),
    }
    return json.dumps(document | members).encode()


def child(
    digest: Digest, size: int, media_type: str = OCI_MANIFEST, **members: Any
) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": str(digest), "size": size} | members


def started(coroutine: Any) -> Deferred[Any]:
    """Start something that a test lets wait."""
    return Deferred.fromCoroutine(coroutine)


def done(coroutine: Any) -> Any:
    """The result of something that waits for nothing."""
    task = Deferred.fromCoroutine(coroutine)
    assert task.called, "it waits for something"
    results: list[Any] = []
    errors: list[Any] = []
    task.addCallbacks(results.append, errors.append)
    if errors:
        errors[0].raiseException()
    return results[0]
