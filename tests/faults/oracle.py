# SPDX-License-Identifier: Apache-2.0
"""A second opinion on a storage tree, written apart from the product and from its checker.

It imports nothing of the product. It knows the tree of registry:2 as documents describe it, reads
every byte, and says what is there and what is wrong::

    docker/registry/v2/
      blobs/<alg>/<2>/<hex>/data            and ours: size
      repositories/<name>/_layers/<alg>/<hex>/link
                          _manifests/revisions/<alg>/<hex>/link
                          _manifests/tags/<tag>/current/link
                          _manifests/tags/<tag>/index/<alg>/<hex>/link
                          _manifests/referrers/...      ours: looked at for emptiness only
                          _uploads/<id>/...

Names that begin with ``.txregistry-`` are the leftovers that a crash may leave.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass, field

LEFTOVER = ".txregistry-"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")
_BLOBS = "docker/registry/v2/blobs"
_REPOSITORIES = "docker/registry/v2/repositories"


@dataclass
class Tree:
    """What a storage tree holds.

    Attributes:
        blobs: digest -> size of those whose bytes are right.
        layers, manifests: (repository, digest) of those that are linked and whose bytes are right.
        tags: (repository, tag) -> digest, or None for a tag that has a directory and no link.
        history: (repository, tag, digest) of what a tag points at or did.
        uploads: (repository, id) -> the bytes so far.
        referrers: (repository, subject, referrer).
        errors: what is wrong, one sentence each.
        leftovers: how many.
        sizes: directory of a blob -> bytes that lie there.
    """

    blobs: dict = field(default_factory=dict)
    layers: set = field(default_factory=set)
    manifests: set = field(default_factory=set)
    tags: dict = field(default_factory=dict)
    history: set = field(default_factory=set)
    uploads: dict = field(default_factory=dict)
    referrers: set = field(default_factory=set)
    errors: list = field(default_factory=list)
    leftovers: int = 0
    sizes: dict = field(default_factory=dict)


def examine(root):
    """Read all of the tree below ``root``."""
    tree = Tree()
    files, directories = _read(os.fspath(root), tree)
    return _judge(tree, files, directories)


def examine_files(files, directories):
    """Judge a tree that is given: path -> bytes, without those names that are leftovers; and
    directories.
    """
    return _judge(Tree(), files, directories)


def _judge(tree, files, directories):
    for path, data in files.items():
        if path.startswith(_BLOBS + "/") and path.endswith("/data"):
            tree.sizes[path.rpartition("/")[0]] = len(data)
    for path, data in files.items():
        if path.startswith(_BLOBS + "/"):
            _blob(tree, path, data)
    for path, data in files.items():
        if path.startswith(_REPOSITORIES + "/"):
            _of_repository(tree, path, data)
    _tags_without_link(tree, directories)
    _references(tree, files)
    return tree


def _read(root, tree):
    """Every file below ``root`` by its path, and every directory."""
    files, found = {}, []
    for directory, directories, names in os.walk(root):
        hidden = [name for name in (*directories, *names) if name.startswith(LEFTOVER)]
        tree.leftovers += len(hidden)
        directories[:] = [
            name for name in directories if name not in hidden and name != "lost+found"
        ]
        found += [os.path.relpath(os.path.join(directory, name), root) for name in directories]
        for name in names:
            if name not in hidden:
                full = os.path.join(directory, name)
                try:
                    with open(full, "rb") as file:
                        files[os.path.relpath(full, root)] = file.read()
                except OSError as error:
                    tree.errors.append(f"{full} can't be read: {error}")
    return files, found


def _blob(tree, path, data):
    parts = path.split("/")[4:]
    if len(parts) != 4:
        tree.errors.append(f"{path} is no blob's")
        return
    algorithm, prefix, encoded, name = parts
    if name == "size":
        _record(tree, path, data)
        return
    if algorithm not in ("sha256", "sha512") or not encoded.startswith(prefix) or len(prefix) != 2:
        tree.errors.append(f"{path} lies in the wrong place")
    elif hashlib.new(algorithm, data).hexdigest() != encoded:
        tree.errors.append(f"{path} has {len(data)} bytes that are not its digest's")
    else:
        tree.blobs[f"{algorithm}:{encoded}"] = len(data)


def _record(tree, path, data):
    """The size that was noted beside the bytes; without them it is a leftover."""
    size = tree.sizes.get(path.rpartition("/")[0])
    if size is not None and data != str(size).encode():
        tree.errors.append(f"{path} holds {data[:40]!r}, and there are {size} bytes")


def _of_repository(tree, path, data):
    repository, kind, rest = _split(path)
    if kind == "_uploads":
        if rest[1:] == ["data"]:
            tree.uploads[repository, rest[0]] = data
        elif rest[1:] == ["startedat"]:
            tree.uploads.setdefault((repository, rest[0]), b"")
            if not re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", data):
                tree.errors.append(f"{path} holds {data!r}")
    elif kind == "_layers" and rest[2:] == ["link"]:
        if _link(tree, path, data, f"{rest[0]}:{rest[1]}"):
            tree.layers.add((repository, f"{rest[0]}:{rest[1]}"))
    elif kind == "_manifests" and rest[0] == "revisions" and rest[3:] == ["link"]:
        if _link(tree, path, data, f"{rest[1]}:{rest[2]}"):
            tree.manifests.add((repository, f"{rest[1]}:{rest[2]}"))
    elif kind == "_manifests" and rest[0] == "tags" and rest[2:] == ["current", "link"]:
        if _link(tree, path, data, None):
            tree.tags[repository, rest[1]] = data.decode()
    elif (
        kind == "_manifests"
        and rest[0] == "tags"
        and rest[2:3] == ["index"]
        and rest[5:] == ["link"]
    ):
        if _link(tree, path, data, f"{rest[3]}:{rest[4]}"):
            tree.history.add((repository, rest[1], f"{rest[3]}:{rest[4]}"))
    elif kind == "_manifests" and rest[0] == "referrers":
        _referrer(tree, path, repository, rest, data)
    else:
        tree.errors.append(f"{path} belongs to nothing")


def _split(path):
    parts = path.split("/")[4:]
    for position, part in enumerate(parts):
        if part in ("_layers", "_manifests", "_uploads"):
            return "/".join(parts[:position]), part, parts[position + 1 :]
    return "/".join(parts), "", []


def _link(tree, path, data, expected):
    """Whether a link is whole and leads to bytes that are right."""
    text = data.decode("latin-1")
    if not _DIGEST.fullmatch(text):
        tree.errors.append(f"{path} holds {data[:80]!r}, which is no digest")
    elif expected is not None and text != expected:
        tree.errors.append(f"{path} holds {text}, which is not its own")
    elif text not in tree.blobs:
        tree.errors.append(f"{path} leads to {text}, whose bytes are not there")
    else:
        return True
    return False


def _referrer(tree, path, repository, rest, data):
    if not data:
        tree.errors.append(f"{path} is empty")
    if len(rest) >= 5:
        tree.referrers.add((repository, f"{rest[1]}:{rest[2]}", f"{rest[3]}:{rest[4]}"))


def _tags_without_link(tree, directories):
    for path in directories:
        parent, _, tag = path.rpartition("/")
        if parent.startswith(_REPOSITORIES) and parent.endswith("/_manifests/tags"):
            repository = parent[len(_REPOSITORIES) + 1 : -len("/_manifests/tags")]
            tree.tags.setdefault((repository, tag), None)


def _references(tree, files):
    """What is there must refer to what is there."""
    for (repository, tag), digest in tree.tags.items():
        if digest is not None and (repository, digest) not in tree.manifests:
            tree.errors.append(
                f"tag {repository}:{tag} points at {digest}, which the repository lacks"
            )
        if digest is not None and (repository, tag, digest) not in tree.history:
            tree.errors.append(
                f"tag {repository}:{tag} points at {digest}, which its history lacks"
            )
    for repository, digest in tree.manifests:
        algorithm, _, encoded = digest.partition(":")
        data = files[f"{_BLOBS}/{algorithm}/{encoded[:2]}/{encoded}/data"]
        try:
            document = json.loads(data)
        except ValueError:
            tree.errors.append(f"manifest {digest} of {repository} does not parse")
            continue
        for one in (document.get("config"), *document.get("layers", ())):
            if one and (repository, one["digest"]) not in tree.layers:
                tree.errors.append(f"manifest {digest} of {repository} lacks {one['digest']}")
        for one in document.get("manifests", ()):
            if (repository, one["digest"]) not in tree.manifests:
                tree.errors.append(f"index {digest} of {repository} lacks {one['digest']}")
