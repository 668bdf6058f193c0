# SPDX-License-Identifier: Apache-2.0
"""Whose an upload is, and how it outlives the token that it was begun with."""

from __future__ import annotations

import json

import pytest_twisted

from txregistry.auth.rules import ALL_OR_NOTHING
from txregistry.identify.challenges import BearerChallenge
from txregistry.identify.keys import parse_jwks
from txregistry.identify.schemes import Schemes
from txregistry.identify.tokens import TokenCheck

from ..identify import signing
from ..identify.signing import access, claims, jwk_of, make_key, sign
from .content import digest_of

KEY = make_key()
PATH = "/v2/lib/app/blobs/uploads/"


def serve(house):
    keys, _ = parse_jwks(json.dumps({"keys": [jwk_of(KEY, "k")]}).encode(), "/jwks")
    check = TokenCheck(signing.ISSUER, signing.SERVICE, lambda: keys, house.clock.seconds)
    challenge = BearerChallenge("https://auth.example/token", signing.SERVICE)
    house.serve(identifying=Schemes(challenge, ALL_OR_NOTHING, bearers=[check]))


def bearer(house, name="alice", *, lifetime=300, actions=("pull", "push")):
    now = int(house.clock.seconds())
    document = claims(access("lib/app", *actions), sub=name, iat=now, nbf=now, exp=now + lifetime)
    return f"Authorization: Bearer {sign(document, KEY, kid='k')}"


async def start(house, who):
    reply = await house.ask("POST", PATH, headers=[who])
    assert reply.status == 202, reply
    return reply.headers["location"]


@pytest_twisted.ensureDeferred
async def test_upload_outlives_the_token_that_it_was_begun_with(house):
    """A slow push is finished, although its client never asked for another token."""
    serve(house)
    who = bearer(house)
    where = await start(house, who)
    house.clock.advance(300 + 61)
    for path in ("/v2/", "/v2/lib/app/tags/list"):
        assert (await house.ask("GET", path, headers=[who])).status == 401
    refused = await house.ask("POST", PATH, headers=[who])
    assert refused.headers["www-authenticate"].endswith(
        ',scope="repository:lib/app:pull,push",error="invalid_token"'
    )
    sent = await house.ask("PATCH", where, headers=[who], body=b"first ")
    assert sent.status == 202
    told = await house.ask("GET", sent.headers["location"].partition("?")[0], headers=[who])
    assert (told.status, told.headers["range"]) == (204, "0-5")
    house.clock.advance(24 * 3600)
    digest = digest_of(b"first second")
    finish = f"{told.headers['location']}&digest={digest}"
    done = await house.ask("PUT", finish, headers=[who], body=b"second")
    assert done.status == 201
    assert (await house.ask("PUT", finish, headers=[who], body=b"second")).status == 201
    # Nothing else is open to it: not even what it has just made.
    assert (await house.ask("GET", f"/v2/lib/app/blobs/{digest}", headers=[who])).status == 401


@pytest_twisted.ensureDeferred
async def test_lapsed_token_opens_no_upload_that_was_begun_later(house):
    """By another token of the same person; and the challenge says what to ask for."""
    serve(house)
    old = bearer(house)
    house.clock.advance(300 + 61)
    where = await start(house, bearer(house))
    for method, body in (("PATCH", b"x"), ("PUT", b""), ("DELETE", None), ("GET", None)):
        target = f"{where}&digest={digest_of(b'')}" if method == "PUT" else where
        reply = await house.ask(method, target, headers=[old], body=body)
        assert reply.status == 401, method
        assert 'error="invalid_token"' in reply.headers["www-authenticate"]
    assert (await house.ask("DELETE", where, headers=[bearer(house)])).status == 204


@pytest_twisted.ensureDeferred
async def test_lapsed_token_does_not_gain_rights(house):
    """A token for pulling, or for another repository, finishes nothing."""
    serve(house)
    weak = bearer(house, actions=("pull",))
    where = await start(house, bearer(house))
    house.clock.advance(300 + 61)
    reply = await house.ask("PATCH", where, headers=[weak], body=b"x")
    assert reply.status == 401
    assert reply.headers["www-authenticate"].endswith(',error="insufficient_scope"')


@pytest_twisted.ensureDeferred
async def test_upload_of_somebody_is_not_there_for_others(house):
    """B-053: although they may push to the same repository, and know its URL."""
    serve(house)
    alice, bob, nobody = (bearer(house, name) for name in ("alice", "bob", ""))
    where = await start(house, alice)
    for who in (bob, nobody):
        for method, body in (("PATCH", b"x"), ("PUT", b""), ("DELETE", None), ("GET", None)):
            target = f"{where}&digest={digest_of(b'')}" if method == "PUT" else where
            reply = await house.ask(method, target, headers=[who], body=body)
            assert reply.status == 404, method
            assert json.loads(reply.body)["errors"][0]["code"] == "BLOB_UPLOAD_UNKNOWN"
    sent = await house.ask("PATCH", where, headers=[alice], body=b"x")
    assert (sent.status, sent.headers["range"]) == (202, "0-0")


@pytest_twisted.ensureDeferred
async def test_upload_that_nobody_in_particular_began_is_anybodys(house):
    """As are those that came with another registry's tree."""
    serve(house)
    where = await start(house, bearer(house, ""))
    assert (await house.ask("PATCH", where, headers=[bearer(house)], body=b"x")).status == 202
