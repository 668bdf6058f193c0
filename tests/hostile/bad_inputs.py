# SPDX-License-Identifier: Apache-2.0
"""The table of bad inputs: what a hostile or broken client may send, and the answer that is right.

Every row is tried over a socket on a real server. What holds for all of them need not be said in a
row: a refusal is an error document, nothing redirects, no answer tells of our insides, the server
answers afterwards with the processes that it had, its log has no traceback, its store is as before,
and a group neither adds 16 MiB to its memory nor leaves a descriptor open.

To add rows: ``rows(id, statuses, request, ...)`` makes one for each request, ``plays(id, function,
variant, ...)`` one for each variant of something that takes more than one request (the functions
are in ``plays.py``). Put them into a group, or make one at the end, with the configuration that its
server needs. A row is a class: add its neighbors. ``{session}``, ``{id}`` and ``{token}`` stand for
a fresh upload session of the repository ``a`` that holds three bytes; ``a`` also has an image under
the tag ``latest``, and nobody else has anything.

Ids are those of the published table; a number once given to a class stays.
"""

from __future__ import annotations

import gzip
import json

from ..web.content import EMPTY_CONFIG, OCI_INDEX, OCI_MANIFEST, digest_of, manifest
from . import plays as act
from .rows import Group, chunked, get, head, plays, rows, send
from .ward import IMAGE, LAYER

HEX = "0" * 64
UPLOADS = "/v2/a/blobs/uploads/"
MIB = 1024 * 1024


def put(reference, body, *headers, content_type=OCI_MANIFEST, name="a"):
    """A push of a manifest."""
    typed = [] if content_type is None else [f"Content-Type: {content_type}"]
    return send("PUT", f"/v2/{name}/manifests/{reference}", body, *typed, *headers)


def post(*lines, body=b""):
    """A start of an upload, framed as the lines say."""
    return head(f"POST {UPLOADS} HTTP/1.1", "Host: h", *lines) + body


def base(*lines):
    """A version check with these lines after its first."""
    return head("GET /v2/ HTTP/1.1", *lines)


def patch(*headers, body=b"0123456789"):
    """More bytes for the session."""
    return send("PATCH", "{session}", body, *headers)


def close(query, body=b"", *headers):
    """The end of the session."""
    return send("PUT", "{session}" + query, body, *headers)


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

FRAMING = (
    *rows(
        "B-020",
        400,
        post("Content-Length: 5", "Content-Length: 5", body=b"x" * 10),
        post("Content-Length: 5", "Content-Length: 6", body=b"x" * 10),
        post("Content-Length: 0", "content-length: 10", body=b"x" * 10),
        post("Content-Length: 5", "X: y", "Content-Length: 5", body=b"x" * 10),
        ends=True,
    ),
    *rows(
        "B-021",
        400,
        post("Content-Length: 5", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        post("Transfer-Encoding: chunked", "Content-Length: 5", body=b"0\r\n\r\n"),
        post("Transfer-Encoding: chunked", "Content-Length: 0", body=b"0\r\n\r\n"),
        ends=True,
    ),
    *rows(
        "B-022",
        400,
        *(
            post(f"Transfer-Encoding: {coding}", body=b"0\r\n\r\n")
            for coding in (
                *("xchunked", "chunked, chunked", "identity", "gzip, chunked", "chunked, identity"),
                *("\x0bchunked", "", "chunked;q=1", '"chunked"', "chunke", "chunked,", ",chunked"),
                *("deflate", "compress", "chunked\x0b", "chunked chunked", "c\x00hunked"),
            )
        ),
        post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        post("Transfer-Encoding: identity", "Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        post("Transfer-Encoding : chunked", body=b"0\r\n\r\n"),
        head(f"POST {UPLOADS} HTTP/1.0", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        ends=True,
    ),
    *rows(
        "B-022",
        404,
        *(
            head(
                "PATCH /v2/a/blobs/uploads/none HTTP/1.1", "Host: h", f"Transfer-Encoding: {coding}"
            )
            + b"0\r\n\r\n"
            for coding in ("CHUNKED", "Chunked", "chunked ")
        ),
    ),
    *rows(
        "B-023",
        400,
        *(
            post(f"Content-Length: {length}", body=b"x" * 5)
            for length in (
                *(
                    "+5",
                    "-1",
                    "0x5",
                    "5,5",
                    "5, 5",
                    "1" * 20,
                    "9" * 19 + "9",
                    "",
                    "5 5",
                    "5.0",
                    "1e1",
                ),
                *("\xb2", "five", "5;", "-0", "5\x00", "\x0b5", "0b1", "1_0", "5" * 5000),
            )
        ),
        ends=True,
    ),
    *rows(
        "B-024",
        400,
        *(
            head("PUT /v2/a/manifests/x HTTP/1.1", "Host: h", "Transfer-Encoding: chunked") + body
            for body in (
                *(b"-1\r\n", b"0x5\r\n", b"5 \r\nabcde\r\n", b"\r\n", b"g\r\n", b"+5\r\nabcde\r\n"),
                *(b"5\r\nabcdefg\r\n", b"1" * 2000, b" 5\r\nabcde\r\n", b"5_0\r\n", b"\xb2\r\n"),
                *(b"5\nabcde\r\n", b";x\r\n", b"5\r\nabcde0\r\n\r\n"),
            )
        ),
        ends=True,
    ),
    *rows(
        "B-024",
        (400, 404),
        chunked("PATCH", "/v2/a/blobs/uploads/none", b"x")[:-2]
        + b"T: "
        + b"x" * 70_000
        + b"\r\n\r\n",
        head("PATCH /v2/a/blobs/uploads/none HTTP/1.1", "Host: h", "Transfer-Encoding: chunked")
        + b"1;"
        + b"x" * 70_000
        + b"\r\na\r\n0\r\n\r\n",
    ),
    *rows(
        "B-025",
        400,
        base("Host : h"),
        base("Host: h", "X Y: z"),
        base("Host: h", "X: a\nY: b"),
        base("Host: h", "X: a\rb"),
        base("Host: h", "X: a", " folded"),
        base("Host: h", "X: a", "\tfolded"),
        base(" folded", "Host: h"),
        base("Host: h", "X: a\0b"),
        base("Host: h", "no colon"),
        base("Host: h", ": no name"),
        base("Host: h", "X\x00: y"),
        base("Host: h", "X\xe9: y"),
        base("Host: h", "X(: y"),
        base("Host: h", *(f"X-{number}: y" for number in range(501))),
        base("Host: h", *(f"X-{number}: y" for number in range(100))),
        base("Host: h", f"X: {'y' * 16385}"),
        base("Host: h", *(f"X-{number}: {'y' * 1000}" for number in range(17))),
        base("Host: h", f"{'X' * 16385}: y"),
        head(f"GET /{'y' * 16385} HTTP/1.1", "Host: h"),
        b"y" * 16400,
        b"GET /v2/ HTTP/1.1\nHost: h\n\n" + b"\r\n\r\n",
        ends=True,
    ),
    *rows(
        "B-027",
        400,
        *(
            head(line, "Host: h")
            for line in (
                *("GET /v2/", "GET  /v2/ HTTP/1.1", "GET /v2/ HTTP/1.1 ", "GET /v2/ HTTP/2.0"),
                *(
                    "GET /v2/ http/1.1",
                    "GET /v2/ HTTP/1.10",
                    "G@T /v2/ HTTP/1.1",
                    "GET /v2/ HTTP/0.9",
                ),
                *("GET\t/v2/\tHTTP/1.1", "PRI * HTTP/2.0", "\x16\x03\x01", "GET /v2/\x00 HTTP/1.1"),
                *(
                    "GET /a b HTTP/1.1",
                    " GET /v2/ HTTP/1.1",
                    "GET /v2/ HTTP/11",
                    "GET /v2/ HTTP/1.1 x",
                ),
                *(
                    "GET",
                    "\x80\x00\x01",
                    "/v2/ GET HTTP/1.1",
                    "GET /v2/ HTTP/-1.1",
                    "G\xc9T /v2/ HTTP/1.1",
                ),
            )
        ),
        ends=True,
    ),
    *rows(
        "B-038",
        200,
        *(
            get("/v2/", header)
            for header in (
                f"Accept: {'a/b,' * 2000}",
                "Accept: */*;q=foo",
                "Accept: \x80\xff",
                "Accept-Encoding: gzip",
                "Cookie: a=b",
                "Range: bytes=5-1",
                "Upgrade: h2c",
                "Connection: upgrade, HTTP2-Settings",
                "TE: trailers, x;q=9",
                "User-Agent: \x80 ${jndi:ldap://evil/x}",
            )
        ),
        get(f"/v2/a/blobs/{digest_of(LAYER)}", "Accept-Encoding: gzip, br, zstd;q=1"),
        get("/v2/a/manifests/latest", f"Accept: {', '.join(['x/y;q=0.1'] * 500)}"),
    ),
    *rows(
        "B-039",
        (200, 304),
        *(
            get(f"/v2/a/{place}", f"If-None-Match: {tags}")
            for place in ("manifests/latest", f"blobs/{digest_of(LAYER)}")
            for tags in (
                ", ".join(f'"{number}"' for number in range(1000)),
                f'W/"{digest_of(IMAGE)}"',
                f'"{digest_of(LAYER)}',
                "*",
                ",,,,",
                '"' * 8000,
                'W/W/"x"',
            )
        ),
    ),
    *rows(
        "B-036",
        (200, 206, 416),
        *(
            get(f"/v2/a/blobs/{digest_of(LAYER)}", f"Range: {spans}")
            for spans in (
                *("bytes=0-0", "bytes=5-1", "bytes=-0", "bytes=-1", "bytes=-99999999999999999999"),
                *("bytes=99999999999999999999-", "bytes=4096-", "bytes=0-" + "9" * 5000, "bytes="),
                *("bytes=a-b", "lines=0-1", "bytes=0-1,2-3", "bytes=" + "0-," * 4000, "bytes 0-1"),
                *("bytes=--1", "bytes=0-0-0", "bytes=\xb2-3", "bytes= 0 - 1 ", "BYTES=0-1"),
            )
        ),
    ),
    *plays("B-026", act.pipeline),
    *plays("B-030", act.refuse_before_continue, *act.REFUSED_WITH_A_BODY),
    *plays("B-031", act.answer_while_sending, *act.REFUSED_WITH_A_BODY),
    *plays(
        "B-032", act.cut_a_patch, *((cut, how) for cut in (0, 1, 5, 9) for how in ("fin", "rst"))
    ),
    *plays("B-032", act.cut_a_chunked_patch, *(range(0, 26, 2))),
    *plays(
        "B-032",
        act.cut_a_manifest,
        *((cut, how) for cut in (0, 1, 9, 300) for how in ("fin", "rst")),
    ),
    *plays(
        "B-032", act.cut_a_closing_put, *((cut, how) for cut in (0, 1, 9) for how in ("fin", "rst"))
    ),
    *plays(
        "B-032",
        act.cut_a_whole_push,
        *((cut, how) for cut in (0, 1, 70_000) for how in ("fin", "rst")),
    ),
    *plays("B-032", act.cut_a_head, *range(0, 60, 7)),
    *plays("B-035", act.send_a_form, *act.FORMS),
)

HOSTS = (
    *rows(
        "B-040",
        400,
        base(),
        base("Host: a", "Host: a"),
        base("Host: a", "Host: b"),
        *(
            base(f"Host: {host}")
            for host in (
                *(
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
                ),
                *(
                    "é",
                    "a,b c",
                    "http://a",
                    "a:999999",
                    "[::1]:x",
                    "a#b",
                    "a?b",
                    "\x00",
                    "a\\b",
                    "[]:1",
                ),
            )
        ),
    ),
    *rows(
        "B-040",
        200,
        *(
            base(f"Host: {host}")
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
    ),
    *rows(
        "B-041",
        (400, 404),
        *(
            get(target, host="evil.example")
            for target in (
                "//x",
                "/v2//_catalog",
                "/v2/x//manifests/y",
                "/v2/_catalog/",
                "/v2/a/tags/list/",
            )
        ),
    ),
    *plays("B-042", act.forwarded_is_ignored, *act.FORWARDED),
    *plays("B-045", act.no_cross_origin),
)

GOOD = manifest(LAYER).decode()


def sized(number):
    """The image, with this for the size of its layer."""
    return GOOD.replace(f'"size": {len(LAYER)}', f'"size": {number}').encode()


def with_layer_digest(digest):
    """The image, with this for the digest of its layer."""
    return GOOD.replace(json.dumps(digest_of(LAYER)), json.dumps(digest)).encode()


MANIFESTS = (
    *rows("B-060", 400, put("x", b" " * (4 * MIB)), put("x", b"{" + b" " * (4 * MIB - 1))),
    *rows("B-060", 413, send("PUT", "/v2/a/manifests/x", b"", length=4 * MIB + 1), ends=True),
    *rows("B-060", 413, send("PUT", "/v2/a/manifests/x", b"", length=10**15), ends=True),
    *rows("B-061", 413, chunked("PUT", "/v2/a/manifests/x", *[b" " * 65536] * 64, b"!"), ends=True),
    *plays("B-062", act.many_brackets),
    *rows(
        "B-063",
        (400, 415),
        *(
            put("x", body, f"Content-Encoding: {coding}")
            for coding in ("gzip", "deflate", "br", "zstd", "x, identity", "GZIP", "")
            for body in (IMAGE, gzip.compress(bytes(MIB)))
            if coding or body is not IMAGE
        ),
    ),
    *rows(
        "B-064",
        400,
        *(
            put("x", body)
            for body in (
                *(
                    b"[" * 100_000,
                    b'{"a":' * 100_000,
                    b"[" * 100_000 + b"]" * 100_000,
                    b'[{"a":' * 50_000,
                ),
                GOOD.replace(
                    '"layers": [', '"x": ' + "[" * 5000 + "]" * 5000 + ', "layers": ['
                ).encode(),
            )
        ),
    ),
    *rows(
        "B-065",
        400,
        *(
            put("x", sized(number))
            for number in (
                *(
                    "NaN",
                    "Infinity",
                    "-Infinity",
                    "1e999",
                    "9" * 5000,
                    "2.0",
                    "-0.0",
                    "-1",
                    '"2"',
                    "null",
                ),
                *(str(2**63), str(2**64), "1e3", "0x10", "4_096", "04096", "[4096]", "true", "{}"),
            )
        ),
        put("x", b'{"x": NaN, ' + IMAGE[1:]),
        put("x", b'{"x": ' + b"9" * 5000 + b", " + IMAGE[1:]),
        put("x", b'{"x": 1e999, ' + IMAGE[1:]),
    ),
    *rows(
        "B-066",
        400,
        put("x", b'{"layers": [], ' + IMAGE[1:]),
        put("x", b'{"schemaVersion": 2,' + IMAGE[1:]),
    ),
    *rows(
        "B-067",
        400,
        *(
            put("x", body)
            for body in (
                b"\xef\xbb\xbf" + IMAGE,
                GOOD.encode("utf-16"),
                GOOD.encode("utf-16-le"),
                GOOD.encode("utf-32"),
                IMAGE + b"x",
                IMAGE + b"\0",
                IMAGE + b",",
                IMAGE * 2,
                IMAGE + b"\n" + IMAGE,
                IMAGE[:-1] + b"\xff}",
                IMAGE[:-1] + b', "annotations": {"a": "\xed\xa0\x80"}}',
                IMAGE[:-1] + b', "annotations": {"a": "\n"}}',
                IMAGE[:-1],
                b"\0" + IMAGE,
                b"/* */" + IMAGE,
                GOOD.replace('"', "'").encode(),
            )
        ),
    ),
    *plays("B-067", act.whitespace_is_kept, *(b" \n", b"\r\n\t", b"")),
    *rows(
        "B-068",
        400,
        *(
            put("x", body)
            for body in (b"", b"null", b"[]", b'"x"', b"{}", b"0", b"true", b"[{}]", b" ", b"\0")
        ),
    ),
    *rows(
        "B-070",
        400,
        put("x", IMAGE[:-1] + b', "manifests": []}'),
        put("x", IMAGE[:-1] + b', "manifests": null}'),
        put("x", IMAGE[:-1] + b', "manifests": []}', content_type=OCI_INDEX),
        put(
            "x",
            GOOD.replace(OCI_MANIFEST, OCI_INDEX).encode()[:-1] + b', "manifests": []}',
            content_type=OCI_INDEX,
        ),
    ),
    *rows(
        "B-071",
        400,
        put("x", IMAGE, content_type=OCI_INDEX),
        put("x", GOOD.replace(OCI_MANIFEST, OCI_INDEX).encode()),
        put("x", GOOD.replace(f'"{OCI_MANIFEST}"', "7").encode()),
        put("x", GOOD.replace(OCI_MANIFEST, OCI_MANIFEST.upper()).encode()),
    ),
    *rows(
        "B-073",
        400,
        *(
            put("x", GOOD.replace('"schemaVersion": 2', version).encode())
            for version in (
                *('"schemaVersion": 1', '"schemaVersion": 3', '"schemaVersion": "2"', '"x": 2'),
                *(
                    '"schemaVersion": 2.0',
                    '"schemaVersion": null',
                    '"SchemaVersion": 2',
                    '"schemaVersion": true',
                ),
            )
        ),
        put("x", b"{}", content_type="application/vnd.docker.distribution.manifest.v1+prettyjws"),
    ),
    *rows(
        "B-074",
        (400, 415),
        *(
            put("x", IMAGE, content_type=content_type)
            for content_type in (
                *(
                    "text/html",
                    "application/json",
                    "x" * 4096,
                    "a/b;;;;",
                    f"{OCI_MANIFEST}, text/html",
                    "",
                    ";",
                ),
                *(
                    "text/html; x=" + OCI_MANIFEST,
                    "application/octet-stream",
                    "\x80",
                    "*/*",
                    OCI_MANIFEST + "\x0b",
                ),
            )
        ),
        put("x", IMAGE, "Content-Type: text/html"),
    ),
    *rows("B-074", 400, put("x", IMAGE, content_type=f"{OCI_MANIFEST}\r\n folded"), ends=True),
    *rows(
        "B-075",
        200,
        *(
            get(f"/v2/a/manifests/{reference}", f"Accept: {accepted}")
            for reference in ("latest", digest_of(IMAGE))
            for accepted in (OCI_INDEX, "text/html", "nothing", "*/*;q=0", "")
        ),
    ),
    *rows(
        "B-076",
        400,
        *(
            put("x", with_layer_digest(digest))
            for digest in (
                *(
                    "sha256:../../../x",
                    f"sha256:{HEX[1:]}",
                    f"md5:{'0' * 32}",
                    "",
                    f"sha256:{'Z' * 64}",
                    7,
                    None,
                ),
                *(
                    [],
                    {},
                    f"sha256:{'A' * 64}",
                    f"sha256:{HEX}\n",
                    f"../{HEX}",
                    f"sha256:{HEX}/../x",
                    "x" * 100_000,
                ),
            )
        ),
    ),
    *plays(
        "B-077",
        act.foreign_layer,
        *("http://169.254.169.254/", "file:///etc/passwd", "gopher://x", ""),
    ),
    *rows(
        "B-078",
        400,
        *(put("x", sized(number)) for number in (0, 1, len(LAYER) - 1, len(LAYER) + 1, 2**62)),
    ),
    *rows(
        "B-079",
        (400, 404),
        put("x", manifest(b"missing")),
        put("x", manifest(LAYER), name="other"),
        put("x", manifest(), name="other"),
    ),
    *rows(
        "B-07A",
        400,
        *(
            put("x", GOOD.replace('"layers": [', f'"layers": {layers}, "x": [').encode())
            for layers in ("{}", '"x"', "[null]", "[[]]", "[7]", "[{}]", '[{"digest": 1}]')
        ),
        *(
            put("x", GOOD.replace('"config": {', f'"config": {config}, "x": {{').encode())
            for config in ("null", "[]", '"x"', "{}", '{"digest": "x"}', "0")
        ),
    ),
    *rows("B-07B", 400, put(digest_of(b"other"), IMAGE), put(digest_of(b"x", "sha512"), IMAGE)),
    *plays("B-07C", act.odd_subject, *act.SUBJECTS),
    *plays("B-07D", act.odd_annotation, *act.ANNOTATIONS),
    *rows(
        "B-07E",
        400,
        *(
            put("x", IMAGE[:-1] + b', "subject": ' + subject + b"}")
            for subject in (b"7", b"[]", b'"x"', b"{}", b'{"digest": "sha256:../../x", "size": 1}')
        ),
        *(
            put("x", IMAGE[:-1] + b', "annotations": ' + annotations + b"}")
            for annotations in (b"7", b"[]", b'"x"', b'{"a": 7}', b'{"a": null}')
        ),
    ),
)

NOT_SPANS = (
    *(
        "bytes 0-4/5",
        "0-",
        "-",
        "a-b",
        "-1-4",
        "0 - 4",
        "3-3-3",
        "bytes=3-12",
        "",
        "3",
        "\xb2-3",
        "0x3-12",
    ),
    *("3-12, 13-14", "+3-12", "3-12\x0b", "9" * 5000 + "-" + "9" * 5000, "3-1" + "0" * 5000),
)

UPLOAD_ROWS = (
    *rows(
        "B-050",
        (400, 404, 405),
        *(
            request
            for upload_id in (
                *(
                    "00000000-0000-4000-8000-000000000000",
                    "..",
                    ".",
                    "x" * 10240,
                    "%2e%2e",
                    "a/b",
                    "%00",
                    "%",
                ),
                *("0" * 64, "data", "..%2f..%2fx", "{}", "'", "\x7f"),
            )
            for request in (
                get(UPLOADS + upload_id),
                send("PATCH", UPLOADS + upload_id, b"x"),
                send("PUT", f"{UPLOADS}{upload_id}?digest={digest_of(b'x')}", b"x"),
                send("DELETE", UPLOADS + upload_id),
            )
        ),
    ),
    *rows(
        "B-051",
        (400, 404),
        *(
            send(method, f"{UPLOADS}{{id}}?{query}&digest={digest_of(b'abcx')}", body)
            for method, body in (("PATCH", b"x"), ("PUT", b"x"), ("DELETE", b""))
            for query in (
                *(
                    "",
                    "_state=",
                    "_state=x",
                    "_state=" + "A" * 8000,
                    "_state={token}A",
                    "_state=A{token}",
                ),
                *(
                    "_state=%00{token}",
                    "_state={token}%00",
                    "_STATE={token}",
                    "_state=..%2f",
                    "_state=x&_state={token}",
                ),
            )
        ),
    ),
    *plays("B-051", act.flip_bits_of_the_token, *("PATCH", "PUT", "DELETE")),
    *plays("B-051", act.token_of_another_session, *("PATCH", "PUT", "DELETE")),
    *plays("B-051", act.token_of_another_key),
    *plays("B-052", act.session_of_another_repository, *("GET", "HEAD", "PATCH", "PUT", "DELETE")),
    *rows(
        "B-054",
        416,
        *(patch(f"Content-Range: {span}") for span in ("4-13", "0-9", "2-11", "1000-1009")),
    ),
    *rows(
        "B-054",
        (400, 416),
        *(
            patch(f"Content-Range: {span}")
            for span in ("3-2", "3-11", "3-13", f"3-{2**63}", f"{2**63}-{2**63 + 9}")
        ),
        *(patch(f"Content-Range: {span}") for span in NOT_SPANS),
        patch("Content-Range: 3-12", "Content-Range: 3-12"),
    ),
    *rows(
        "B-055",
        (400, 416),
        *(
            close(f"&digest={digest_of(b'abc0123456789')}", b"0123456789", f"Content-Range: {span}")
            for span in ("4-13", "0-9", "2-11", "3-11", "3-13", *NOT_SPANS)
        ),
    ),
    *plays("B-056", act.short_patch, *("fin", "rst")),
    *rows(
        "B-057",
        400,
        close(""),
        close("&digest="),
        close(f"&digest={digest_of(b'abc')}&digest={digest_of(b'abc')}"),
        close(f"&digest={digest_of(b'abd')}"),
        close(f"&digest={digest_of(EMPTY_CONFIG)}"),
        close(f"&digest={digest_of(b'abd', 'sha512')}"),
        *(close(f"&digest={digest}") for digest in NOT_DIGESTS if "%" not in digest),
        close(f"&Digest={digest_of(b'abc')}"),
        code="DIGEST_INVALID",
    ),
    *rows(
        "B-057", 400, close(f"&digest={digest_of(b'abc')}", b"x"), holds=4, code="DIGEST_INVALID"
    ),
    *rows(
        "B-058",
        400,
        *(
            send("POST", f"{UPLOADS}?digest={digest}", b"x")
            for digest in (
                *NOT_DIGESTS[:9],
                digest_of(b"y"),
                "",
                f"{digest_of(b'x')}&digest={digest_of(b'x')}",
            )
        ),
        send("POST", f"{UPLOADS}?digest={digest_of(b'y')}", b"x" * 100_000),
        chunked("POST", f"{UPLOADS}?digest={digest_of(b'y')}", b"x"),
        *(
            send("POST", f"{UPLOADS}?digest-algorithm={name}")
            for name in ("md5", "", "SHA256", "../x", "x" * 5000)
        ),
    ),
    *plays("B-059", act.empty_blob, *("put", "post", "patch")),
    *plays("B-05A", act.mount_of_what_is_not_there, *act.MOUNTS),
    *plays("B-05E", act.two_writers),
    *plays("B-05G", act.purge_by_another_process),
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

LISTINGS = (
    *rows(
        "B-110",
        (200, 400),
        *(
            get(f"/v2/{place}?n={number}")
            for place in ("_catalog", "a/tags/list", f"a/referrers/{digest_of(IMAGE)}")
            for number in (
                *(
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
                    "1.5",
                ),
                *("+1", "0x10", "1_0", "%C2%B2", "1e3", "1&n=2", "%20%31", "NaN"),
            )
        ),
    ),
    *rows(
        "B-111",
        (200, 400),
        *(
            get(f"/v2/{place}?last={last}")
            for place in ("_catalog", "a/tags/list")
            for last in (
                *(
                    "x" * 10240,
                    "../../etc",
                    "%0d%0aX:%20y",
                    "%ff",
                    "%",
                    "%zz",
                    "&&&",
                    "=",
                    "%00",
                    "/",
                    "%2f",
                ),
                *("\x7f", "a%2f..%2fb", "_manifests", "a%2f_uploads", "%F4%8F%BF%BF", "%ed%a0%80"),
            )
        ),
    ),
    *rows(
        "B-112",
        413,
        *(get(f"/v2/{place}?" + "&".join(["x=y"] * 300)) for place in ("_catalog", "a/tags/list")),
    ),
    *plays("B-113", act.link_of_a_page, *("%0d%0aX:y", "%22%3E%3B", "a%3Cb%3E", "%ff", "a,b")),
    *rows(
        "B-116",
        (200, 400),
        *(
            get(f"/v2/a/referrers/{digest_of(IMAGE)}?artifactType={kind}")
            for kind in ("", "x" * 9000, "%00", "*", "%ff")
        ),
    ),
)

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

BLOB_LIMIT = (
    *rows(
        "B-05C",
        413,
        send("POST", f"{UPLOADS}?digest={digest_of(b'x')}", b"", length=100_000),
        ends=True,
    ),
    *rows("B-05C", 413, send("PATCH", "{session}", b"", length=100_000), ends=True),
    *rows("B-05C", 413, patch(body=b"x" * 998)),
    *rows("B-05C", 413, close(f"&digest={digest_of(b'x')}", b"x" * 998)),
    *rows("B-05C", 413, chunked("PATCH", "{session}", *[b"x" * 100] * 10), holds=None),
    *rows("B-05C", 413, chunked("POST", f"{UPLOADS}?digest={digest_of(b'x')}", b"x" * 1001)),
)

#: Deadlines short enough to wait for.
HURRY = {
    "firstbyte": "1s",
    "headtimeout": "1s",
    "idle": "1s",
    "bodygrace": "1s",
    "bodywindow": "1s",
    "writestall": "2s",
    "draintime": "1s",
}
SLOW = (
    *plays(
        "B-028", act.silent_connection, "", "G", "GET /v2/ HTTP/1.1\r\nHost: h\r\n", "POST /v2/"
    ),
    *plays("B-028", act.dripping_head),
    *plays("B-028", act.dripping_body),
    *plays("B-028", act.idle_connection),
    *plays("B-037", act.refused_body_without_end),
)
CROWD = (*plays("B-033", act.too_many_connections), *plays("B-033", act.too_many_of_one_address))
IDLERS = (*plays("B-033", act.thousand_idle_connections),)

GROUPS = (
    Group("names", NAMES),
    Group("paths", PATHS),
    Group("framing", FRAMING),
    Group("hosts", HOSTS),
    Group("uploads", UPLOAD_ROWS),
    Group("manifests", MANIFESTS),
    Group("listings", LISTINGS),
    Group("methods", METHODS),
    Group("deletion", DELETIONS),
    Group("deletion disabled", NO_DELETES, {"storage": {"delete": {"enabled": False}}}),
    Group("read-only", READ_ONLY, {"storage": {"maintenance": {"readonly": {"enabled": True}}}}),
    Group("blob limit", BLOB_LIMIT, {"storage": {"bloblimit": 1000}}),
    Group(
        "too many uploads",
        plays("B-05B", act.abandon_uploads),
        {"storage": {"uploads": {"sessions": 6, "sessionsperclient": 5}}},
    ),
    Group(
        "too many bytes of uploads",
        plays("B-05B", act.fill_uploads),
        {"storage": {"uploads": {"bytes": 65, "bytesperclient": 40}}},
    ),
    Group(
        "purges",
        plays("B-05F", act.purge_beside_a_writer),
        {"storage": {"maintenance": {"uploadpurging": {"age": "1s", "interval": "100ms"}}}},
    ),
    Group("slow", SLOW, {"http": {"limits": HURRY}}, is_slow=True),
    Group("slow readers", plays("B-029", act.reader_that_stops), {"http": {"limits": HURRY}}),
    Group("crowd", CROWD, {"http": {"limits": {"connections": 12, "connectionsperaddress": 8}}}),
    Group("idle", IDLERS, {"http": {"limits": {"connectionsperaddress": 2000}}}),
)
