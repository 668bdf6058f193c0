# SPDX-License-Identifier: Apache-2.0
"""The rules by which a request on an upload is taken or refused, apart from everything that does
it.

Room: registry. Must not know storage, bodies or clocks: a request is judged from what it claims and
from the number of bytes that the upload truly holds, before a writer is claimed, so that a stale
retry fences nobody. The token was found authentic before.

    held     Content-Range   and                                      decision
    -------  --------------  ---------------------------------------  ---------------------------
    nothing  any             no such session                          Refuse BLOB_UPLOAD_UNKNOWN *
    n        a-b             a != n                                   Refuse RANGE_INVALID, n
    n        a-b             the declared length is not b-a+1         Refuse SIZE_INVALID, n
    n        none            the token's offset is not n              Refuse RANGE_INVALID, n **
    n        any             more than the limit would be held        Refuse SIZE_INVALID, too large
    n        a-b             else                                     Accept at n, exactly b-a+1
    n        none            else                                     Accept at n, declared length

*   may be a PUT that was answered 201 before: ``may_be_done``.
**  may be a PUT whose answer was lost, if the upload holds exactly what it would: ``may_be_done``.

Content-Range decides; the token's offset only counts where there is none.

Source: distribution-spec end-5, end-6; registry:3 for the codes.
"""

from __future__ import annotations

from attrs import frozen

from txregistry.oci.errors import Code
from txregistry.oci.ranges import Span


@frozen
class Claim:
    """What a request says of an upload.

    Attributes:
        offset: bytes held when its token was made.
        span: where its body belongs, if it says so.
        length: bytes of its body, None if it does not say.
    """

    offset: int
    span: Span | None
    length: int | None


@frozen
class Accept:
    """The body is to be appended.

    Attributes:
        start: bytes held, and where a writer is to be opened.
        length: bytes that must come, no more and no less; None for whatever comes.
        room: most bytes that may come; None for no limit.
    """

    start: int
    length: int | None
    room: int | None


@frozen
class Refuse:
    """The body is not to be read.

    Attributes:
        offset: bytes held; None if there is no session.
        may_be_done: if this request closes the upload, it may have succeeded before.
    """

    code: Code
    offset: int | None
    is_too_large: bool = False
    may_be_done: bool = False


def judge(claim: Claim, held: int | None, limit: int | None = None) -> Accept | Refuse:
    """Decide on a request.

    Args:
        held: bytes that the upload holds, None if there is no such session.
        limit: most bytes that an upload may hold, None for no limit.
    """
    if held is None:
        return Refuse(Code.BLOB_UPLOAD_UNKNOWN, None, may_be_done=True)
    length = claim.length
    if claim.span is not None:
        if claim.span.start != held:
            return Refuse(Code.RANGE_INVALID, held)
        if length is None:
            length = claim.span.length
        if length != claim.span.length:
            return Refuse(Code.SIZE_INVALID, held)
    elif claim.offset != held:
        return Refuse(Code.RANGE_INVALID, held, may_be_done=held == claim.offset + (length or 0))
    room = None if limit is None else max(limit - held, 0)
    if room is not None and (length or 0) > room:
        return Refuse(Code.SIZE_INVALID, held, is_too_large=True)
    return Accept(held, length, room)
