# SPDX-License-Identifier: Apache-2.0
"""A certificate with its chain and its key, read from PEM files and checked against each other.

Room: tls. Each file is read once, so that a renewal that comes in between is noticed (the key then
does not fit) rather than half used. No message quotes what stands in a file.
"""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime

from attrs import field, frozen
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from txregistry.config.tls_settings import KeyPair

_KEYS = (
    rsa.RSAPrivateKey,
    ec.EllipticCurvePrivateKey,
    ed25519.Ed25519PrivateKey,
    ed448.Ed448PrivateKey,
)
PrivateKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
)

#: Longest file that is read, in bytes. Arbitrary: the bundle of all public authorities is a quarter
#: of it.
FILE_LIMIT = 1024 * 1024


class TlsError(Exception):
    """A certificate can't be used; one sentence that names the key, the file and the way out."""


@frozen
class Credentials:
    """What a server proves itself with.

    Attributes:
        path: of the certificate.
        chain: the certificate and those that lead to an authority, in the file's order.
        names: DNS names that it is good for, in lower case; ``*.`` stands for one label.
        is_key_exposed: whoever has an account on this host may read the key.
    """

    path: str
    chain: tuple[x509.Certificate, ...]
    key: PrivateKey = field(repr=False)
    names: tuple[str, ...]
    is_key_exposed: bool = False

    def problems(self, now: float) -> list[str]:
        """What the operator should know of it at ``now`` (seconds since the epoch), as sentences.

        None keeps it from being served.
        """
        found = []
        moment = datetime.fromtimestamp(now, UTC)
        leaf = self.chain[0]
        if moment > leaf.not_valid_after_utc:
            found.append(
                f"{self.path} has expired on {leaf.not_valid_after_utc:%Y-%m-%d}; renew it"
            )
        if moment < leaf.not_valid_before_utc:
            found.append(f"{self.path} is not valid before {leaf.not_valid_before_utc:%Y-%m-%d}")
        if self.is_key_exposed:
            found.append(f"everybody on this host may read the key of {self.path}; chmod o-r it")
        return found


def read_credentials(pair: KeyPair, where: str) -> Credentials:
    """Read a certificate and its key.

    Args:
        where: the section that names them, for messages: ``http.tls``.

    Raises:
        TlsError: a file can't be read, holds something else, or the two don't belong together.
    """
    chain = read_certificates(pair.certificate, f"{where}.certificate")
    key, is_exposed = _read_key(pair.key, f"{where}.key")
    if key.public_key() != chain[0].public_key():
        raise TlsError(
            f"{where}.key: {pair.key} is not the key of the first certificate in {pair.certificate}; "
            "name the two files that were made together"
        )
    return Credentials(pair.certificate, chain, key, _names_of(chain[0]), is_exposed)


def read_certificates(path: str, where: str) -> tuple[x509.Certificate, ...]:
    """Read all certificates of a file.

    Raises:
        TlsError: there are none, or the file can't be read.
    """
    try:
        return tuple(x509.load_pem_x509_certificates(_read(path, where)[0]))
    except ValueError:
        raise TlsError(
            f"{where}: {path} holds no certificate that can be read; it must be PEM, beginning "
            "with -----BEGIN CERTIFICATE-----"
        ) from None


def _read_key(path: str, where: str) -> tuple[PrivateKey, bool]:
    data, mode = _read(path, where)
    try:
        key = load_pem_private_key(data, None)
    except TypeError:
        raise TlsError(
            f"{where}: {path} is encrypted and nobody is there to type its password; "
            "decrypt it with openssl pkey, and let only this user read it"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, _KEYS):
        raise TlsError(
            f"{where}: {path} holds no private key that can be read; it must be PEM, and RSA, EC "
            "or Ed25519"
        )
    return key, bool(mode & stat.S_IROTH)


def _read(path: str, where: str) -> tuple[bytes, int]:
    """Return what is in a file, and its mode."""
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(FILE_LIMIT + 1) if stat.S_ISREG(mode) else b""
    except OSError as error:
        raise TlsError(
            f"{where}: {path} can't be read ({error.strerror}); name a file that this user may read"
        ) from None
    if not stat.S_ISREG(mode):
        raise TlsError(f"{where}: {path} is no plain file; name one")
    if len(data) > FILE_LIMIT:
        raise TlsError(f"{where}: {path} is larger than {FILE_LIMIT} bytes; name another file")
    return data, mode


def _open_at_once(path: str, flags: int) -> int:
    # The open of a FIFO would wait for who writes to it, and nothing would be served meanwhile.
    return os.open(path, flags | os.O_NONBLOCK)


def _names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Source: RFC 6125 section 6.4.4: the common name only where there is no alternative name."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        return tuple(name.lower() for name in extension.value.get_values_for_type(x509.DNSName))
    except x509.ExtensionNotFound:
        found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return tuple(str(name.value).lower() for name in found)
    except ValueError:  # an extension that is not what it says; the certificate serves by default
        return ()
