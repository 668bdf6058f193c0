# SPDX-License-Identifier: Apache-2.0
"""Cases: committing what is staged.

Room: storage.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred

from txregistry.storage.contract import RECORD_LIMIT
from txregistry.storage.errors import InvalidPath, Mismatch, Missing, TooLarge, Unsupported
from txregistry.storage.suite.case import (
    Environment,
    NotOffered,
    cases,
    check,
    equal,
    exists,
    fetch,
    fill,
    noise,
    refuses,
    sha256,
    sha512,
    stage,
    together,
)


async def a_commit_publishes(env: Environment) -> None:
    """The destination, its directories made, holds the staged bytes; the staged path stays."""
    data, blob = noise(1_000_000), env.path("blobs/sha256/ab/cd/data")
    await stage(env.driver, env.path("u/data"), data)
    await env.driver.commit(env.path("u/data"), blob, size=len(data), digest=sha256(data))
    for path in (blob, env.path("u/data")):
        check(await fetch(env.driver, path) == data, f"{path} holds other bytes")
        equal((await env.driver.stat(path)).size, len(data), "the size")


async def a_commit_can_be_repeated(env: Environment) -> None:
    """Commit again, and again after a crash: the same, as long as the staged bytes are there."""
    data, driver = noise(1000), env.driver
    await stage(driver, env.path("u/data"), data)
    for round_ in range(4):
        await driver.commit(env.path("u/data"), env.path("blob"), size=1000, digest=sha256(data))
        equal(await fetch(driver, env.path("blob")), data, "the blob")
        if env.reopen is not None and round_ == 1:
            driver = await env.reopened()


async def a_commit_after_a_crash_needs_no_writer(env: Environment) -> None:
    """An upload that was closed before the crash is committed by a driver that has never seen
    it.
    """
    data = noise(500_000)
    await fill(await env.driver.open_writer(env.path("u/data"), 0, algorithms=("sha256",)), data)
    driver = await env.reopened()
    await driver.commit(env.path("u/data"), env.path("blob"), size=len(data), digest=sha256(data))
    check(await fetch(driver, env.path("blob")) == data, "the blob holds other bytes")


async def a_commit_takes_any_known_digest(env: Environment) -> None:
    """A digest that no writer was asked to compute is computed then, from what is stored."""
    data = noise(100_000)
    await fill(await env.driver.open_writer(env.path("u/data"), 0, algorithms=("sha256",)), data)
    await env.driver.commit(
        env.path("u/data"), env.path("blob"), size=len(data), digest=sha512(data)
    )
    await env.driver.put(env.path("put"), data)
    await env.driver.commit(env.path("put"), env.path("blob2"), size=len(data), digest=sha256(data))


async def other_bytes_are_a_mismatch(env: Environment) -> None:
    """A wrong digest or size publishes nothing; the staged bytes stay, can go on, and commit."""
    data, driver = noise(100_000), env.driver
    path, blob = env.path("u/data"), env.path("blob")
    await fill(await driver.open_writer(path, 0, algorithms=("sha256",)), data[:50_000])
    other = sha256(b"other")
    await refuses(Mismatch, driver.commit(path, blob, size=50_000, digest=other), "a wrong digest")
    for size in (0, 49_999, 50_001):
        right = sha256(data[:50_000])
        await refuses(
            Mismatch, driver.commit(path, blob, size=size, digest=right), f"a size of {size}"
        )
    junk = driver.commit(path, blob, size=50_000, digest="sha256:xyz")
    await refuses(Mismatch, junk, "a digest that is none")
    check(not await exists(driver, blob), "a mismatch has published something")
    await fill(await driver.open_writer(path, 50_000, algorithms=("sha256",)), data[50_000:])
    await driver.commit(path, blob, size=len(data), digest=sha256(data))
    check(await fetch(driver, blob) == data, "the blob holds other bytes")


async def a_mismatch_leaves_the_destination(env: Environment) -> None:
    """A commit that fails, for whatever reason, leaves alone what is at the destination."""
    driver, blob = env.driver, env.path("blob")
    await driver.put(blob, b"good")
    await stage(driver, env.path("u/data"), b"evil")
    wrong = driver.commit(env.path("u/data"), blob, size=4, digest=sha256(b"good"))
    await refuses(Mismatch, wrong, "a commit of other bytes")
    nothing = driver.commit(env.path("nothing"), blob, size=4, digest=sha256(b"good"))
    await refuses(Missing, nothing, "a commit of nothing")
    directory = driver.commit(env.path("u"), blob, size=0, digest=sha256(b""))
    await refuses(Missing, directory, "a commit of a directory")
    for digest in ("md5:900150983cd24fb0d6963f7d28e17f72", "sha256", "", "SHA256:" + "0" * 64):
        unknown = driver.commit(env.path("u/data"), blob, size=4, digest=digest)
        if digest == "sha256":
            await refuses(Mismatch, unknown, "a digest without hex")
        else:
            await refuses(Unsupported, unknown, f"a digest {digest[:10]!r}")
    equal(await fetch(driver, blob), b"good", "the destination")


async def a_broken_destination_is_replaced(env: Environment) -> None:
    """A destination of another size is replaced; one of the right size may stay as it is."""
    data, driver = noise(100_000), env.driver
    for found in (b"", data[:500], data + b"more"):
        await driver.put(env.path("blob"), found)
        await stage(driver, env.path("u/data"), data)
        await driver.commit(
            env.path("u/data"), env.path("blob"), size=len(data), digest=sha256(data)
        )
        check(
            await fetch(driver, env.path("blob")) == data, f"{len(found)} bytes were not replaced"
        )
        await driver.delete(env.path("u"))
    await stage(driver, env.path("u/data"), data)
    await driver.commit(env.path("u/data"), env.path("blob"), size=len(data), digest=sha256(data))
    check(await fetch(driver, env.path("blob")) == data, "the blob holds other bytes")


async def what_is_published_stays(env: Environment) -> None:
    """Whatever becomes of the staged path afterwards, the published bytes do not change."""
    driver, path, blob = env.driver, env.path("u/data"), env.path("blob")
    await stage(driver, path, b"published")
    await driver.commit(path, blob, size=9, digest=sha256(b"published"))
    await fill(await driver.open_writer(path, 9), b" and more")
    equal(await fetch(driver, path), b"published and more", "the staged path")
    equal(await fetch(driver, blob), b"published", "the blob after its upload went on")
    await driver.put(path, b"other")
    equal(await fetch(driver, blob), b"published", "the blob after its upload was replaced")
    await driver.delete(env.path("u"))
    equal(await fetch(driver, blob), b"published", "the blob after its upload was deleted")


async def a_commit_keeps_a_record(env: Environment) -> None:
    """What is to be kept beside the destination is there with it, also beside one that stays."""
    data, driver = noise(1000), env.driver
    blob, path = env.path("blobs/ab/data"), env.path("blobs/ab/size")
    await stage(driver, env.path("u/data"), data)
    wrong = (path, b"999")
    await refuses(
        Mismatch,
        driver.commit(env.path("u/data"), blob, size=1000, digest=sha256(b""), record=wrong),
        "a wrong digest",
    )
    check(not await exists(driver, path), "a mismatch has left a record")
    for record in (b"1000", b"1000", b"another"):
        await driver.commit(
            env.path("u/data"), blob, size=1000, digest=sha256(data), record=(path, record)
        )
        equal(await fetch(driver, blob), data, "the blob")
        if not await exists(driver, path):
            raise NotOffered("the driver keeps no records")
        equal((await driver.get(path)).data, record, "the record")
    elsewhere = driver.commit(
        env.path("u/data"), blob, size=1000, digest=sha256(data), record=(env.path("size"), b"1")
    )
    await refuses(InvalidPath, elsewhere, "a record elsewhere")
    itself = driver.commit(
        env.path("u/data"), blob, size=1000, digest=sha256(data), record=(blob, b"1")
    )
    await refuses(InvalidPath, itself, "a record in the blob's place")
    large = driver.commit(
        env.path("u/data"),
        blob,
        size=1000,
        digest=sha256(data),
        record=(path, bytes(RECORD_LIMIT + 1)),
    )
    await refuses(TooLarge, large, "a large record")
    if env.reopen is not None:
        driver = await env.reopened()
        equal((await driver.get(path)).data, b"another", "the record after a crash")


async def a_put_keeps_a_record(env: Environment) -> None:
    """Likewise for what is put; never together with a condition."""
    driver, blob, path = env.driver, env.path("blobs/ab/data"), env.path("blobs/ab/size")
    for data, record in ((b"x", b"1"), (b"xy", b"2"), (noise(200_000), b"200000")):
        await driver.put(blob, data, record=(path, record))
        check(await fetch(driver, blob) == data, "other bytes are there than were put")
        if not await exists(driver, path):
            raise NotOffered("the driver keeps no records")
        equal((await driver.get(path)).data, record, "the record")
    for absent, version in ((True, None), (False, "1")):
        conditional = driver.put(
            env.path("other/data"),
            b"x",
            if_absent=absent,
            if_version=version,
            record=(env.path("other/size"), b"1"),
        )
        await refuses(Unsupported, conditional, "a record with a condition")
    elsewhere = driver.put(blob, b"x", record=(env.path("size"), b"1"))
    await refuses(InvalidPath, elsewhere, "a record elsewhere")


async def many_commit_the_same(env: Environment) -> None:
    """Uploads of the same content may be committed at the same time, to one destination."""
    data, blob, count = noise(200_000), env.path("blob"), env.size(6, 30)
    for n in range(count):
        await stage(env.driver, env.path(f"u{n}/data"), data)
    commits = (
        env.driver.commit(env.path(f"u{n}/data"), blob, size=len(data), digest=sha256(data))
        for n in range(count)
    )
    for result in await together(*commits):
        check(result is None, f"a commit failed: {result}")
    check(await fetch(env.driver, blob) == data, "the blob holds other bytes")


async def a_cancelled_call_harms_nobody(env: Environment) -> None:
    """Whoever cancels a call leaves the driver usable and the path free; the call may have
    happened.
    """
    data, driver, path = noise(2_000_000), env.driver, env.path("u/data")
    calls: tuple[Callable[[], Coroutine[Any, Any, object]], ...] = (
        lambda: driver.commit(path, env.path("blob"), size=len(data), digest=sha256(data)),
        lambda: driver.open_writer(path, len(data), algorithms=("sha512",)),
        lambda: driver.read(path),
        lambda: driver.delete(path),
        lambda: driver.put(path, data),
    )
    for round_ in range(env.size(5, 100)):
        await stage(driver, env.path("u/next"), data)
        await driver.move(env.path("u/next"), path)
        cancelled = Deferred.fromCoroutine(calls[round_ % len(calls)]())
        cancelled.addErrback(lambda failure: failure.trap(CancelledError))
        cancelled.cancel()
        await cancelled
        with contextlib.suppress(Missing):  # the delete may still happen
            await driver.commit(path, env.path("blob"), size=len(data), digest=sha256(data))
    await stage(driver, env.path("last/data"), data)
    await driver.commit(
        env.path("last/data"), env.path("blob"), size=len(data), digest=sha256(data)
    )
    check(await fetch(driver, env.path("blob")) == data, "the blob holds other bytes")


CASES = cases(
    a_commit_publishes,
    a_commit_can_be_repeated,
    a_commit_after_a_crash_needs_no_writer,
    a_commit_takes_any_known_digest,
    other_bytes_are_a_mismatch,
    a_mismatch_leaves_the_destination,
    a_broken_destination_is_replaced,
    what_is_published_stays,
    a_commit_keeps_a_record,
    a_put_keeps_a_record,
    many_commit_the_same,
    a_cancelled_call_harms_nobody,
)
