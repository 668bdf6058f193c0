# SPDX-License-Identifier: Apache-2.0
"""The URLs that we give out: Location and Link.

Room: web. Must not know the request: neither its Host nor any forwarding header gets into a URL, so
nobody can be sent to a host that configuration does not name.
"""

from __future__ import annotations

from urllib.parse import quote

from attrs import frozen

from txregistry.oci.digests import Digest
from txregistry.oci.names import RepositoryName


@frozen
class Urls:
    """Builds URLs below one root.

    Attributes:
        origin: ``scheme://host[:port]``, or empty for URLs that are a path only.
        root: the path of ``v2/`` without a slash at its end: ``/v2`` or ``/prefix/v2``.
    """

    origin: str
    root: str

    def base(self) -> str:
        """Where the API begins."""
        return f"{self.origin}{self.root}/"

    def blob(self, repository: RepositoryName, digest: Digest) -> str:
        """Where a blob is pulled."""
        return f"{self.origin}{self.root}/{repository}/blobs/{digest}"

    def manifest(self, repository: RepositoryName, digest: Digest) -> str:
        """Where a manifest is pulled by digest."""
        return f"{self.origin}{self.root}/{repository}/manifests/{digest}"

    def upload(self, repository: RepositoryName, upload_id: str, token: str) -> str:
        """Where an upload goes on. The token's padding is escaped; clients append ``&digest=``."""
        state = quote(token, safe="")
        return f"{self.origin}{self.root}/{repository}/blobs/uploads/{upload_id}?_state={state}"

    def page(self, rest: str) -> str:
        """The path of a listing, for Link: always without origin."""
        return f"{self.root}/{rest}"


def make_urls(prefix: str, host: str, *, relative: bool) -> Urls:
    """Return the builder for a mount point.

    Args:
        prefix: begins and ends with a slash.
        host: ``scheme://host[:port]``; a path in it is not used, as in registry:3.
        relative: leave the origin out.
    """
    origin = "" if relative else _origin_of(host)
    return Urls(origin, f"{prefix}v2")


def _origin_of(host: str) -> str:
    scheme, separator, rest = host.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}" if separator and rest else ""
