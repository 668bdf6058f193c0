# SPDX-License-Identifier: Apache-2.0
"""Methods that are not for a path, or not at present; and what is deleted."""

from __future__ import annotations

from ...web.content import digest_of
from .. import plays as act
from ..rows import get, head, plays, rows, send
from ..ward import IMAGE, LAYER
from .requests import UPLOADS, put

METHODS = (
    *rows(
        "B-123",
        405,
        *(
            send(method, f"/v2/{place}")
            for place in (
                "",
                "_catalog",
                "a/tags/list",
                "a/manifests/latest",
                f"a/blobs/{digest_of(LAYER)}",
            )
            for method in (
                "PROPFIND",
                "LINK",
                "get",
                "TRACE",
                "BREW",
                "X" * 1000,
                "MOVE",
                "COPY",
                "SEARCH",
                "POST",
            )
        ),
        *(
            send("PATCH", f"/v2/a/{place}")
            for place in ("manifests/latest", "blobs/uploads/", f"blobs/{digest_of(LAYER)}")
        ),
        *(
            send("PUT", f"/v2/a/{place}")
            for place in ("tags/list", f"blobs/{digest_of(LAYER)}", "blobs/uploads/")
        ),
        get("/v2/a/blobs/uploads/"),
    ),
)

DELETIONS = (
    *plays("B-090", act.delete_twice, *("manifest", "tag", "blob", "upload")),
    *plays("B-100", act.deleted_here_stays_there),
    *rows(
        "B-102",
        404,
        *(
            head(f"{method} /v2/other/{place} HTTP/1.1", "Host: h")
            for method in ("GET", "HEAD", "DELETE")
            for place in (
                f"blobs/{digest_of(LAYER)}",
                f"manifests/{digest_of(IMAGE)}",
                f"blobs/{digest_of(IMAGE)}",
                "manifests/latest",
            )
        ),
    ),
)

WRITES = (
    put("x", IMAGE),
    send("POST", UPLOADS),
    send("POST", f"{UPLOADS}?digest={digest_of(b'x')}", b"x"),
    send("POST", f"{UPLOADS}?mount={digest_of(LAYER)}&from=a"),
    send("PATCH", f"{UPLOADS}x", b"x"),
    send("PUT", f"{UPLOADS}x?digest={digest_of(b'x')}", b"x"),
)

DELETES = (
    send("DELETE", "/v2/a/manifests/latest"),
    send("DELETE", f"/v2/a/manifests/{digest_of(IMAGE)}"),
    send("DELETE", f"/v2/a/blobs/{digest_of(LAYER)}"),
)

NO_DELETES = rows("B-094", 405, *DELETES, code="UNSUPPORTED")

READ_ONLY = (
    *rows("B-095", 405, *WRITES, *DELETES, send("DELETE", f"{UPLOADS}x"), code="UNSUPPORTED"),
    *rows("B-095", 200, get("/v2/a/manifests/latest"), get(f"/v2/a/blobs/{digest_of(LAYER)}")),
)
