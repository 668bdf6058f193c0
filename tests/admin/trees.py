# SPDX-License-Identifier: Apache-2.0
"""A storage tree to check: healthy, with everything that one can have, over a store of the test's
choice.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import Any

from twisted.internet.defer import Deferred

from tests.registry.world import Bytes, World, child, descriptor, done, index
from txregistry.admin.check import Finding, Options, Summary, check
from txregistry.oci.digests import Digest
from txregistry.oci.manifests import parse_manifest
from txregistry.oci.media_types import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from txregistry.oci.names import RepositoryName, Tag
from txregistry.storage import paths
from txregistry.storage.blocking import run_inline
from txregistry.storage.errors import Missing
from txregistry.storage.hosted import HostedDriver

#: When an upload of another registry begins, and what that saves of its five bytes.
STARTED = b"2025-01-31T10:20:30Z"
FOREIGN_UPLOAD = "0a1b2c3d-0000-4000-8000-000000000000"


def go_state(length: int) -> bytes:
    """Something of the form of Go's sha256 state."""
    return b"sha\x03" + bytes(96) + length.to_bytes(8)


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

    @property
    def names(self) -> set[tuple[str, str]]:
        return {(finding.kind.name, finding.path) for finding in self.findings}


class Repository:
    """One repository of a tree: its content is nobody else's.

    Attributes:
        digests: of what was pushed, by what it is.
    """

    def __init__(self, tree: Tree, name: str) -> None:
        self.tree = tree
        self.name = RepositoryName(name)
        self.digests: dict[str, Digest] = {}
        self.sizes: dict[str, int] = {}
        self.upload = ""

    async def fill(self) -> Repository:
        """Push one of everything."""
        for name in ("config", "layer", "other layer"):
            await self.push_blob(name, f"{name} of {self.name}".encode())
        await self.push_blob("large", self.name.text.encode() * 20_000)
        await self.push_image("image", Tag("v1"))
        await self.push_image("second", Tag("v1"))
        await self.push_image("second", Tag("Stable"))
        await self.push_index("index", Tag("all"), "image", "second")
        await self.push_index("nested", None, "index")
        await self.push_image("referrer", None, subject=self.descriptor("image"))
        self.adopt()
        await self.tree.registry.uploads.start(self.name)
        upload = await self.tree.registry.uploads.start(self.name)
        await self.tree.registry.uploads.append(
            self.name, upload.id, upload.token, None, Bytes(b"half")
        )
        self.upload = upload.id.text
        return self

    async def push_blob(self, name: str, data: bytes) -> None:
        self.digests[name], self.sizes[name] = Digest.of(data), len(data)
        await self.tree.registry.uploads.push(self.name, Digest.of(data), Bytes(data))

    async def push_image(self, name: str, tag: Tag | None, **members: Any) -> None:
        layers = [self.descriptor(one, "application/x") for one in ("layer", "large")]
        document = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self.descriptor("config", OCI_CONFIG),
            "layers": layers,
            "annotations": {"note": f"{name} of {self.name}"},
        }
        await self.put_manifest(name, tag, OCI_MANIFEST, json.dumps(document | members).encode())

    async def push_index(self, name: str, tag: Tag | None, *children: str) -> None:
        types = {"index": OCI_INDEX}
        document = index(*(self.descriptor(one, types.get(one, OCI_MANIFEST)) for one in children))
        await self.put_manifest(name, tag, OCI_INDEX, document)

    async def put_manifest(self, name: str, tag: Tag | None, media_type: str, data: bytes) -> None:
        self.digests[name], self.sizes[name] = Digest.of(data), len(data)
        await self.tree.registry.manifests.put(self.name, tag or Digest.of(data), media_type, data)

    def descriptor(self, name: str, media_type: str = OCI_MANIFEST) -> dict[str, Any]:
        return child(self.digests[name], self.sizes[name], media_type)

    def adopt(self) -> None:
        """What another registry leaves: no sizes, old signatures, a session of its own."""
        data = f"adopted by {self.name}".encode()
        self.digests["adopted"], self.sizes["adopted"] = Digest.of(data), len(data)
        self.put_data("adopted", data)
        self.put(self.layer("adopted"), str(self.digests["adopted"]).encode())
        self.put(self.revision("image").replace("/link", "/signatures/sha256/ab/link"), b"x")
        session = paths.upload_directory(self.name.text, FOREIGN_UPLOAD)
        self.put(f"{session}/startedat", STARTED)
        self.put(f"{session}/data", b"12345")
        self.put(f"{session}/hashstates/sha256/5", go_state(5))
        self.put(f"{session}/hashstates/sha256/0", go_state(0))

    # Where things are.

    def data(self, name: str) -> str:
        return paths.blob_data("sha256", self.digests[name].encoded)

    def size(self, name: str) -> str:
        return paths.blob_size("sha256", self.digests[name].encoded)

    def layer(self, name: str) -> str:
        return paths.layer_link(self.name.text, "sha256", self.digests[name].encoded)

    def revision(self, name: str) -> str:
        return paths.revision_link(self.name.text, "sha256", self.digests[name].encoded)

    def tag(self, tag: str) -> str:
        return paths.tag_link(self.name.text, tag)

    def history(self, tag: str, name: str) -> str:
        return paths.tag_index_link(self.name.text, tag, "sha256", self.digests[name].encoded)

    def record(self, subject: str, referrer: str) -> str:
        pairs = [("sha256", self.digests[name].encoded) for name in (subject, referrer)]
        return paths.referrer_descriptor(self.name.text, *pairs)

    def session(self, upload: str, name: str) -> str:
        return f"{paths.upload_directory(self.name.text, upload)}/{name}"

    # What is done behind the registry's back.

    def put(self, path: str, data: bytes) -> None:
        self.tree.store.put(path, data, if_absent=False, if_version=None)

    def put_data(self, name: str, data: bytes) -> None:
        self.put(self.data(name), data)

    def put_stored(self, name: str, data: bytes) -> None:
        """Data and a revision link, as if they had been pushed."""
        self.digests[name], self.sizes[name] = Digest.of(data), len(data)
        self.put_data(name, data)
        self.put(self.revision(name), str(self.digests[name]).encode())

    def delete(self, path: str) -> None:
        with contextlib.suppress(Missing):
            self.tree.store.delete(path, if_version=None)

    def delete_blob(self, name: str) -> None:
        self.delete(self.data(name).rpartition("/")[0])


class Tree(World):
    """A registry's world with a tree, and what is needed to damage and to check it.

    Args:
        store: takes the place of a memory store.

    Attributes:
        meanwhile: what happens in the next pause between two looks.
        pauses: seconds of the pauses that were made.
    """

    def __init__(self, store: Any = None) -> None:
        super().__init__()
        if store is not None:
            self.store = store
            self.driver._driver = HostedDriver(store, run=run_inline)
        self.meanwhile: list[Any] = []
        self.pauses: list[float] = []

    def repository(self, name: str) -> Repository:
        """A new repository, filled."""
        filled: Repository = done(Repository(self, name).fill())
        return filled

    def check(self, *, repair: bool = False, **options: Any) -> tuple[Ledger, Summary]:
        """Check the tree."""

        async def pause(seconds: float) -> None:
            self.pauses.append(seconds)
            changes, self.meanwhile = self.meanwhile, []
            for change in changes:
                change()

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
        Deferred.fromCoroutine(work).addBoth(results.append)
        assert results, "it waits for something"
        if not isinstance(results[0], Summary):
            results[0].raiseException()
        return ledger, results[0]

    def files(self, top: str = "/") -> dict[str, bytes]:
        """Every file below ``top``."""
        found: dict[str, bytes] = {}
        for one in self.store.list(top, "", 100_000).children:
            path = f"{top.rstrip('/')}/{one.name}"
            found |= self.files(path) if one.is_directory else {path: self.store.get(path).data}
        return found


def sha(algorithm: str, data: bytes) -> str:
    return hashlib.new(algorithm, data).hexdigest()


__all__ = [
    "FOREIGN_UPLOAD",
    "STARTED",
    "Ledger",
    "Repository",
    "Tree",
    "descriptor",
    "go_state",
    "sha",
]
