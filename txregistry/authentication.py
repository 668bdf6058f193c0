# SPDX-License-Identifier: Apache-2.0
"""The wiring of ``auth``: what a configuration asks for, built, and kept up to date while serving.

Must not decide or check anything.

    load      read the files that are named          StartError: nothing runs
    start     watch them
    stop      end what runs

A configuration that is read again makes another one, which takes over if its files are good.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger

from txregistry.auth.asking import Everybody, Identify
from txregistry.auth.rules import ALL_OR_NOTHING, AccessRule, Rules
from txregistry.config import Auth, Configuration, Http
from txregistry.identify.certificates import name_by
from txregistry.identify.challenges import BasicChallenge, BearerChallenge
from txregistry.identify.failures import Failures
from txregistry.identify.fetching import Fetcher
from txregistry.identify.hashing import Hashing
from txregistry.identify.htpasswd import FILE_LIMIT, Htpasswd, parse_htpasswd
from txregistry.identify.issuing import IssuerSettings, TokenIssuer
from txregistry.identify.keys import ALGORITHMS, HMAC, Keys, parse_bundle, parse_jwks
from txregistry.identify.keys import FILE_LIMIT as KEYS_FILE_LIMIT
from txregistry.identify.oidc import OidcCheck, Provider
from txregistry.identify.passwords import Passwords
from txregistry.identify.schemes import BearerCheck, NameOf, Schemes, Silly
from txregistry.identify.tokens import TokenCheck
from txregistry.identify.watching import FileError, WatchedFile
from txregistry.process.spec import StartError
from txregistry.upkeep import Repeated

T = TypeVar("T")

#: Seconds between two looks at the files. Arbitrary: an operator who changes one waits no longer.
LOOK_EVERY = 2.0

log = Logger()


class Authentication:
    """What identifies clients, as configured.

    Attributes:
        identifying: for the gate.
        token_server: the built-in one; None if it is not asked for.
        hashing: compares passwords.
    """

    def __init__(self, settings: Auth, http: Http, reactor: Any) -> None:
        self._settings = settings
        self._http = http
        self._reactor = reactor
        self._secret: bytes | None = None
        self._files: list[WatchedFile[Any]] = []
        self.hashing = Hashing(reactor)
        self._watching: list[Repeated] = []
        self._rules = rules_of(settings)
        self.token_server: TokenIssuer | None = None
        self.identifying: Identify = self._build()

    def load(self) -> list[str]:
        """Read the files that are named, while what is wrong with one can still stop the start, and
        return what is warned of.

        Raises:
            StartError: one sentence.
        """
        try:
            return [warning for file in self._files for warning in file.load()]
        except FileError as error:
            raise StartError(str(error)) from error

    def start(self) -> None:
        """Begin to watch files."""
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
        await self.hashing.stop()

    def use_secret(self, secret: bytes) -> None:
        """Learn the secret that all hosts of the storage have."""
        self._secret = secret
        if self.token_server is not None:
            self.token_server.use_secret(secret)

    def changed_to(self, configuration: Configuration) -> Authentication:
        """Return what another configuration asks for, its files read: this one if that is the same.

        Raises:
            StartError: one sentence.
        """
        http = configuration.http
        is_same = (self._http.host, self._http.prefix) == (http.host, http.prefix)
        if configuration.auth == self._settings and is_same:
            return self
        other = Authentication(configuration.auth, http, self._reactor)
        other.load()
        return other

    def give_way_to(self, other: Authentication) -> Authentication:
        """Let another one take over; returns it. What this one remembered is forgotten."""
        if other is not self:
            if self._secret is not None:
                other.use_secret(self._secret)
            other.start()
            ending = Deferred.fromCoroutine(self.stop())
            ending.addErrback(lambda failure: log.failure("the end of a login", failure))
        return other

    def _build(self) -> Identify:
        settings = self._settings
        if settings.is_open:
            return Everybody()
        if settings.scheme == "silly":
            return Silly(settings.silly.realm, settings.silly.service, self._rules)
        name = settings.certificates.name
        name_of = None if name == "none" else name_by(name)
        if settings.scheme == "token":
            check = self._token_check()
            challenge = BearerChallenge(self._token_realm(), settings.token.service)
            bearers: list[BearerCheck] = [check, *self._providers()]
            return Schemes(challenge, self._rules, bearers=bearers, name_of=name_of)
        passwords = self._passwords() if settings.scheme == "htpasswd" else None
        realm = settings.htpasswd.realm or "tokens and certificates only"
        if settings.token_server.enabled:
            return self._with_token_server(realm, passwords, name_of)
        return self._by_password(realm, passwords, name_of)

    def _by_password(
        self, realm: str, passwords: Passwords | None, name_of: NameOf | None
    ) -> Schemes:
        return Schemes(
            BasicChallenge(realm),
            self._rules,
            passwords=passwords,
            bearers=self._providers(),
            name_of=name_of,
        )

    def _with_token_server(
        self, realm: str, passwords: Passwords | None, name_of: NameOf | None
    ) -> Schemes:
        server, seconds = self._settings.token_server, self._reactor.seconds
        proving = self._by_password(realm, passwords, name_of)
        self.token_server = TokenIssuer(
            IssuerSettings(
                realm=realm,
                issuer=server.issuer,
                service=server.service,
                lifetime=int(server.lifetime),
                refresh_lifetime=int(server.refresh_lifetime),
            ),
            proving,
            (lambda name: None) if passwords is None else passwords.mark_of,
            seconds,
        )
        check = TokenCheck(
            server.issuer,
            server.service,
            self.token_server.keys,
            seconds,
            algorithms=HMAC,
            rules=self._rules,
        )
        place = server.realm or f"{self._http.host}{self._http.prefix}auth/token"
        return Schemes(
            BearerChallenge(place, server.service),
            self._rules,
            passwords=passwords,
            bearers=[check, *self._providers()],
            name_of=name_of,
        )

    def _providers(self) -> list[OidcCheck]:
        fetch, seconds = Fetcher(self._reactor).fetch, self._reactor.seconds
        return [
            OidcCheck(
                Provider(
                    issuer=each.issuer,
                    audience=each.audience,
                    jwks=each.jwks,
                    name=each.name,
                    claims=each.claims,
                    groups=each.groups,
                ),
                self._rules,
                fetch,
                seconds,
            )
            for each in self._settings.oidc
        ]

    def _token_realm(self) -> str:
        token = self._settings.token
        return self._http.host + token.auto_redirect_path if token.auto_redirect else token.realm

    def _token_check(self) -> TokenCheck:
        token = self._settings.token
        files = [
            self._watched(path, parse)
            for path, parse in ((token.root_cert_bundle, parse_bundle), (token.jwks, parse_jwks))
            if path
        ]

        def keys() -> Keys:
            every = Keys()
            for file in files:
                every |= file()
            return every

        check = TokenCheck(
            token.issuer,
            token.service,
            keys,
            self._reactor.seconds,
            algorithms=token.signing_algorithms or ALGORITHMS,
        )
        for file in files:
            file.changed.append(check.forget)
        return check

    def _watched(
        self, path: str, parse: Callable[[bytes, str], tuple[Keys, tuple[str, ...]]]
    ) -> WatchedFile[Keys]:
        file = WatchedFile(
            path,
            parse,
            self._in_thread,
            limit=KEYS_FILE_LIMIT,
            is_secret=lambda keys: keys.has_secrets,
        )
        self._files.append(file)
        return file

    def _passwords(self) -> Passwords:
        path = self._settings.htpasswd.path
        file: WatchedFile[Htpasswd] = WatchedFile(
            path, parse_htpasswd, self._in_thread, limit=FILE_LIMIT, is_secret=lambda _: True
        )
        self._files.append(file)
        failures = self._settings.failures
        return Passwords(
            file,
            self.hashing,
            by_address=Failures(failures.per_address, self._reactor.seconds),
            by_name=Failures(failures.per_user, self._reactor.seconds),
            seconds=self._reactor.seconds,
        )

    def _in_thread(self, work: Callable[[], T], /) -> Awaitable[T]:
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), work)


def check_files(configuration: Configuration) -> list[str]:
    """Read the files of passwords and keys that are named, and return what is to be warned of.

    Raises:
        StartError: one sentence: which can't be used.
    """
    # Nothing runs, so a clock that stands still will do.
    return Authentication(configuration.auth, configuration.http, Clock()).load()


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
