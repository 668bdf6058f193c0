# SPDX-License-Identifier: Apache-2.0
"""The wiring of ``auth``: what a configuration asks for, built, and kept up to date while serving.

Must not decide or check anything.

    load      read the files that are named          StartError: nothing runs
    start     watch them
    stop      end what runs
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from twisted.internet.threads import deferToThreadPool

from txregistry.auth.asking import Everybody, Identify
from txregistry.auth.rules import ALL_OR_NOTHING, AccessRule, Rules
from txregistry.config import Auth
from txregistry.identify.challenges import BasicChallenge
from txregistry.identify.failures import Failures
from txregistry.identify.hashing import Hashing
from txregistry.identify.htpasswd import FILE_LIMIT, Htpasswd, parse_htpasswd
from txregistry.identify.passwords import Passwords
from txregistry.identify.schemes import Schemes, Silly
from txregistry.identify.watching import FileError, WatchedFile
from txregistry.process.spec import StartError
from txregistry.upkeep import Repeated

T = TypeVar("T")

#: Seconds between two looks at the files. Arbitrary: an operator who changes one waits no longer.
LOOK_EVERY = 2.0


class Authentication:
    """What identifies clients, as configured.

    Attributes:
        identifying: for the gate.
    """

    def __init__(self, settings: Auth, reactor: Any) -> None:
        self._settings = settings
        self._reactor = reactor
        self._files: list[WatchedFile[Any]] = []
        self._hashing = Hashing(reactor)
        self._watching: list[Repeated] = []
        self._is_started = False
        self._rules = rules_of(settings)
        self.identifying: Identify = self._build()

    def load(self) -> None:
        """Read the files that are named, while what is wrong with one can still stop the start.

        Raises:
            StartError: one sentence.
        """
        try:
            for file in self._files:
                file.load()
        except FileError as error:
            raise StartError(str(error)) from error

    def start(self) -> None:
        """Begin to watch files, and let threads begin."""
        self._is_started = True
        self._hashing.start()
        self._watching = [
            Repeated(
                "the look at files of passwords and keys",
                file.refresh,
                self._reactor,
                interval=LOOK_EVERY,
                first_after=LOOK_EVERY,
            )
            for file in self._files
        ]

    async def stop(self) -> None:
        """End what runs."""
        for work in self._watching:
            work.stop()
        if self._is_started:
            await self._hashing.stop()

    def _build(self) -> Identify:
        settings = self._settings
        if settings.scheme in ("", "none"):
            return Everybody()
        if settings.scheme == "silly":
            return Silly(settings.silly.realm, settings.silly.service, self._rules)
        return Schemes(
            BasicChallenge(settings.htpasswd.realm), self._rules, passwords=self._passwords()
        )

    def _passwords(self) -> Passwords:
        path = self._settings.htpasswd.path
        file: WatchedFile[Htpasswd] = WatchedFile(
            path, parse_htpasswd, self._in_thread, limit=FILE_LIMIT, is_secret=True
        )
        self._files.append(file)
        failures = self._settings.failures
        return Passwords(
            file,
            self._hashing,
            by_address=Failures(failures.per_address, self._reactor.seconds),
            by_name=Failures(failures.per_user, self._reactor.seconds),
            seconds=self._reactor.seconds,
        )

    def _in_thread(self, work: Callable[[], T], /) -> Awaitable[T]:
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), work)


def rules_of(settings: Auth) -> Rules:
    """What each identity may do: all or nothing, unless there are rules."""
    if not settings.access:
        return ALL_OR_NOTHING
    return Rules(
        (
            AccessRule(
                users=frozenset(rule.users),
                groups=frozenset(rule.groups),
                authenticated=rule.authenticated,
                anonymous=rule.anonymous,
                repositories=rule.repositories,
                actions=frozenset(rule.actions),
            )
            for rule in settings.access
        ),
        settings.groups,
    )
