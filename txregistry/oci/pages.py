# SPDX-License-Identifier: Apache-2.0
"""Pages of long lists: what is asked for, what is answered, where the next one is.

Room: oci. Must not know what is listed. A page goes on strictly after a name, which need not exist
(any more).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from urllib.parse import quote, urlencode

from attrs import frozen

from txregistry.oci.errors import Code, OciError, excerpt

#: n = 1*DIGIT, and no more of them than any count has
_NUMBER = re.compile(r"[0-9]{1,100}")

#: How much of ``last`` is kept, in characters: one more than the longest name. A longer text and
#: its beginning have the same names after them, since no name is longer than the beginning.
LAST_LIMIT = 256


@frozen
class PageRequest:
    """What is asked for: at most ``limit`` names (None: all of them), strictly after ``last``
    (empty: from the start)."""

    limit: int | None
    last: str = ""


@frozen
class Page:
    """Names in order; ``has_more`` says whether there are others after the last of them."""

    names: tuple[str, ...]
    has_more: bool


def parse_page(
    n: str | None, last: str | None, *, maximum: int, default: int | None, clamp: bool
) -> PageRequest:
    """Return the page that a query asks for.

    Args:
        n: the query's ``n``, None if it has none.
        last: the query's ``last``, None if it has none.
        maximum: most names on one page.
        default: the limit if ``n`` is missing.
        clamp: whether an ``n`` above ``maximum`` is lowered to it, or refused.

    Raises:
        OciError: PAGINATION_NUMBER_INVALID.

    Source: distribution-spec end-8b.
    """
    after = (last or "")[:LAST_LIMIT]
    if n is None:
        return PageRequest(default, after)
    if not _NUMBER.fullmatch(n) or (int(n) > maximum and not clamp):
        raise OciError(Code.PAGINATION_NUMBER_INVALID, {"n": excerpt(n)})
    return PageRequest(min(int(n), maximum), after)


def take(names: Iterable[str], request: PageRequest) -> Page:
    """Return the page that ``request`` asks for out of ``names``, which are in order."""
    after = (name for name in names if name > request.last)
    if request.limit is None:
        return Page(tuple(after), False)
    found = tuple(islice(after, request.limit + 1))
    # Asking for nothing is answered in full.
    return Page(found[: request.limit], 0 < request.limit < len(found))


def next_link(path: str, parameters: Sequence[tuple[str, str]]) -> str:
    """Return the Link header that points to the next page.

    Args:
        path: of the request, not yet percent-encoded.
        parameters: of the next page's query, not yet encoded; they are sorted by key, as registry:3
            does.

    Source: RFC 8288 section 3; distribution-spec end-8b.
    """
    query = urlencode(sorted(parameters, key=lambda pair: pair[0]), errors="replace")
    return f'<{quote(path, safe="/:", errors="replace")}?{query}>; rel="next"'
