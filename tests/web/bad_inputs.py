# SPDX-License-Identifier: Apache-2.0
"""What a hostile or broken client may send, and what it gets: rows of data.

A row is (id, bytes to send, statuses one of which is the answer). Ids are those of the published
table of bad inputs; its rows about uploads, clocks and connections have tests of their own.
"""

from __future__ import annotations

from .content import OCI_INDEX, OCI_MANIFEST, digest_of, manifest
from .raw import chunk, request

HEX = "0" * 64
UPLOADS = "/v2/a/blobs/uploads/"
_CHUNKED = "Transfer-Encoding: chunked"


def _get(target):
    return request("GET", target)


def _put(reference, body, *, content_type=OCI_MANIFEST, headers=()):
    rows = [*headers] if content_type is None else [f"Content-Type: {content_type}", *headers]
    return request("PUT", f"/v2/a/manifests/{reference}", headers=rows, body=body)


def _head(*rows):
    return ("\r\n".join(rows) + "\r\n\r\n").encode("latin-1")


def _post(*rows, body=b""):
    """A POST whose framing is as the rows say."""
    return _head(f"POST {UPLOADS} HTTP/1.1", "Host: h", *rows) + body


NAMES = [
    *(
        ("B-001", _get(f"/v2/{name}/manifests/x"), {400})
        for name in (
            *("UPPER", "_a", "--", "-a", "a-", "a..b", "a._b", "a___b", ".", "..", "a/../b"),
            *(
                "a/",
                "a//b",
                "/a",
                "a" * 256,
                "a/" * 130 + "a",
                "a:5000/b",
                "a%2fb",
                "a+b",
                "a,b",
                "\x7f",
            ),
        )
    ),
    ("B-001", _get(f"/v2/{'a' * 255}/manifests/x"), {404}),
    *(
        ("B-002", _get(f"/v2/a/manifests/{tag}"), {400, 404})
        for tag in ("x" * 129, ".a", "-a", "x/y", "x%20y", "x%00y", "%C3%A9", "x;y", "x%", "a%3Ab")
    ),
    *(
        ("B-002", _put(tag, manifest()), {400})
        for tag in ("x" * 129, ".a", "-a", "x/y", "x%20y", "x%00y", "%C3%A9", "x;y", "x%", "a%3Ab")
    ),
    *(
        ("B-003", _get(f"/v2/a/{place}/{digest}"), {400})
        for place in ("blobs", "manifests", "referrers")
        for digest in (
            *(f"sha256:{HEX}0", f"sha256:{HEX[1:]}", f"sha256:{'A' * 64}", f"md5:{'0' * 32}"),
            *(
                "sha256:../../x",
                f"sha512:{HEX}",
                "sha256:",
                f":{HEX}",
                f"sha256::{HEX}",
                f"SHA256:{HEX}",
            ),
            *(f"sha256:{HEX}%00", f"sha256:{HEX}%0a", f"sha384:{'0' * 96}"),
        )
    ),
    ("B-003", _get(f"/v2/a/blobs/sha512:{'0' * 128}"), {404}),
]

PATHS = [
    *(
        ("B-010", _get(target), {400, 404})
        for target in (
            *("/v2/../../etc/passwd", "/v2/%2e%2e/%2e%2e/etc/passwd", "/v2/..%2f..%2fetc/passwd"),
            *(
                "/v2/%252e%252e/x",
                "/../v2/",
                "/v2/a/../../../etc/passwd",
                "/v2/a/blobs/../../../../etc/passwd",
            ),
            *("/v2/a/manifests/..%2f..%2fx", "/v2/a/tags/list/../../..", "/.", "/..", "/./v2/"),
        )
    ),
    *(
        ("B-011", _get(target), {400, 404})
        for target in (
            *("//", "//v2/x", "/v2//x/tags/list", "/v2/x//tags/list", "/%2F%2Fv2/", "/v2//", "///"),
            *("//evil.example/v2/", "/v2/x/tags//list", "/v2/x/manifests//y"),
        )
    ),
    *(
        ("B-014", _get(target), {404})
        for target in (
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
                "/v2/_catalog.json",
            ),
        )
    ),
    *(
        ("B-015", _head(line, "Host: h"), {400, 405})
        for line in (
            "GET http://evil/v2/x HTTP/1.1",
            "GET evil:80 HTTP/1.1",
            "OPTIONS * HTTP/1.1",
            "CONNECT evil:443 HTTP/1.1",
            "GET v2/ HTTP/1.1",
            "GET ? HTTP/1.1",
            "CONNECT /v2/ HTTP/1.1",
            "GET /v2/\xa0 HTTP/1.1",
        )
    ),
]

FRAMING = [
    *(
        ("B-020", _post(*lengths, body=b"x" * 10), {400})
        for lengths in (
            ("Content-Length: 5", "Content-Length: 5"),
            ("Content-Length: 5", "Content-Length: 6"),
            ("Content-Length: 0", "content-length: 10"),
        )
    ),
    *(
        ("B-021", _post(*rows, body=b"0\r\n\r\n"), {400})
        for rows in (
            ("Content-Length: 5", "Transfer-Encoding: chunked"),
            ("Transfer-Encoding: chunked", "Content-Length: 5"),
        )
    ),
    *(
        ("B-022", _post(f"Transfer-Encoding: {coding}", body=b"0\r\n\r\n"), {400})
        for coding in (
            *(
                "xchunked",
                "chunked, chunked",
                "identity",
                "gzip, chunked",
                "chunked, identity",
                "\x0bchunked",
            ),
            *("", "chunked;q=1", '"chunked"', "chunke"),
        )
    ),
    (
        "B-022",
        _post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        {400},
    ),
    ("B-022", _head(f"POST {UPLOADS} HTTP/1.0", "Transfer-Encoding: chunked"), {400}),
    ("B-022", _post("Transfer-Encoding: CHUNKED", body=b"0\r\n\r\n"), {202}),
    *(
        ("B-023", _post(f"Content-Length: {length}", body=b"x" * 5), {400})
        for length in (
            "+5",
            "-1",
            "0x5",
            "5,5",
            "5, 5",
            "1" * 20,
            "",
            "5 5",
            "5.0",
            "1e1",
            "\xb2",
            "five",
        )
    ),
    *(
        (
            "B-024",
            _head("PUT /v2/a/manifests/x HTTP/1.1", "Host: h", "Transfer-Encoding: chunked") + body,
            {400},
        )
        for body in (
            b"-1\r\n",
            b"0x5\r\n",
            b"5 \r\nabcde\r\n",
            b"\r\n",
            b"g\r\n",
            b"5\r\nabcdefg\r\n",
            b"1" * 2000,
        )
    ),
    *(
        ("B-025", head, {400})
        for head in (
            _head("GET /v2/ HTTP/1.1", "Host : h"),
            _head("GET /v2/ HTTP/1.1", "Host: h", "X Y: z"),
            _head("GET /v2/ HTTP/1.1", "Host: h", "X: a\nY: b"),
            _head("GET /v2/ HTTP/1.1", "Host: h", "X: a\rb"),
            _head("GET /v2/ HTTP/1.1", "Host: h", "X: a", " folded"),
            _head("GET /v2/ HTTP/1.1", " folded", "Host: h"),
            _head("GET /v2/ HTTP/1.1", "Host: h", "X: a\0b"),
            _head("GET /v2/ HTTP/1.1", "Host: h", "no colon"),
            _head("GET /v2/ HTTP/1.1", "Host: h", *(f"X-{number}: y" for number in range(501))),
            _head("GET /v2/ HTTP/1.1", "Host: h", *(f"X-{number}: y" for number in range(100))),
            _head("GET /v2/ HTTP/1.1", "Host: h", f"X: {'y' * 16385}"),
            _head(
                "GET /v2/ HTTP/1.1",
                "Host: h",
                *(f"X-{number}: {'y' * 1000}" for number in range(17)),
            ),
            _head(f"GET /{'y' * 16385} HTTP/1.1", "Host: h"),
            b"y" * 16400,
            b"GET /v2/ HTTP/1.1\nHost: h\n\n" + b"\r\n\r\n",
        )
    ),
    *(
        ("B-027", line.encode("latin-1") + b"\r\nHost: h\r\n\r\n", {400})
        for line in (
            *(
                "GET /v2/",
                "GET  /v2/ HTTP/1.1",
                "GET /v2/ HTTP/1.1 ",
                "GET /v2/ HTTP/2.0",
                "GET /v2/ http/1.1",
            ),
            *(
                "GET /v2/ HTTP/1.10",
                "G@T /v2/ HTTP/1.1",
                "GET\t/v2/\tHTTP/1.1",
                "PRI * HTTP/2.0",
                "\x16\x03\x01",
            ),
            *("GET /v2/\x00 HTTP/1.1", "GET /a b HTTP/1.1", " GET /v2/ HTTP/1.1"),
        )
    ),
    *(
        ("B-038", request("GET", "/v2/", headers=[header]), {200})
        for header in (
            f"Accept: {'a/b,' * 2000}",
            "Accept: */*;q=foo",
            "Accept-Encoding: gzip",
            "Cookie: a=b",
        )
    ),
]

HOSTS = [
    ("B-040", _head("GET /v2/ HTTP/1.1"), {400}),
    ("B-040", _head("GET /v2/ HTTP/1.1", "Host: a", "Host: a"), {400}),
    ("B-040", _head("GET /v2/ HTTP/1.1", "Host: a", "Host: b"), {400}),
    *(
        ("B-040", _head("GET /v2/ HTTP/1.1", f"Host: {host}"), {400})
        for host in (
            "",
            "a b",
            "[::1",
            "::1",
            "[zz]",
            "a:b",
            "a:80:80",
            "a/b",
            "user@a",
            "a\x0b",
            "[::1]x",
            "é",
        )
    ),
    *(
        ("B-040", _head("GET /v2/ HTTP/1.1", f"Host: {host}"), {200})
        for host in (
            "evil.example",
            "evil.example:5000",
            "[::1]",
            "[::1]:5000",
            "127.0.0.1",
            "a_b",
            "a:",
        )
    ),
    *(
        ("B-041", request("GET", target, host="evil.example"), {400, 404})
        for target in ("//x", "/v2//_catalog", "/v2/x//manifests/y", "/v2/_catalog/")
    ),
]

_GOOD = manifest().decode()

MANIFESTS = [
    ("B-060", _put("x", b" " * (4 * 1024 * 1024)), {400}),
    (
        "B-060",
        _put("x", b"", headers=["Content-Length: 4194305"]).replace(b"Content-Length: 0\r\n", b""),
        {413},
    ),
    *(
        ("B-063", _put("x", manifest(), headers=[f"Content-Encoding: {coding}"]), {400, 415})
        for coding in ("gzip", "deflate", "br", "zstd", "x, identity")
    ),
    ("B-064", _put("x", b"[" * 100_000), {400}),
    ("B-064", _put("x", b'{"a":' * 100_000), {400}),
    *(
        ("B-065", _put("x", _GOOD.replace('"size": 2', f'"size": {number}').encode()), {400})
        for number in (
            "NaN",
            "Infinity",
            "1e999",
            "9" * 5000,
            "2.0",
            "-0.0",
            "-1",
            '"2"',
            "null",
            str(2**63),
        )
    ),
    *(
        ("B-067", _put("x", body), {400})
        for body in (
            b"\xef\xbb\xbf" + manifest(),
            _GOOD.encode("utf-16"),
            manifest() + b"x",
            manifest() * 2,
            manifest()[:-1] + b"\xff}",
        )
    ),
    *(("B-068", _put("x", body), {400}) for body in (b"", b"null", b"[]", b'"x"', b"{}", b"0")),
    (
        "B-070",
        _put("x", _GOOD.replace('"layers": []', '"layers": [], "manifests": []').encode()),
        {400},
    ),
    ("B-071", _put("x", manifest(), content_type=OCI_INDEX), {400}),
    *(
        ("B-073", _put("x", _GOOD.replace('"schemaVersion": 2', version).encode()), {400})
        for version in (
            '"schemaVersion": 1',
            '"schemaVersion": 3',
            '"schemaVersion": "2"',
            '"x": 2',
        )
    ),
    *(
        ("B-074", _put("x", manifest(), content_type=content_type), {400, 415})
        for content_type in ("text/html", "application/json", "x" * 4096, "a/b\x00"[:3] + ";" * 20)
    ),
    *(
        (
            "B-076",
            _put("x", manifest(b"x").replace(digest_of(b"x").encode(), digest.encode())),
            {400},
        )
        for digest in (
            "sha256:../../../x",
            f"sha256:{HEX[1:]}",
            f"md5:{'0' * 32}",
            "",
            f"sha256:{'Z' * 64}",
        )
    ),
    ("B-079", _put("x", manifest(b"missing")), {400, 404}),
    ("B-07B", _put(digest_of(b"other"), manifest()), {400}),
]

LISTINGS = [
    *(
        ("B-110", _get(f"/v2/_catalog?n={number}"), {200, 400})
        for number in (
            "0",
            "-1",
            "abc",
            str(2**31),
            str(2**63),
            "1000000000",
            "",
            "9" * 5000,
            "%00",
            "1;2",
        )
    ),
    *(
        ("B-111", _get(f"/v2/_catalog?last={last}"), {200, 400})
        for last in ("x" * 10240, "../../etc", "%0d%0aX:%20y", "%ff", "%", "%zz", "&&&", "=", "%00")
    ),
    ("B-112", _get("/v2/_catalog?" + "&".join("x=y" for _ in range(300))), {200, 400, 413, 414}),
]

METHODS = [
    *(
        ("B-123", request(method, "/v2/a/manifests/x"), {405})
        for method in ("PROPFIND", "LINK", "get", "TRACE", "PATCH", "POST", "BREW", "X" * 1000)
    ),
]

SESSIONS = [
    *(
        ("B-050", _get(f"{UPLOADS}{upload_id}"), {400, 404})
        for upload_id in (
            "00000000-0000-4000-8000-000000000000",
            "..",
            ".",
            "x" * 10240,
            "%2e%2e",
            "a/b",
            "%00",
        )
    ),
    (
        "B-024",
        _post("Transfer-Encoding: chunked", body=chunk(b"x") + b"0\r\nT: " + b"x" * 70_000),
        {400, 202},
    ),
]

ROWS = [*NAMES, *PATHS, *FRAMING, *HOSTS, *MANIFESTS, *LISTINGS, *METHODS, *SESSIONS]
