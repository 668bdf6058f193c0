# SPDX-License-Identifier: Apache-2.0
"""Bad inputs in uploads."""

from __future__ import annotations

from ...web.content import EMPTY_CONFIG, digest_of
from .. import plays as act
from ..rows import chunked, get, plays, rows, send
from .paths import NOT_DIGESTS
from .requests import UPLOADS, close, patch

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
