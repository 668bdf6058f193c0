# SPDX-License-Identifier: Apache-2.0
"""The tags of a repository: where they point, and where they once did.

Room: admin. Must not know manifests, beyond whether one is there. A repair moves a tag as a whole:
what is left of its directory would still be listed. What a history names may be gone; that is what
history is.
"""

from __future__ import annotations

from collections.abc import Sequence

from txregistry.admin.check.area import Area
from txregistry.admin.check.findings import (
    LINK_UNREADABLE,
    TAG_CASE,
    TAG_DANGLING,
    TAG_HISTORY,
    TAG_INCOMPLETE,
    Finding,
    movable,
)
from txregistry.admin.check.inspection import Inspection, Verdict
from txregistry.admin.check.layout import digest_at, in_tags
from txregistry.admin.check.links import Link, parse_link
from txregistry.admin.check.revisions import Revisions
from txregistry.oci.digests import CANONICAL
from txregistry.oci.names import RepositoryName
from txregistry.registry.directories import PAGE, Names
from txregistry.registry.tasks import if_there
from txregistry.storage import paths


async def check_tags(inspection: Inspection, name: RepositoryName, revisions: Revisions) -> None:
    """Check all tags of a repository."""
    area = Area(inspection, paths.tags(name.text), in_tags)
    mixed: dict[str, list[str]] = {}

    async def look(tag: str) -> Verdict[None]:
        return await _look(inspection, name, revisions, tag)

    async def look_back(link: Link) -> Verdict[None]:
        return await _look_back(inspection, link)

    while (page := await area.page()) is not None:
        tags = [one.parts[0] for one in page if len(one.parts) == 1]
        await inspection.examine(tags, look, path=lambda tag: paths.tag_link(name.text, tag))
        history = [
            Link(one.entry.path, digest_at(one.parts, 2)) for one in page if len(one.parts) == 5
        ]
        await inspection.examine(history, look_back, path=lambda link: link.path)
        inspection.totals.tags += len(tags)
        inspection.totals.links += len(tags) + len(history)
        for tag in tags:
            if tag != tag.lower():
                mixed.setdefault(tag.lower(), []).append(tag)
    await _check_case(inspection, name, mixed)


async def _look(
    inspection: Inspection, name: RepositoryName, revisions: Revisions, tag: str
) -> Verdict[None]:
    directory, path = paths.tag_directory(name.text, tag), paths.tag_link(name.text, tag)
    content = await if_there(inspection.driver.get(path))
    if content is None:
        await inspection.driver.stat(directory)
        return Verdict(
            (
                movable(
                    TAG_INCOMPLETE, path, "is missing, so that the tag points nowhere", directory
                ),
            )
        )
    target, why = parse_link(content.data)
    if target is None:
        return Verdict((movable(LINK_UNREADABLE, path, why, directory),))
    if await revisions.size_of(target) is None:
        why = f"points at the manifest {target}, which is missing or damaged"
        return Verdict((movable(TAG_DANGLING, path, why, directory),))
    return Verdict()


async def _look_back(inspection: Inspection, link: Link) -> Verdict[None]:
    target, why = parse_link((await inspection.driver.get(link.path)).data)
    if target is None:
        return Verdict((movable(TAG_HISTORY, link.path, why),))
    is_alias = target.algorithm == CANONICAL and link.named.algorithm != CANONICAL
    if target == link.named or is_alias:
        return Verdict()
    return Verdict((movable(TAG_HISTORY, link.path, f"holds {target}, which is another digest"),))


async def _check_case(
    inspection: Inspection, name: RepositoryName, mixed: dict[str, list[str]]
) -> None:
    """Tell of tags that differ only by case.

    Args:
        mixed: tags with upper-case letters, by how they read in lower case.
    """
    if not mixed:
        return
    names = Names(inspection.driver, paths.tags(name.text), "", lambda tag: tag in mixed)
    while found := await if_there(names.take(PAGE)):
        for tag in found:
            mixed[tag].append(tag)

    async def look(tags: Sequence[str]) -> Verdict[None]:
        directories = [paths.tag_directory(name.text, tag) for tag in tags]
        for directory in directories:
            await inspection.driver.stat(directory)
        why = f"differs from {', '.join(tags[1:])} only by case"
        return Verdict((Finding(TAG_CASE, directories[0], why),))

    clashes = [tags for tags in mixed.values() if len(tags) > 1]
    await inspection.examine(
        clashes, look, path=lambda tags: paths.tag_directory(name.text, tags[0])
    )
