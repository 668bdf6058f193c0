# SPDX-License-Identifier: Apache-2.0
"""Who may do what, and what those are told who may not."""

from __future__ import annotations

import json
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

from ...web.content import EMPTY_CONFIG, digest_of
from ..guards import BUILT_IN_REALM, LONG, REALM, TOKEN_REALM, basic
from ..rows import get, head, send, showing
from ..ward import IMAGE, LAYER

UPLOADS = "/v2/a/blobs/uploads/"

#: Of a repository that is there, and of one that is not.
LOOKS = (
    "GET /v2/{}/manifests/latest",
    "HEAD /v2/{}/manifests/latest",
    f"GET /v2/{{}}/manifests/{digest_of(IMAGE)}",
    f"GET /v2/{{}}/blobs/{digest_of(LAYER)}",
    f"HEAD /v2/{{}}/blobs/{digest_of(LAYER)}",
    "GET /v2/{}/tags/list",
    "GET /v2/{}/tags/list?n=1&last=l",
    f"GET /v2/{{}}/referrers/{digest_of(IMAGE)}",
    "GET /v2/{}/blobs/uploads/00000000-0000-4000-8000-000000000000",
    "POST /v2/{}/blobs/uploads/",
    f"POST /v2/{{}}/blobs/uploads/?mount={digest_of(LAYER)}&from=a",
    "PUT /v2/{}/manifests/latest",
    "DELETE /v2/{}/manifests/latest",
    f"DELETE /v2/{{}}/blobs/{digest_of(LAYER)}",
)

#: Headers that differ from answer to answer, whatever is answered.
_PASSING = ("x-request-id", "date")


def _seen(ward, look, name, who):
    reply = ward.ask(head(look.format(name) + " HTTP/1.1", "Host: h", "Content-Length: 0"), who)
    headers = {key: text for key, text in reply.headers.items() if key not in _PASSING}
    told = repr((reply.status, headers, reply.body))
    for before, after in (('"', '"'), (":", ":")):
        told = told.replace(before + name + after, before + "NAME" + after)
    return reply.status, told


def absent_and_forbidden(ward, look, who):
    """B-135: who may not look is not told whether there is anything."""
    there = _seen(ward, look, "a", who)
    # As long, so that the length of the answer is, too.
    absent = _seen(ward, look, "c", who)
    assert there == absent, (there, absent)
    assert there[0] in (401, 403)


def challenge_is_ours(ward, look):
    """B-136: realm and service are configured; of the request a name is in it, and no more."""
    request = showing(
        "X-Forwarded-Host: evil\r\nX-Forwarded-Proto: javascript\r\nForwarded: host=evil",
        head(f"{look} HTTP/1.1", "Host: evil.example", "Content-Length: 0"),
    )
    reply = ward.ask(request, "")
    if reply.status != 401:
        # What is no name is nobody's: it is refused before anybody is asked who they are.
        assert reply.status in (400, 404), reply
        return
    name = look.partition("/v2/")[2].partition("/blobs")[0].partition("/tags")[0]
    name = {"_catalog": "catalog"}.get(name, name)
    challenge = reply.headers["www-authenticate"]
    if ward.guard.name == "password":
        assert challenge == f'Basic realm="{REALM}"'
        return
    realm = TOKEN_REALM if ward.guard.name == "token" else BUILT_IN_REALM
    assert challenge.startswith(f'Bearer realm="{realm}",service="')
    scopes = [part for part in challenge.split(",") if part.startswith("scope=")]
    assert all(f":{name}:" in scope for scope in scopes), challenge


def upload_of_somebody_else(ward, method):
    """B-053: it is not there for others, although they may push to the repository."""
    target = ward.session(who=ward.own)
    body = b"" if method in ("PUT", "PATCH") else None
    request = (
        get(target)
        if method == "GET"
        else send(method, f"{target}&digest={digest_of(b'abc')}", body or b"")
    )
    for who, status in ((basic("pusher"), 404), (basic("maker"), 404), ("", 401)):
        assert ward.ask(request, who).status == status, who
    assert ward.held(target) == 3
    ward.cancel(target)


def mount_from_where_one_may_not_pull(ward, who, query):
    """B-103: it is an upload like any other, and nothing is linked."""
    digest = digest_of(LAYER)
    reply = ward.ask(send("POST", f"/v2/b/blobs/uploads/?mount={digest}{query}"), who)
    assert reply.status == 202, reply
    assert ward.ask(get(f"/v2/b/blobs/{digest}")).status == 404
    target = reply.headers["location"]
    assert ward.ask(send("DELETE", target), who).status == 204


def mount_says_nothing_to_who_may_only_push(ward, digest):
    """B-103: whether it is there or not, it is an upload."""
    for query in ("", "&from=a"):
        request = send("POST", f"{UPLOADS}?mount={digest}{query}")
        reply = ward.ask(request, basic("pusher"))
        assert reply.status == 202
        assert ward.ask(send("DELETE", reply.headers["location"]), basic("pusher")).status == 204


def catalog_is_ones_own(ward, query):
    """B-114: of others' repositories it shows nothing, not even by where its pages end."""
    names = {"repositories": []}
    reply = ward.ask(get(f"/v2/_catalog{query}"), basic("bob"))
    assert (reply.status, json.loads(reply.body)) == (200, names)
    assert "link" not in reply.headers


def forwarded_for_is_not_believed(ward):
    """B-043: failures count for who sends them, whoever they say that they are."""
    source = "127.0.0.43"

    def status(number, who, source=source):
        line = f"{who}\r\nX-Forwarded-For: 10.0.0.{number}\r\nX-Real-IP: 10.0.0.{number}"
        with ward.wire(source=source) as wire:
            wire.send(showing(line, get("/v2/")))
            return wire.reply().status

    found = [status(number, basic("alice", f"wrong{number}")) for number in range(12)]
    assert found[:5] == [401] * 5
    assert set(found[5:]) <= {401, 429}
    assert found.count(429) >= 5, found
    assert status(1, basic("alice", "wrong"), "127.0.0.44") == 401
    # Who was let in lately is let in from there, too: nobody is locked out where they work.
    assert status(1, basic("alice")) == 200


def storm_of_bad_passwords(ward):
    """B-133: two hundred at once are refused, none hangs, and others pull meanwhile."""
    pull = get("/v2/a/manifests/latest")
    assert ward.ask(pull).status == 200

    def guess(number):
        source = f"127.0.1.{number % 40 + 1}"
        with ward.wire(source=source) as wire:
            wire.send(showing(basic(f"nobody{number}", f"guess{number}"), get("/v2/")))
            return wire.reply()

    with ThreadPoolExecutor(200) as threads:
        replies = threads.map(guess, range(200))
        assert {ward.ask(pull).status for _ in range(20)} == {200}
        replies = list(replies)
    assert not [problem for reply in replies for problem in ward.problems(reply)]
    assert {reply.status for reply in replies} <= {401, 429}
    assert all(int(each.headers["retry-after"]) >= 1 for each in replies if each.status == 429)
    assert ward.ask(pull).status == 200


def long_password(ward, more):
    """B-132: bcrypt looks at 72 bytes; what is longer is not the same password."""
    assert ward.ask(get("/v2/"), basic("long")).status == 200
    assert ward.ask(get("/v2/"), basic("long", LONG + more)).status == 401


def form(**fields):
    """A request for a token by OAuth2's form."""
    body = urllib.parse.urlencode(fields).encode()
    return send("POST", "/auth/token", body, "Content-Type: application/x-www-form-urlencoded")


def refresh_token_is_for_one_thing(ward):
    """B-149: it opens nothing, is not good for another service, and is no password."""
    reply = ward.ask(get("/auth/token?service=registry&offline_token=true"))
    document = json.loads(reply.body)
    refresh, access = document["refresh_token"], document["token"]
    for text in (refresh, refresh + "A", refresh[:-2]):
        for line in (f"Authorization: Bearer {text}", basic("alice", text)):
            assert ward.ask(get("/v2/"), line).status == 401
    tried = {
        (refresh, "registry"): 200,
        (refresh, "other"): 400,
        (access, "registry"): 401,
        (refresh[:-2], "registry"): 401,
        ("x", "registry"): 401,
    }
    for (text, service), status in tried.items():
        asked = form(grant_type="refresh_token", refresh_token=text, service=service)
        assert ward.ask(asked, "").status == status, (text[:20], service)


def scope_that_is_odd(ward, scope):
    """B-148: nothing is granted by patterns, and nothing that was not asked for word by word."""
    asked = urllib.parse.quote(scope, safe="")
    reply = ward.ask(get(f"/auth/token?service=registry&scope={asked}"), basic("bob"))
    assert reply.status == 200, reply
    document = json.loads(reply.body)
    assert document["scope"] == ""
    line = f"Authorization: Bearer {document['token']}"
    for target in ("/v2/a/tags/list", "/v2/b/tags/list", "/v2/_catalog"):
        assert ward.ask(get(target), line).status == 401


def blob_of_another_repository(ward):
    """B-102: a digest opens nothing, whoever asks for it where they may."""
    for digest in (digest_of(LAYER), digest_of(EMPTY_CONFIG), digest_of(IMAGE)):
        assert ward.ask(get(f"/v2/b/blobs/{digest}"), basic("bob")).status == 404
        assert ward.ask(get(f"/v2/b/manifests/{digest}"), basic("bob")).status == 404
