# SPDX-License-Identifier: Apache-2.0
"""Bearer tokens: which are taken, and the classes of tokens that never are."""

from __future__ import annotations

import base64
import hashlib
import json

import jwt
import pytest
import pytest_twisted
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twisted.internet.task import Clock

from txregistry.auth.asking import Asker
from txregistry.auth.decisions import CATALOG, Resource, Right, Unauthorized
from txregistry.auth.rules import ALL_OR_NOTHING
from txregistry.identify.challenges import BearerChallenge
from txregistry.identify.keys import Keys, libtrust_id, parse_bundle, parse_jwks, thumbprint
from txregistry.identify.schemes import Schemes
from txregistry.identify.tokens import LAPSED_FOR, TokenCheck
from txregistry.identify.watching import FileError

from . import signing
from .bad_tokens import Forge
from .signing import NOW, access, claims, jwk_of, sign

FORGE = Forge(NOW)
KEY, OTHER, ROOT_KEY, LEAF_KEY = FORGE.key, FORGE.other, FORGE.root_key, FORGE.leaf_key
ROOT, LEAF, STRANGER = FORGE.root, FORGE.leaf, FORGE.stranger
RSA_KEY, SIGNER = FORGE.rsa_key, FORGE.signer
BAD = FORGE.bad_tokens()

PULL = Right(Resource("repository", "lib/app"), "pull")


class World:
    """One issuer's tokens, over a clock that only tests move."""

    def __init__(self, **options):
        self.clock = Clock()
        self.clock.advance(NOW)
        jwks, _ = parse_jwks(FORGE.key_set(), "/jwks")
        bundle, _ = parse_bundle(FORGE.bundle(), "/bundle")
        self.keys = jwks | bundle
        self.check = TokenCheck(
            signing.ISSUER,
            signing.SERVICE,
            lambda: self.keys,
            self.clock.seconds,
            **options,
        )
        challenge = BearerChallenge("https://auth.example/token", signing.SERVICE)
        self.schemes = Schemes(challenge, ALL_OR_NOTHING, bearers=[self.check])

    async def identify(self, token, scheme="Bearer"):
        return await self.schemes.identify(Asker(f"{scheme} {token}"))

    async def refuses(self, token):
        with pytest.raises(Unauthorized) as caught:
            await self.identify(token)
        assert caught.value.error == "invalid_token"
        return True


def good(**changes):
    return claims(access("lib/app", "pull", "push"), **changes)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(lambda: sign(good(), KEY, kid="first"), id="kid of the key set"),
        pytest.param(lambda: sign(good(), KEY, kid=thumbprint(KEY.public_key())), id="thumbprint"),
        pytest.param(lambda: sign(good(), KEY, kid=libtrust_id(KEY.public_key())), id="libtrust"),
        pytest.param(
            lambda: sign(good(), ROOT_KEY, kid=libtrust_id(ROOT_KEY.public_key())),
            id="libtrust id of a certificate's key",
        ),
        pytest.param(lambda: sign(good(), LEAF_KEY, x5c=signing.x5c(LEAF)), id="chain"),
        pytest.param(
            lambda: sign(good(), LEAF_KEY, x5c=signing.x5c(LEAF, ROOT)), id="chain with its root"
        ),
        pytest.param(
            lambda: sign(good(), RSA_KEY, algorithm="RS256", x5c=signing.x5c(SIGNER)),
            id="the usual self-signed certificate",
        ),
        pytest.param(
            lambda: sign(good(), RSA_KEY, algorithm="PS512", kid=thumbprint(RSA_KEY.public_key())),
            id="another of the key's algorithms",
        ),
    ],
)
@pytest_twisted.ensureDeferred
async def test_token_that_a_trusted_key_signed_is_taken(token):
    """By every way in which a token server may say which key it was."""
    identity = await World().identify(token())
    assert (identity.name, identity.by_token, identity.lapsed) == ("alice", True, None)
    assert PULL in identity.rights


@pytest_twisted.ensureDeferred
async def test_token_may_come_as_a_password():
    """For clients that know names and passwords only."""
    token = sign(good(), KEY, kid="first")
    text = base64.b64encode(f"anything:{token}".encode()).decode()
    assert (await World().identify(text, "Basic")).name == "alice"


@pytest.mark.parametrize("name", BAD)
@pytest_twisted.ensureDeferred
async def test_bad_token_is_refused(name):
    """401 with ``invalid_token``, nothing fetched, whatever is wrong with it."""
    assert await World().refuses(BAD[name]())


@pytest.mark.parametrize(
    ("changes", "is_taken"),
    [
        ({"exp": NOW - 59}, True),
        ({"nbf": NOW + 60}, True),
        ({"nbf": None}, True),
        ({"aud": ["other", signing.SERVICE]}, True),
        ({"sub": None}, True),
        ({"exp": NOW - 60 - LAPSED_FOR}, False),
    ],
)
@pytest_twisted.ensureDeferred
async def test_clocks_may_differ_by_a_minute(changes, is_taken):
    token = sign(good(**changes), KEY, kid="first")
    if is_taken:
        assert (await World().identify(token)).lapsed is None
    else:
        assert await World().refuses(token)


@pytest_twisted.ensureDeferred
async def test_expired_token_says_when_it_lapsed():
    """What was begun while it was valid may be finished; ``decide`` and ``uploads`` see to that."""
    world = World()
    token = sign(good(), KEY, kid="first")
    assert (await world.identify(token)).lapsed is None
    world.clock.advance(359)
    assert (await world.identify(token)).lapsed is None
    world.clock.advance(1)
    assert (await world.identify(token)).lapsed == NOW + 360
    world.clock.advance(LAPSED_FOR)
    assert await world.refuses(token)


@pytest_twisted.ensureDeferred
async def test_scope_words_are_taken_word_by_word():
    """B-148: patterns are no patterns here, and a name is that name only."""
    token = sign(
        claims(
            access("*", "pull"),
            access("lib/other", "*"),
            access("lib/../app", "pull"),
            access("catalog", "*", kind="registry"),
            access("lib/app", "pull", kind="repository(plugin)"),
        ),
        KEY,
        kid="first",
    )
    rights = (await World().identify(token)).rights
    assert PULL not in rights
    assert Right(CATALOG, "*") in rights
    for action in ("pull", "push", "delete"):
        assert Right(Resource("repository", "lib/other"), action) in rights
    assert (await World().identify(sign(claims(access=None), KEY, kid="first"))).rights == set()


@pytest_twisted.ensureDeferred
async def test_keys_are_rotated_by_reading_the_file_again():
    """A token by a key that was taken away is refused, although it was taken before."""
    world = World()
    token = sign(good(), KEY, kid="first")
    assert (await world.identify(token)).name == "alice"
    world.keys, _ = parse_jwks(json.dumps({"keys": [jwk_of(OTHER, "second")]}).encode(), "/jwks")
    world.check.forget()
    assert await world.refuses(token)
    assert (await world.identify(sign(good(), OTHER, kid="second"))).name == "alice"


@pytest_twisted.ensureDeferred
async def test_algorithms_can_be_narrowed():
    world = World(algorithms=["RS256"])
    assert await world.refuses(sign(good(), KEY, kid="first"))
    token = sign(good(), RSA_KEY, algorithm="RS256", kid=thumbprint(RSA_KEY.public_key()))
    assert (await world.identify(token)).name == "alice"


@pytest_twisted.ensureDeferred
async def test_other_kinds_of_keys_sign_too():
    """Ed25519, and secrets of their own."""
    world, key = World(), ed25519.Ed25519PrivateKey.generate()
    jwk = {**json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(key.public_key())), "kid": "ed"}
    world.keys, _ = parse_jwks(json.dumps({"keys": [jwk]}).encode(), "/jwks")
    assert (await world.identify(sign(good(), key, algorithm="EdDSA", kid="ed"))).name == "alice"
    secret = b"s" * 32
    jwk = {"kty": "oct", "k": base64.urlsafe_b64encode(secret).decode().rstrip("="), "kid": "s"}
    world.keys, _ = parse_jwks(json.dumps({"keys": [jwk]}).encode(), "/jwks")
    assert (await world.identify(sign(good(), secret, algorithm="HS256", kid="s"))).name == "alice"


def test_key_names_are_those_of_other_registries():
    """RFC 7638's own example; and registry:2's libtrust, over the key's DER."""
    jwk = {
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSo"
        "c_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_"
        "FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4v"
        "MQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        "e": "AQAB",
    }
    key = jwt.algorithms.RSAAlgorithm.from_jwk(jwk)
    assert thumbprint(key) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
    digest = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    encoded = base64.b32encode(digest.digest()[:30]).decode()
    assert libtrust_id(key).replace(":", "") == encoded
    assert [len(group) for group in libtrust_id(key).split(":")] == [4] * 12


WEAK = rsa.generate_private_key(public_exponent=65537, key_size=1024)


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "is not JSON"),
        (b"[]", "has no list of 1 to 100 keys"),
        (b'{"keys":[]}', "has no list of 1 to 100 keys"),
        (b'{"keys":[7]}', "its key 1 is no JSON Web Key"),
        (b'{"keys":[{"kty":"RSA"}]}', "its key 1 can't be used"),
        (b'{"keys":[{"kty":"XYZ"}]}', "its key 1 can't be used"),
        (b'{"keys":[{"kty":"RSA","d":"eA"}]}', "it is a private key, which is for who signs"),
        (b'{"keys":[{"kty":"oct","k":"c2hvcnQ","kid":"a"}]}', "a secret of 5 bytes"),
        (b'{"keys":[{"kty":"oct","k":"c2hvcnQ"}]}', "a secret needs a kid"),
        (json.dumps({"keys": [{**jwk_of(KEY, "a"), "use": "enc"}]}).encode(), "has no key for sig"),
        (json.dumps({"keys": [{**jwk_of(KEY, "a"), "alg": "RS256"}]}).encode(), "names an algori"),
        (
            json.dumps(
                {"keys": [jwk_of(KEY, "a"), {"kty": "oct", "k": "c" * 50, "kid": "b"}]}
            ).encode(),
            "has secrets beside public keys",
        ),
        (
            json.dumps(
                {"keys": [json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(WEAK.public_key()))]}
            ).encode(),
            "an RSA key of 1024 bits",
        ),
    ],
)
def test_key_set_that_can_not_be_used_is_refused_in_one_sentence(data, part):
    with pytest.raises(FileError, match=r"^/jwks"):
        parse_jwks(data, "/jwks")
    with pytest.raises(FileError, match=part):
        parse_jwks(data, "/jwks")


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "holds 0 PEM certificates"),
        (b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----", "its certificate 1 can't"),
    ],
)
def test_bundle_that_can_not_be_used_is_refused_in_one_sentence(data, part):
    with pytest.raises(FileError, match=part):
        parse_bundle(data, "/bundle")


def test_nothing_shows_a_secret():
    assert "KEY" not in repr(Keys())
    assert "secret" not in repr(Asker("Basic secret"))


def test_keys_that_are_secrets_are_told_from_public_ones():
    """A file of them is nothing that everybody should read."""
    secret = {"kty": "oct", "kid": "s", "k": base64.urlsafe_b64encode(b"x" * 32).decode()}
    for jwk, expected in ((secret, True), (jwk_of(KEY, "first"), False)):
        keys, _ = parse_jwks(json.dumps({"keys": [jwk]}).encode(), "jwks")
        assert keys.has_secrets is expected
