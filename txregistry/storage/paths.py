# SPDX-License-Identifier: Apache-2.0
"""The grammar of driver paths and the layout of the storage tree, which is that of registry:2 and
registry:3.

Room: storage. The only place that knows where things lie; ``registry`` asks it for paths. What is
ours alone has names that the other registry ignores: ``_manifests/referrers``, ``meta`` beside an
upload's data, ``size`` beside a blob's, everything under ``OWN``.
"""

from __future__ import annotations

import re

from txregistry.storage.errors import InvalidPath

#: path = 1*( "/" part ); part = 1*( ALPHA / DIGIT / "." / "_" / "-" ), and neither "." nor ".."
_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._-]+)+")

#: The longest path that is accepted, in bytes. A repository's name has 255; the longest tail (tag
#: history) adds about 330. Arbitrary, well under Linux's 4,096 so that a driver's root fits in
#: front.
PATH_LIMIT = 2048

ROOT = "/docker/registry/v2"
BLOBS = ROOT + "/blobs"
REPOSITORIES = ROOT + "/repositories"
OWN = ROOT + "/_txregistry"
TOKEN_KEY = OWN + "/token-key"

#: Written and removed again to see whether the storage takes writes.
PROBE = OWN + "/probe"
QUARANTINE = OWN + "/quarantine"


def check_path(path: str, *, allow_root: bool = False) -> str:
    """Return ``path`` if it is of the grammar.

    Raises:
        InvalidPath: it is not; ``/`` alone is accepted with ``allow_root``.
    """
    if (allow_root and path == "/") or (len(path) <= PATH_LIMIT and _PATH.fullmatch(path)):
        return path
    raise InvalidPath(f"not a driver path: {path[:200]!r}", path=path[:200])


def blob_directory(algorithm: str, encoded: str) -> str:
    return f"{BLOBS}/{algorithm}/{encoded[:2]}/{encoded}"


def blob_data(algorithm: str, encoded: str) -> str:
    return f"{blob_directory(algorithm, encoded)}/data"


def blob_size(algorithm: str, encoded: str) -> str:
    """Our own record of how many bytes the blob has, in decimal; absent for blobs of another
    registry.
    """
    return f"{blob_directory(algorithm, encoded)}/size"


def repository(name: str) -> str:
    return f"{REPOSITORIES}/{name}"


def layers(name: str) -> str:
    return f"{REPOSITORIES}/{name}/_layers"


def layer_directory(name: str, algorithm: str, encoded: str) -> str:
    return f"{layers(name)}/{algorithm}/{encoded}"


def layer_link(name: str, algorithm: str, encoded: str) -> str:
    return f"{layer_directory(name, algorithm, encoded)}/link"


def manifests(name: str) -> str:
    return f"{REPOSITORIES}/{name}/_manifests"


def revisions(name: str) -> str:
    return f"{manifests(name)}/revisions"


def revision_directory(name: str, algorithm: str, encoded: str) -> str:
    return f"{revisions(name)}/{algorithm}/{encoded}"


def revision_link(name: str, algorithm: str, encoded: str) -> str:
    return f"{revision_directory(name, algorithm, encoded)}/link"


def tags(name: str) -> str:
    return f"{manifests(name)}/tags"


def tag_directory(name: str, tag: str) -> str:
    return f"{tags(name)}/{tag}"


def tag_link(name: str, tag: str) -> str:
    return f"{tag_directory(name, tag)}/current/link"


def tag_index_directory(name: str, tag: str, algorithm: str, encoded: str) -> str:
    return f"{tag_directory(name, tag)}/index/{algorithm}/{encoded}"


def tag_index_link(name: str, tag: str, algorithm: str, encoded: str) -> str:
    return f"{tag_index_directory(name, tag, algorithm, encoded)}/link"


def all_referrers(name: str) -> str:
    """The directory of every subject's referrers."""
    return f"{manifests(name)}/referrers"


def referrers(name: str, algorithm: str, encoded: str) -> str:
    """The directory of what refers to a subject; below it ``<algorithm>/<hex>/descriptor`` for each
    referrer.
    """
    return f"{all_referrers(name)}/{algorithm}/{encoded}"


def referrer_descriptor(name: str, subject: tuple[str, str], referrer: tuple[str, str]) -> str:
    """Where the descriptor of one referrer is kept; both arguments are ``(algorithm, encoded)``."""
    return f"{referrers(name, *subject)}/{referrer[0]}/{referrer[1]}/descriptor"


def uploads(name: str) -> str:
    return f"{REPOSITORIES}/{name}/_uploads"


def upload_directory(name: str, upload_id: str) -> str:
    return f"{uploads(name)}/{upload_id}"


def upload_data(name: str, upload_id: str) -> str:
    return f"{upload_directory(name, upload_id)}/data"


def upload_started(name: str, upload_id: str) -> str:
    return f"{upload_directory(name, upload_id)}/startedat"


def upload_hash_states(name: str, upload_id: str) -> str:
    return f"{upload_directory(name, upload_id)}/hashstates"


def upload_meta(name: str, upload_id: str) -> str:
    """Our own record of a session: algorithm asked for and the like; absent for sessions of another
    registry.
    """
    return f"{upload_directory(name, upload_id)}/meta"
