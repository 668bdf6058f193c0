# SPDX-License-Identifier: Apache-2.0
"""``http.tls`` and ``http.acme``: the keys, and what must not be said together.

Room: config. No file that a key names is opened here.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from txregistry.config.addresses import Address, parse_address
from txregistry.config.cipher_suites import TLS_1_2, TLS_1_3
from txregistry.config.document import Branch, Items, Node
from txregistry.config.kinds import FLAG, TEXT, TEXTS, Kind, Misfit, choice, read_text
from txregistry.config.rows import key as _key

#: How clients are asked for certificates; Go's names.
CLIENT_AUTH = (
    "request-client-cert",
    "require-any-client-cert",
    "verify-client-cert-if-given",
    "require-and-verify-client-cert",
)
VERIFYING = CLIENT_AUTH[2:]


@frozen
class KeyPair:
    """The paths of a certificate, with its chain, and of its key."""

    certificate: str
    key: str


def _read_pairs(node: Node) -> tuple[KeyPair, ...]:
    if not isinstance(node, Items) or not node.nodes:
        raise Misfit
    return tuple(_read_pair(item) for item in node.nodes)


def _read_pair(node: Node) -> KeyPair:
    if not isinstance(node, Branch) or set(node.entries) != {"certificate", "key"}:
        raise Misfit
    return KeyPair(*(read_text(node.entries[name]) for name in ("certificate", "key")))


def _read_suites(node: Node) -> tuple[str, ...]:
    names = TEXTS.read(node)
    if any(name not in TLS_1_2 and name not in TLS_1_3 for name in names):
        raise Misfit
    return names


PAIRS: Kind[tuple[KeyPair, ...]] = Kind(
    "a list of {certificate: path, key: path}", _read_pairs, is_list=True
)
SUITES: Kind[tuple[str, ...]] = Kind(
    "a list of Go's names of cipher suites without RC4 and 3DES", _read_suites, is_list=True
)


@frozen
class Tls:
    """``http.tls``

    Attributes:
        additional: more certificates; a client gets the one that has the name it asks for.
        client_auth: empty for the default, which depends on ``client_cas``.
    """

    certificate: str = _key(TEXT, "")
    key: str = _key(TEXT, "")
    additional: tuple[KeyPair, ...] = _key(PAIRS, ())
    client_cas: tuple[str, ...] = _key(TEXTS, ())
    client_auth: str = _key(choice(*CLIENT_AUTH), "")
    minimum_tls: str = _key(choice("tls1.2", "tls1.3"), "tls1.2")
    cipher_suites: tuple[str, ...] = _key(SUITES, ())

    @property
    def is_on(self) -> bool:
        """The registry speaks TLS."""
        return bool(self.certificate)

    @property
    def pairs(self) -> tuple[KeyPair, ...]:
        """All certificates; the first goes to clients that ask for no name, or for one that none
        has.
        """
        return (KeyPair(self.certificate, self.key), *self.additional) if self.is_on else ()

    @property
    def client_authentication(self) -> str:
        """One of ``CLIENT_AUTH``, or empty if clients are not asked for certificates."""
        if self.client_auth or not self.client_cas:
            return self.client_auth
        return "require-and-verify-client-cert"

    def contradictions(self) -> Iterable[tuple[str, str, str]]:
        """What can't be meant: the key, the problem, the remedy."""
        if bool(self.certificate) != bool(self.key):
            missing = "key" if self.certificate else "certificate"
            there = "certificate" if self.certificate else "key"
            yield there, f"needs http.tls.{missing} too", f"add http.tls.{missing}"
        if self.client_auth in VERIFYING and not self.client_cas:
            yield (
                "clientauth",
                f"is {self.client_auth}, and there is nothing to verify with",
                "list certificates of authorities in http.tls.clientcas",
            )
        if not self.is_on:
            for name in ("additional", "client_cas", "client_auth", "cipher_suites"):
                if getattr(self, name):
                    yield (
                        name.replace("_", ""),
                        "has no effect without http.tls.certificate",
                        "add http.tls.certificate and http.tls.key",
                    )
        yield from self._contradicting_suites()

    def _contradicting_suites(self) -> Iterable[tuple[str, str, str]]:
        has_1_2 = any(name in TLS_1_2 for name in self.cipher_suites)
        if self.minimum_tls == "tls1.3" and has_1_2:
            yield (
                "ciphersuites",
                "names suites of TLS 1.2, which http.tls.minimumtls excludes",
                "remove one of both",
            )
        if self.minimum_tls == "tls1.2" and self.cipher_suites and not has_1_2:
            yield (
                "ciphersuites",
                "names no suite of TLS 1.2, which could then not be spoken",
                "write http.tls.minimumtls: tls1.3, or add one",
            )


@frozen
class Http2:
    """``http.http2``; where registry:3 has it on with TLS, we have it off."""

    disabled: bool = _key(FLAG, True)


@frozen
class Acme:
    """``http.acme``: where somebody else's ACME client puts the answers to its challenges.

    Attributes:
        webroot: the directory above ``.well-known/acme-challenge``.
        addr: where nothing but these answers is served, without TLS; empty for nowhere.
    """

    webroot: str = _key(TEXT, "")
    addr: str = _key(TEXT, "")

    @property
    def address(self) -> Address | None:
        """``addr`` as a value.

        Raises:
            ValueError: with what was expected.
        """
        return parse_address("tcp", self.addr) if self.addr else None

    def contradictions(self) -> Iterable[tuple[str, str, str]]:
        """What can't be meant: the key, the problem, the remedy."""
        if self.addr and not self.webroot:
            yield "addr", "has nothing to serve without http.acme.webroot", "add http.acme.webroot"
        try:
            self.address  # noqa: B018  # parsing it is the check
        except ValueError as error:
            yield "addr", f"wants {error}, not {self.addr!r}", "correct it, for example :80"
