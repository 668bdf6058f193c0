# SPDX-License-Identifier: Apache-2.0
"""Goes through all repositories, and through each in the order in which its parts depend on each
other.

Room: admin. Must not know what is wrong with any of them. Names nest, so every directory is looked
into; what is neither the name of a repository nor a part of one is foreign. The way there is kept
as a stack of the rests of listings: memory is bounded by depth times a page, not by the tree.
"""

from __future__ import annotations

from attrs import frozen

from txregistry.admin.check.area import Stray, tell_strays
from txregistry.admin.check.digest_table import DigestTable
from txregistry.admin.check.inspection import Inspection, Progress
from txregistry.admin.check.layout import Spot, is_repository
from txregistry.admin.check.links import check_layers
from txregistry.admin.check.referrers import check_referrers
from txregistry.admin.check.revisions import Revisions
from txregistry.admin.check.sessions import check_sessions
from txregistry.admin.check.tags import check_tags
from txregistry.oci.names import RepositoryName
from txregistry.registry.tasks import each, if_there
from txregistry.registry.tree import LAYERS, MANIFESTS, UPLOADS, markers_of
from txregistry.storage import paths
from txregistry.storage.contract import Child

#: Names of one listing, and repositories that are looked at together. Arbitrary.
PAGE = 1000
TOGETHER = 4

_PARTS = (LAYERS, MANIFESTS, UPLOADS)
_MANIFEST_PARTS = ("referrers", "revisions", "tags")


@frozen
class _Rest:
    """What follows the child ``after`` of a directory; all of it for an empty one."""

    directory: str
    after: str = ""


async def check_top(inspection: Inspection) -> None:
    """Check that nothing else lies beside the tree's own directories."""
    own = (paths.BLOBS, paths.REPOSITORIES, paths.OWN)
    await _children(inspection, paths.ROOT, tuple(path.rpartition("/")[2] for path in own))


async def check_repositories(inspection: Inspection) -> None:
    """Check every repository."""
    rests = [_Rest("")]
    batch: list[str] = []
    while rests:
        rest = rests.pop()
        if rest.directory and not rest.after:
            batch.append(rest.directory)
        if len(batch) >= TOGETHER or not rests:
            await _check_batch(inspection, batch)
            batch = []
        rests += await _following(inspection, rest)
    await _check_batch(inspection, batch)


async def _check_batch(inspection: Inspection, names: list[str]) -> None:
    async def check(name: str) -> None:
        await _check_one(inspection, RepositoryName(name))

    await each(check, names, width=TOGETHER)


async def _check_one(inspection: Inspection, name: RepositoryName) -> None:
    markers = await if_there(markers_of(inspection.driver, name.text)) or frozenset()
    layers = await check_layers(inspection, name) if LAYERS in markers else DigestTable()
    if MANIFESTS in markers:
        await _children(inspection, paths.manifests(name.text), _MANIFEST_PARTS)
        revisions = Revisions(inspection, name, layers)
        await revisions.check()
        await check_referrers(inspection, name, revisions)
        await check_tags(inspection, name, revisions)
    if UPLOADS in markers:
        await check_sessions(inspection, name)
    if markers:
        inspection.totals.repositories += 1
        inspection.reporter.progressed(Progress("repositories", inspection.totals.repositories))


async def _following(inspection: Inspection, rest: _Rest) -> list[_Rest]:
    """List one page of what may be repositories; returns these, and what follows the page."""
    path = paths.repository(rest.directory) if rest.directory else paths.REPOSITORIES
    listing = await if_there(inspection.driver.list(path, after=rest.after, limit=PAGE))
    if listing is None:
        return []
    strays: list[Stray] = []
    found = [_Rest(rest.directory, listing.children[-1].name)] if listing.has_more else []
    for child in reversed(listing.children):
        name = f"{rest.directory}/{child.name}" if rest.directory else child.name
        if rest.directory and child.name in _PARTS:
            strays += _unless_directory(path, child)
        elif child.is_directory and is_repository(name):
            found.append(_Rest(name))
        else:
            strays.append(Stray(f"{path}/{child.name}", child.is_directory))
    await tell_strays(inspection, strays)
    return found


async def _children(inspection: Inspection, path: str, names: tuple[str, ...]) -> None:
    """Check that ``path`` has no other children than directories of these names."""
    after, has_more = "", True
    while has_more:
        listing = await if_there(inspection.driver.list(path, after=after, limit=PAGE))
        if listing is None or not listing.children:
            return
        strays: list[Stray] = []
        for child in listing.children:
            if child.name in names:
                strays += _unless_directory(path, child)
            else:
                strays.append(Stray(f"{path}/{child.name}", child.is_directory))
        await tell_strays(inspection, strays)
        after, has_more = listing.children[-1].name, listing.has_more


def _unless_directory(path: str, child: Child) -> list[Stray]:
    return [] if child.is_directory else [Stray(f"{path}/{child.name}", False, Spot.DIRECTORY)]
