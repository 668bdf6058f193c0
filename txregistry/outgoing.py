# SPDX-License-Identifier: Apache-2.0
"""TLS to servers that we call: receivers of notifications, providers of keys, pages of health
checks, Redis.

Must not know what they are asked. Twisted compares a certificate's names with the server's, too;
but of one that names nobody in the way of today (no ``subjectAltName``) it says so in the log and
takes it for any server, if a trusted authority signed it. So the comparison is ours, nothing but a
match passes, and what does not is an :class:`Untrusted` for whoever called.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from OpenSSL.SSL import VERIFY_FAIL_IF_NO_PEER_CERT, VERIFY_PEER, Connection
from service_identity.exceptions import CertificateError, VerificationError
from service_identity.hazmat import DNS_ID, IPAddress_ID, ServiceID, verify_service_identity
from service_identity.pyopenssl import extract_patterns
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import optionsForClientTLS
from twisted.python.failure import Failure
from twisted.web.iweb import IPolicyForHTTPS
from zope.interface import implementer

#: What OpenSSL finds wrong with a certificate, in words. Source: openssl-verification-options(1),
#: x509_vfy.h.
_PROBLEMS = {
    9: "is not valid yet",
    10: "has expired",
    18: "is signed by itself, and not trusted by this system",
    19: "comes from an authority that this system does not trust",
    20: "comes from an authority that this system does not know",
    21: "comes from an authority that this system does not know",
}

#: OpenSSL's callback: the connection, a certificate, an error, its distance from the server's own
#: certificate, what OpenSSL thinks of it.
_Verify = Callable[[Connection, Any, int, int, int], bool]


class Untrusted(Exception):
    """A server's certificate is not good; ``str`` of it says why."""


@implementer(IPolicyForHTTPS)
class CheckedCertificates:
    """For ``twisted.web.client.Agent``.

    Args:
        trust: authorities, as Twisted has them; None is the system's.
    """

    def __init__(self, trust: Any = None) -> None:
        self._trust = trust

    def creatorForNetloc(self, hostname: bytes, port: int) -> CheckedConnections:
        """Return what makes connections to a server."""
        return CheckedConnections(hostname.decode("ascii"), self._trust)


@implementer(IOpenSSLClientConnectionCreator)
class CheckedConnections:
    """Makes connections to one server, whose certificate must be for its name.

    Args:
        hostname: a name, or an IP address.
        trust: authorities, as Twisted has them; None is the system's.
    """

    def __init__(self, hostname: str, trust: Any = None) -> None:
        self._hostname = hostname
        self._creator = optionsForClientTLS(hostname, trust)

    def clientConnectionForTLS(self, tlsProtocol: Any) -> Connection:
        """Return one."""
        connection: Connection = self._creator.clientConnectionForTLS(tlsProtocol)
        verify = _verification(_service(self._hostname), self._hostname, tlsProtocol)
        connection.set_verify(VERIFY_PEER | VERIFY_FAIL_IF_NO_PEER_CERT, verify)
        return connection


def _verification(service: ServiceID, hostname: str, protocol: Any) -> _Verify:
    def refuse(problem: str) -> bool:
        protocol.failVerification(Failure(Untrusted(f"its certificate {problem}")))
        return False

    def verify(
        connection: Connection, certificate: Any, error: int, depth: int, is_good: int
    ) -> bool:
        if not is_good:
            return refuse(_PROBLEMS.get(error, f"is not good (OpenSSL's error {error})"))
        if depth > 0:
            return True
        try:
            verify_service_identity(extract_patterns(certificate), [service], [])
        except CertificateError:
            return refuse("names no server (it has no subjectAltName)")
        except VerificationError:
            return refuse(f"is not for {hostname}")
        except Exception as trouble:  # whatever a hostile certificate brings about: it is not good
            return refuse(f"can't be read ({type(trouble).__name__})")
        return True

    return verify


def _service(hostname: str) -> ServiceID:
    try:
        ip_address(hostname)
    except ValueError:
        return DNS_ID(hostname)
    return IPAddress_ID(hostname)
