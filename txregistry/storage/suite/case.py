# SPDX-License-Identifier: Apache-2.0
"""What a case of the contract suite is, and the few words that cases are written in.

Room: storage. Must not know pytest, nor how the driver under test is reached.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeVar

from attrs import define, frozen
from twisted.internet.defer import Deferred

from txregistry.storage.contract import Closing, Driver, Reading, Writer
from txregistry.storage.errors import Fenced, Missing, StorageError

T = TypeVar("T")

#: Calls made while waiting for something that takes no time in a driver at work.
_PATIENCE = 2000


class Broken(AssertionError):
    """A promise was not kept; the message says how."""


class NotOffered(Exception):
    """The driver, or the way in which it is run here, lacks what the case is about."""


@define(eq=False)
class Environment:
    """Where a case runs.

    Attributes:
        driver: under test; another one after ``reopened``.
        root: a path below which nothing is; the case works there.
        reopen: ends the driver as a crash would and gives one that opens the same storage, or None
            where that can't be done. Afterwards only the new one is used.
        is_large: use large data and many rounds.
    """

    driver: Driver
    root: str
    reopen: Callable[[], Awaitable[Driver]] | None = None
    is_large: bool = False

    def path(self, tail: str) -> str:
        return f"{self.root}/{tail}"

    def size(self, short: int, large: int) -> int:
        return large if self.is_large else short

    async def reopened(self) -> Driver:
        """The driver after a crash.

        Raises:
            NotOffered: it can't be crashed here.
        """
        if self.reopen is None:
            raise NotOffered("the driver can't be reopened here")
        self.driver = await self.reopen()
        return self.driver


@frozen
class Case:
    """One promise and how to try it.

    Attributes:
        name: a few words.
        promise: what a user of the driver may rely on.
    """

    name: str
    promise: str
    run: Callable[[Environment], Coroutine[Any, Any, None]]


def cases(*functions: Callable[[Environment], Coroutine[Any, Any, None]]) -> tuple[Case, ...]:
    """Make cases of functions: the name is the name, the docstring is the promise."""
    return tuple(
        Case(
            function.__name__.replace("_", " "),
            " ".join((function.__doc__ or "").split()),
            function,
        )
        for function in functions
    )


def check(condition: object, otherwise: str) -> None:
    """Hold the driver to something.

    Raises:
        Broken: with ``otherwise`` as its message.
    """
    if not condition:
        raise Broken(otherwise)


def equal(found: object, expected: object, what: str) -> None:
    """Hold the driver to a value; long ones are shortened in the message."""
    if found != expected:
        raise Broken(f"{what} is {repr(found)[:200]}, not {repr(expected)[:200]}")


ErrorT = TypeVar("ErrorT", bound=StorageError)


async def refuses(expected: type[ErrorT], call: Awaitable[object], what: str) -> ErrorT:
    """Hold the driver to a refusal; returns it."""
    try:
        result = await call
    except expected as err:
        return err
    except StorageError as err:
        raise Broken(f"{what} raises {err.code} ({err}), not {expected.code}") from err
    raise Broken(f"{what} gives {repr(result)[:100]}, and raises no {expected.code}")


async def together(*calls: Coroutine[Any, Any, T]) -> list[T | StorageError]:
    """Start all at once and wait for all; a refusal is a result."""
    started = [Deferred.fromCoroutine(_outcome(call)) for call in calls]
    return [await one for one in started]


async def _outcome(call: Coroutine[Any, Any, T]) -> T | StorageError:
    try:
        return await call
    except StorageError as err:
        return err


async def read_all(reading: Reading) -> bytes:
    """Everything that is left of a read, which is closed."""
    try:
        return b"".join([chunk async for chunk in reading])
    finally:
        await reading.aclose()


async def fetch(driver: Driver, path: str, start: int = 0, stop: int | None = None) -> bytes:
    return await read_all(await driver.read(path, start, stop))


async def fill(writer: Writer, data: bytes, piece: int = 256 * 1024) -> Closing:
    """Write in pieces and close."""
    for start in range(0, len(data), piece):
        await writer.write(data[start : start + piece])
    return await writer.close()


async def stage(driver: Driver, path: str, data: bytes) -> Closing:
    """Write ``data`` as a new staged upload."""
    return await fill(await driver.open_writer(path, 0), data)


async def write_through(env: Environment, writer: Writer, data: bytes) -> None:
    """Write, and wait until the driver has confirmed it.

    Raises:
        NotOffered: it confirms only at close.
    """
    await writer.write(data)
    for _ in range(_PATIENCE):
        if writer.stored == writer.offset:
            return
        await env.driver.stat("/")  # something else to do, so that time passes
    raise NotOffered("the driver confirms late")


async def until_fenced(env: Environment, writer: Writer) -> None:
    """Write until the writer notices that it is fenced, which over a wire is not at once."""
    for _ in range(_PATIENCE):
        try:
            await writer.write(b"x")
        except Fenced:
            return
        except StorageError as err:
            raise Broken(f"an older writer's write raises {err.code}, not Fenced") from err
        await env.driver.stat("/")
    raise Broken("an older writer may write on")


async def exists(driver: Driver, path: str) -> bool:
    try:
        await driver.stat(path)
    except Missing:
        return False
    return True


def sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def sha512(data: bytes) -> str:
    return f"sha512:{hashlib.sha512(data).hexdigest()}"


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes without a pattern, the same on each run."""
    return hashlib.shake_128(b"%d" % seed).digest(size)


def pieces_of(size: int, piece: int) -> Iterator[bytes]:
    """``size`` bytes of noise, a piece at a time, of which each differs from the last."""
    block = noise(piece + 4096)
    for index in range(size // piece):
        start = index % 4096
        yield block[start : start + piece]
