# SPDX-License-Identifier: Apache-2.0
"""A storage tree to check: healthy, with everything that a tree can have, over a store of the test's choice."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred

from tests.registry.world import NOW, Bytes, World, child, descriptor, image, index
from txregistry.admin.check import Finding, Options, Summary, check
from txregistry.oci.digests import Digest
from txregistry.oci.manifests import parse_manifest
from txregistry.oci.media_types import DOCKER_MANIFEST, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from txregistry.oci.names import RepositoryName, Tag
from txregistry.storage.blocking import run_inline
from txregistry.storage.hosted import HostedDriver

APP, DEEP, BARE = RepositoryName("lib/app"), RepositoryName("lib/app/deep"), RepositoryName("bare")

ROOT = "/docker/registry/v2"
GO_STATE = b"sha\x03" + bytes(96) + (5).to_bytes(8)


class Ledger:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.repaired: list[str | None] = []
        self.progress: list[Any] = []

    def found(self, finding: Finding, repaired_to: str | None) -> None:
        self.findings.append(finding)
        self.repaired.append(repaired_to)

    def progressed(self, progress: Any) -> None:
        self.progress.append(progress)

    def names(self) -> set[tuple[str, str]]:
        return {(finding.kind.name, finding.path) for finding in self.findings}


class Tree(World):
    """A registry's world with a tree that is full, and what is needed to check and to damage it.

    Args:
        store: takes the place of a memory store.
    """

    def __init__(self, store: Any = None) -> None:
        super().__init__()
        if store is not None:
            self.store = store
            self.driver._driver = HostedDriver(store, run=run_inline)
        self.pauses: list[float] = []
        self.meanwhile: list[Any] = []
        self.digests: dict[str, Digest] = {}

    async def fill(self) -> Tree:
        """Push one of everything."""
        put = self.registry.manifests.put
        push = self.registry.uploads.push
        digests = self.digests
        digests["config"], digests["layer"] = Digest.of(b"{}"), Digest.of(b"layer")
        digests["image"] = await self.image("one", Tag("v1"))
        digests["second"] = await self.image("two", Tag("v1"))
        await self.image("two", Tag("Stable"))
        children = [
            child(digests[name], len(image(note))) for name, note in (("image", "one"), ("second", "two"))
        ]
        document = index(*children)
        digests["index"] = (await put(APP, Tag("all"), OCI_INDEX, document)).digest
        nested = index(child(digests["index"], len(document), OCI_INDEX))
        digests["nested"] = (await put(APP, Digest.of(nested), OCI_INDEX, nested)).digest
        subject = child(digests["image"], len(image("one")))
        digests["referrer"] = await self.image("signature", None, subject=subject)
        await push(DEEP, Digest.of(b"", "sha256"), Bytes(b""))
        await push(DEEP, Digest.of(b"wide", "sha512"), Bytes(b"wide"))
        digests["big"] = Digest.of(bytes(200_000))
        await push(DEEP, digests["big"], Bytes(bytes(100_000), bytes(100_000)))
        await push(BARE, digests["layer"], Bytes(b"layer"))
        digests["orphan"] = Digest.of(b"orphan")
        self.put("blobs/sha256/{0:.2}/{0}/data".format(digests["orphan"].encoded), b"orphan")
        await self._upload()
        self._adopt()
        return self

    async def _upload(self) -> None:
        """Two sessions, one of which has begun just now."""
        uploads = self.registry.uploads
        await uploads.start(APP)
        upload = await uploads.start(APP)
        await uploads.append(APP, upload.id, upload.token, None, Bytes(b"half"))
        self.digests_of_sessions = ("id-1", upload.id.text)

    def _adopt(self) -> None:
        """What only another registry writes: nothing beside the data, old signatures."""
        data = b"adopted"
        digest = self.digests["adopted"] = Digest.of(data)
        self.put(f"blobs/sha256/{digest.encoded:.2}/{digest.encoded}/data", data)
        self.put(f"APP/_layers/sha256/{digest.encoded}/link", str(digest).encode())
        revision = self.digests["image"].encoded
        self.put(f"APP/_manifests/revisions/sha256/{revision}/signatures/sha256/ab/link", b"x")
        self.put("APP/_uploads/0a1b2c3d-0000-4000-8000-000000000000/startedat", b"2025-01-31T10:20:30Z")
        self.put("APP/_uploads/0a1b2c3d-0000-4000-8000-000000000000/data", b"12345")
        self.put("APP/_uploads/0a1b2c3d-0000-4000-8000-000000000000/hashstates/sha256/5", GO_STATE)

    def check(self, *, repair: bool = False, **options: Any) -> tuple[Ledger, Summary]:
        """Check the tree; what is in ``meanwhile`` happens before the second looks."""

        async def pause(seconds: float) -> None:
            self.pauses.append(seconds)
            while self.meanwhile:
                self.meanwhile.pop()()

        async def parse(data: bytes, content_type: str | None) -> Any:
            return parse_manifest(data, content_type)

        ledger = Ledger()
        work = check(
            self.driver,
            ledger,
            parse=parse,
            compute=run_inline,
            now=lambda: self.now,
            pause=pause,
            options=Options(**options),
            repair=repair,
        )
        results: list[Any] = []
        task = Deferred.fromCoroutine(work).addBoth(results.append)
        assert task.called, "it waits for something"
        if not isinstance(results[0], Summary):
            results[0].raiseException()
        return ledger, results[0]

    def full(self, path: str) -> str:
        return self.path(path)

    def files(self, top: str = "/") -> dict[str, bytes]:
        """Every file of the tree."""
        found: dict[str, bytes] = {}
        for one in self.store.list(top, "", 100_000).children:
            path = f"{top.rstrip('/')}/{one.name}"
            if one.is_directory:
                found |= self.files(path)
            else:
                found[path] = self.store.get(path).data
        return found


__all__ = ["APP", "BARE", "DEEP", "DOCKER_MANIFEST", "GO_STATE", "NOW", "OCI_CONFIG", "OCI_MANIFEST", "ROOT"]
__all__ += ["Bytes", "Ledger", "Tree", "descriptor", "image", "index", "json"]
