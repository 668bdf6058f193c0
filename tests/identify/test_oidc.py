# SPDX-License-Identifier: Apache-2.0
"""Tokens of jobs of a continuous integration: whose they prove, and when keys are fetched."""

from __future__ import annotations

import json

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from txregistry.auth.asking import Asker
from txregistry.auth.decisions import Resource, Right, Unauthorized
from txregistry.auth.rules import AccessRule, Rules
from txregistry.identify.challenges import BasicChallenge
from txregistry.identify.oidc import KEYS_FOR, PAUSE, FetchError, OidcCheck, Provider
from txregistry.identify.schemes import Schemes
from txregistry.oci.errors import Code, OciError

from .signing import NOW, claims, jwk_of, make_key, sign, spell

ISSUER = "https://ci.example"
KEY, NEXT = make_key(), make_key()
RULES = Rules([AccessRule(groups={"ci"}, repositories=("acme/*",), actions={"push"})])


class World:
    """A provider whose keys are in memory."""

    def __init__(self, **changes):
        self.clock = Clock()
        self.clock.advance(NOW)
        self.fetched = []
        self.keys = {"keys": [jwk_of(KEY, "a")]}
        self.pages = {f"{ISSUER}/.well-known/openid-configuration": {"jwks_uri": f"{ISSUER}/keys"}}
        provider = Provider(
            **{
                "issuer": ISSUER,
                "audience": "registry.example",
                "name": "ci:{repository}",
                "claims": {"repository": "acme/*", "ref": "refs/heads/main"},
                "groups": ("ci",),
                **changes,
            }
        )
        check = OidcCheck(provider, RULES, self.fetch, self.clock.seconds)
        self.schemes = Schemes(BasicChallenge("R"), RULES, bearers=[check])

    async def fetch(self, url):
        self.fetched.append(url)
        page = self.keys if url == f"{ISSUER}/keys" else self.pages.get(url)
        if isinstance(page, Deferred):
            page = await page
        if page is None:
            raise FetchError(f"{url} answers 404")
        return json.dumps(page).encode()

    async def identify(self, key=KEY, kid="a", **changes):
        document = {"repository": "acme/app", "ref": "refs/heads/main", **changes}
        token = sign(claims(iss=ISSUER, access=None, **document), key, kid=kid)
        return await self.schemes.identify(Asker(f"Bearer {token}"))


@pytest_twisted.ensureDeferred
async def test_claims_make_a_name_and_the_rules_its_rights():
    world = World()
    identity = await world.identify()
    assert (identity.name, identity.by_token) == ("ci:acme/app", False)
    assert Right(Resource("repository", "acme/app"), "push") in identity.rights
    assert Right(Resource("repository", "other/app"), "push") not in identity.rights
    assert world.fetched == [f"{ISSUER}/.well-known/openid-configuration", f"{ISSUER}/keys"]
    await world.identify()
    assert len(world.fetched) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"repository": "evil/app"},
        {"repository": "acme/app/x"},
        {"repository": None},
        {"repository": ["acme/app"]},
        {"ref": "refs/heads/main2"},
        {"ref": None},
        {"aud": "other"},
        {"exp": NOW - 8 * 24 * 3600},
        {"iat": None},
        {"key": NEXT},
        {"kid": "unknown"},
    ],
)
@pytest_twisted.ensureDeferred
async def test_token_that_is_not_as_required_is_refused(changes):
    with pytest.raises(Unauthorized):
        await World().identify(**changes)


@pytest_twisted.ensureDeferred
async def test_published_keys_that_are_of_no_use_here_are_left_out():
    """A provider has other clients, too; one odd key does not shut out all of its jobs."""
    world = World()
    secret = {"kty": "oct", "k": "c" * 50, "kid": "s"}
    odd = [{"kty": "XYZ"}, 7, {**jwk_of(NEXT, "b"), "alg": "RSA-OAEP"}, secret]
    world.keys = {"keys": [*odd, jwk_of(KEY, "a")]}
    assert (await world.identify()).name == "ci:acme/app"
    for kid in ("b", "s"):
        with pytest.raises(Unauthorized):
            await world.identify(NEXT, kid=kid)
    world = World()
    world.keys = {"keys": odd}
    with pytest.raises(OciError) as caught:
        await world.identify()
    assert caught.value.code is Code.UNAVAILABLE


@pytest_twisted.ensureDeferred
async def test_claims_that_make_no_name_are_refused():
    for name, changes in (
        ("{actor}", {}),
        ("{actor}", {"actor": 7}),
        ("{actor}", {"actor": "a\n"}),
    ):
        with pytest.raises(Unauthorized):
            await World(name=name).identify(**changes)


@pytest_twisted.ensureDeferred
async def test_new_key_is_fetched_when_a_token_names_it_but_not_all_the_time():
    """Tokens that name keys at random cost no more than a fetch a minute."""
    world = World()
    await world.identify()
    world.keys = {"keys": [jwk_of(NEXT, "b")]}
    for _ in range(3):
        with pytest.raises(Unauthorized):
            await world.identify(NEXT, "b")
    assert len(world.fetched) == 2
    world.clock.advance(PAUSE)
    assert (await world.identify(NEXT, "b")).name
    with pytest.raises(Unauthorized):
        await world.identify()


@pytest_twisted.ensureDeferred
async def test_keys_that_can_not_be_fetched_leave_the_old_ones_in_use():
    world = World()
    await world.identify()
    world.keys = None
    world.clock.advance(KEYS_FOR)
    assert (await world.identify(exp=NOW + 7200)).name
    assert len(world.fetched) == 4
    assert (await world.identify(exp=NOW + 7200)).name
    assert len(world.fetched) == 4


@pytest_twisted.ensureDeferred
async def test_without_any_keys_clients_are_told_to_come_back():
    """Neither let in nor told that their token is no good."""
    world = World()
    world.keys = None
    for _ in range(2):
        with pytest.raises(OciError) as caught:
            await world.identify()
        assert caught.value.code is Code.UNAVAILABLE
    assert len(world.fetched) == 2


@pytest.mark.parametrize("uri", [None, 7, "http://ci.example/keys", "https://evil.example/keys"])
@pytest_twisted.ensureDeferred
async def test_discovery_may_not_lead_elsewhere(uri):
    """Keys come from the provider's own origin, unless the configuration says otherwise."""
    world = World()
    world.pages[f"{ISSUER}/.well-known/openid-configuration"] = {"jwks_uri": uri}
    with pytest.raises(OciError):
        await world.identify()
    assert world.fetched == [f"{ISSUER}/.well-known/openid-configuration"]
    assert (await World(jwks=f"{ISSUER}/keys").identify()).name


@pytest_twisted.ensureDeferred
async def test_many_at_once_fetch_once():
    """And one that leaves does not end the fetch for the others."""
    world, page = World(jwks=f"{ISSUER}/keys"), Deferred()
    world.keys = page
    asked = [Deferred.fromCoroutine(world.identify()) for _ in range(3)]
    asked[0].addErrback(lambda _: None)
    asked[0].cancel()
    page.callback({"keys": [jwk_of(KEY, "a")]})
    assert [(await each).name for each in asked[1:]] == ["ci:acme/app"] * 2
    assert world.fetched == [f"{ISSUER}/keys"]


@pytest.mark.parametrize("kid", [[], {}, 7, None])
@pytest_twisted.ensureDeferred
async def test_key_that_is_named_by_no_text_is_refused(kid):
    """Nor is anything fetched for it, whether or not keys are known already."""
    world = World()
    await world.identify()
    payload = claims(iss=ISSUER, access=None, repository="acme/app", ref="refs/heads/main")
    token = spell({"alg": "ES256", "kid": kid}, payload)
    fetched = len(world.fetched)
    with pytest.raises(Unauthorized):
        await world.schemes.identify(Asker(f"Bearer {token}"))
    assert len(world.fetched) == fetched
