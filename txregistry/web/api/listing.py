# SPDX-License-Identifier: Apache-2.0
"""What all listings share: JSON bodies and the Link to the next page.

Room: web.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from txregistry.oci.pages import next_link
from txregistry.web.answer import Answer, Header
from txregistry.web.faults import JSON_TYPE


def listing(
    body: Mapping[str, object], *headers: Header, content_type: Header = JSON_TYPE
) -> Answer:
    """Return a page as an answer."""
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    return Answer(200, (content_type, *headers), text.encode("utf-8") + b"\n")


def link(path: str, parameters: Sequence[tuple[str, str]]) -> Header:
    """Return the Link header to the next page."""
    return ("Link", next_link(path, parameters))
