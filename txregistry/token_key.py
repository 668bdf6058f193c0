# SPDX-License-Identifier: Apache-2.0
"""The key of upload tokens, on which all hosts of a storage must agree.

Must not know who uses it. A storage that does not answer for the moment holds up uploads only, so
it is asked again until it does; who runs the registry is told why, once for each reason.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from txregistry.config import Configuration
from txregistry.process.spec import StartError
from txregistry.registry import SecretRequired, load_or_create_secret
from txregistry.storage.errors import StorageError
from txregistry.translation import OpenedDriver

#: Seconds between two attempts: no upload begins before, so a driver that appears late is not to be
#: waited for twice.
RETRY = 0.5

_log = Logger()


async def find_secret(configuration: Configuration, opened: OpenedDriver) -> bytes:
    """Return the key of upload tokens: the one that is configured, or that the storage holds.

    Raises:
        StartError: hosts could not agree on one here.
        StorageError: the storage can't be asked now.
    """
    try:
        return await load_or_create_secret(
            opened.driver, configuration.http.secret, is_decided=opened.decides_conditions
        )
    except SecretRequired as error:
        raise StartError(
            "http.secret is not set, and hosts can't agree on one in a storage without"
            " conditional puts: set http.secret to the same long random text on all hosts"
        ) from error


class TokenKey:
    """The key of one registry.

    Args:
        find: finds it; ``StorageError`` if the storage can't be asked now.
        use: is given it.
    """

    def __init__(self, find: Callable[[], Awaitable[bytes]], use: Callable[[bytes], None]) -> None:
        self._find = find
        self._use = use
        self._missed = ""

    async def learn(self) -> bool:
        """Ask once; False if the storage, which holds it, can't be asked now.

        Raises:
            StartError: hosts could not agree on one here.
        """
        try:
            self._use(await self._find())
        except StorageError as error:
            self._say_why(str(error))
            return False
        if self._missed:
            _log.info("the token key is read: uploads are taken")
        return True

    async def learn_in_the_end(self, clock: IReactorTime) -> None:
        """Ask again and again, for as long as it takes.

        Raises:
            StartError: hosts could not agree on one here.
        """
        while True:
            await deferLater(clock, RETRY)
            if await self.learn():
                return

    def _say_why(self, why: str) -> None:
        if why != self._missed:
            _log.warn("uploads are refused until the token key can be read: {why}", why=why)
        self._missed = why
