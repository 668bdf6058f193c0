# SPDX-License-Identifier: Apache-2.0
"""Cases: looking at the tree, walking it, moving and deleting.

Room: storage.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from txregistry.storage.contract import Driver, Entry
from txregistry.storage.errors import InvalidPath, Missing
from txregistry.storage.suite.case import (
    Environment,
    NotOffered,
    cases,
    check,
    equal,
    exists,
    fetch,
    refuses,
    stage,
)

#: In byte order: a name that is a beginning of others sorts before them, and so does all below it.
_NAMES = (
    "-",
    "--",
    ".a",
    "0",
    "00",
    "1",
    "10",
    "2",
    "A",
    "B",
    "_",
    "a",
    "a-b",
    "a.b",
    "a0",
    "aa",
    "b",
)


async def the_root_can_be_looked_at(env: Environment) -> None:
    """``/`` is a directory at all times, and can be listed and walked even if nothing is stored."""
    entry = await env.driver.stat("/")
    check(entry.is_directory and entry.size == 0 and entry.path == "/", f"/ is {entry}")
    await env.driver.list("/", limit=1)
    await env.driver.walk("/", limit=1)


async def stat_tells_files_from_directories(env: Environment) -> None:
    """stat gives path, kind and size; a directory has size 0 and no version; nothing is Missing."""
    await refuses(Missing, env.driver.stat(env.path("nothing")), "stat of nothing")
    await env.driver.put(env.path("directory/file"), b"12345")
    entry = await env.driver.stat(env.path("directory/file"))
    equal(
        (entry.path, entry.is_directory, entry.size),
        (env.path("directory/file"), False, 5),
        "a file",
    )
    check(entry.version, "a file has no version")
    directory = await env.driver.stat(env.path("directory"))
    equal((directory.path, directory.is_directory), (env.path("directory"), True), "a directory")
    equal((directory.size, directory.version), (0, ""), "size and version of a directory")
    await env.driver.put(env.path("directory/file"), b"123")
    later = await env.driver.stat(env.path("directory/file"))
    check(later.modified >= entry.modified, "the time of change goes back")


async def a_list_has_the_children(env: Environment) -> None:
    """A list has every child once, by name, in byte order, and no grandchild."""
    names = [f"file-{n:02}" for n in range(50)]
    for name in reversed(names):
        await env.driver.put(env.path(f"d/many/{name}"), b"")
    parent = await env.driver.list(env.path("d"))
    equal(
        [(child.name, child.is_directory) for child in parent.children],
        [("many", True)],
        "the parent",
    )
    listing = await env.driver.list(env.path("d/many"))
    equal([child.name for child in listing.children], names, "the names")
    check(
        not any(child.is_directory for child in listing.children), "a file is listed as a directory"
    )
    check(not listing.has_more, "more children are promised than there are")


async def a_list_is_in_byte_order(env: Environment) -> None:
    """Names are in byte order, files and directories mixed."""
    await _plant(env, "order")
    listing = await env.driver.list(env.path("order"))
    equal(tuple(child.name for child in listing.children), _NAMES, "the names")
    kinds = tuple(child.is_directory for child in listing.children)
    equal(kinds, tuple(index % 2 == 0 for index in range(len(_NAMES))), "which are directories")


async def a_list_comes_in_pages(env: Environment) -> None:
    """Pages of any size make the whole; a page begins after a name even if that is gone or never
    was.
    """
    await _plant(env, "pages")
    directory = env.path("pages")
    for limit in (1, 2, 5, len(_NAMES), len(_NAMES) + 1):
        found: list[str] = []
        has_more = True
        while has_more:
            page = await env.driver.list(directory, after=found[-1] if found else "", limit=limit)
            check(
                0 < len(page.children) <= limit, f"a page of {limit} has {len(page.children)} names"
            )
            found += [child.name for child in page.children]
            has_more = page.has_more
        equal(tuple(found), _NAMES, f"the names in pages of {limit}")
    for after in ("9", "a-", "a-b", "zz", "Z"):
        page = await env.driver.list(directory, after=after)
        expected = tuple(name for name in _NAMES if name > after)
        equal(tuple(child.name for child in page.children), expected, f"the names after {after!r}")


async def a_list_of_nothing_is_missing(env: Environment) -> None:
    """What is not there, and what is a file, can be neither listed nor walked."""
    await env.driver.put(env.path("file"), b"")
    for tail in ("nothing", "file", "file/below"):
        await refuses(Missing, env.driver.list(env.path(tail)), f"list of {tail}")
        await refuses(Missing, env.driver.walk(env.path(tail)), f"walk of {tail}")


async def a_walk_sees_everything_in_order(env: Environment) -> None:
    """Depth first, children in byte order, a directory before what is in it; each entry as in
    stat.
    """
    expected = await _plant(env, "walk")
    walk = await env.driver.walk(env.path("walk"))
    equal([entry.path for entry in walk.entries], expected, "the walk")
    check(not walk.has_more, "more entries are promised than there are")
    for entry in walk.entries:
        equal(entry, await env.driver.stat(entry.path), f"the entry of {entry.path}")


async def a_walk_comes_in_pages(env: Environment) -> None:
    """Pages of any size make the whole, whatever the last path of a page was."""
    expected = await _plant(env, "walk")
    for limit in (1, 2, 7, len(expected), len(expected) + 1):
        found = [entry.path async for entry in _walk(env.driver, env.path("walk"), limit)]
        equal(found, expected, f"the walk in pages of {limit}")


async def a_walk_goes_on_after_anything(env: Environment) -> None:
    """A page begins after any path below, also one that is gone or never was, in walk order."""
    expected, top = await _plant(env, "walk"), env.path("walk")
    for after in ("9", "a", "a/a", "a/zz", "a-a", "a-b/x/y/z", "1/0/below-a-file", "zz", "A/B/C"):
        walk = await env.driver.walk(top, after=f"{top}/{after}")
        later = [path for path in expected if path.split("/") > f"{top}/{after}".split("/")]
        equal([entry.path for entry in walk.entries], later, f"the walk after {after}")
        pruned = await env.driver.walk(top, after=f"{top}/{after}", skip_subtree=True)
        rest = [path for path in later if not path.startswith(f"{top}/{after}/")]
        equal([entry.path for entry in pruned.entries], rest, f"the walk after all of {after}")
    await refuses(
        InvalidPath, env.driver.walk(top, after=env.path("walker")), "a walk after elsewhere"
    )
    await refuses(InvalidPath, env.driver.walk(top, after="walk"), "a walk after what is no path")


async def a_move_takes_all_along(env: Environment) -> None:
    """A file, or a directory with all below it, is at its new path and no longer at its old one."""
    driver = env.driver
    await driver.put(env.path("from/file"), b"file")
    await driver.move(env.path("from/file"), env.path("to/deeper/file"))
    equal((await driver.get(env.path("to/deeper/file"))).data, b"file", "what was moved")
    await refuses(Missing, driver.get(env.path("from/file")), "get of what was moved")
    await driver.put(env.path("tree/a/b/c"), b"c")
    await driver.put(env.path("tree/d"), b"d")
    await driver.move(env.path("tree"), env.path("moved/tree"))
    equal((await driver.get(env.path("moved/tree/a/b/c"))).data, b"c", "what was moved")
    equal((await driver.get(env.path("moved/tree/d"))).data, b"d", "what was moved")
    check(not await exists(driver, env.path("tree/d")), "a moved directory is still there")


async def a_move_replaces_what_is_there(env: Environment) -> None:
    """The destination, file or directory, is replaced whole by the source, file or directory."""
    driver = env.driver
    for source in ("file", "tree"):
        for destination in ("file", "tree"):
            await driver.put(env.path("s" if source == "file" else "s/new"), b"new")
            await driver.put(env.path("d" if destination == "file" else "d/old/er"), b"old")
            await driver.move(env.path("s"), env.path("d"))
            found = [
                entry.path async for entry in _walk(driver, env.root, 100) if not entry.is_directory
            ]
            expected = env.path("d" if source == "file" else "d/new")
            equal(found, [expected], f"what is left after moving a {source} over a {destination}")
            equal((await driver.get(expected)).data, b"new", "the content")
            await driver.delete(env.path("d"))


async def a_move_of_nothing_changes_nothing(env: Environment) -> None:
    """A missing source is Missing and the destination stays."""
    await env.driver.put(env.path("destination"), b"stays")
    call = env.driver.move(env.path("nothing"), env.path("destination"))
    await refuses(Missing, call, "a move of nothing")
    equal((await env.driver.get(env.path("destination"))).data, b"stays", "the destination")


async def a_move_into_itself_is_refused(env: Environment) -> None:
    """A directory can't become a part of itself, nor take the place of one it is in."""
    driver = env.driver
    await driver.put(env.path("a/b/c"), b"c")
    await refuses(InvalidPath, driver.move(env.path("a"), env.path("a/b/d")), "a move into itself")
    await refuses(
        InvalidPath, driver.move(env.path("a/b"), env.path("a")), "a move over its parent"
    )
    await driver.move(env.path("a/b/c"), env.path("a/b/c"))
    equal((await driver.get(env.path("a/b/c"))).data, b"c", "the content")


async def a_delete_removes_just_that(env: Environment) -> None:
    """A file goes, or a directory with all below it; names that only begin alike stay."""
    driver = env.driver
    for tail in ("d/a", "d/b", "d/c/e", "d-suffix/a", "d.a", "file", "file-suffix"):
        await driver.put(env.path(tail), tail.encode())
    await driver.delete(env.path("d/a"))
    await refuses(Missing, driver.get(env.path("d/a")), "get of what was deleted")
    equal(await fetch(driver, env.path("d/b")), b"d/b", "its neighbour")
    await driver.delete(env.path("d"))
    for tail in ("d", "d/b", "d/c", "d/c/e"):
        await refuses(Missing, driver.stat(env.path(tail)), f"stat of {tail}")
    await driver.delete(env.path("file"))
    for tail in ("d-suffix/a", "d.a", "file-suffix"):
        equal(await fetch(driver, env.path(tail)), tail.encode(), f"what is at {tail}")


async def a_delete_of_nothing_is_missing(env: Environment) -> None:
    """What is not there, or below a file, can't be deleted; twice is once too often."""
    await env.driver.put(env.path("file"), b"x")
    await refuses(Missing, env.driver.delete(env.path("nothing")), "delete of nothing")
    await refuses(Missing, env.driver.delete(env.path("file/below")), "delete below a file")
    await env.driver.delete(env.path("file"))
    await refuses(Missing, env.driver.delete(env.path("file")), "a second delete")


async def names_can_be_used_again(env: Environment) -> None:
    """After a delete a file may be where a directory was, and the other way round."""
    for _ in range(env.size(3, 50)):
        await env.driver.put(env.path("name"), b"file")
        await env.driver.delete(env.path("name"))
        await env.driver.put(env.path("name/below"), b"file")
        await stage(env.driver, env.path("name/data"), b"staged")
        await env.driver.delete(env.path("name"))


async def what_is_there_can_be_synced(env: Environment) -> None:
    """sync takes files and directories, ``/`` and none too; one that is missing is Missing."""
    await env.driver.put(env.path("d/file"), b"x")
    await stage(env.driver, env.path("u/data"), b"x")
    await env.driver.sync([])
    await env.driver.sync(
        ["/", env.path("d"), env.path("d/file"), env.path("u/data"), env.path("d")]
    )
    await refuses(Missing, env.driver.sync([env.path("d"), env.path("nothing")]), "sync of nothing")


async def a_redirect_is_a_url(env: Environment) -> None:
    """A driver that redirects gives an http or https URL for reading what is stored."""
    await stage(env.driver, env.path("u/data"), b"x")
    for method in ("GET", "HEAD"):
        url = await env.driver.redirect_url(env.path("u/data"), method, 60)
        if url is None:
            raise NotOffered("the driver has no redirects")
        check(url.startswith(("http://", "https://")), "the redirect is no URL")


async def _plant(env: Environment, tail: str) -> list[str]:
    """Every second name of _NAMES as a directory of some depth, the others as files; the walk of
    it.
    """
    expected = []
    for index, name in enumerate(_NAMES):
        path = env.path(f"{tail}/{name}")
        expected.append(path)
        if index % 2:
            await env.driver.put(path, name.encode())
            continue
        for below in ("a", "a-", "b/c/d"):
            await env.driver.put(f"{path}/{below}", b"below")
        expected += [f"{path}/{below}" for below in ("a", "a-", "b", "b/c", "b/c/d")]
    return expected


async def _walk(driver: Driver, path: str, limit: int) -> AsyncIterator[Entry]:
    after, has_more = "", True
    while has_more:
        page = await driver.walk(path, after=after, limit=limit)
        check(len(page.entries) <= limit, f"a page of {limit} has {len(page.entries)} entries")
        for entry in page.entries:
            yield entry
            after = entry.path
        has_more = page.has_more


CASES = cases(
    the_root_can_be_looked_at,
    stat_tells_files_from_directories,
    a_list_has_the_children,
    a_list_is_in_byte_order,
    a_list_comes_in_pages,
    a_list_of_nothing_is_missing,
    a_walk_sees_everything_in_order,
    a_walk_comes_in_pages,
    a_walk_goes_on_after_anything,
    a_move_takes_all_along,
    a_move_replaces_what_is_there,
    a_move_of_nothing_changes_nothing,
    a_move_into_itself_is_refused,
    a_delete_removes_just_that,
    a_delete_of_nothing_is_missing,
    names_can_be_used_again,
    what_is_there_can_be_synced,
    a_redirect_is_a_url,
)
