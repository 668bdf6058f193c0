# SPDX-License-Identifier: Apache-2.0
"""An authority of the tests' own, and the certificates that it issues."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)


def name_of(common_name):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def pem_of(certificate):
    return certificate.public_bytes(Encoding.PEM)


def key_pem(key, password=None):
    how = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)


class Files:
    """A certificate and its key, in files."""

    def __init__(self, directory, name, certificate, key, chain=()):
        directory.mkdir(parents=True, exist_ok=True)
        self.x509 = certificate
        self.certificate = directory / f"{name}.pem"
        self.key = directory / f"{name}.key"
        self.certificate.write_bytes(b"".join(map(pem_of, (certificate, *chain))))
        self.key.write_bytes(key_pem(key))
        self.key.chmod(0o600)

    @property
    def settings(self):
        """As the configuration has them."""
        return {"certificate": str(self.certificate), "key": str(self.key)}


class Authority:
    """Issues certificates; its own is in ``file``."""

    def __init__(self, directory, name="test authority", above=None):
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = name_of(name)
        self.above = above
        issuer = above or self
        self.x509 = (
            self._builder(self.name, self.key, issuer.name)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False
            )
            .sign(issuer.key, SHA256())
        )
        self.file = directory / f"{name.replace(' ', '-')}.pem"
        self.file.write_bytes(pem_of(self.x509))

    def _builder(self, subject, key, issuer, since=None, until=None):
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(since or now - DAY)
            .not_valid_after(until or now + DAY)
        )

    def issue(
        self,
        name,
        *dns_names,
        common_name=None,
        others=(),
        client=False,
        until=None,
        nameless=False,
    ):
        """Issue a certificate for a server (for 127.0.0.1 too, unless it is nameless) or a
        client.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName(each) for each in dns_names] + list(others)
        if not client and not nameless:
            names.append(x509.IPAddress(ip_address("127.0.0.1")))
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        since = until - 10 * DAY if until else None
        subject = name_of(common_name or name)
        builder = self._builder(subject, key, self.name, since, until)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False).sign(
            self.key, SHA256()
        )
        chain = (self.x509,) if self.above else ()
        return Files(self.directory, name, certificate, key, chain)
