# SPDX-License-Identifier: Apache-2.0
"""The built-in token server and its tokens: the whole dance, and what it refuses."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, urlencode

import jwt
import pytest
import pytest_twisted

from txregistry.auth.decisions import Identity
from txregistry.auth.rules import AccessRule, Rules
from txregistry.identify.challenges import BasicChallenge, BearerChallenge
from txregistry.identify.issuing import IssuerSettings, TokenIssuer
from txregistry.identify.keys import HMAC
from txregistry.identify.schemes import Schemes
from txregistry.identify.tokens import TokenCheck

from .content import EMPTY_CONFIG, OCI_MANIFEST, digest_of, manifest

RULES = Rules(
    [
        AccessRule(anonymous=True, repositories=("public/**",), actions={"pull"}),
        AccessRule(users={"alice"}, repositories=("team/*",), actions={"pull", "push", "catalog"}),
        AccessRule(groups={"ci"}, repositories=("team/b",), actions={"pull", "catalog"}),
        AccessRule(users={"maker"}, repositories=("team/*",), actions={"pull", "create"}),
    ]
)
UNVERIFIED = {"verify_signature": False}
REALM = "https://registry.test/auth/token"


class Trusting:
    """Believes whoever says the password ``right``."""

    def __init__(self):
        self.marks = {"alice": "1", "maker": "1"}

    async def is_good(self, login, address):
        return login.password == "right" and login.name in self.marks


def basic(name, password="right"):
    return "Authorization: Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def bearer(token):
    return f"Authorization: Bearer {token}"


class Server:
    """The house with a token server over these rules."""

    def __init__(self, house, secret=b"a secret"):
        self.house = house
        self.passwords = Trusting()
        proving = Schemes(BasicChallenge("R"), RULES, passwords=self.passwords)
        settings = IssuerSettings(
            realm="R", issuer="us", service="registry", lifetime=300, refresh_lifetime=86400
        )
        seconds = house.clock.seconds
        self.issuer = TokenIssuer(settings, proving, self.passwords.marks.get, seconds)
        if secret:
            self.issuer.use_secret(secret)
        check = TokenCheck(
            "us", "registry", self.issuer.keys, seconds, algorithms=HMAC, rules=RULES
        )
        self.schemes = Schemes(
            BearerChallenge(REALM, "registry"), RULES, passwords=self.passwords, bearers=[check]
        )
        self.serve()

    def serve(self):
        self.house.serve(identifying=self.schemes, token_server=self.issuer)

    async def get(self, *scopes, who=None, **parameters):
        query = urlencode([("service", "registry"), *parameters.items()])
        query += "".join(f"&scope={quote(scope)}" for scope in scopes)
        headers = [] if who is None else [who]
        return await self.house.ask("GET", f"/auth/token?{query}", headers=headers)

    async def post(self, **fields):
        return await self.house.ask(
            "POST",
            "/auth/token",
            headers=["Content-Type: application/x-www-form-urlencoded"],
            body=urlencode({"service": "registry", "client_id": "test", **fields}).encode(),
        )

    async def token(self, *scopes, who=None):
        reply = await self.get(*scopes, who=who)
        assert reply.status == 200, reply
        return json.loads(reply.body)["token"]


async def push_tag(house, server, name):
    """A tag that there is, by whoever; the rules are none of its business."""
    house.serve()
    blob = f"/v2/{name}/blobs/uploads/?digest={digest_of(EMPTY_CONFIG)}"
    assert (await house.ask("POST", blob, body=EMPTY_CONFIG)).status == 201
    kind = [f"Content-Type: {OCI_MANIFEST}"]
    path = f"/v2/{name}/manifests/v1"
    assert (await house.ask("PUT", path, headers=kind, body=manifest())).status == 201
    server.serve()


@pytest.fixture
def server(house):
    return Server(house)


def access_of(reply):
    document = json.loads(reply.body)
    assert document["token"] == document["access_token"]
    claims = jwt.decode(document["token"], options=UNVERIFIED)
    return {entry["name"]: entry["actions"] for entry in claims["access"]}


@pytest_twisted.ensureDeferred
async def test_whole_dance(house, server):
    """Challenge, token, request; a request that needs more is told which scope to ask for."""
    path = "/v2/team/app/blobs/uploads/"
    refused = await house.ask("POST", path)
    assert refused.status == 401
    assert refused.headers["www-authenticate"] == (
        f'Bearer realm="{REALM}",service="registry",scope="repository:team/app:pull,push"'
    )
    pull = await server.token("repository:team/app:pull", who=basic("alice"))
    short = await house.ask("POST", path, headers=[bearer(pull)])
    assert short.status == 401
    assert short.headers["www-authenticate"].endswith(
        ',scope="repository:team/app:pull,push",error="insufficient_scope"'
    )
    push = await server.token("repository:team/app:pull,push", who=basic("alice"))
    assert (await house.ask("POST", path, headers=[bearer(push)])).status == 202
    login = await house.ask("GET", "/v2/")
    assert login.headers["www-authenticate"] == f'Bearer realm="{REALM}",service="registry"'
    assert (await house.ask("GET", "/v2/", headers=[bearer(pull)])).status == 200
    assert (await house.ask("GET", "/v2/", headers=[basic("alice")])).status == 200


@pytest_twisted.ensureDeferred
async def test_token_has_what_the_rules_grant_and_was_asked_for(server):
    reply = await server.get(
        "repository:team/app:pull,push,delete repository:other/app:pull",
        "repository:team/b:*",
        "registry:catalog:*",
        "nonsense",
        "repository::pull",
        "repository:team/c:",
        who=basic("alice"),
    )
    assert access_of(reply) == {
        "team/app": ["pull", "push"],
        "team/b": ["pull", "push"],
        "catalog": ["*"],
    }
    assert reply.headers["cache-control"] == "no-store"
    document = json.loads(reply.body)
    assert document["expires_in"] == 300
    assert document["issued_at"] == "2023-11-14T22:13:20Z"
    assert "refresh_token" not in document


@pytest_twisted.ensureDeferred
async def test_who_may_only_create_gets_that(house, server):
    """Clients ask for push; the token lets them make tags and replace none."""
    reply = await server.get("repository:team/app:pull,push", who=basic("maker"))
    assert access_of(reply) == {"team/app": ["pull", "create"]}
    token = json.loads(reply.body)["token"]
    started = await house.ask("POST", "/v2/team/app/blobs/uploads/", headers=[bearer(token)])
    assert started.status == 202


@pytest_twisted.ensureDeferred
async def test_nobody_gets_a_token_for_what_everybody_may(house, server):
    """Anonymous pulls go through a token, too: clients expect it."""
    token = await server.token("repository:public/app:pull,push")
    reply = await house.ask("GET", "/v2/public/app/tags/list", headers=[bearer(token)])
    assert reply.status == 404
    refused = await house.ask("GET", "/v2/team/app/tags/list", headers=[bearer(token)])
    assert refused.status == 401
    assert refused.headers["www-authenticate"].endswith(',error="insufficient_scope"')


@pytest_twisted.ensureDeferred
async def test_wrong_password_is_refused_with_a_challenge_for_one(server):
    for reply in (
        await server.get("repository:team/app:pull", who=basic("alice", "wrong")),
        await server.post(grant_type="password", username="alice", password="wrong"),
    ):
        assert reply.status == 401
        assert reply.headers["www-authenticate"] == 'Basic realm="R"'
        assert json.loads(reply.body)["errors"][0]["code"] == "UNAUTHORIZED"


@pytest_twisted.ensureDeferred
async def test_refresh_token_stands_for_the_password_until_that_changes(server):
    first = await server.post(
        grant_type="password",
        username="alice",
        password="right",
        access_type="offline",
        scope="repository:team/app:pull",
    )
    refresh = json.loads(first.body)["refresh_token"]
    for _ in range(2):
        again = await server.post(
            grant_type="refresh_token",
            refresh_token=refresh,
            scope="repository:team/app:push repository:team/b:pull",
        )
        assert access_of(again) == {"team/app": ["push"], "team/b": ["pull"]}
        assert json.loads(again.body)["refresh_token"] == refresh
    got = await server.get(offline_token="true", who=basic("alice"))
    assert json.loads(got.body)["refresh_token"]
    server.passwords.marks["alice"] = "2"
    refused = await server.post(grant_type="refresh_token", refresh_token=refresh)
    assert refused.status == 401
    del server.passwords.marks["alice"]
    refused = await server.post(grant_type="refresh_token", refresh_token=refresh)
    assert refused.status == 401


@pytest_twisted.ensureDeferred
async def test_tokens_are_good_for_what_they_are_only(house, server):
    """A refresh token opens nothing, an access token refreshes nothing, nobody's has none."""
    reply = await server.get(offline_token="true", who=basic("alice"))
    refresh, token = (json.loads(reply.body)[name] for name in ("refresh_token", "token"))
    assert (await house.ask("GET", "/v2/", headers=[bearer(refresh)])).status == 401
    refused = await server.post(grant_type="refresh_token", refresh_token=token)
    assert refused.status == 401
    reply = await server.get(offline_token="true")
    assert "refresh_token" not in json.loads(reply.body)
    house.clock.advance(86400 - 60)
    again = await server.post(
        grant_type="refresh_token", refresh_token=refresh, access_type="offline"
    )
    assert json.loads(again.body)["refresh_token"] == refresh
    house.clock.advance(120)
    refused = await server.post(grant_type="refresh_token", refresh_token=refresh)
    assert refused.status == 401


@pytest_twisted.ensureDeferred
async def test_token_by_another_secret_is_refused(house, server):
    """Hosts of one storage share the secret; others' tokens are no good here."""
    token = await server.token(who=basic("alice"))
    server.issuer.use_secret(b"another")
    other = Server(house, b"third")
    reply = await house.ask("GET", "/v2/", headers=[bearer(token)])
    assert reply.status == 401
    assert 'error="invalid_token"' in reply.headers["www-authenticate"]
    assert (await house.ask("GET", "/v2/", headers=[bearer(await other.token())])).status == 200


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"grant_type": "client_credentials"},
        {"grant_type": "refresh_token"},
        {"grant_type": "password"},
        {"grant_type": "password", "username": "", "password": ""},
        {"grant_type": "password", "username": "alice"},
        {"grant_type": "password", "username": "a:b", "password": "right"},
        {"grant_type": "password", "username": "alice", "password": "right", "service": "x"},
        {"grant_type": "password", "username": "alice", "password": "right", "scope": "a " * 40},
        {f"f{number}": "" for number in range(70)},
    ],
)
@pytest_twisted.ensureDeferred
async def test_form_that_makes_no_sense_is_refused(server, fields):
    assert (await server.post(**fields)).status == 400


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"grant_type=password&grant_type=x", 400), (b"\xff=\xff", 400), (b"x" * 40_000, 413)],
)
@pytest_twisted.ensureDeferred
async def test_body_that_is_no_form_is_refused(house, server, body, status):
    reply = await house.ask("POST", "/auth/token", body=body)
    assert reply.status == status


@pytest_twisted.ensureDeferred
async def test_catalog_is_filtered_by_the_rules_although_the_token_is_for_the_whole(house, server):
    token = await server.token("registry:catalog:*", who=basic("alice"))
    reply = await house.ask("GET", "/v2/_catalog", headers=[bearer(token)])
    assert json.loads(reply.body) == {"repositories": []}


class Jobs:
    """Proves jobs, and that they are in a group."""

    issuer = "https://ci.example"

    async def identify(self, text, token):
        name, groups = token.claims["name"], ("ci",)
        lapsed = token.claims.get("lapsed")
        return Identity(name, RULES.rights_of(name, groups), groups=groups, lapsed=lapsed)


def job_token(**claims):
    return jwt.encode({"iss": Jobs.issuer, "name": "ci:x", **claims}, "k" * 32)


@pytest_twisted.ensureDeferred
async def test_catalog_is_that_of_the_groups_that_a_job_was_in(house, server):
    """Its provider says so when the token is asked for; later nobody does but the token."""
    await push_tag(house, server, "team/b")
    server.issuer._prove = Schemes(BasicChallenge("R"), RULES, bearers=[Jobs()])
    token = await server.token("registry:catalog:*", who=basic("ci", job_token()))
    reply = await house.ask("GET", "/v2/_catalog", headers=[bearer(token)])
    assert json.loads(reply.body) == {"repositories": ["team/b"]}


@pytest_twisted.ensureDeferred
async def test_groups_in_a_token_are_none_but_text(house, server):
    for groups in ("ci", [7], None, {}):
        claims = jwt.decode(await server.token(who=basic("alice")), options=UNVERIFIED)
        text = server.issuer._sign({**claims, "groups": groups})
        assert (await house.ask("GET", "/v2/", headers=[bearer(text)])).status == 401


@pytest_twisted.ensureDeferred
async def test_certificate_is_not_exchanged_for_what_outlives_it(house, server):
    """Who holds one has the name of somebody with a password."""

    class Certified:
        async def identify(self, asker):
            return Identity("alice", RULES.rights_of("alice"))

    server.issuer._prove = Certified()
    assert "refresh_token" not in json.loads((await server.get(offline_token="true")).body)


@pytest_twisted.ensureDeferred
async def test_before_the_secret_is_known_clients_are_told_to_come_back(house):
    """The storage, which holds it, can't be asked yet."""
    server = Server(house, b"")
    reply = await server.get(who=basic("alice"))
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")


@pytest_twisted.ensureDeferred
async def test_without_a_token_server_there_is_no_such_path(house):
    assert (await house.ask("GET", "/auth/token")).status == 404


@pytest_twisted.ensureDeferred
async def test_lapsed_token_of_a_provider_is_not_exchanged_for_a_fresh_one(house):
    """It may finish an upload for a week, and nothing else."""
    server = Server(house)

    server.issuer._prove = Schemes(BasicChallenge("R"), RULES, bearers=[Jobs()])
    for lapsed, status in ((None, 200), (1.0, 401)):
        text = job_token(lapsed=lapsed)
        for who in (bearer(text), basic("ci", text)):
            reply = await server.get("repository:team/app:push", who=who)
            assert reply.status == status, reply
