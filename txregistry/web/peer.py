# SPDX-License-Identifier: Apache-2.0
"""Who is at the other end of a TLS connection, by the certificate that it proved to hold.

Room: web. Must not know how TLS is done, nor what a certificate entitles to: a transport that has
verified its peer says so by :class:`CertifiedTransport`, and ``auth`` makes an identity of it.
"""

from __future__ import annotations

from typing import Any, Protocol

from attrs import frozen


@frozen
class PeerCertificate:
    """A client's certificate, whose chain was verified and whose key the client has shown to hold.

    Attributes:
        subject: as RFC 4514 writes it: ``CN=robot,O=Example``.
        common_name: of the subject; empty if it has none, the first if it has several.
        dns_names: of the subject's alternative names, as they stand there.
        emails: likewise.
        uris: likewise (a SPIFFE id is one).
        addresses: likewise: IP addresses.
        fingerprint: SHA-256 of the certificate's DER, in 64 lower-case hexadecimal digits.
    """

    subject: str
    common_name: str
    dns_names: tuple[str, ...]
    emails: tuple[str, ...]
    uris: tuple[str, ...]
    addresses: tuple[str, ...]
    fingerprint: str


class CertifiedTransport(Protocol):
    """A transport that may know its peer's certificate."""

    def verified_peer(self) -> PeerCertificate | None:
        """Return it; None if the peer gave none, or one that nobody has verified."""


def peer_certificate(transport: Any) -> PeerCertificate | None:
    """Return the verified certificate of a connection's peer; None on plain connections."""
    # Asked for every request: isinstance() of a protocol would take a tenth of its time.
    certified: CertifiedTransport | None = (
        transport if hasattr(transport, "verified_peer") else None
    )
    return None if certified is None else certified.verified_peer()
