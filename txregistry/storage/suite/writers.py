# SPDX-License-Identifier: Apache-2.0
"""Cases: writers of staged uploads.

Room: storage.
"""

from __future__ import annotations

import hashlib

from txregistry.storage.errors import Closed, Fenced, InvalidOffset, Unsupported, WrongOffset
from txregistry.storage.suite.case import (
    Environment,
    cases,
    check,
    equal,
    exists,
    fetch,
    fill,
    noise,
    pieces_of,
    refuses,
    sha256,
    stage,
    together,
    until_fenced,
    write_through,
)

_MIB = 1024 * 1024


async def what_is_written_is_stored(env: Environment) -> None:
    """Bytes come back as they were; close tells how many there are, and digests that were asked
    for.
    """
    samples = (b"a", "\u00e9".encode(), b"\x80\xff\x00\xfe", noise(32), noise(3 * _MIB), b"")
    for index, data in enumerate(samples):
        path = env.path(f"sample-{index}/data")
        writer = await env.driver.open_writer(path, 0, algorithms=("sha256", "sha512"))
        closing = await fill(writer, data, 100_000)
        equal(closing.size, len(data), "the size at close")
        equal(
            (writer.offset, writer.stored), (len(data), len(data)), "offset and stored after close"
        )
        equal((await env.driver.stat(path)).size, len(data), "the size in stat")
        for algorithm, digest in closing.digests.items():
            equal(digest, hashlib.new(algorithm, data).hexdigest(), f"the {algorithm} at close")
        check(await fetch(env.driver, path) == data, f"{len(data)} bytes came back changed")


async def a_large_stream_arrives_whole(env: Environment) -> None:
    """A long stream is stored in order and whole, in bounded memory."""
    path, size, piece = env.path("large/data"), env.size(24 * _MIB, 5 * 1024 * _MIB), 64 * 1024
    writer = await env.driver.open_writer(path, 0, algorithms=("sha256",))
    sent, read, last = hashlib.sha256(), hashlib.sha256(), 0
    for data in pieces_of(size, piece):
        sent.update(data)
        await writer.write(data)
        check(last <= writer.stored <= writer.offset, "stored goes back, or beyond what was taken")
        last = writer.stored
    equal((await writer.close()).size, size, "the size")
    reading = await env.driver.read(path)
    async for chunk in reading:
        read.update(chunk)
    await reading.aclose()
    equal(read.hexdigest(), sent.hexdigest(), "the digest of what came back")
    await env.driver.commit(path, env.path("blob"), size=size, digest=f"sha256:{sent.hexdigest()}")


async def small_writes_keep_their_order(env: Environment) -> None:
    """A thousand writes of a few bytes arrive in the order they were made."""
    path, pieces = env.path("order/data"), [b"%d," % n for n in range(1000)]
    writer = await env.driver.open_writer(path, 0)
    for piece in pieces:
        await writer.write(piece)
    await writer.write(b"")
    await writer.close()
    check(await fetch(env.driver, path) == b"".join(pieces), "the order is another")


async def an_upload_goes_on_where_it_ended(env: Environment) -> None:
    """What one writer left, the next continues; after each the size is that of all so far."""
    for name, piece in (("small", 32), ("large", env.size(1, 10) * _MIB)):
        path, data = env.path(f"{name}/data"), noise(3 * piece)
        for start in (0, piece, 2 * piece):
            writer = await env.driver.open_writer(path, start, algorithms=("sha256",))
            closing = await fill(writer, data[start : start + piece])
            equal(closing.size, start + piece, "the size at close")
            equal((await env.driver.stat(path)).size, start + piece, "the size in stat")
        check(await fetch(env.driver, path) == data, "the sessions do not make the whole")
        await env.driver.commit(path, env.path(f"{name}/blob"), size=len(data), digest=sha256(data))


async def nothing_can_be_continued(env: Environment) -> None:
    """An empty upload exists, reads as nothing, commits, and can be continued; so can empty
    content.
    """
    path = env.path("empty/data")
    await stage(env.driver, path, b"")
    equal((await env.driver.stat(path)).size, 0, "the size of an empty upload")
    equal(await fetch(env.driver, path), b"", "an empty upload")
    await env.driver.commit(path, env.path("empty/blob"), size=0, digest=sha256(b""))
    equal(await fetch(env.driver, env.path("empty/blob")), b"", "an empty blob")
    await env.driver.put(env.path("put/data"), b"")
    for staged in (path, env.path("put/data")):
        equal((await fill(await env.driver.open_writer(staged, 0), b"more")).size, 4, "the size")
        equal(await fetch(env.driver, staged), b"more", "what was continued")
    equal(
        await fetch(env.driver, env.path("empty/blob")), b"", "the blob that was committed before"
    )


async def a_writer_opens_only_at_the_end(env: Environment) -> None:
    """Any other offset is WrongOffset with the true one, and neither creates nor changes
    anything.
    """
    path = env.path("offsets/data")
    refusal = await refuses(
        WrongOffset, env.driver.open_writer(path, 5), "a writer at 5 of nothing"
    )
    equal(refusal.actual, 0, "the true size of nothing")
    check(not await exists(env.driver, path), "a refused writer has created something")
    await stage(env.driver, path, b"0123456789")
    for offset in (0, 5, 9, 11, 10**12):
        refusal = await refuses(
            WrongOffset, env.driver.open_writer(path, offset), f"a writer at {offset}"
        )
        equal(refusal.actual, 10, "the true size")
    await refuses(InvalidOffset, env.driver.open_writer(path, -1), "a writer at -1")
    equal(await fetch(env.driver, path), b"0123456789", "what is staged")


async def an_unknown_digest_is_refused(env: Environment) -> None:
    """A writer can't be asked for a digest that the driver doesn't know; nothing is created."""
    call = env.driver.open_writer(env.path("u/data"), 0, algorithms=("sha256", "md5"))
    await refuses(Unsupported, call, "a writer with md5")
    check(
        not await exists(env.driver, env.path("u/data")), "a refused writer has created something"
    )


async def a_closed_writer_takes_nothing(env: Environment) -> None:
    """After close, write and a second close say Closed; abandon is no error. The bytes stay."""
    path = env.path("closed/data")
    writer = await env.driver.open_writer(path, 0)
    await fill(writer, b"kept")
    await refuses(Closed, writer.write(b"more"), "a write after close")
    await refuses(Closed, writer.close(), "a second close")
    await writer.abandon()
    equal(await fetch(env.driver, path), b"kept", "what was stored")


async def an_abandoned_upload_can_go_on(env: Environment) -> None:
    """abandon ends a writer, repeatably; the upload goes on from the size that stat shows."""
    path, data = env.path("abandoned/data"), noise(4 * _MIB)
    writer = await env.driver.open_writer(path, 0, algorithms=("sha256",))
    for start in range(0, 3 * _MIB, 65536):
        await writer.write(data[start : start + 65536])
    await writer.abandon()
    await writer.abandon()
    await refuses(Closed, writer.write(b"more"), "a write after abandon")
    await refuses(Closed, writer.close(), "a close after abandon")
    size = (await env.driver.stat(path)).size
    check(size <= 3 * _MIB, "more is stored than was written")
    check(await fetch(env.driver, path) == data[:size], "an abandoned upload holds other bytes")
    await fill(await env.driver.open_writer(path, size, algorithms=("sha256",)), data[size:])
    await env.driver.commit(path, env.path("blob"), size=len(data), digest=sha256(data))


async def a_newer_writer_fences_the_older(env: Environment) -> None:
    """Who opens a path last has it; the older writer's write and close say Fenced and store
    nothing.
    """
    path = env.path("fenced/data")
    older = await env.driver.open_writer(path, 0)
    await write_through(env, older, b"older ")
    newer = await env.driver.open_writer(path, 6)
    await until_fenced(env, older)
    await refuses(Fenced, older.close(), "the close of an older writer")
    await newer.write(b"newer")
    equal((await newer.close()).size, 11, "the size")
    equal(await fetch(env.driver, path), b"older newer", "what is stored")


async def a_stale_writer_fences_nobody(env: Environment) -> None:
    """A writer asked for at an offset that was long passed is refused, and the live one goes on."""
    path = env.path("stale/data")
    live = await env.driver.open_writer(path, 0)
    await write_through(env, live, b"0123456789")
    await refuses(WrongOffset, env.driver.open_writer(path, 0), "a writer at 0 of 10")
    await refuses(WrongOffset, env.driver.open_writer(path, 11), "a writer at 11 of 10")
    await live.write(b"more")
    equal((await live.close()).size, 14, "the size")


async def what_takes_the_path_fences_its_writer(env: Environment) -> None:
    """A commit, a move and a delete, of the path or of a directory above it, fence its writer."""
    driver = env.driver
    for name in ("commit", "move", "move-above", "delete", "delete-above"):
        path = env.path(f"{name}/data")
        writer = await driver.open_writer(path, 0)
        await write_through(env, writer, b"bytes")
        if name == "commit":
            await driver.commit(path, env.path("blob"), size=5, digest=sha256(b"bytes"))
        elif name.startswith("move"):
            source = path if name == "move" else env.path(name)
            await driver.move(source, env.path(f"moved-{name}"))
        else:
            await driver.delete(path if name == "delete" else env.path(name))
        await until_fenced(env, writer)
    equal(await fetch(driver, env.path("blob")), b"bytes", "what was committed")
    equal(await fetch(driver, env.path("moved-move")), b"bytes", "what was moved")
    equal(await fetch(driver, env.path("moved-move-above/data")), b"bytes", "what was moved")


async def of_many_writers_one_is_left(env: Environment) -> None:
    """Writers opened on one path at the same time do not mix: what is stored is one writer's."""
    for round_ in range(env.size(5, 50)):
        path = env.path(f"round-{round_}/data")

        async def attempt(mark: bytes, path: str = path) -> bytes:
            writer = await env.driver.open_writer(path, 0)
            await writer.write(mark * 1000)
            await writer.close()
            return mark

        results = await together(*(attempt(b"%d" % n) for n in range(6)))
        check(
            all(isinstance(one, (bytes, Fenced, WrongOffset)) for one in results),
            f"a writer lost with something unexpected: {results}",
        )
        stored = await fetch(env.driver, path)
        winners = [mark for mark in results if isinstance(mark, bytes)]
        check(len(winners) <= 1, f"{len(winners)} writers of one path were closed as if alone")
        equal(stored, winners[0] * 1000 if winners else stored, "what is stored")
        check(len(set(stored)) <= 1, "the bytes of several writers are mixed")


async def many_uploads_at_once(env: Environment) -> None:
    """Uploads of different paths run at the same time and do not mix."""
    count, size = env.size(8, 32), env.size(1, 32) * _MIB

    async def upload(n: int) -> None:
        path, data = env.path(f"{n}/data"), noise(size, seed=n)
        await fill(await env.driver.open_writer(path, 0, algorithms=("sha256",)), data)
        await env.driver.commit(path, env.path(f"{n}/blob"), size=size, digest=sha256(data))
        check(
            await fetch(env.driver, env.path(f"{n}/blob")) == data, f"upload {n} came back changed"
        )

    for result in await together(*(upload(n) for n in range(count))):
        check(result is None, f"an upload failed: {result}")


async def an_upload_survives_the_driver(env: Environment) -> None:
    """After the driver has crashed, an upload goes on from what stat shows, and commits."""
    path, data = env.path("survivor/data"), noise(2 * _MIB)
    await fill(await env.driver.open_writer(path, 0, algorithms=("sha256",)), data[:_MIB])
    open_writer = await env.driver.open_writer(env.path("open/data"), 0)
    await write_through(env, open_writer, data[:1000])
    driver = await env.reopened()
    equal((await driver.stat(path)).size, _MIB, "the size of a closed upload")
    check(await fetch(driver, path) == data[:_MIB], "a closed upload changed")
    await fill(await driver.open_writer(path, _MIB, algorithms=("sha256",)), data[_MIB:])
    await driver.commit(path, env.path("blob"), size=len(data), digest=sha256(data))
    size = (await driver.stat(env.path("open/data"))).size
    check(open_writer.stored >= 1000 and size >= 1000, "bytes that were confirmed are gone")
    await fill(await driver.open_writer(env.path("open/data"), size), data[size:])
    await driver.commit(
        env.path("open/data"), env.path("blob2"), size=len(data), digest=sha256(data)
    )


CASES = cases(
    what_is_written_is_stored,
    a_large_stream_arrives_whole,
    small_writes_keep_their_order,
    an_upload_goes_on_where_it_ended,
    nothing_can_be_continued,
    a_writer_opens_only_at_the_end,
    an_unknown_digest_is_refused,
    a_closed_writer_takes_nothing,
    an_abandoned_upload_can_go_on,
    a_newer_writer_fences_the_older,
    a_stale_writer_fences_nobody,
    what_takes_the_path_fences_its_writer,
    of_many_writers_one_is_left,
    many_uploads_at_once,
    an_upload_survives_the_driver,
)
