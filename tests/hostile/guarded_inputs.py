# SPDX-License-Identifier: Apache-2.0
"""The table of bad inputs, continued: to servers that ask who one is, and on their other ports.

``guards`` says who is who there. To rows of the other half the servers of this one are shown a
password, a token or nothing at all: what is refused to everybody is refused to them, and what is
not, is for who may.
"""

from __future__ import annotations

import base64
from dataclasses import replace

from ..identify import signing
from ..web.content import EMPTY_CONFIG, digest_of, manifest
from . import plays as act
from .bad_inputs import HURRY
from .guards import (
    BUILT_IN,
    BY_PASSWORD,
    BY_TOKEN,
    COUNTED,
    NOTIFYING,
    OVER_TLS,
    basic,
    bearer,
    forge,
    pusher_token,
    token_of,
)
from .inputs.hosts import HOSTS
from .inputs.listings import LISTINGS
from .inputs.methods import DELETIONS, METHODS
from .inputs.paths import NAMES, PATHS
from .inputs.requests import put
from .rows import Group, Row, get, plays, rows, send, showing, shown
from .ward import IMAGE, LAYER

UPLOADS = "/v2/a/blobs/uploads/"
LATEST = "/v2/a/manifests/latest"
UNAUTHORIZED, DENIED = "UNAUTHORIZED", "DENIED"

#: Where nobody is let in who is nobody.
DOORS = (get("/v2/"), get(LATEST), get("/v2/_catalog"), send("POST", UPLOADS))


def encoded(data):
    """As a Basic header has it."""
    return "Basic " + base64.b64encode(data).decode("ascii")


NOT_CREDENTIALS = (
    *("Basic", "Basic ", "Basic !", "Basic =", "Basic ====", "Basic YWxpY2U=", "Basic é"),
    *("Basic YWxpY2U6YWxpY2VhbGljZQ", "Basic YWxpY2U6YWxpY2VhbGljZQ===", "Basic YWxpY2U6 YWxp"),
    *(
        "Basic\tYWxpY2U6YWxpY2VhbGljZQ==",
        "Basic,YWxpY2U6YWxpY2VhbGljZQ==",
        "YWxpY2U6YWxpY2VhbGljZQ==",
    ),
    *("Digest username=alice", "Negotiate YII=", "Bearer", "Bearer ", "Bearer x", "Bearer a.b.c"),
    *("x", "alice", "\x80", ",", "Basic " + "A" * 15_000, "Bearer " + "." * 15_000),
    *map(
        encoded,
        (
            *(b"", b":", b"::", b"alice", b"alice:", b":alicealice", b"alice\0:alicealice"),
            *(
                b"alice:alicealice\0",
                b"alice:alicealice\n",
                b"alice:alicealice ",
                b" alice:alicealice",
            ),
            *(
                b"ALICE:alicealice",
                b"alice:ALICEALICE",
                b"alice:wrong",
                b"nobody:nobody",
                b"\xff:\xff",
            ),
            *(
                b"alice:\xff",
                b"x" * 300 + b":x",
                b"alice:" + b"x" * 11_000,
                b"*:*",
                b"al%69ce:alicealice",
            ),
            *("alic\u0435:alicealice".encode(), "alice:alicealice".encode("utf-16")),
        ),
    ),
)

#: Lines of which each by itself would do, or would not: nobody is asked which one is meant.
TWO_CREDENTIALS = (
    f"{basic('alice')}\r\n{basic('alice')}",
    f"{basic('alice')}\r\n{basic('dave')}",
    f"Authorization: Basic x\r\n{basic('alice')}",
    f"{basic('alice')}, Bearer x",
)

BASIC = (
    *rows(
        "B-130",
        401,
        *(
            showing(f"Authorization: {header}", door)
            for number, header in enumerate(NOT_CREDENTIALS)
            for door in (DOORS[number % 4], DOORS[(number + 1) % 4])
        ),
        *(showing(lines, door) for lines in TWO_CREDENTIALS for door in DOORS),
        code=UNAUTHORIZED,
    ),
    *rows("B-130", 200, showing(basic("alice").replace("Basic", "bASIC"), get("/v2/"))),
    *rows("B-130", 400, showing("Authorization: " + encoded(b"x" * 65536), DOORS[0]), ends=True),
    *plays("B-132", act.long_password, "x", "xx", "\0", "x" * 1000),
    *plays(
        "B-135",
        act.absent_and_forbidden,
        *((look, who) for look in act.LOOKS for who in ("", basic("dave"), basic("bob"))),
    ),
    *plays("B-053", act.upload_of_somebody_else, *("GET", "PATCH", "PUT", "DELETE")),
    *plays(
        "B-103",
        act.mount_from_where_one_may_not_pull,
        *(
            (basic("bob"), query)
            for query in ("&from=a", "&from=c", "&from=A", "&from=", "", "&from=a%2f..%2fa")
        ),
    ),
    *plays(
        "B-103",
        act.mount_says_nothing_to_who_may_only_push,
        *(digest_of(LAYER), digest_of(EMPTY_CONFIG), digest_of(b"x")),
    ),
    *plays("B-102", act.blob_of_another_repository),
    *plays("B-114", act.catalog_is_ones_own, "", "?n=1", "?n=1&last=Z", "?last=a", "?n=1000"),
    *rows(
        "B-114",
        403,
        *(showing(basic(name), get("/v2/_catalog")) for name in ("dave", "pusher", "maker")),
        code=DENIED,
    ),
    *rows("B-114", 401, get("/v2/_catalog"), get("/v2/_catalog?n=0"), code=UNAUTHORIZED),
)

LOOKS_LIKE = manifest(LAYER, annotations={"other": "content"})


def by(line, row_id, statuses, *requests, **more):
    """A row for each request, with this line in it."""
    return shown(line, rows(row_id, statuses, *requests, **more))


DELETES = (
    send("DELETE", LATEST),
    send("DELETE", f"/v2/a/manifests/{digest_of(IMAGE)}"),
    send("DELETE", f"/v2/a/blobs/{digest_of(LAYER)}"),
    send("DELETE", "/v2/a/manifests/absent"),
)
OVERWRITES = (
    put("latest", LOOKS_LIKE),
    put(f"{digest_of(LOOKS_LIKE)}?tag=latest", LOOKS_LIKE),
    put(f"{digest_of(LOOKS_LIKE)}?tag=fresh&tag=latest", LOOKS_LIKE),
)
ODD_METHODS = tuple(
    send(method, target)
    for method in ("PROPFIND", "LINK", "delete", "TRACE", "MOVE")
    for target in ("/v2/", LATEST, "/v2/_catalog")
)

BASIC_RIGHTS = (
    *by(basic("maker"), "B-120", 403, *OVERWRITES, code=DENIED),
    *by(basic("pusher"), "B-122", 403, *DELETES, code=DENIED),
    *by(basic("maker"), "B-122", 403, *DELETES, code=DENIED),
    *by(basic("pusher"), "B-122", 403, get(LATEST), get("/v2/a/tags/list"), code=DENIED),
    *by(basic("pusher"), "B-123", 405, *ODD_METHODS),
    *rows("B-123", 401, *ODD_METHODS, code=UNAUTHORIZED),
)

TOKENS = tuple(
    row
    for name, make in forge().bad_tokens().items()
    for row in rows(
        name[:5],
        (400, 401),
        showing(bearer(make()), get(LATEST)),
        showing(basic("anybody", make()), send("POST", UPLOADS)),
    )
)
LAPSED = token_of(
    signing.access("a", "pull", "push", "delete"), exp=forge().now - 3600, nbf=None, sub="alice"
)
NARROW = (
    *(
        (name, actions)
        for name in ("*", "a*", "**", "A", "a/", "", "a/../a")
        for actions in [("*",)]
    ),
    *(("a", actions) for actions in (("PULL",), ("pull,push",), ("",), ("push",), ("**",))),
)
BEARER = (
    *TOKENS,
    *by(bearer(LAPSED), "B-144", 401, *DOORS, *DELETES, put("x", IMAGE), code=UNAUTHORIZED),
    *rows(
        "B-148",
        401,
        *(
            showing(bearer(token_of(signing.access(name, *actions))), get(LATEST))
            for name, actions in NARROW
        ),
        *(
            showing(bearer(token_of(signing.access("a", "pull", kind=kind))), get(LATEST))
            for kind in ("repository(plugin)", "registry", "Repository", "", "repository ")
        ),
        *(
            showing(bearer(token_of(signing.access(name, "*", kind=kind))), get("/v2/_catalog"))
            for name, kind in (("catalog", "repository"), ("*", "registry"), ("", "registry"))
        ),
        code=UNAUTHORIZED,
    ),
    *by(bearer(pusher_token()), "B-122", 401, *DELETES, get(LATEST), code=UNAUTHORIZED),
    *by(bearer(pusher_token("pull", "push")), "B-122", 401, *DELETES, code=UNAUTHORIZED),
    *by(bearer(pusher_token("create")), "B-120", 401, *OVERWRITES, code=UNAUTHORIZED),
    *by(bearer(pusher_token()), "B-123", 405, *ODD_METHODS),
    *by(bearer(token_of()), "B-114", 401, get("/v2/_catalog"), get("/v2/_catalog?n=0")),
    *by(bearer(pusher_token("pull")), "B-114", 401, get("/v2/_catalog")),
    *plays(
        "B-103",
        act.mount_from_where_one_may_not_pull,
        *((bearer(pusher_token("pull", "push", name="b")), query) for query in ("&from=a", "")),
    ),
    *plays(
        "B-135",
        act.absent_and_forbidden,
        *((look, who) for look in act.LOOKS for who in ("", bearer(token_of()))),
    ),
)

CHALLENGED = (
    *("GET /v2/", "GET /v2/_catalog", "POST /v2/a/blobs/uploads/", "GET /v2/a.b_c-d/e/tags/list"),
    *(f"GET /v2/{'a' * 255}/tags/list", 'GET /v2/a"b/tags/list', "GET /v2/a%22/tags/list"),
    *("GET /v2/a%0d%0aX:y/tags/list", "GET /v2/a,b/tags/list", "GET /v2/a/tags/list?scope=x"),
    *("POST /v2/a/blobs/uploads/?mount=sha256:x&from=evil", "OPTIONS /v2/", "GET /v2/A/tags/list"),
)
ODD_SCOPES = (
    *("repository:*:*", "repository:**:pull", "repository:b*:pull", "repository:B:pull", "*:*:*"),
    *(
        "repository:a:pull",
        "repository:a:*",
        "registry:*:*",
        "registry:catalog:pull",
        "registry::*",
    ),
    *(
        "repository:b:PULL",
        "repository:b:",
        "repository::pull",
        "::",
        ":::",
        "",
        " ",
        "repository:b",
    ),
    *("repository:b/../a:pull", "repository:a%00:pull", "repository(plugin):b:pull", "x" * 5000),
    *(
        "repository:b:delete",
        "repository:b:create,admin",
        "registry:admin:*",
        "registry:catalog: *",
    ),
)
NOT_FORMS = (
    *({}, {"grant_type": "x"}, {"grant_type": "refresh_token"}, {"grant_type": "password"}),
    {"grant_type": "password", "username": "", "password": ""},
    {"grant_type": "password", "password": "alicealice"},
    {"grant_type": "password", "username": "alice:x", "password": "alicealice"},
    {"grant_type": "client_credentials", "username": "alice", "password": "alicealice"},
    {"grant_type": "refresh_token", "refresh_token": "", "username": "alice"},
)
TOKEN = "/auth/token"
TOKEN_SERVER = (
    *plays("B-148", act.scope_that_is_odd, *ODD_SCOPES),
    *plays("B-149", act.refresh_token_is_for_one_thing),
    *rows(
        "B-149",
        (400, 401),
        *(act.form(**fields) for fields in NOT_FORMS),
        act.form(grant_type="password", username="alice", password="wrong"),
        act.form(grant_type="password", username="alice"),
        act.form(grant_type="password", username="", password="alicealice"),
        get(f"{TOKEN}?service=other"),
        get(TOKEN + "?" + "&".join(["scope=repository:a:pull"] * 33)),
        send("POST", TOKEN, b"grant_type=password&grant_type=refresh_token"),
        send("POST", TOKEN, b"\xff=\xff&grant_type=password"),
        send("POST", TOKEN, b"&".join(b"f%d=" % number for number in range(100))),
        *(showing(f"Authorization: {header}", get(TOKEN)) for header in NOT_CREDENTIALS[:20]),
        *(
            showing(bearer(make()), get(TOKEN))
            for name, make in forge().bad_tokens().items()
            if name.startswith(("B-141", "B-147"))
        ),
    ),
    *rows("B-149", 413, send("POST", TOKEN, b"", length=10**9), ends=True),
    *rows("B-149", 401, send("PUT", TOKEN, b""), send("DELETE", TOKEN)),
    *rows(
        "B-149",
        404,
        get(TOKEN + "/"),
        get("/auth/token;x"),
        get("/auth//token"),
        get("/AUTH/token"),
    ),
)
CHALLENGES = plays("B-136", act.challenge_is_ours, *CHALLENGED)

IMMUTABLE = (
    *rows(
        "B-097",
        403,
        *OVERWRITES,
        *DELETES[:3],
        send("DELETE", f"/v2/a/blobs/{digest_of(EMPTY_CONFIG)}"),
        code=DENIED,
    ),
    *rows("B-097", 201, put("latest", IMAGE), put(f"{digest_of(IMAGE)}?tag=latest", IMAGE)),
)

TLS = plays("B-034", act.junk_on_the_tls_port, *act.JUNK)
NOTIFIED = (
    *plays("B-170", act.receiver_in_a_mood, *act.MOODS),
    *plays("B-171", act.event_with_hostile_text, *act.AGENTS),
)

#: What is tried with a password, with a token, and with neither, too.
AGAIN = tuple(
    row for row in (*NAMES, *PATHS, *HOSTS, *LISTINGS, *METHODS, *DELETIONS) if isinstance(row, Row)
)


def guarded(step=1):
    """All groups of this half; of those rows of the other half that are tried again, each
    ``step``-th. Groups of one guard stand together, since they share a server.
    """
    chosen = AGAIN[::step]
    refused = tuple(
        replace(row, statuses=frozenset({400, 401, 404, 405, 413}), code="") for row in chosen
    )
    # A token is for the repositories that it names, and rows name many.
    by_token = tuple(replace(row, statuses=row.statuses | {401}, code="") for row in chosen)
    immutable = {"tags": {"immutable": [{"tags": ["latest"]}]}}
    failures = (
        *plays("B-043", act.forwarded_for_is_not_believed),
        *plays("B-133", act.storm_of_bad_passwords),
    )
    return (
        Group("passwords", (*BASIC, *BASIC_RIGHTS, *CHALLENGES), guard=BY_PASSWORD),
        Group("by password", shown(basic("alice"), chosen), guard=BY_PASSWORD),
        Group("by nobody", refused, guard=BY_PASSWORD),
        Group("operators", plays("B-174", act.metrics_tell_no_names), guard=BY_PASSWORD),
        Group("tokens", (*BEARER, *CHALLENGES), guard=BY_TOKEN),
        Group("by token", shown(BY_TOKEN.show(), by_token), guard=BY_TOKEN),
        Group("token server", (*TOKEN_SERVER, *CHALLENGES), guard=BUILT_IN),
        Group("failures", failures, guard=COUNTED),
        Group("immutable tags", IMMUTABLE, immutable),
        Group("TLS", TLS, {"http": {"limits": HURRY}}, guard=OVER_TLS),
        Group("notifications", NOTIFIED, guard=NOTIFYING),
    )
