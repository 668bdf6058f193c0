# SPDX-License-Identifier: Apache-2.0
"""A token server for tests: keys, certificates, and tokens made as a test says."""

from __future__ import annotations

import base64
import datetime
import json

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from jwt.algorithms import ECAlgorithm

ISSUER, SERVICE = "https://auth.example", "registry.example"
NOW = 1_700_000_000


def make_key():
    return ec.generate_private_key(ec.SECP256R1())


def make_rsa():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def make_certificate(
    key, name="signer", *, by=None, authority=False, begins=NOW - 3600, ends=NOW + 3600, also=None
):
    """A certificate for a key; ``by`` is (certificate, key) of its issuer, else it is its own.

    ``also`` is an alternative name.
    """
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, issuer_key = (subject, key) if by is None else (by[0].subject, by[1])
    moment = [datetime.datetime.fromtimestamp(t, datetime.UTC) for t in (begins, ends)]
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment[0])
        .not_valid_after(moment[1])
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if also is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName([also]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def pem(*certificates):
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def x5c(*certificates):
    return [
        base64.b64encode(each.public_bytes(Encoding.DER)).decode("ascii") for each in certificates
    ]


def jwk_of(key, kid):
    return {**json.loads(ECAlgorithm.to_jwk(key.public_key())), "kid": kid, "use": "sig"}


def access(name="lib/app", *actions, kind="repository"):
    return {"type": kind, "name": name, "actions": list(actions)}


def claims(*entries, now=NOW, **changes):
    """Claims that are good at ``now`` but for ``changes``; None leaves a claim out."""
    full = {
        "iss": ISSUER,
        "sub": "alice",
        "aud": SERVICE,
        "exp": now + 300,
        "nbf": now - 10,
        "iat": now,
        "jti": "x",
        "access": list(entries),
        **changes,
    }
    return {name: value for name, value in full.items() if value is not None}


def sign(document, key, *, algorithm="ES256", **header):
    return jwt.encode(document, key, algorithm, headers=header)


def spell(header, payload, signature=b"x"):
    """A token of any three parts; text is taken as it is."""
    parts = [
        part if isinstance(part, bytes) else json.dumps(part).encode()
        for part in (header, payload, signature)
    ]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode("ascii") for part in parts)
