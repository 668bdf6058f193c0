# SPDX-License-Identifier: Apache-2.0
"""Every verb on every resource with every right, through every scheme: the same decisions."""

from __future__ import annotations

import base64
import json
from itertools import product

import pytest
import pytest_twisted

from txregistry.auth.asking import Asker
from txregistry.auth.issuing import TokenRequest
from txregistry.auth.rules import AccessRule, Rules
from txregistry.identify.certificates import name_by
from txregistry.identify.challenges import BasicChallenge, BearerChallenge
from txregistry.identify.issuing import IssuerSettings, TokenIssuer
from txregistry.identify.keys import HMAC, parse_jwks
from txregistry.identify.schemes import Schemes
from txregistry.identify.tokens import TokenCheck
from txregistry.web.peer import PeerCertificate

from ..identify import signing
from .content import OCI_MANIFEST, digest_of, manifest

KEY = signing.make_key()
BLOB, OTHER = b"{}", b"other"
NAMES = ("team/app", "other/app")

#: Rights of each of our people, on team/app alone.
PEOPLE = {
    "none": (),
    "pull": ("pull",),
    "push": ("push",),
    "pullpush": ("pull", "push"),
    "delete": ("delete",),
    "create": ("pull", "create"),
    "catalog": ("catalog",),
    "all": ("pull", "push", "delete", "catalog"),
}
#: Who shows nothing.
NOBODY = ""
RULES = Rules(
    [
        AccessRule(users={name}, repositories=("team/app",), actions=set(actions))
        for name, actions in PEOPLE.items()
    ]
)

#: Request -> the right that it needs. The manifest replaces a tag.
_UPLOAD = "0f3a1d1e-6d0c-4c60-9c1c-2f7a3a1f9b11"
REQUESTS = {
    ("GET", "/v2/{name}/manifests/v1"): "pull",
    ("HEAD", "/v2/{name}/manifests/v1"): "pull",
    ("GET", "/v2/{name}/blobs/{digest}"): "pull",
    ("HEAD", "/v2/{name}/blobs/{digest}"): "pull",
    ("GET", "/v2/{name}/tags/list"): "pull",
    ("GET", "/v2/{name}/referrers/{digest}"): "pull",
    ("POST", "/v2/{name}/blobs/uploads/"): "push or create",
    ("GET", "/v2/{name}/blobs/uploads/{upload}"): "push or create",
    ("PATCH", "/v2/{name}/blobs/uploads/{upload}"): "push or create",
    ("PUT", "/v2/{name}/blobs/uploads/{upload}?digest={digest}"): "push or create",
    ("DELETE", "/v2/{name}/blobs/uploads/{upload}"): "push or create",
    ("PUT", "/v2/{name}/manifests/v1"): "push",
    ("PUT", "/v2/{name}/manifests/new"): "push or create",
    ("DELETE", "/v2/{name}/manifests/gone"): "delete",
    ("DELETE", "/v2/{name}/blobs/{other}"): "delete",
    ("GET", "/v2/_catalog"): "catalog",
    ("GET", "/v2/"): "login",
}


def may(person, needed, name):
    """What should be decided, said without the code under test."""
    if person == NOBODY:
        return False
    if needed == "login":
        return True
    if needed != "catalog" and name != "team/app":
        return False
    return any(word in PEOPLE[person] for word in needed.split(" or "))


class EverybodyIsRight:
    async def is_good(self, login, address):
        return login.name in PEOPLE and login.password == "right"


class World:
    """One registry, entered by one scheme."""

    def __init__(self, house, scheme):
        self.house, self.scheme = house, scheme
        seconds = house.clock.seconds
        keys, _ = parse_jwks(json.dumps({"keys": [signing.jwk_of(KEY, "k")]}).encode(), "/k")
        self.proving = Schemes(BasicChallenge("R"), RULES, passwords=EverybodyIsRight())
        settings = IssuerSettings(
            realm="R", issuer="us", service="s", lifetime=300, refresh_lifetime=300
        )
        self.issuer = TokenIssuer(settings, self.proving, lambda name: None, seconds)
        self.issuer.use_secret(b"x")
        challenge = BearerChallenge("https://t", "s") if "Bearer" in scheme else BasicChallenge("R")
        schemes = Schemes(
            challenge,
            RULES,
            passwords=EverybodyIsRight(),
            bearers=[
                TokenCheck("us", "s", self.issuer.keys, seconds, algorithms=HMAC, rules=RULES),
                TokenCheck(signing.ISSUER, signing.SERVICE, lambda: keys, seconds),
            ],
            name_of=name_by("commonname"),
        )
        house.serve(identifying=schemes)

    async def headers(self, person, name):
        if person == NOBODY:
            return []
        if self.scheme == "Basic":
            return ["Authorization: Basic " + base64.b64encode(f"{person}:right".encode()).decode()]
        if self.scheme == "certificate":
            return [f"X-Test-Certificate: {person}"]
        words = [word for word in PEOPLE[person] if word != "catalog"] if name == "team/app" else []
        if self.scheme == "Bearer":
            entries = [signing.access(name, *words)] if words else []
            if "catalog" in PEOPLE[person]:
                entries.append(signing.access("catalog", "*", kind="registry"))
            now = int(self.house.clock.seconds())
            claims = signing.claims(*entries, sub=person, iat=now, nbf=now, exp=now + 300)
            return [f"Authorization: Bearer {signing.sign(claims, KEY, kid='k')}"]
        asked = [f"repository:{name}:pull,push,delete", "registry:catalog:*"]
        login = base64.b64encode(f"{person}:right".encode()).decode()
        request = TokenRequest(asker=Asker(f"Basic {login}"), scopes=tuple(asked))
        return [f"Authorization: Bearer {(await self.issuer.issue(request)).token}"]


@pytest.fixture
def certificates(monkeypatch):
    """Connections whose client proved to hold the certificate that a header names."""

    def asked(request):
        name = request.header(b"X-Test-Certificate")
        certificate = name and PeerCertificate(f"CN={name}", name, (), (), (), (), "0" * 64)
        return Asker(request.header(b"Authorization"), request.errand.client, certificate)

    monkeypatch.setattr("txregistry.web.gate.asker_of", asked)


async def fill(house):
    """The same content in both repositories, by an open door."""
    house.serve()
    for name in NAMES:
        for blob in (BLOB, OTHER):
            target = f"/v2/{name}/blobs/uploads/?digest={digest_of(blob)}"
            assert (await house.ask("POST", target, body=blob)).status == 201
        reply = await house.ask(
            "PUT",
            f"/v2/{name}/manifests/v1",
            headers=[f"Content-Type: {OCI_MANIFEST}"],
            body=manifest(),
        )
        assert reply.status == 201


@pytest.mark.parametrize("scheme", ["Basic", "Bearer", "built-in Bearer", "certificate"])
@pytest_twisted.ensureDeferred
async def test_matrix(house, certificates, scheme):
    """B-124: who may do what does not depend on how they proved who they are."""
    await fill(house)
    world = World(house, scheme)
    cases = product([*PEOPLE, NOBODY], NAMES, REQUESTS.items())
    for number, (person, name, ((method, path), needed)) in enumerate(cases):
        body = manifest(annotations={"number": str(number)})
        target = path.format(
            name=name, digest=digest_of(BLOB), other=digest_of(OTHER), upload=_UPLOAD
        )
        headers = await world.headers(person, name)
        is_manifest = method == "PUT" and "/manifests/" in path
        if is_manifest:
            headers.append(f"Content-Type: {OCI_MANIFEST}")
        content = body if is_manifest else b"" if method in ("POST", "PATCH", "PUT") else None
        reply = await house.ask(method, target, headers=headers, body=content)
        is_allowed = reply.status not in (401, 403)
        where = (scheme, person, method, target, reply.status)
        assert is_allowed is may(person, needed, name), where
        assert reply.status < 500, where
        assert ("www-authenticate" in reply.headers) is (reply.status == 401), where
        if is_allowed and is_manifest and path.endswith("/new"):
            # As it was: the next one makes it anew.
            house.serve()
            gone = await house.ask("DELETE", target)
            assert gone.status == 202
            world = World(house, scheme)
        if is_allowed and method == "DELETE" and "/blobs/sha" in target:
            house.serve()
            again = f"/v2/{name}/blobs/uploads/?digest={digest_of(OTHER)}"
            await house.ask("POST", again, body=OTHER)
            world = World(house, scheme)


@pytest_twisted.ensureDeferred
async def test_without_a_scheme_everybody_may_do_everything(house):
    """B-124: nothing is asked, and what is shown all the same changes nothing."""
    await fill(house)
    for headers in ([], ["Authorization: Basic !"], ["Authorization: Bearer x"]):
        for (method, path), _ in REQUESTS.items():
            target = path.format(
                name="team/app", digest=digest_of(BLOB), other=digest_of(b"x"), upload=_UPLOAD
            )
            content = b"" if method in ("POST", "PATCH", "PUT") else None
            reply = await house.ask(method, target, headers=headers, body=content)
            assert reply.status not in (401, 403, 405), (method, target)
            assert reply.status < 500, (method, target)
