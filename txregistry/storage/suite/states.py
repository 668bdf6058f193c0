# SPDX-License-Identifier: Apache-2.0
"""Cases: hash states, kept and continued.

Room: storage. The states that are compared byte for byte were made by Go's
``encoding.BinaryMarshaler``.
"""

from __future__ import annotations

import hashlib

from txregistry.storage.contract import Closing, Driver
from txregistry.storage.errors import Mismatch, Missing
from txregistry.storage.suite.case import (
    Environment,
    NotOffered,
    cases,
    check,
    equal,
    fill,
    noise,
    refuses,
    sha256,
    sha512,
)

_MIB = 1024 * 1024
_BOTH = ("sha256", "sha512")

#: Go's states after the three bytes "abc".
_GO_SHA256 = (
    "73686103 6a09e667 bb67ae85 3c6ef372 a54ff53a 510e527f 9b05688c 1f83d9ab 5be0cd19"
    "616263" + "00" * 61 + "0000000000000003"
)
_GO_SHA512 = (
    "73686107 6a09e667f3bcc908 bb67ae8584caa73b 3c6ef372fe94f82b a54ff53a5f1d36f1"
    "510e527fade682d1 9b05688c2b3e6c1f 1f83d9abfb41bd6b 5be0cd19137e2179"
    "616263" + "00" * 125 + "0000000000000003"
)


async def states_are_kept_in_go_form(env: Environment) -> None:
    """At close the running digests lie at ``<states>/<algorithm>/<offset>`` as Go writes them."""
    await _session(env, env.driver, 0, b"abc")
    equal((await _state(env, "sha256", 3)).hex(), "".join(_GO_SHA256.split()), "the sha256 state")
    equal((await _state(env, "sha512", 3)).hex(), "".join(_GO_SHA512.split()), "the sha512 state")


async def states_of_go_are_continued(env: Environment) -> None:
    """An upload that Go began, state and all, goes on to the right digests."""
    await env.driver.put(env.path("u/data"), b"abc")
    await env.driver.put(env.path("u/states/sha256/3"), bytes.fromhex("".join(_GO_SHA256.split())))
    await env.driver.put(env.path("u/states/sha512/3"), bytes.fromhex("".join(_GO_SHA512.split())))
    _right(await _session(env, env.driver, 3, b"def"), b"abcdef")
    await _commits(env, env.driver, b"abcdef")


async def states_outlive_the_driver(env: Environment) -> None:
    """After a crash the digests go on from what was saved; each session leaves a newer state."""
    data, driver = noise(4 * _MIB), env.driver
    for start in range(0, 4 * _MIB, _MIB):
        _right(await _session(env, driver, start, data[start : start + _MIB]), data[: start + _MIB])
        await _state(env, "sha256", start + _MIB, driver)
        driver = await env.reopened()
    await _commits(env, driver, data)


async def states_pile_up_no_further(env: Environment) -> None:
    """States that newer ones supersede are removed sooner or later."""
    for start in range(24):
        await _session(env, env.driver, start, b"x")
    await _state(env, "sha256", 24)
    names = (await env.driver.list(env.path("u/states/sha256"))).children
    check(len(names) <= 20, f"{len(names)} states of one upload are kept")


async def junk_for_a_state_is_ignored(env: Environment) -> None:
    """A state that is empty, short, long or of another kind only costs a hashing of what is
    stored.
    """
    data = noise(300_000)
    junk = (b"", b"sha\x03", b"sha\x02" + bytes(104), b"\x80\x04\x95pickle", bytes(108), bytes(109))
    for start, state in enumerate(junk):
        await _session(env, env.driver, start, data[start : start + 1])
        await env.driver.put(env.path(f"u/states/sha256/{start + 1}"), state)
        await env.driver.put(env.path(f"u/states/sha256/not-a-number-{start}"), state)
    driver = await env.reopened()
    await _session(env, driver, len(junk), data[len(junk) :])
    await _commits(env, driver, data)


async def a_lying_state_does_no_harm(env: Environment) -> None:
    """A well-formed state of other bytes, where one of ours was, does not spoil a right upload."""
    data, other = noise(300_000), noise(300_000, seed=1)
    await _session(env, env.driver, 0, other[:200_000])
    lie = await _state(env, "sha256", 200_000)
    await env.driver.delete(env.path("u"))
    await _session(env, env.driver, 0, data[:200_000])
    await env.driver.put(env.path("u/states/sha256/200000"), lie)
    driver = await env.reopened()
    await _session(env, driver, 200_000, data[200_000:])
    wrong = driver.commit(
        env.path("u/data"), env.path("blob"), size=len(data), digest=sha256(noise(300_000, seed=2))
    )
    await refuses(Mismatch, wrong, "a commit with a wrong digest")
    await _commits(env, driver, data)


async def a_state_beyond_the_end_is_not_used(env: Environment) -> None:
    """A state of bytes that are gone is not taken for one of the bytes that came in their place."""
    data, other = noise(2000), noise(2000, seed=1)
    await _session(env, env.driver, 0, other)
    await _state(env, "sha256", 2000)
    await env.driver.delete(env.path("u/data"))
    driver = await env.reopened()
    await _session(env, driver, 0, data[:1000])
    await _session(env, driver, 1000, data[1000:])
    driver = await env.reopened()
    await _session(env, driver, 2000, b"")
    gone = driver.commit(env.path("u/data"), env.path("blob"), size=2000, digest=sha256(other))
    await refuses(Mismatch, gone, "a commit of the bytes that are gone")
    await _commits(env, driver, data)


async def without_states_stored_bytes_are_hashed(env: Environment) -> None:
    """An upload without states, of another registry or another driver, commits all the same."""
    data = noise(3 * _MIB)
    await env.driver.put(env.path("u/data"), data[: 2 * _MIB])
    await _session(env, env.driver, 2 * _MIB, data[2 * _MIB :])
    await _commits(env, env.driver, data)


async def states_are_saved_on_the_way(env: Environment) -> None:
    """A writer that is open for long saves states at least every 64 MiB, so that a crash costs no
    more.
    """
    if not env.is_large:
        raise NotOffered("only with large data")
    data, path = noise(_MIB), env.path("u/data")
    writer = await env.driver.open_writer(path, 0, algorithms=_BOTH, states=env.path("u/states"))
    for _ in range(200):
        await writer.write(data)
    offsets = [
        int(child.name) for child in (await env.driver.list(env.path("u/states/sha256"))).children
    ]
    check(max(offsets) > 64 * _MIB, "no state has been saved while the writer was open")
    await writer.abandon()


async def _session(env: Environment, driver: Driver, start: int, data: bytes) -> Closing:
    writer = await driver.open_writer(
        env.path("u/data"), start, algorithms=_BOTH, states=env.path("u/states")
    )
    return await fill(writer, data)


async def _state(
    env: Environment, algorithm: str, offset: int, driver: Driver | None = None
) -> bytes:
    try:
        return (await (driver or env.driver).get(env.path(f"u/states/{algorithm}/{offset}"))).data
    except Missing:
        raise NotOffered("the driver keeps no hash states") from None


def _right(closing: Closing, data: bytes) -> None:
    for algorithm, digest in closing.digests.items():
        equal(digest, hashlib.new(algorithm, data).hexdigest(), f"the {algorithm} at close")


async def _commits(env: Environment, driver: Driver, data: bytes) -> None:
    for digest in (sha256(data), sha512(data)):
        blob = env.path(f"blob-{digest[:6]}")
        await driver.commit(env.path("u/data"), blob, size=len(data), digest=digest)
        equal((await driver.stat(blob)).size, len(data), "the size of what was committed")


CASES = cases(
    states_are_kept_in_go_form,
    states_of_go_are_continued,
    states_outlive_the_driver,
    states_pile_up_no_further,
    junk_for_a_state_is_ignored,
    a_lying_state_does_no_harm,
    a_state_beyond_the_end_is_not_used,
    without_states_stored_bytes_are_hashed,
    states_are_saved_on_the_way,
)
