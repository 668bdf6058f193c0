# SPDX-License-Identifier: Apache-2.0
"""Bad inputs in pushes of manifests."""

from __future__ import annotations

import gzip
import json

from ...web.content import OCI_INDEX, OCI_MANIFEST, digest_of, manifest
from .. import plays as act
from ..rows import chunked, get, plays, rows, send
from ..ward import IMAGE, LAYER
from .requests import HEX, MIB, put

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
            for body in (IMAGE, gzip.compress(bytes(MIB), mtime=0))
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
