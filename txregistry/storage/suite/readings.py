# SPDX-License-Identifier: Apache-2.0
"""Cases: open reads.

Room: storage.
"""

from __future__ import annotations

import os

from txregistry.storage.errors import InvalidOffset, Missing
from txregistry.storage.suite.case import (
    Environment,
    NotOffered,
    cases,
    check,
    equal,
    fetch,
    noise,
    read_all,
    refuses,
    stage,
    together,
)


async def a_read_begins_at_its_offset(env: Environment) -> None:
    """A read gives the bytes from ``start`` to the end; at the end there are none, and no error."""
    path, data = env.path("offsets"), noise(96)
    await env.driver.put(path, data)
    for start in (0, 32, 64, 95, 96):
        equal(await fetch(env.driver, path, start), data[start:], f"a read from {start}")


async def a_read_ends_at_its_stop(env: Environment) -> None:
    """``stop`` is exclusive; beyond the end it is the end. The size is always the whole
    object's.
    """
    path, data = env.path("stops"), noise(1000)
    await env.driver.put(path, data)
    for start, stop in (
        (0, 1000),
        (0, 1),
        (0, 0),
        (999, 1000),
        (100, 900),
        (10, 5000),
        (1000, 1001),
    ):
        reading = await env.driver.read(path, start, stop)
        equal(
            (reading.size, reading.start, reading.stop), (1000, start, min(stop, 1000)), "the span"
        )
        equal(await read_all(reading), data[start:stop], f"a read of {start} to {stop}")


async def a_read_outside_is_refused(env: Environment) -> None:
    """A negative start, one beyond the end, and a stop before the start are InvalidOffset."""
    path = env.path("outside")
    await env.driver.put(path, b"x" * 10)
    for start, stop in ((-1, None), (-1, 5), (11, None), (1_000_000, None), (5, 4), (0, -1)):
        await refuses(
            InvalidOffset, env.driver.read(path, start, stop), f"a read of {start} to {stop}"
        )


async def a_read_of_nothing_is_missing(env: Environment) -> None:
    """Where nothing is, or a directory, a read says Missing at any offset."""
    await env.driver.put(env.path("directory/file"), b"x")
    for start in (0, 64):
        await refuses(Missing, env.driver.read(env.path("nothing"), start), "a read of nothing")
        await refuses(
            Missing, env.driver.read(env.path("directory"), start), "a read of a directory"
        )
        await refuses(
            Missing, env.driver.read(env.path("directory/file/x"), start), "a read below a file"
        )


async def an_open_read_keeps_what_it_opened(env: Environment) -> None:
    """A read that is open goes on to its end, unchanged, when the path is replaced or deleted."""
    path, data = env.path("kept"), noise(3_000_000)
    await stage(env.driver, path, data)
    first = await env.driver.read(path)
    await env.driver.put(path, b"other")
    second = await env.driver.read(path)
    await env.driver.delete(path)
    check(await read_all(first) == data, "a read changed when its path was replaced")
    equal(await read_all(second), b"other", "a read whose path was deleted")


async def a_read_can_be_closed_early(env: Environment) -> None:
    """A read may be closed before its end, and twice; others of the same path go on."""
    path, data = env.path("closed"), noise(2_000_000)
    await stage(env.driver, path, data)
    other = await env.driver.read(path)
    for _ in range(env.size(10, 2000)):
        reading = await env.driver.read(path)
        check(await anext(aiter(reading)), "a read gives an empty chunk")
        await reading.aclose()
        await reading.aclose()
    check(await read_all(other) == data, "a read changed when another was closed")


async def a_descriptor_holds_the_whole_object(env: Environment) -> None:
    """Where a read offers a file, that is a regular one, close-on-exec, with the object's size and
    bytes.
    """
    path, data = env.path("descriptor"), noise(100_000)
    await stage(env.driver, path, data)
    reading = await env.driver.read(path, 50, 60)
    try:
        if reading.file is None:
            raise NotOffered("reads are streams")
        equal(os.fstat(reading.file).st_size, len(data), "the size of the file")
        check(os.pread(reading.file, len(data), 0) == data, "the file has other bytes")
        check(not os.get_inheritable(reading.file), "the descriptor is left to child processes")
    finally:
        await reading.aclose()


async def many_read_at_once(env: Environment) -> None:
    """Ten readers of one object, each from its own offset, get what they asked for."""
    path, data = env.path("many"), noise(env.size(10, 128) * 1024 * 1024)
    await stage(env.driver, path, data)
    starts = [len(data) * n // 10 + n for n in range(10)]
    found = await together(*(fetch(env.driver, path, start) for start in starts))
    for start, result in zip(starts, found, strict=True):
        check(result == data[start:], f"the reader from {start} got something else")


CASES = cases(
    a_read_begins_at_its_offset,
    a_read_ends_at_its_stop,
    a_read_outside_is_refused,
    a_read_of_nothing_is_missing,
    an_open_read_keeps_what_it_opened,
    a_read_can_be_closed_early,
    a_descriptor_holds_the_whole_object,
    many_read_at_once,
)
