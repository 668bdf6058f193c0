# SPDX-License-Identifier: Apache-2.0
"""Bad inputs in paths: names, tags, digests, and what is no path of ours."""

from __future__ import annotations

from ...web.content import digest_of
from ..rows import get, head, rows, send
from ..ward import IMAGE
from .requests import HEX, put

NOT_NAMES = (
    *("UPPER", "_a", "--", "-a", "a-", "a--", "a..b", "a._b", "a___b", "a_-b", ".", "..", "a/../b"),
    *("a/./b", "a/", "a//b", "/a", "a" * 256, "a/" * 130 + "a", "a:5000/b", "a%2fb", "a%2Fb"),
    *("a%41", "a+b", "a,b", "a@b", "a;b", "a*", "a'b", "a\x7f", "~", "$(id)", "a%00b", "%ff"),
)

NOT_TAGS = (
    *("x" * 129, ".a", "-a", "x/y", "x%20y", "x%00y", "%C3%A9", "x;y", "x%", "a%3Ab", "a@b", "+a"),
    *("%2e%2e", "%2E", "a%0d%0aX:y", "*", "a=b", "x" * 8000),
)

NOT_DIGESTS = (
    *(f"sha256:{HEX}0", f"sha256:{HEX[1:]}", f"sha256:{'A' * 64}", f"md5:{'0' * 32}"),
    *("sha256:../../x", f"sha512:{HEX}", "sha256:", f":{HEX}", f"sha256::{HEX}", f"SHA256:{HEX}"),
    *(f"sha256:{HEX}%00", f"sha256:{HEX}%0a", f"sha384:{'0' * 96}", f"sha256%3A{HEX[1:]}"),
    *(f"sha256:{HEX[:-1]}g", f"sha256+b64:{HEX}", "sha256:" + "0" * 8000, f"%73ha256:{HEX}"),
)

NAMES = (
    *rows("B-001", 400, *(get(f"/v2/{name}/manifests/x") for name in NOT_NAMES)),
    *rows("B-001", 400, *(get(f"/v2/{name}/tags/list") for name in NOT_NAMES)),
    *rows("B-001", 400, *(put("x", IMAGE, name=name) for name in NOT_NAMES)),
    *rows("B-001", 400, *(send("POST", f"/v2/{name}/blobs/uploads/") for name in NOT_NAMES)),
    *rows("B-001", 404, get(f"/v2/{'a' * 255}/manifests/x"), get(f"/v2/{'a/' * 127}a/tags/list")),
    *rows("B-002", (400, 404), *(get(f"/v2/a/manifests/{tag}") for tag in NOT_TAGS)),
    *rows("B-002", 400, *(put(tag, IMAGE) for tag in NOT_TAGS)),
    *rows("B-002", (400, 404), *(send("DELETE", f"/v2/a/manifests/{tag}") for tag in NOT_TAGS)),
    *rows(
        "B-002", 400, *(put(f"{digest_of(IMAGE)}?tag={tag}", IMAGE) for tag in ("", ".a", "a/b"))
    ),
    *rows(
        "B-003",
        400,
        *(
            get(f"/v2/a/{place}/{digest}")
            for place in ("blobs", "manifests", "referrers")
            for digest in NOT_DIGESTS
        ),
    ),
    *rows("B-003", 400, *(send("DELETE", f"/v2/a/blobs/{digest}") for digest in NOT_DIGESTS)),
    *rows("B-003", 400, *(put(digest, IMAGE) for digest in NOT_DIGESTS)),
    *rows("B-003", 404, get(f"/v2/a/blobs/sha512:{'0' * 128}"), get(f"/v2/a/blobs/sha256%3a{HEX}")),
)

PATHS = (
    *rows(
        "B-010",
        (400, 404),
        *map(
            get,
            (
                *(
                    "/v2/../../etc/passwd",
                    "/v2/%2e%2e/%2e%2e/etc/passwd",
                    "/v2/..%2f..%2fetc/passwd",
                ),
                *(
                    "/v2/%252e%252e/x",
                    "/../v2/",
                    "/v2/a/../../../etc/passwd",
                    "/v2/..;/..;/etc/passwd",
                ),
                *(
                    "/v2/a/blobs/../../../../etc/passwd",
                    "/v2/a/manifests/..%2f..%2fx",
                    "/v2/%c0%ae/x",
                ),
                *("/v2/a/tags/list/../../..", "/.", "/..", "/./v2/", "/v2/..\\..\\etc/tags/list"),
                *("/v2/a/blobs/uploads/../../../x", "/v2/a/_uploads/x", "/v2/a/_layers/sha256/x"),
                *("/docker/registry/v2/blobs", "/v2/a/blobs/uploads/..%2f..%2fx", "/etc/passwd"),
            ),
        ),
    ),
    *rows(
        "B-011",
        (400, 404),
        *map(
            get,
            (
                *(
                    "//",
                    "//v2/x",
                    "/v2//x/tags/list",
                    "/v2/x//tags/list",
                    "/%2F%2Fv2/",
                    "/v2//",
                    "///",
                ),
                *(
                    "//evil.example/v2/",
                    "/v2/x/tags//list",
                    "/v2/x/manifests//y",
                    "/v2/x/tags/list/",
                ),
                *("/v2/x/blobs//uploads/", "/\\evil.example", "/v2/x/manifests/y/", "/v2/%2f"),
            ),
        ),
    ),
    *rows(
        "B-014",
        404,
        *map(
            get,
            (
                *(
                    "/V2/_catalog",
                    "/v2/_catalog/",
                    "/v2/./_catalog",
                    "/v2/_catalog;x",
                    "/v2/_catalog%20",
                ),
                *(
                    "/v2/_catalog%00",
                    "/v2/%5fcatalog",
                    "/v2/_Catalog",
                    "/v2/_catalog/x",
                    "/v1/_catalog",
                ),
                *(
                    "/v2/_catalog.json",
                    "/v2/a/_catalog",
                    "/v2/_catalog%3fn=1",
                    "/v2_catalog",
                    "/_catalog",
                ),
            ),
        ),
    ),
    *rows(
        "B-015",
        (400, 405),
        *(
            head(line, "Host: h")
            for line in (
                "GET http://evil/v2/x HTTP/1.1",
                "GET https://evil/v2/ HTTP/1.1",
                "GET evil:80 HTTP/1.1",
                "OPTIONS * HTTP/1.1",
                "CONNECT evil:443 HTTP/1.1",
                "CONNECT /v2/ HTTP/1.1",
                "GET v2/ HTTP/1.1",
                "GET ? HTTP/1.1",
                "GET * HTTP/1.1",
                "GET /v2/\xa0 HTTP/1.1",
                "GET file:///etc/passwd HTTP/1.1",
            )
        ),
    ),
    *rows(
        "B-012", (200, 400, 404), get("/v2/#x"), get("/v2/?"), get("/v2/?x"), get("/v2/?a=b?c#d")
    ),
)
