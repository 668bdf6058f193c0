# SPDX-License-Identifier: Apache-2.0
"""Links of every kind, and those by which a repository has its blobs.

Room: admin. Must not know what is linked to. A link holds the text of a digest, as a rule the one
in its own path; ``registry.links`` says more.
"""

from __future__ import annotations

from attrs import frozen

from txregistry.admin.check.area import Area
from txregistry.admin.check.blobs import hash_of, held
from txregistry.admin.check.digest_table import DigestTable
from txregistry.admin.check.findings import (
    LAYER_DANGLING,
    LINK_ALIAS,
    LINK_MISMATCH,
    LINK_UNREADABLE,
    Finding,
    movable,
)
from txregistry.admin.check.inspection import LINKED, Inspection, Verdict
from txregistry.admin.check.layout import digest_at, in_layers
from txregistry.oci.digests import CANONICAL, Digest
from txregistry.oci.errors import OciError
from txregistry.oci.names import RepositoryName
from txregistry.storage import paths


@frozen
class Link:
    """A link that was found.

    Attributes:
        named: the digest in its path.
        moves: what a repair moves; empty: the link itself.
    """

    path: str
    named: Digest
    moves: str = ""


async def follow(inspection: Inspection, link: Link) -> Verdict[Digest]:
    """Read a link and return the digest that it holds.

    Raises:
        Missing: it is not there.
    """
    content = await inspection.driver.get(link.path)
    target, why = parse_link(content.data)
    if target is None:
        return Verdict((movable(LINK_UNREADABLE, link.path, why, link.moves),))
    if target == link.named:
        return Verdict((), target)
    finding = await _difference(inspection, link, target)
    return Verdict((finding,), target if finding.kind is LINK_ALIAS else None)


def parse_link(data: bytes) -> tuple[Digest | None, str]:
    """Return the digest in a link; None, and why, if it holds none."""
    if not data:
        return None, "is empty"
    try:
        return Digest.parse(data.decode("latin-1")), ""
    except OciError:
        return None, "does not hold a digest"


async def check_layers(inspection: Inspection, name: RepositoryName) -> DigestTable:
    """Check the links by which a repository has its blobs.

    Returns:
        The digests that it has blobs under, each with the size of its data.
    """
    layers = DigestTable()
    area = Area(inspection, paths.layers(name.text), in_layers)

    async def look(link: Link) -> Verdict[tuple[Digest, int]]:
        followed = await follow(inspection, link)
        if followed.value is None:
            return Verdict(followed.findings)
        size = await held(inspection, followed.value)
        if size is None:
            why = f"is for the data of {followed.value}, which are missing or damaged"
            return Verdict((movable(LAYER_DANGLING, link.path, why),))
        return Verdict(followed.findings, (followed.value, size))

    while (page := await area.page()) is not None:
        links = [
            Link(one.entry.path, digest_at(one.parts, 0)) for one in page if len(one.parts) == 3
        ]
        verdicts = await inspection.examine(links, look, path=lambda link: link.path)
        for link, verdict in zip(links, verdicts, strict=True):
            if verdict.value is not None:
                target, size = verdict.value
                layers.add(link.named, size)
                inspection.blobs.mark(target, LINKED)
        inspection.totals.links += len(links)
    return layers


async def _difference(inspection: Inspection, link: Link, target: Digest) -> Finding:
    """Return what it means that a link holds another digest than its path."""
    if target.algorithm == CANONICAL and link.named.algorithm != CANONICAL:
        why = f"holds {target}, where the data of {link.named.algorithm} digests are in registry:3's trees"
        if not inspection.options.read_data or await held(inspection, target) is None:
            return Finding(LINK_ALIAS, link.path, why)
        if await hash_of(inspection, target, link.named.algorithm) == link.named.encoded:
            return Finding(LINK_ALIAS, link.path, why)
    return movable(LINK_MISMATCH, link.path, f"holds {target}, which is another digest", link.moves)
