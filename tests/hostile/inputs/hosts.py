# SPDX-License-Identifier: Apache-2.0
"""Bad inputs in what a request says of hosts and of its way here."""

from __future__ import annotations

from .. import plays as act
from ..rows import get, plays, rows
from .requests import base

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
