# SPDX-License-Identifier: Apache-2.0
# mypy: allow-untyped-calls
# (the classes of twisted.protocols.tls that are extended here have no annotations)
"""One TLS connection, and the factory that makes them.

Room: tls. Must not know HTTP beyond the sentence for clients that speak it without TLS.

Whatever comes in place of a handshake - junk, plain HTTP, versions of the last century - ends the
connection with one line in the log. Deadlines are the wrapped protocol's, whose connection begins
before the handshake does.
"""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from twisted.internet.interfaces import (
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
    IReactorTime,
)
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.tls import BufferingTLSTransport, TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from txregistry.tls.contexts import Contexts, reason_of
from txregistry.web.peer import PeerCertificate

# RFC 8446 section 5.1: a connection begins with a record of type handshake, 22.
_HANDSHAKE = 0x16

#: Answer to plain HTTP, as Go's servers give it, so that people see what is wrong.
NOT_HTTPS = (
    b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
    b"this port speaks HTTPS, and the request came as plain HTTP\n"
)

#: What an authority may have signed all the same: without names, or with some that nobody can read.
_UNREADABLE = (
    *(ValueError, x509.ExtensionNotFound),
    *(x509.DuplicateExtension, x509.UnsupportedGeneralNameType),
)

log = Logger()


class RegistryTls(BufferingTLSTransport):
    """One connection.

    Attributes:
        terms: the contexts that it began with.

    Of Twisted's attributes it reads ``_handshakeDone`` and ``_reason``, which are described there
    and for which there is no public way.
    """

    terms: Contexts
    transport: Any
    _is_begun = False
    _is_plain_http = False

    def dataReceived(self, data: bytes) -> None:
        """Take bytes from the wire."""
        if not self._is_begun:
            self._is_begun = True
            self._is_plain_http = b"A" <= data[:1] <= b"Z"
            if self._is_plain_http:
                self.transport.write(NOT_HTTPS)
                self.transport.loseConnection()
        if not self._is_plain_http:
            super().dataReceived(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone; say so if TLS never came about."""
        if self._is_begun and not self._handshakeDone:
            self._tell(self._reason)
        super().connectionLost(reason)

    def _tell(self, failure: Failure | None) -> None:
        if self._is_plain_http:
            why = "it spoke plain HTTP"
        elif failure is not None and isinstance(failure.value, SSL.Error):
            why = reason_of(failure.value)
        else:
            why = "it left in the middle of the handshake"
        log.info(
            "a connection from {peer} brought no TLS: {why}",
            peer=getattr(self.getPeer(), "host", "a local socket"),
            why=why,
        )

    def verified_peer(self) -> PeerCertificate | None:
        """Return the client's certificate if it gave one and it was verified."""
        connection: SSL.Connection | None = self._tlsConnection
        if connection is None or not self._handshakeDone or not self.terms.verifies_clients:
            return None
        certificate = connection.get_peer_certificate(as_cryptography=True)
        return None if certificate is None else _describe(certificate)


@implementer(IOpenSSLServerConnectionCreator)
class _Creator:
    """Begins connections with the contexts of the day."""

    def __init__(self, contexts: Contexts) -> None:
        self.contexts = contexts

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Return what does the TLS of a new connection."""
        assert isinstance(tlsProtocol, RegistryTls)
        tlsProtocol.terms = self.contexts
        return SSL.Connection(self.contexts.default, None)


class TlsFactory(TLSMemoryBIOFactory):
    """Puts TLS before what another factory makes."""

    protocol = RegistryTls

    def __init__(self, contexts: Contexts, wrapped: IProtocolFactory, clock: IReactorTime) -> None:
        self._creator = _Creator(contexts)
        super().__init__(self._creator, False, wrapped, clock)

    def use(self, contexts: Contexts) -> None:
        """Begin new connections with other contexts; those that are open keep theirs."""
        self._creator.contexts = contexts


def _describe(certificate: x509.Certificate) -> PeerCertificate:
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        names = extension.value
    except _UNREADABLE:
        names = x509.SubjectAlternativeName([])
    return PeerCertificate(
        subject=certificate.subject.rfc4514_string(),
        common_name=str(common[0].value) if common else "",
        dns_names=tuple(names.get_values_for_type(x509.DNSName)),
        emails=tuple(names.get_values_for_type(x509.RFC822Name)),
        uris=tuple(names.get_values_for_type(x509.UniformResourceIdentifier)),
        addresses=tuple(str(name) for name in names.get_values_for_type(x509.IPAddress)),
        fingerprint=certificate.fingerprint(SHA256()).hex(),
    )
