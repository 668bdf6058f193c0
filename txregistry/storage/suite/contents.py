# SPDX-License-Identifier: Apache-2.0
"""Cases: small content, its versions and preconditions, the grammar of paths.

Room: storage.
"""

from __future__ import annotations

from txregistry.storage.contract import CONTENT_LIMIT
from txregistry.storage.errors import Changed, Exists, InvalidPath, Missing, StorageError, TooLarge
from txregistry.storage.suite.case import (
    Environment,
    NotOffered,
    cases,
    check,
    equal,
    exists,
    fetch,
    noise,
    refuses,
    sha256,
    stage,
    together,
)

#: Those of the Go registry's driver suite.
_VALID = (
    *("a", "2", "aa", "a.a", "0-9/abcdefg", "abcdefg/z.75", "abc/1.2.3.4.5-6_zyx/123.z/4"),
    *("docker/docker-registry", "123.abc", "abc./abc", ".abc", "a--b", "a-.b", "_.abc"),
    *("Docker/docker-registry", "Abc/Cba"),
)

_INVALID = (
    *("", "abc", "123.abc", "//bcd", "/abc_123/", "/a//b", "/a/../b", "/./a", "/..", "/a b"),
    *("/\u00e4", "/a\n", "/a\x00", "/a%2fb", "/" + "a/" * 2000 + "a"),
)

_ROUNDS = (20, 500)


async def every_path_of_the_grammar_takes_content(env: Environment) -> None:
    """Letters, digits, dots, dashes and underscores make names, anywhere and in any case."""
    for tail in _VALID:
        path = env.path(f"valid/{tail}")
        await env.driver.put(path, tail.encode())
        equal((await env.driver.get(path)).data, tail.encode(), f"what was put at {path}")
        await env.driver.delete(env.path("valid"))


async def other_paths_are_refused(env: Environment) -> None:
    """A path that is not of the grammar is InvalidPath to every method, whatever is stored."""
    driver, good = env.driver, env.path("good")
    for path in _INVALID:
        await refuses(InvalidPath, driver.put(path, b""), f"put of {path[:20]!r}")
        await refuses(InvalidPath, driver.get(path), f"get of {path[:20]!r}")
        await refuses(InvalidPath, driver.read(path), f"read of {path[:20]!r}")
        await refuses(InvalidPath, driver.stat(path), f"stat of {path[:20]!r}")
        await refuses(InvalidPath, driver.open_writer(path, 0), f"open_writer of {path[:20]!r}")
        await refuses(
            InvalidPath, driver.open_writer(good, 0, states=path), f"states {path[:20]!r}"
        )
        await refuses(InvalidPath, driver.move(path, good), f"move of {path[:20]!r}")
        await refuses(InvalidPath, driver.move(good, path), f"move to {path[:20]!r}")
        await refuses(InvalidPath, driver.delete(path), f"delete of {path[:20]!r}")
        await refuses(InvalidPath, driver.list(path), f"list of {path[:20]!r}")
        await refuses(InvalidPath, driver.walk(path), f"walk of {path[:20]!r}")
        await refuses(InvalidPath, driver.sync([path]), f"sync of {path[:20]!r}")
        commit = driver.commit(path, good, size=0, digest="sha256:0")
        await refuses(InvalidPath, commit, f"commit of {path[:20]!r}")
    check(not await exists(driver, good), "a refused call has created something")


async def the_root_is_only_looked_at(env: Environment) -> None:
    """``/`` can be looked at and listed; it can't be read, replaced, moved or deleted."""
    driver = env.driver
    await refuses(InvalidPath, driver.put("/", b""), "put of /")
    await refuses(InvalidPath, driver.get("/"), "get of /")
    await refuses(InvalidPath, driver.read("/"), "read of /")
    await refuses(InvalidPath, driver.open_writer("/", 0), "open_writer of /")
    await refuses(InvalidPath, driver.move("/", env.path("a")), "move of /")
    await refuses(InvalidPath, driver.delete("/"), "delete of /")
    check((await driver.stat("/")).is_directory, "/ is not a directory")


async def content_comes_back_as_it_was(env: Environment) -> None:
    """Whatever the bytes are, and however many, get and read give them back."""
    samples = (b"a", "\u00e9".encode(), b"\x80\xff\x00\xfe", noise(32), noise(1024 * 1024), b"")
    for index, data in enumerate(samples):
        path = env.path(f"sample-{index}")
        await env.driver.put(path, data)
        equal((await env.driver.get(path)).data, data, f"what get gives of {len(data)} bytes")
        equal(await fetch(env.driver, path), data, f"what read gives of {len(data)} bytes")
        equal((await env.driver.stat(path)).size, len(data), "the size")


async def content_has_a_limit(env: Environment) -> None:
    """CONTENT_LIMIT bytes go by put and get; one more is TooLarge to both, and replaces nothing."""
    path, data = env.path("limit"), noise(CONTENT_LIMIT)
    await env.driver.put(path, data)
    check((await env.driver.get(path)).data == data, "content of the limit comes back changed")
    await refuses(TooLarge, env.driver.put(path, data + b"x"), "put beyond the limit")
    check((await env.driver.get(path)).data == data, "a refused put has changed the content")
    await stage(env.driver, env.path("larger"), data + b"x")
    await refuses(TooLarge, env.driver.get(env.path("larger")), "get beyond the limit")


async def a_put_replaces_all_of_what_was_there(env: Environment) -> None:
    """The last put wins, also when it is shorter or empty."""
    path = env.path("replaced")
    for size in (1024 * 1024, 1024, 0, 4096):
        await env.driver.put(path, noise(size, seed=size))
        equal((await env.driver.get(path)).data, noise(size, seed=size), f"the put of {size} bytes")


async def several_contents_come_in_one_trip(env: Environment) -> None:
    """get_several gives for each path what get does, in order; a refusal stands in its content's
    place.
    """
    await env.driver.put(env.path("a"), b"a")
    await env.driver.put(env.path("d/b"), b"b")
    tails = ("a", "nothing", "d", "d/b", "a/below", "a")
    found = await env.driver.get_several([*map(env.path, tails), "/not/../valid"])
    expected = (b"a", Missing, Missing, b"b", Missing, b"a", InvalidPath)
    equal(
        tuple(type(one) if isinstance(one, StorageError) else one.data for one in found),
        expected,
        "what get_several gives",
    )
    equal(found[0], await env.driver.get(env.path("a")), "content, version and all")
    equal(list(await env.driver.get_several([])), [], "several of none")


async def missing_content_is_missing(env: Environment) -> None:
    """Where nothing is, below a file, and at a directory, get says Missing."""
    await refuses(Missing, env.driver.get(env.path("nothing")), "get of nothing")
    await env.driver.put(env.path("directory/file"), b"x")
    await refuses(Missing, env.driver.get(env.path("directory")), "get of a directory")
    await refuses(Missing, env.driver.get(env.path("directory/file/below")), "get below a file")
    await refuses(Missing, env.driver.stat(env.path("directory/file/below")), "stat below a file")


async def nothing_is_put_below_a_file(env: Environment) -> None:
    """A path that runs through a file is InvalidPath to what would write there; the file stays.

    An object store, which has no directories, may allow it: then this is not offered.
    """
    driver, file = env.driver, env.path("directory/file")
    await driver.put(file, b"x")
    try:
        await driver.put(f"{file}/a", b"y")
    except InvalidPath:
        await refuses(InvalidPath, driver.put(f"{file}/a/b", b"y"), "put far below a file")
        await refuses(InvalidPath, driver.open_writer(f"{file}/a", 0), "open_writer below a file")
        await driver.put(env.path("other"), b"z")
        await refuses(InvalidPath, driver.move(env.path("other"), f"{file}/a"), "move below a file")
        await stage(driver, env.path("staged"), b"z")
        commit = driver.commit(env.path("staged"), f"{file}/a/data", size=1, digest=sha256(b"z"))
        await refuses(InvalidPath, commit, "commit below a file")
        equal((await driver.get(env.path("other"))).data, b"z", "what could not be moved")
        equal((await driver.get(file)).data, b"x", "the file")
    else:
        raise NotOffered("content may lie below content")


async def versions_differ_when_content_does(env: Environment) -> None:
    """put answers the version that get and stat show; other content never has the same one."""
    path, seen = env.path("versioned"), dict[str, bytes]()
    for round_ in range(env.size(*_ROUNDS)):
        data = b"%d" % (round_ % 3)
        version = await env.driver.put(path, data)
        equal((await env.driver.get(path)).version, version, "the version in get")
        equal((await env.driver.stat(path)).version, version, "the version in stat")
        check(
            version and seen.setdefault(version, data) == data,
            f"the version {version!r} is empty or was other content's before",
        )


async def put_if_absent_creates_and_never_replaces(env: Environment) -> None:
    """``if_absent`` succeeds once; what is there then is Exists and stays."""
    path = env.path("deep/er/absent")
    await env.driver.put(path, b"first", if_absent=True)
    await refuses(Exists, env.driver.put(path, b"second", if_absent=True), "a second put if_absent")
    equal((await env.driver.get(path)).data, b"first", "the content")


async def put_if_version_replaces_only_that_version(env: Environment) -> None:
    """``if_version`` is Changed where another version is, or nothing; then nothing changes."""
    path = env.path("conditional")
    await refuses(Changed, env.driver.put(path, b"x", if_version="1"), "put if_version at nothing")
    check(not await exists(env.driver, path), "a refused put has created something")
    first = await env.driver.put(path, b"first")
    second = await env.driver.put(path, b"second", if_version=first)
    await refuses(Changed, env.driver.put(path, b"x", if_version=first), "put of an old version")
    equal((await env.driver.get(path)).data, b"second", "the content")
    await env.driver.put(path, b"third", if_version=second)
    await env.driver.delete(path)
    await refuses(Changed, env.driver.put(path, b"x", if_version=second), "put after a delete")


async def delete_if_version_removes_only_that_version(env: Environment) -> None:
    """``delete`` with another version is Changed and removes nothing."""
    path = env.path("conditional")
    first = await env.driver.put(path, b"first")
    second = await env.driver.put(path, b"second")
    await refuses(Changed, env.driver.delete(path, if_version=first), "delete of an old version")
    equal((await env.driver.get(path)).data, b"second", "the content")
    await env.driver.delete(path, if_version=second)
    await refuses(Missing, env.driver.delete(path, if_version=second), "delete of what is gone")


async def one_of_many_conditional_puts_wins(env: Environment) -> None:
    """Of puts under the same precondition at the same time exactly one succeeds, and its content
    stays.
    """
    driver = env.driver
    for round_ in range(env.size(5, 50)):
        path = env.path(f"race-{round_}")
        first = await together(*(driver.put(path, b"%d" % n, if_absent=True) for n in range(8)))
        await _one_won(env, path, first, Exists, "if_absent")
        version = (await driver.get(path)).version
        second = await together(
            # Other contents than before: the same content may have the same version again.
            *(driver.put(path, b"2%d" % n, if_version=version) for n in range(8))
        )
        await _one_won(env, path, second, Changed, "if_version", b"2")


async def _one_won(
    env: Environment,
    path: str,
    results: list[str | StorageError],
    refusal: type[StorageError],
    how: str,
    prefix: bytes = b"",
) -> None:
    winners = [n for n, result in enumerate(results) if isinstance(result, str)]
    equal(len(winners), 1, f"the number of puts {how} that succeeded")
    check(
        all(isinstance(result, (str, refusal)) for result in results),
        f"a put {how} lost with something other than {refusal.code}: {results}",
    )
    equal((await env.driver.get(path)).data, prefix + b"%d" % winners[0], "the winner's content")


async def readers_never_see_half_a_put(env: Environment) -> None:
    """While content is replaced, a reader gets one put's bytes whole, never a mixture or
    nothing.
    """
    path, size = env.path("torn"), 200_000
    await env.driver.put(path, b"0" * size)

    async def replace() -> None:
        for round_ in range(env.size(*_ROUNDS)):
            await env.driver.put(path, b"%d" % (round_ % 10) * size)

    async def look() -> None:
        for _ in range(env.size(*_ROUNDS)):
            data = (await env.driver.get(path)).data
            check(len(data) == size and len(set(data)) == 1, "a reader saw parts of two puts")
            data = await fetch(env.driver, path)
            check(len(data) == size and len(set(data)) == 1, "a stream saw parts of two puts")

    for result in await together(replace(), look(), look()):
        check(result is None, f"a put or a read failed: {result}")


CASES = cases(
    every_path_of_the_grammar_takes_content,
    other_paths_are_refused,
    the_root_is_only_looked_at,
    content_comes_back_as_it_was,
    content_has_a_limit,
    a_put_replaces_all_of_what_was_there,
    several_contents_come_in_one_trip,
    missing_content_is_missing,
    nothing_is_put_below_a_file,
    versions_differ_when_content_does,
    put_if_absent_creates_and_never_replaces,
    put_if_version_replaces_only_that_version,
    delete_if_version_removes_only_that_version,
    one_of_many_conditional_puts_wins,
    readers_never_see_half_a_put,
)
