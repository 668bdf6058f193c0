# SPDX-License-Identifier: Apache-2.0
"""Every kind of damage that the checker must find: how it is done, and what must be said of it.

A damage does something to a filled repository and returns the path that must be told of.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from attrs import frozen

from tests.registry.world import descriptor
from txregistry.oci.digests import Digest
from txregistry.oci.media_types import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST
from txregistry.storage import paths

from .trees import FOREIGN_UPLOAD, STARTED, Repository, go_state, sha

GARBAGE = [
    b"garbage",
    b"sha256:abc",
    b"sha256:" + b"0" * 64 + b"\n",
    b"\xff" * 71,
    b"sha512:" + b"0" * 64,
]
UUID = "123e4567-e89b-42d3-a456-426614174000"


@frozen
class Damage:
    """One kind.

    Attributes:
        kind: the class that must be told.
        do: plants it; returns the path that must be told.
        reads_data: only found if data are read.
        memory_only: the filesystem driver does not show it, or has a clock of its own.
        stays: no repair takes it away.
    """

    kind: str
    note: str
    do: Callable[[Repository], str]
    reads_data: bool = False
    memory_only: bool = False
    stays: bool = False

    def __str__(self) -> str:
        return f"{self.kind} {self.note}".replace(" ", "_")


DAMAGES: list[Damage] = []


def damage(kind: str, note: str = "", **flags: bool):
    def register(do: Callable[[Repository], str]) -> Callable[[Repository], str]:
        DAMAGES.append(Damage(kind, note or do.__name__, do, **flags))
        return do

    return register


def overwriting(
    kind: str, note: str, path: Callable[[Repository], str], data: bytes, **flags: bool
) -> None:
    """A damage that is other bytes at a path."""

    def do(it: Repository) -> str:
        it.put(path(it), data)
        return path(it)

    DAMAGES.append(Damage(kind, note, do, **flags))


def losing(
    kind: str, note: str, lost: Callable[[Repository], str], told: Callable[[Repository], str]
) -> None:
    """A damage that is the loss of what is at one path, told of at another."""

    def do(it: Repository) -> str:
        it.delete(lost(it))
        return told(it)

    DAMAGES.append(Damage(kind, note, do))


# --- blobs


def flipped(name: str) -> Callable[[Repository], str]:
    def do(it: Repository) -> str:
        data = bytearray(it.tree.store.get(it.data(name)).data)
        data[len(data) // 2] ^= 1
        it.put_data(name, bytes(data))
        return it.data(name)

    return do


for name in ("layer", "large", "adopted"):
    DAMAGES.append(Damage("blob-corrupt", f"a bit of {name}", flipped(name), reads_data=True))
for name in ("image", "index", "referrer"):
    DAMAGES.append(Damage("blob-corrupt", f"a bit of {name}", flipped(name)))


@damage("blob-size")
def cut_short(it: Repository) -> str:
    it.put_data("large", b"short")
    return it.data("large")


@damage("blob-corrupt")
def cut_short_without_record(it: Repository) -> str:
    """What a manifest says of the size is enough to look closer."""
    it.put_data("large", b"short")
    it.delete(it.size("large"))
    return it.data("large")


for name in ("layer", "adopted", "image"):
    overwriting("blob-empty", name, lambda it, name=name: it.data(name), b"")
overwriting("size-record", "garbage", lambda it: it.size("layer"), b"many")
overwriting("size-record", "empty", lambda it: it.size("layer"), b"")
overwriting("size-record", "wrong", lambda it: it.size("layer"), b"3")


@damage("size-record")
def of_no_data(it: Repository) -> str:
    path = paths.blob_size("sha256", sha("sha256", it.name.text.encode()))
    it.put(path, b"5")
    return path


losing("layer-dangling", "adopted", lambda it: it.data("adopted"), lambda it: it.layer("adopted"))
losing("layer-dangling", "config", lambda it: it.data("config"), lambda it: it.layer("config"))

# --- manifests

losing("manifest-dangling", "image", lambda it: it.data("image"), lambda it: it.revision("image"))
losing("manifest-dangling", "index", lambda it: it.data("index"), lambda it: it.revision("index"))
for name in ("config", "layer", "large"):
    losing(
        "manifest-incomplete",
        f"not linked {name}",
        lambda it, name=name: it.layer(name),
        lambda it: it.revision("second"),
    )
losing(
    "manifest-incomplete",
    "data gone",
    lambda it: it.data("large"),
    lambda it: it.revision("referrer"),
)
losing(
    "manifest-incomplete",
    "child gone",
    lambda it: it.revision("image"),
    lambda it: it.revision("index"),
)
losing(
    "manifest-incomplete",
    "grandchild gone",
    lambda it: it.data("second"),
    lambda it: it.revision("nested"),
)


@damage("manifest-incomplete")
def size_of_layer_is_wrong(it: Repository) -> str:
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": it.descriptor("config", OCI_CONFIG),
        "layers": [it.descriptor("layer", "application/x") | {"size": 1}],
    }
    it.put_stored("lie", json.dumps(document).encode())
    return it.revision("lie")


@damage("manifest-incomplete")
def size_of_child_is_wrong(it: Repository) -> str:
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [it.descriptor("image") | {"size": 1}],
    }
    it.put_stored("lie", json.dumps(document).encode())
    return it.revision("lie")


@damage("manifest-incomplete")
def size_of_an_alias_is_wrong(it: Repository) -> str:
    """The data of a sha512 digest that are under sha256, as registry:3 has it."""
    data = it.tree.store.get(it.data("layer")).data
    wide = sha("sha512", data)
    it.put(paths.layer_link(it.name.text, "sha512", wide), str(it.digests["layer"]).encode())
    layer = {"mediaType": "application/x", "digest": f"sha512:{wide}", "size": 1}
    config = it.descriptor("config", OCI_CONFIG)
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer]}
    it.put_stored("lie", json.dumps(document).encode())
    return it.revision("lie")


@damage("manifest-incomplete")
def blob_that_an_index_lists_is_gone(it: Repository) -> str:
    lost = descriptor("application/x", it.name.text.encode())
    it.put_stored(
        "cache",
        json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [lost]}).encode(),
    )
    return it.revision("cache")


for number, data in enumerate((b"{", b"[]", b'"text"', b"\xff{}")):

    def unparsable(it: Repository, data: bytes = data) -> str:
        it.put_stored("junk", data + it.name.text.encode() * (data == b"\xff{}"))
        return it.revision("junk")

    DAMAGES.append(Damage("manifest-unparsable", str(number), unparsable))

for number, document in enumerate(
    (
        {"schemaVersion": 1, "name": "old"},
        {"schemaVersion": 2, "mediaType": "application/x"},
        {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": 5},
    )
):

    def unsupported(it: Repository, document: dict[str, object] = document) -> str:
        it.put_stored("odd", json.dumps(document | {"note": it.name.text}).encode())
        return it.revision("odd")

    DAMAGES.append(Damage("manifest-unsupported", str(number), unsupported, stays=True))

# --- links

for data in (b"", *GARBAGE):
    for note, path in (
        ("layer", lambda it: it.layer("layer")),
        ("lonely layer", lambda it: it.layer("adopted")),
        ("revision", lambda it: it.revision("image")),
        ("tag", lambda it: it.tag("v1")),
    ):
        overwriting("link-unreadable", f"{note} {data[:8]!r}", path, data)
    overwriting("tag-history", f"{data[:8]!r}", lambda it: it.history("v1", "image"), data)

OTHER = str(Digest.of(b"something else")).encode()
overwriting("link-mismatch", "layer", lambda it: it.layer("layer"), OTHER)
overwriting("link-mismatch", "revision", lambda it: it.revision("index"), OTHER)
overwriting("tag-history", "another digest", lambda it: it.history("v1", "image"), OTHER)


@damage("link-mismatch")
def another_blob_of_the_repository(it: Repository) -> str:
    it.put(it.layer("layer"), str(it.digests["adopted"]).encode())
    return it.layer("layer")


@damage("link-mismatch", reads_data=True)
def alias_of_other_data(it: Repository) -> str:
    path = paths.layer_link(it.name.text, "sha512", sha("sha512", b"what it never was"))
    it.put(path, str(it.digests["layer"]).encode())
    return path


for algorithm in ("sha384", "sha512"):

    @damage("link-alias", algorithm, stays=True)
    def alias(it: Repository, algorithm: str = algorithm) -> str:
        data = it.tree.store.get(it.data("layer")).data
        path = paths.layer_link(it.name.text, algorithm, sha(algorithm, data))
        it.put(path, str(it.digests["layer"]).encode())
        return path


# --- tags

overwriting("tag-dangling", "unknown", lambda it: it.tag("v1"), OTHER)
losing("tag-dangling", "revision gone", lambda it: it.revision("second"), lambda it: it.tag("v1"))
losing("tag-dangling", "data gone", lambda it: it.data("second"), lambda it: it.tag("Stable"))
losing("tag-dangling", "incomplete", lambda it: it.layer("layer"), lambda it: it.tag("all"))
losing("tag-incomplete", "link gone", lambda it: it.tag("v1"), lambda it: it.tag("v1"))


@damage("tag-incomplete")
def history_only(it: Repository) -> str:
    it.put(it.history("late", "image"), str(it.digests["image"]).encode())
    return it.tag("late")


@damage("tag-case", stays=True)
def two_cases(it: Repository) -> str:
    it.put(it.tag("STABLE"), str(it.digests["image"]).encode())
    return paths.tag_directory(it.name.text, "STABLE")


@damage("tag-case", stays=True)
def lower_case(it: Repository) -> str:
    it.put(it.tag("stable"), str(it.digests["image"]).encode())
    return paths.tag_directory(it.name.text, "Stable")


# --- referrers

losing(
    "referrer-missing",
    "record gone",
    lambda it: it.record("image", "referrer"),
    lambda it: it.record("image", "referrer"),
)
for name in ("layer", "second"):

    @damage("referrer-stale", f"{name} is none")
    def stale(it: Repository, name: str = name) -> str:
        it.put(it.record("image", name), json.dumps(it.descriptor(name)).encode())
        return it.record("image", name)


losing(
    "referrer-stale",
    "manifest gone",
    lambda it: it.revision("referrer"),
    lambda it: it.record("image", "referrer"),
)
for data in (b"", b"{", b"{}", b"[]"):
    overwriting("referrer-stale", repr(data), lambda it: it.record("image", "referrer"), data)


@damage("referrer-stale")
def another_subject(it: Repository) -> str:
    record = it.tree.store.get(it.record("image", "referrer")).data
    it.put(it.record("second", "referrer"), record)
    return it.record("second", "referrer")


# --- uploads


@damage("upload-no-data")
def bytes_lost(it: Repository) -> str:
    it.delete(it.session(FOREIGN_UPLOAD, "data"))
    return it.session(FOREIGN_UPLOAD, "data")


@damage("upload-no-data", memory_only=True)
def never_any(it: Repository) -> str:
    now, it.tree.now = it.tree.now, it.tree.now - 169 * 3600
    it.put(it.session("old", "startedat"), b"2025-01-01T10:20:30Z")
    it.tree.now = now
    return it.session("old", "data")


losing(
    "upload-no-start",
    "gone",
    lambda it: it.session(it.upload, "startedat"),
    lambda it: it.session(it.upload, "startedat"),
)
for data in (b"", b"yesterday", b"2025-13-31T10:20:30Z"):
    overwriting(
        "upload-no-start", repr(data), lambda it: it.session(FOREIGN_UPLOAD, "startedat"), data
    )


@damage("upload-no-start")
def only_our_record(it: Repository) -> str:
    it.put(it.session("half-begun", "meta"), b"{}")
    return it.session("half-begun", "startedat")


for number, (offset, data) in enumerate(
    (
        (6, go_state(6)),
        (4, b""),
        (4, b"garbage"),
        (4, go_state(4)[:-1]),
        (4, b"sha\x07" + go_state(4)[4:]),
        (4, go_state(5)),
    )
):
    overwriting(
        "upload-state",
        str(number),
        lambda it, offset=offset: it.session(FOREIGN_UPLOAD, f"hashstates/sha256/{offset}"),
        data,
    )

# --- what does not belong there

TOP = f"{paths.ROOT}/"
HEX = "ab" + "0" * 62


def below(it: Repository, rest: str) -> str:
    return f"{paths.repository(it.name.text)}/{rest}"


FOREIGN: dict[str, Callable[[Repository], str]] = {
    "file at the top": lambda it: f"{TOP}notes-{it.name.text.replace('/', '-')}",
    "file among blobs": lambda it: f"{paths.BLOBS}/{it.name.text.replace('/', '-')}",
    "file in a fan": lambda it: f"{paths.BLOBS}/sha256/ab/{it.name.text.replace('/', '-')}",
    "file beside data": lambda it: it.data("layer").replace("/data", "/date"),
    "file among repositories": lambda it: (
        f"{paths.REPOSITORIES}/{it.name.text.replace('/', '-')}-file"
    ),
    "file in a repository": lambda it: below(it, "readme"),
    "file in manifests": lambda it: below(it, "_manifests/readme"),
    "file beside a link": lambda it: it.layer("layer") + "2",
    "link too high": lambda it: below(it, "_layers/sha256/link"),
    "file beside a revision": lambda it: it.revision("image") + "2",
    "file beside a tag": lambda it: below(it, "_manifests/tags/v1/current/other"),
    "file among tags": lambda it: below(it, "_manifests/tags/file"),
    "file beside a record": lambda it: it.record("image", "referrer") + "2",
    "file in a session": lambda it: it.session(it.upload, "other"),
    "file among sessions": lambda it: below(it, "_uploads/file"),
    "state of no offset": lambda it: it.session(FOREIGN_UPLOAD, "hashstates/sha256/05"),
}
for note, path in FOREIGN.items():
    overwriting("foreign", note, path, b"?")

#: note -> the directory that is told of, and a file in it
FOREIGN_DIRECTORIES: dict[str, Callable[[Repository], tuple[str, str]]] = {
    "directory at the top": lambda it: (f"{TOP}{it.name.text.replace('/', '-')}", "a/b"),
    "unknown algorithm": lambda it: (
        f"{paths.BLOBS}/md5-{it.name.text.replace('/', '-')}",
        "ab/data",
    ),
    "wrong fan": lambda it: (f"{paths.BLOBS}/sha256/cd/{HEX}", "data"),
    "short digest": lambda it: (f"{paths.BLOBS}/sha256/ab/abcd", "data"),
    "upper case digest": lambda it: (f"{paths.BLOBS}/sha256/ab/{HEX.upper()}", "data"),
    "data as a directory": lambda it: (f"{paths.BLOBS}/sha256/ab/{HEX}/data", "x"),
    "unknown part of a repository": lambda it: (below(it, "_other"), "x"),
    "no name": lambda it: (below(it, "Upper"), "_manifests/tags/a/current/link"),
    "long name": lambda it: (below(it, "a" * 200 + "/" + "b" * 60), "_layers/x"),
    "unknown part of manifests": lambda it: (below(it, "_manifests/other"), "x"),
    "link as a directory": lambda it: (below(it, f"_layers/sha256/{HEX}/link"), "x"),
    "no tag": lambda it: (below(it, "_manifests/tags/-tag"), "current/link"),
    "no part of a tag": lambda it: (below(it, "_manifests/tags/v1/next"), "link"),
    "no digest in a history": lambda it: (below(it, "_manifests/tags/v1/index/sha256/ab"), "link"),
    "no subject": lambda it: (below(it, "_manifests/referrers/sha256/ab"), "sha256/ab/descriptor"),
    "no referrer": lambda it: (
        f"{it.record('image', 'referrer').rsplit('/', 2)[0]}/{'a' * 63}",
        "descriptor",
    ),
    "no session": lambda it: (below(it, "_uploads/" + "x" * 129), "data"),
    "unknown algorithm of states": lambda it: (it.session(FOREIGN_UPLOAD, "hashstates/md5"), "5"),
}
for note, place in FOREIGN_DIRECTORIES.items():

    @damage("foreign", note)
    def foreign(it: Repository, place: Callable[[Repository], tuple[str, str]] = place) -> str:
        directory, name = place(it)
        it.put(f"{directory}/{name}", b"?")
        return directory


@damage("foreign")
def file_where_a_directory_belongs(it: Repository) -> str:
    path = f"{paths.repository(it.name.text)}/elsewhere"
    it.put(f"{path}/_uploads", b"?")
    return f"{path}/_uploads"


for note, path in (
    ("data", lambda it: it.data("layer")),
    ("layer", lambda it: it.layer("layer")),
    ("tag", lambda it: it.tag("v1")),
    ("session", lambda it: it.session(it.upload, "startedat")),
):
    overwriting(
        "temp", f"Go {note}", lambda it, path=path: f"{path(it)}.{UUID}.tmp", b"{", memory_only=True
    )
    overwriting(
        "temp",
        f"ours {note}",
        lambda it, path=path: f"{path(it).rpartition('/')[0]}/.txregistry-0123.tmp",
        b"{",
        memory_only=True,
    )

assert STARTED
