# SPDX-License-Identifier: Apache-2.0
"""Keys that tokens may be signed with, each with the names it goes by and what it may be used for.

Room: identify. Must not know tokens; must not read files: content is given.

A key's algorithms follow from the key, never from a token. It goes by the ``kid`` that its JWK has,
by its RFC 7638 thumbprint (registry:3) and by its libtrust id (registry:2)::

    NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs
    PYYO:TEWU:V7JH:26JV:AQTZ:LJC3:SXVJ:XGHA:34F2:2LAQ:ZRMK:Z7Q6
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import evolve, field, frozen
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import get_default_algorithms
from jwt.exceptions import PyJWTError

from txregistry.identify.watching import FileError
from txregistry.oci.strict_json import JsonInvalid, read_strict

#: Largest file of keys or certificates, in bytes, and most keys of one. Arbitrary.
FILE_LIMIT = 1024 * 1024
KEYS_LIMIT = 100
#: Least bits of an RSA key, and least bytes of a secret (RFC 7518 sections 3.2, 3.3).
LEAST_RSA = 2048
LEAST_SECRET = 32

HMAC = frozenset({"HS256", "HS384", "HS512"})
RSA = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"})
_CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
#: All that are known; a configuration may name fewer.
ALGORITHMS = (*sorted(HMAC | RSA), "ES256", "ES384", "ES512", "EdDSA")

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


@frozen(eq=False)
class Key:
    """One key.

    Attributes:
        material: what verifies: a public key, or a secret's bytes.
        algorithms: with which it may.
        ids: all names that it goes by.
    """

    material: Any = field(repr=False)
    algorithms: frozenset[str]
    ids: frozenset[str] = frozenset()


@frozen(eq=False)
class Keys:
    """All keys that are trusted.

    Attributes:
        by_id: each under all of its names.
        roots: certificates by which others may be vouched for.
    """

    by_id: Mapping[str, Key] = field(factory=dict)
    roots: tuple[x509.Certificate, ...] = ()

    @property
    def has_secrets(self) -> bool:
        """Whoever knows one of them could sign, too."""
        return any(key.algorithms & HMAC for key in self.by_id.values())

    def __or__(self, other: Keys) -> Keys:
        return Keys({**self.by_id, **other.by_id}, self.roots + other.roots)


def public_key(material: Any, *ids: str) -> Key:
    """Return a public key with what it may be used for, and its names.

    Raises:
        ValueError: it is of a kind that is not taken.
    """
    if isinstance(material, rsa.RSAPublicKey):
        if material.key_size < LEAST_RSA:
            raise ValueError(
                f"an RSA key of {material.key_size} bits, and {LEAST_RSA} is the least"
            )
        algorithms = RSA
    elif isinstance(material, ec.EllipticCurvePublicKey) and material.curve.name in _CURVES:
        algorithms = frozenset({_CURVES[material.curve.name]})
    elif isinstance(material, ed25519.Ed25519PublicKey):
        algorithms = frozenset({"EdDSA"})
    else:
        raise ValueError("a key of a kind that is not taken; use RSA, EC or Ed25519")
    names = {thumbprint(material), libtrust_id(material), *ids}
    return Key(material, algorithms, frozenset(names))


def secret_key(secret: bytes, *ids: str) -> Key:
    """Return a secret as a key."""
    return Key(secret, HMAC, frozenset(ids))


def keys_of(keys: Iterable[Key], roots: Iterable[x509.Certificate] = ()) -> Keys:
    """Return keys by all of their names."""
    return Keys({name: key for key in keys for name in key.ids}, tuple(roots))


def thumbprint(material: Any) -> str:
    """Return a public key's thumbprint. Source: RFC 7638 section 3."""
    algorithm = "RS256" if isinstance(material, rsa.RSAPublicKey) else "ES256"
    if isinstance(material, ed25519.Ed25519PublicKey):
        algorithm = "EdDSA"
    jwk = json.loads(get_default_algorithms()[algorithm].to_jwk(material))
    needed = {name: jwk[name] for name in ("crv", "e", "kty", "n", "x", "y") if name in jwk}
    text = json.dumps(needed, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def libtrust_id(material: Any) -> str:
    """Return a public key's id in registry:2's way: 240 bits of a hash in twelve groups of four."""
    spki = material.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    text = base64.b32encode(hashlib.sha256(spki).digest()[:30]).decode("ascii")
    return ":".join(text[start : start + 4] for start in range(0, len(text), 4))


def parse_bundle(data: bytes, path: str) -> tuple[Keys, tuple[str, ...]]:
    """Read a file of PEM certificates: roots, and keys under their own names.

    Raises:
        FileError: one sentence.
    """
    found, keys = [], []
    for number, pem in enumerate(_PEM.findall(data), 1):
        try:
            certificate = x509.load_pem_x509_certificate(pem)
            keys.append(public_key(certificate.public_key()))
        except ValueError as error:
            raise FileError(
                f"{path}: its certificate {number} can't be used ({error}); replace it"
            ) from None
        found.append(certificate)
    if not found or len(found) > KEYS_LIMIT:
        raise FileError(f"{path} holds {len(found)} PEM certificates; 1 to {KEYS_LIMIT} are taken")
    return keys_of(keys, found), ()


def parse_jwks(data: bytes, path: str) -> tuple[Keys, tuple[str, ...]]:
    """Read a JSON Web Key Set of the operator's own, in which every key must be of use.

    Raises:
        FileError: one sentence.

    Source: RFC 7517 section 5.
    """
    read = [_read_jwk(jwk, where) for jwk, where in _listed(data, path)]
    used = [key for key in read if key is not None]
    if any(key.algorithms & HMAC for key in used) and not all(
        key.algorithms & HMAC for key in used
    ):
        # Else a public key, which anybody has, might be taken for a secret somewhere.
        raise FileError(f"{path} has secrets beside public keys; use one kind of them")
    if not used:
        raise FileError(f"{path} has no key for signatures; add one")
    return keys_of(used), ()


def parse_published_jwks(data: bytes, url: str) -> Keys:
    """Read a JSON Web Key Set that somebody publishes for all: what is of no use here is left out,
    and secrets are of none.

    Raises:
        FileError: one sentence: nothing of it is of use.

    Source: RFC 7517 section 5, "SHOULD ignore".
    """
    used = []
    for jwk, where in _listed(data, url):
        with contextlib.suppress(FileError):
            key = _read_jwk(jwk, where)
            if key is not None and not key.algorithms & HMAC:
                used.append(key)
    if not used:
        raise FileError(f"{url} has no key for signatures that is of use")
    return keys_of(used)


def _listed(data: bytes, path: str) -> list[tuple[Any, str]]:
    """Return the keys of a set, as they stand there, and how messages call each."""
    try:
        document = read_strict(data)
    except JsonInvalid as error:
        raise FileError(f"{path} is not JSON ({error}); write a JSON Web Key Set") from None
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list) or not 0 < len(listed) <= KEYS_LIMIT:
        raise FileError(f"{path} has no list of 1 to {KEYS_LIMIT} keys; write a JSON Web Key Set")
    return [(jwk, f"{path}: its key {number}") for number, jwk in enumerate(listed, 1)]


def _read_jwk(jwk: Any, where: str) -> Key | None:
    """Return a key; None if it is for encryption."""
    if not isinstance(jwk, dict) or not isinstance(jwk.get("kid", ""), str):
        raise FileError(f"{where} is no JSON Web Key; correct it")
    if jwk.get("use", "sig") != "sig":
        return None
    ids = [jwk["kid"]] if jwk.get("kid") else []
    try:
        key = _from_jwk(jwk, ids)
    except (PyJWTError, ValueError, TypeError, KeyError) as error:
        raise FileError(f"{where} can't be used ({error}); replace it") from None
    named = jwk.get("alg")
    if named is None:
        return key
    if named not in key.algorithms:
        raise FileError(f"{where} names an algorithm that it is no key for; correct it")
    return evolve(key, algorithms=frozenset({named}))


def _from_jwk(jwk: dict[str, Any], ids: list[str]) -> Key:
    kind = {"RSA": "RS256", "EC": "ES256", "OKP": "EdDSA", "oct": "HS256"}.get(str(jwk.get("kty")))
    if kind is None:
        raise ValueError("kty is none of RSA, EC, OKP, oct")
    if kind != "HS256" and "d" in jwk:
        raise ValueError("it is a private key, which is for who signs alone")
    material = get_default_algorithms()[kind].from_jwk(
        {name: value for name, value in jwk.items() if name != "alg"}
    )
    if kind != "HS256":
        return public_key(material, *ids)
    if not ids:
        raise ValueError("a secret needs a kid")
    if len(material) < LEAST_SECRET:
        raise ValueError(f"a secret of {len(material)} bytes, and {LEAST_SECRET} is the least")
    return secret_key(material, *ids)
