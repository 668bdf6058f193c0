# SPDX-License-Identifier: Apache-2.0
"""Rules, rights and immutable tags, as clients meet them."""

from __future__ import annotations

import base64
import json

import pytest
import pytest_twisted

from txregistry.auth.immutable import ImmutableRule, ImmutableTags
from txregistry.auth.rules import AccessRule, Rules
from txregistry.identify.challenges import BasicChallenge
from txregistry.identify.schemes import Schemes
from txregistry.oci.errors import Code, OciError

from .content import EMPTY_CONFIG, OCI_INDEX, OCI_MANIFEST, descriptor, digest_of, manifest


class Trusting:
    """Believes whoever says the password ``right``; ``slow down`` gets 429."""

    async def is_good(self, login, address):
        if login.password == "slow down":
            raise OciError(Code.TOOMANYREQUESTS, retry_after=7)
        return login.name != "" and login.password == "right"


RULES = Rules(
    [
        AccessRule(anonymous=True, repositories=("public/**",), actions={"pull"}),
        AccessRule(users={"alice"}, actions={"pull", "push", "delete", "catalog"}),
        AccessRule(users={"bob"}, repositories=("team/*",), actions={"pull", "push", "catalog"}),
        AccessRule(users={"maker"}, repositories=("team/*",), actions={"pull", "create"}),
        AccessRule(users={"pusher"}, repositories=("team/*",), actions={"push"}),
    ]
)


def basic(text):
    return "Authorization: Basic " + base64.b64encode(text.encode()).decode()


ALICE, BOB, MAKER = (basic(f"{name}:right") for name in ("alice", "bob", "maker"))
PUSHER = basic("pusher:right")
EMPTY = manifest()


def guarded(house, **settings):
    """The house with these rules."""
    schemes = Schemes(BasicChallenge("R"), RULES, passwords=Trusting())
    return house.serve(identifying=schemes, **settings)


def index(child):
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [descriptor(child, OCI_MANIFEST)],
        }
    ).encode()


async def push_config(house, name):
    path = f"/v2/{name}/blobs/uploads/?digest={digest_of(EMPTY_CONFIG)}"
    reply = await house.ask("POST", path, headers=[ALICE], body=EMPTY_CONFIG)
    assert reply.status == 201


async def put_tag(house, tag, body=EMPTY, *, who=ALICE, name="team/app", kind=OCI_MANIFEST):
    await push_config(house, name)
    return await house.ask(
        "PUT",
        f"/v2/{name}/manifests/{tag}",
        headers=[who, f"Content-Type: {kind}"],
        body=body,
    )


def code_of(reply):
    return json.loads(reply.body)["errors"][0]["code"]


@pytest_twisted.ensureDeferred
async def test_nobody_may_do_what_a_rule_for_everybody_grants(house):
    """Anonymous pull with authenticated push; the version check asks for a password all the same,
    so that clients which have one use it.
    """
    guarded(house)
    assert (await put_tag(house, "v1", name="public/app")).status == 201
    assert (await house.ask("GET", "/v2/public/app/manifests/v1")).status == 200
    # What some clients send that were given no password.
    empty = await house.ask("GET", "/v2/public/app/manifests/v1", headers=[basic(":")])
    assert empty.status == 200
    for method, path in [
        ("GET", "/v2/"),
        ("GET", "/v2/_catalog"),
        ("GET", "/v2/team/app/manifests/v1"),
        ("POST", "/v2/public/app/blobs/uploads/"),
        ("DELETE", "/v2/public/app/manifests/v1"),
    ]:
        reply = await house.ask(method, path)
        assert reply.status == 401, path
        assert reply.headers["www-authenticate"] == 'Basic realm="R"'
    assert (await house.ask("GET", "/")).status == 200


@pytest_twisted.ensureDeferred
async def test_wrong_password_is_refused_even_where_none_is_needed(house):
    """Else a client would go on with a password that is no good."""
    guarded(house)
    reply = await house.ask("GET", "/v2/public/app/tags/list", headers=[basic("alice:wrong")])
    assert (reply.status, code_of(reply)) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize(
    "header",
    [
        *("Basic", "Basic !", "Basic YWxpY2U=", "Basic //46eA==", "Basic YQBiOng=", "Basic é"),
        *("Bearer", "Bearer x", "Bearer a.b.c", "Bearer " + "." * 8000, "Digest x", "x", "Basic :"),
        basic("alice:").removeprefix("Authorization: "),
        basic(":right").removeprefix("Authorization: "),
        basic("alice:" + "x" * 4000).removeprefix("Authorization: "),
        f"Basic x\r\n{ALICE}",
        f"{ALICE.removeprefix('Authorization: ')}\r\n{ALICE}",
    ],
)
@pytest_twisted.ensureDeferred
async def test_header_that_proves_nothing_is_refused(house, header):
    """B-130: malformed, empty, or there twice; nobody is told which."""
    guarded(house)
    for path in ("/v2/", "/v2/public/app/tags/list"):
        reply = await house.ask("GET", path, headers=[f"Authorization: {header}"])
        assert (reply.status, code_of(reply)) == (401, "UNAUTHORIZED")
        assert reply.headers["www-authenticate"] == 'Basic realm="R"'


@pytest.mark.parametrize("method", ["PROPFIND", "LINK", "get", "TRACE"])
@pytest_twisted.ensureDeferred
async def test_unknown_method_is_refused_whoever_asks(house, method):
    """B-123: what there is no rule for is nobody's."""
    guarded(house)
    for who, status in ((ALICE, 405), ("X: nobody", 401)):
        reply = await house.ask(method, "/v2/team/app/manifests/v1", headers=[who])
        assert reply.status == status


@pytest_twisted.ensureDeferred
async def test_too_many_failures_are_told_with_when_to_come_back(house):
    guarded(house)
    reply = await house.ask("GET", "/v2/", headers=[basic("alice:slow down")])
    assert (reply.status, reply.headers["retry-after"]) == (429, "7")


@pytest_twisted.ensureDeferred
async def test_absent_and_forbidden_look_alike(house):
    """Who may not look is not told whether there is anything."""
    guarded(house)
    await put_tag(house, "v1", name="secret/app")
    for who, status in ((BOB, 403), ("X: nobody", 401)):
        replies = [
            await house.ask(method, f"/v2/{name}/{what}", headers=[who])
            for what in ("manifests/v1", "tags/list", f"blobs/{digest_of(b'x')}")
            for method in ("GET",)
            for name in ("secret/app", "absent/a")
        ]
        assert {reply.status for reply in replies} == {status}
        bodies = {
            reply.body.replace(b"secret/app", b"N").replace(b"absent/a", b"N") for reply in replies
        }
        assert len(bodies) == 1


@pytest_twisted.ensureDeferred
async def test_catalog_shows_what_the_caller_may_pull_from(house):
    """Pages too: what is hidden leaves no gap."""
    guarded(house)
    for name in ("other/a", "public/a", "team/a", "team/b", "zoo/z"):
        assert (await put_tag(house, "v1", name=name)).status == 201
    everything = await house.ask("GET", "/v2/_catalog", headers=[ALICE])
    assert json.loads(everything.body)["repositories"] == [
        "other/a",
        "public/a",
        "team/a",
        "team/b",
        "zoo/z",
    ]
    first = await house.ask("GET", "/v2/_catalog?n=2", headers=[BOB])
    assert json.loads(first.body)["repositories"] == ["public/a", "team/a"]
    last = await house.ask("GET", "/v2/_catalog?n=2&last=team/a", headers=[BOB])
    assert json.loads(last.body)["repositories"] == ["team/b"]
    assert "link" not in last.headers
    refused = await house.ask("GET", "/v2/_catalog", headers=[MAKER])
    assert (refused.status, code_of(refused)) == (403, "DENIED")


@pytest_twisted.ensureDeferred
async def test_mount_needs_the_right_to_pull_from_the_source(house):
    """Else it is an upload like any other, as if the blob were not there (202, not 201)."""
    guarded(house)
    digest = digest_of(b"layer")
    await house.ask(
        "POST", f"/v2/secret/a/blobs/uploads/?digest={digest}", headers=[ALICE], body=b"layer"
    )
    mount = f"/v2/team/app/blobs/uploads/?mount={digest}&from="
    for who, source, status in [
        (BOB, "secret/a", 202),
        (BOB, "absent/a", 202),
        (PUSHER, "team/app", 202),
        (ALICE, "secret/a", 201),
    ]:
        reply = await house.ask("POST", mount + source, headers=[who])
        assert reply.status == status, (who, source)


@pytest_twisted.ensureDeferred
async def test_mount_without_a_source_tells_nothing_to_who_may_only_push(house):
    """Else any digest could be asked for; a push needs no answer to that."""
    guarded(house)
    digest = digest_of(b"layer")
    path = "/v2/team/app/blobs/uploads/"
    await house.ask("POST", f"{path}?digest={digest}", headers=[ALICE], body=b"layer")
    for who, status in [(PUSHER, 202), (BOB, 201)]:
        reply = await house.ask("POST", f"{path}?mount={digest}", headers=[who])
        assert reply.status == status, who
    absent = await house.ask("POST", f"{path}?mount={digest_of(b'x')}", headers=[PUSHER])
    assert absent.status == 202


@pytest_twisted.ensureDeferred
async def test_push_is_no_right_to_delete(house):
    guarded(house)
    await put_tag(house, "v1")
    for path in ("manifests/v1", f"manifests/{digest_of(EMPTY)}", f"blobs/{digest_of(b'x')}"):
        reply = await house.ask("DELETE", f"/v2/team/app/{path}", headers=[BOB])
        assert (reply.status, code_of(reply)) == (403, "DENIED")


@pytest_twisted.ensureDeferred
async def test_who_may_only_create_replaces_no_tag(house):
    """Not ``latest`` and no other, by whatever way of pushing; pushing the same again is fine."""
    guarded(house)
    await put_tag(house, "latest")
    other = manifest(annotations={"a": "b"})
    assert (await put_tag(house, "v1", who=MAKER)).status == 201
    assert (await put_tag(house, "v1", who=MAKER)).status == 201
    digest = digest_of(other)
    for target in ("latest", "v1", f"{digest}?tag=latest", f"{digest}?tag=v2&tag=v1"):
        reply = await put_tag(house, target, other, who=MAKER)
        assert (reply.status, code_of(reply)) == (403, "DENIED"), target
    assert (await put_tag(house, f"{digest}?tag=v2", other, who=MAKER)).status == 201
    reply = await house.ask("GET", "/v2/team/app/manifests/latest", headers=[ALICE])
    assert reply.body == EMPTY


class ImmutableTests:
    """Tags that must stay as they are: refused on every path, for everybody."""

    @pytest_twisted.async_yield_fixture
    async def kept(self, house):
        rule = ImmutableRule(("v*",), ("team/*",), ("v0",))
        guarded(house, immutable=ImmutableTags((rule,)))
        yield house

    @pytest.mark.parametrize("form", ["{tag}", "{digest}?tag={tag}", "{digest}?tag=x&tag={tag}"])
    @pytest_twisted.ensureDeferred
    async def test_it_is_not_pointed_elsewhere(self, kept, form):
        assert (await put_tag(kept, "v1")).status == 201
        assert (await put_tag(kept, "v1")).status == 201  # the same again
        other = manifest(annotations={"a": "b"})
        target = form.format(tag="v1", digest=digest_of(other))
        reply = await put_tag(kept, target, other)
        assert (reply.status, code_of(reply)) == (403, "DENIED")
        for tag in ("x", f"{digest_of(other)}"):
            found = await kept.ask("GET", f"/v2/team/app/manifests/{tag}", headers=[ALICE])
            assert found.status == 404

    @pytest_twisted.ensureDeferred
    async def test_it_is_not_deleted_nor_what_it_needs(self, kept):
        """By tag, by digest, by a child of an index, by a blob."""
        body = manifest()
        await put_tag(kept, digest_of(body), body)
        above = index(body)
        assert (await put_tag(kept, "v1", above, kind=OCI_INDEX)).status == 201
        needed = [
            *("manifests/v1", f"manifests/{digest_of(above)}", f"manifests/{digest_of(body)}"),
            *(f"blobs/{digest}" for digest in blobs_of(body)),
        ]
        for path in needed:
            reply = await kept.ask("DELETE", f"/v2/team/app/{path}", headers=[ALICE])
            assert (reply.status, code_of(reply)) == (403, "DENIED"), path
        assert (await kept.ask("GET", "/v2/team/app/manifests/v1", headers=[ALICE])).status == 200

    @pytest_twisted.ensureDeferred
    async def test_other_tags_and_repositories_change_as_ever(self, kept):
        other = manifest(annotations={"a": "b"})
        for name, tag in (("team/app", "v0"), ("team/app", "latest"), ("other/app", "v1")):
            assert (await put_tag(kept, tag, name=name)).status == 201
            assert (await put_tag(kept, tag, other, name=name)).status == 201
            reply = await kept.ask("DELETE", f"/v2/{name}/manifests/{tag}", headers=[ALICE])
            assert reply.status == 202
        reply = await kept.ask(
            "DELETE", f"/v2/team/app/manifests/{digest_of(other)}", headers=[ALICE]
        )
        assert reply.status == 202


def blobs_of(body):
    document = json.loads(body)
    return [each["digest"] for each in (document["config"], *document["layers"])]
