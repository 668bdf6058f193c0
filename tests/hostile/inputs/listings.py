# SPDX-License-Identifier: Apache-2.0
"""Bad inputs in questions for lists."""

from __future__ import annotations

from ...web.content import digest_of
from .. import plays as act
from ..rows import get, plays, rows
from ..ward import IMAGE

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
