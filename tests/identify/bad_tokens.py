# SPDX-License-Identifier: Apache-2.0
"""Tokens that must never be taken: one table for what judges tokens and for servers on a socket.

Ids are those of the published table of bad inputs.
"""

from __future__ import annotations

import base64
import hmac
import json

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from . import signing
from .signing import NOW, access, jwk_of, make_certificate, make_key, sign, spell

#: What tokens are for here, unless they say otherwise.
REPOSITORY = "lib/app"


class Forge:
    """Keys that are trusted, keys that are not, and tokens by either.

    Args:
        now: when tokens are made, seconds since the epoch.
        patience: seconds that may pass before they are shown.
        repository: that good ones are for.
    """

    def __init__(self, now=NOW, patience=0, repository=REPOSITORY):
        self.now, self.patience, self.repository = now, patience, repository
        self.key, self.other, self.root_key, self.leaf_key = (make_key() for _ in range(4))
        self.chain_keys = [make_key() for _ in range(3)]
        self.rsa_key = signing.make_rsa()
        self.root = self.certificate(self.root_key, "root", authority=True)
        by_root = (self.root, self.root_key)
        self.leaf = self.certificate(self.leaf_key, "leaf", by=by_root)
        self.stranger = self.certificate(self.other, "stranger", authority=True)
        self.signer = self.certificate(self.rsa_key, "signer", authority=True)
        self.middle = self.certificate(self.chain_keys[0], "middle", by=by_root, authority=True)
        by_leaf = (self.leaf, self.leaf_key)
        self.no_authority = self.certificate(self.chain_keys[1], "leafy", by=by_leaf)
        self.expired = self.certificate(self.chain_keys[2], "old", by=by_root, ends=now - 1)
        also = x509.DNSName("abcdefgh")
        self.named = self.certificate(self.leaf_key, "named", by=by_root, also=also)

    def certificate(self, key, name, *, ends=None, **more):
        ends = self.now + self.patience + 3600 if ends is None else ends
        return make_certificate(key, name, begins=self.now - 3600, ends=ends, **more)

    def key_set(self):
        """The trusted keys as a file of the registry's."""
        return json.dumps({"keys": [jwk_of(self.key, "first")]}).encode()

    def bundle(self):
        """The trusted certificates likewise."""
        return signing.pem(self.root, self.signer)

    def claims(self, *entries, **changes):
        expires = {"exp": self.now + self.patience + 300}
        return signing.claims(*entries, now=self.now, **{**expires, **changes})

    def good(self, **changes):
        """Claims to which there is no objection but for ``changes``."""
        return self.claims(access(self.repository, "pull", "push"), **changes)

    def signed(self, document=None, **header):
        """By the trusted key of the key set."""
        return sign(self.good() if document is None else document, self.key, kid="first", **header)

    def bad_tokens(self):
        """Id and name -> what makes the token."""
        return {
            **self._keys(),
            **self._algorithms(),
            **self._chains(),
            **self._odd_certificates(),
            **self._claims(),
            **self._forms(),
        }

    def _keys(self):
        good, key, other = self.good, self.key, self.other
        jwk = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(other.public_key()))
        away = "http://127.0.0.1:1/k"
        return {
            "B-140 key in the header": lambda: sign(good(), other, jwk=jwk),
            "B-140 key in the header beside a trusted kid": lambda: sign(
                good(), other, jwk=jwk, kid="first"
            ),
            "B-140 trusted key in the header": lambda: self.signed(jwk=jwk),
            "B-140 url of keys": lambda: self.signed(jku=away),
            "B-140 url of certificates": lambda: self.signed(x5u=away),
            "B-140 trusted kid, another key": lambda: sign(good(), other, kid="first"),
            "B-140 unknown kid": lambda: sign(good(), other, kid="second"),
            "B-140 no kid": lambda: sign(good(), key),
            "B-140 kid that is no text": lambda: spell({"alg": "ES256", "kid": ["first"]}, good()),
            "B-140 kid that is a path": lambda: sign(good(), other, kid="../../../dev/null"),
            "B-140 kid that is a query": lambda: sign(good(), other, kid="' OR '1'='1"),
        }

    def _algorithms(self):
        good = self.good
        return {
            "B-141 alg none": lambda: spell({"alg": "none", "kid": "first"}, good(), b""),
            "B-141 alg None": lambda: spell({"alg": "None", "kid": "first"}, good(), b""),
            "B-141 alg nOnE": lambda: spell({"alg": "nOnE", "kid": "first"}, good(), b""),
            "B-141 alg missing": lambda: spell({"kid": "first"}, good()),
            "B-141 alg no text": lambda: spell({"alg": ["ES256"], "kid": "first"}, good()),
            "B-141 alg with a space": lambda: spell({"alg": "ES256 ", "kid": "first"}, good()),
            "B-141 empty signature": lambda: self.signed().rpartition(".")[0] + ".",
            "B-141 cut signature": lambda: self.signed()[:-4],
            "B-141 signature of zeros": lambda: spell(
                {"alg": "ES256", "kid": "first"}, good(), bytes(64)
            ),
            "B-141 HS256 by the public key's PEM": self._by_public_key,
            "B-141 RS256 where the key is EC": lambda: sign(
                good(), self.rsa_key, algorithm="RS256", kid="first"
            ),
        }

    def _by_public_key(self):
        """HS256 with what everybody has as the secret, made by hand: the library refuses to."""
        public = self.key.public_key()
        material = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        head = {"alg": "HS256", "typ": "JWT", "kid": "first"}
        signed = spell(head, self.good()).rpartition(".")[0]
        signature = hmac.digest(material, signed.encode(), "sha256")
        return f"{signed}." + base64.urlsafe_b64encode(signature).rstrip(b"=").decode()

    def _chains(self):
        def by(key, *chain, **header):
            return lambda: sign(self.good(), key, x5c=signing.x5c(*chain), **header)

        def saying(x5c):
            return lambda: sign(self.good(), self.leaf_key, x5c=x5c)

        first, second, third = self.chain_keys
        return {
            "B-143 expired leaf": by(third, self.expired),
            "B-143 other root": by(self.other, self.stranger),
            "B-143 authority as leaf": by(first, self.middle),
            "B-143 leaf as authority": by(second, self.no_authority, self.leaf, self.root),
            "B-143 leaf of another's key": by(self.other, self.leaf),
            "B-143 trusted certificate behind a stranger's": by(
                self.other, self.stranger, self.root
            ),
            "B-143 chain beside a trusted kid": by(self.other, self.stranger, kid="first"),
            "B-143 100 certificates": lambda: spell(
                {"alg": "ES256", "x5c": ["eA=="] * 100}, self.good()
            ),
            "B-143 empty chain": saying([]),
            "B-143 no certificate": saying(["eA=="]),
            "B-143 no list": saying({"a": 1}),
            "B-143 no text": saying([7]),
        }

    def _odd_certificates(self):
        """Leaves of which some bytes of their DER are others; no signature is even looked at."""
        der = self.named.public_bytes(Encoding.DER)

        def changed(old, new):
            assert der.count(old) == 1
            x5c = [base64.b64encode(der.replace(old, new)).decode("ascii")]
            return lambda: sign(self.good(), self.other, x5c=x5c)

        return {
            "B-143 version 6": changed(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x05"),
            "B-143 extension twice": changed(b"\x06\x03\x55\x1d\x11", b"\x06\x03\x55\x1d\x13"),
            "B-143 name of an odd kind": changed(b"\x82\x08abcdefgh", b"\xa3\x08abcdefgh"),
            "B-143 common name of another ASN.1 type": changed(b"\x0c\x05named", b"\x01\x05named"),
        }

    def _claims(self):
        now, later = self.now, self.now + self.patience
        entry = {"type": "repository", "name": self.repository}
        wrong = {
            "aud": [None, "other", ["other"], [], "", "registry.example.", [["registry.example"]]],
            "iss": [None, "", "https://auth.example.evil", "https://auth", "https://auth.example/"],
            "exp": [None, later + 300.5, str(later + 300), True, -1, [later + 300], {}],
            "nbf": [later + 61, now - 0.5, str(now), False],
            "sub": [7, ["alice"], "a\nb", "a" * 256],
        }
        unfit = {
            "iat": [None, "x", 1.5],
            "access": [
                "pull",
                {"type": "repository"},
                [None],
                ["pull"],
                [entry],
                [{**entry, "type": 1, "actions": ["pull"]}],
                [{**entry, "actions": "pull"}],
                [{**entry, "actions": [7]}],
                [{}] * 101,
            ],
        }
        found = {
            f"{row} {name} {value!r:.30}": lambda name=name, value=value: self.signed(
                self.good(**{name: value})
            )
            for row, table in (("B-144", wrong), ("B-145", unfit))
            for name, values in table.items()
            for value in values
        }
        many = [access(self.repository, "pull")] * 10_000
        return {**found, "B-145 10,000 entries": lambda: self.signed(self.claims(*many))}

    def _forms(self):
        good, head = self.good, {"alg": "ES256", "kid": "first"}
        return {
            "B-146 64 KiB": lambda: "e" * 65536,
            "B-146 a million dots": lambda: "." * 1_000_000,
            "B-146 five parts": lambda: "eyJh.b.c.d.e",
            "B-146 nothing": lambda: "",
            "B-146 two parts": lambda: "eyJh.eyJh",
            "B-146 no base64": lambda: "eyJ!.eyJ!.x",
            "B-146 padding": lambda: self.signed() + "==",
            "B-146 token in a token": lambda: spell({**head, "cty": "JWT"}, self.signed().encode()),
            "B-146 deep": lambda: spell(head, b"[" * 3000),
            "B-147 crit": lambda: self.signed(crit=["exp"]),
            "B-147 unencoded": lambda: spell({**head, "b64": False}, good()),
            "B-147 header key twice": lambda: spell(
                b'{"alg":"ES256","kid":"first","alg":"none"}', good()
            ),
            "B-147 claim twice": lambda: spell(head, b'{"iss":"https://auth.example","iss":"x"}'),
        }
