# SPDX-License-Identifier: Apache-2.0
"""The vocabulary of driver protocol 1: what is asked, what is answered, what may be refused.

Room: ipc. Must not know what a command does (``responder``) nor when it is asked (``remote``). The
normative text, written for people who don't read Python, is docs/drivers/wire-protocol.md; the two
say the same.

A conversation, front end on the left:

    Hello(1, 1)                           ->  protocol 1, name, version, features
    Get(path) / Put / Stat / List ...     ->  answers, in any order
    OpenFile(path)                        ->  descriptor, its device, inode and size, a claim
    Claim(claim)                              (no answer: the driver closes its own copy)
    OpenWriter(path, offset, lane)        ->  writer, window
       ... bytes on the lane ->           <-  stored offsets, 8 bytes big-endian each, on the lane
       half-close of the lane
    CloseWriter(writer)                   ->  size, digests
    Commit(path, destination, size, digest)

In each table a descriptor comes last: values are read in that order, and a descriptor that was
claimed for a box whose other values are no good would belong to nobody.

A refusal carries one code of ``storage.errors.CODES`` and, as its description, a JSON object with
``message`` and, where they apply, ``path``, ``actual`` (WrongOffset, bytes) and ``retry_after``
(Throttled, seconds).
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

from twisted.protocols import amp

from txregistry.ipc.items import ItemList
from txregistry.storage import errors
from txregistry.storage.errors import CODES, Internal, StorageError

PROTOCOL_MIN = 1
PROTOCOL_MAX = 1

#: An AMP value holds at most 65,535 bytes; content up to this size travels inside the box, the rest
#: by lane.
INLINE_LIMIT = 32 * 1024

#: Budget in bytes for a page of a listing inside one AMP value, with room for what else the box
#: holds.
PAGE_BYTES = 60_000

#: A refusal's message and its path are cut to so many characters; as JSON each may take 12 bytes,
#: and all of it has to fit an AMP value.
_MESSAGE_LIMIT = 2_000
_PATH_LIMIT = 2_048


class Refusal(Exception):
    """A StorageError on its way over the wire; ``str()`` of it is the JSON description."""

    code: ClassVar[str]


#: code -> the exception class that AMP carries for it.
REFUSALS: dict[str, type[Refusal]] = {
    code: type(f"{code}Refusal", (Refusal,), {"code": code, "__doc__": f"{code} on the wire."})
    for code in CODES
}

_REFUSAL_BYTES: dict[type[Exception], bytes] = {
    refusal: code.encode() for code, refusal in REFUSALS.items()
}
#: The shared error table. ``Exception`` is last, because the first match wins: nothing undeclared
#: leaves a responder, as that would close the connection with every call on it.
ERRORS: dict[type[Exception], bytes] = {**_REFUSAL_BYTES, Exception: b"Internal"}


def encode_refusal(error: StorageError) -> Refusal:
    """Turn a driver's error into what AMP carries."""
    description: dict[str, Any] = {"message": error.message[:_MESSAGE_LIMIT]}
    if error.path:
        description["path"] = error.path[:_PATH_LIMIT]
    if isinstance(error, errors.WrongOffset):
        description["actual"] = error.actual
    if isinstance(error, errors.Throttled):
        description["retry_after"] = error.retry_after
    return REFUSALS[error.code](json.dumps(description))


def decode_refusal(code: str, text: str) -> StorageError:
    """Turn what AMP carried back into the driver's error; a text that is not the JSON object is
    taken as the message.
    """
    try:
        description = json.loads(text)
    except (ValueError, RecursionError):
        description = text
    if not isinstance(description, dict):
        description = {"message": str(description)}
    message = str(description.get("message", ""))[:_MESSAGE_LIMIT]
    path = str(description.get("path", ""))[:_PATH_LIMIT]
    kind = CODES.get(code, Internal)
    if kind is errors.WrongOffset:
        return errors.WrongOffset(message, path=path, actual=_whole(description.get("actual")))
    if kind is errors.Throttled:
        wait = description.get("retry_after")
        seconds = float(wait) if isinstance(wait, int | float) and 0 <= wait < 86_400 else 1.0
        return errors.Throttled(message, path=path, retry_after=seconds)
    return kind(message, path=path)


def _whole(value: object) -> int:
    return value if isinstance(value, int) and value >= 0 else 0


#: Keys that any command, and any answer, may have besides its own; in Python, and on the wire.
TRACEPARENT, TRACEPARENT_KEY = "traceparent", b"traceparent"
ELAPSED, ELAPSED_KEY = "elapsed_us", b"elapsed_us"


class Whole(amp.Integer):
    """An integer that is not negative; anything else makes no sense in the box where it is."""

    def fromString(self, inString: bytes) -> int:  # type: ignore[override]  # there it is int itself
        value = int(inString)
        if value < 0:
            raise ValueError(f"{value} is negative")
        return value


class _Command(amp.Command):
    """Every command may carry the trace that it belongs to (``traceparent``), and its answer then
    how long it took (``elapsed_us``).
    """

    errors = ERRORS

    @classmethod
    def makeArguments(cls, objects: dict[str, Any], proto: Any) -> amp.AmpBox:
        traceparent = objects.pop(TRACEPARENT, None)
        box: amp.AmpBox = super().makeArguments(objects, proto)
        if traceparent is not None:
            box[TRACEPARENT_KEY] = traceparent.encode("ascii")
        return box

    @classmethod
    def parseResponse(cls, box: amp.AmpBox, protocol: Any) -> dict[str, Any]:
        answer: dict[str, Any] = super().parseResponse(box, protocol)
        elapsed = box.get(ELAPSED_KEY)
        if elapsed is not None and elapsed.isdigit() and len(elapsed) < 16:
            answer[ELAPSED] = int(elapsed)
        return answer


#: The feature that is a lack: conditions of changes hold within one process of the driver only.
LOCAL_CONDITIONS = "local-conditions"

#: Likewise: the content is gone with the process.
VOLATILE = "volatile"


class Hello(_Command):
    """First on every connection: agree on a version, learn who answers."""

    commandName = b"Hello"
    arguments: ClassVar = [(b"protocol_min", amp.Integer()), (b"protocol_max", amp.Integer())]
    response: ClassVar = [
        (b"protocol", amp.Integer()),
        (b"name", amp.Unicode()),
        (b"version", amp.Unicode()),
        (b"features", amp.ListOf(amp.Unicode())),
        (b"isolation", amp.Unicode(optional=True)),
    ]


class Ping(_Command):
    """Liveness: answered at once, whatever else is going on."""

    commandName = b"Ping"
    arguments: ClassVar = []
    response: ClassVar = [
        (b"operations", Whole()),
        (b"oldest_ms", Whole()),
        (b"bytes_moved", Whole()),
        (b"resident", Whole(optional=True)),
        (b"descriptors", Whole(optional=True)),
        (b"state", amp.Unicode(optional=True)),
    ]


_ENTRY: list[tuple[bytes, amp.Argument]] = [
    (b"path", amp.Unicode()),
    (b"is_directory", amp.Boolean()),
    (b"size", Whole()),
    (b"modified", amp.Integer()),
    (b"version", amp.Unicode()),
]


class Stat(_Command):
    commandName = b"Stat"
    arguments: ClassVar = [(b"path", amp.Unicode())]
    response: ClassVar = _ENTRY[1:]


class Get(_Command):
    """Small content; ``content`` is absent when it has more than INLINE_LIMIT bytes: read it,
    then.
    """

    commandName = b"Get"
    arguments: ClassVar = [(b"path", amp.Unicode())]
    response: ClassVar = [
        (b"content", amp.String(optional=True)),
        (b"size", Whole()),
        (b"version", amp.Unicode()),
    ]


class GetSeveral(_Command):
    """Several contents in one round trip (feature ``get-several``). An item that is refused carries
    ``error`` and ``description``.

    The driver stops before the answer outgrows one AMP value; items it did not reach are missing at
    the end of the list.
    """

    commandName = b"GetSeveral"
    arguments: ClassVar = [(b"paths", amp.ListOf(amp.Unicode()))]
    response: ClassVar = [(b"items", ItemList())]


_LANE: list[tuple[bytes, amp.Argument]] = [
    (b"lane_device", amp.Integer()),
    (b"lane_inode", amp.Integer()),
    (b"lane", amp.Descriptor()),
]
_OPTIONAL_LANE: list[tuple[bytes, amp.Argument]] = [
    (b"lane_device", amp.Integer(optional=True)),
    (b"lane_inode", amp.Integer(optional=True)),
    (b"lane", amp.Descriptor(optional=True)),
]


class Put(_Command):
    """Content inline, or by a lane that carries exactly ``size`` bytes and then ends."""

    commandName = b"Put"
    arguments: ClassVar = [
        (b"path", amp.Unicode()),
        (b"size", amp.Integer()),
        (b"content", amp.String(optional=True)),
        (b"if_absent", amp.Boolean(optional=True)),
        (b"if_version", amp.Unicode(optional=True)),
        (b"record_path", amp.Unicode(optional=True)),
        (b"record", amp.String(optional=True)),
        *_OPTIONAL_LANE,
    ]
    response: ClassVar = [(b"version", amp.Unicode())]


class OpenFile(_Command):
    """A file lane: a read-only descriptor of a regular file. Unsupported where the content is not
    one.
    """

    commandName = b"OpenFile"
    arguments: ClassVar = [(b"path", amp.Unicode())]
    response: ClassVar = [
        (b"size", Whole()),
        (b"device", Whole()),
        (b"inode", Whole()),
        (b"claim", amp.Integer()),
        (b"file", amp.Descriptor()),
    ]


class Claim(_Command):
    """The descriptor of that claim has arrived: the driver's own copy may be closed. Not
    answered.
    """

    commandName = b"Claim"
    arguments: ClassVar = [(b"claim", amp.Integer())]
    response: ClassVar = []
    requiresAnswer = False


class OpenStream(_Command):
    """A stream lane for reading: ``[start, stop)`` is written into it, then it ends. ``stop``
    absent: to the end.
    """

    commandName = b"OpenStream"
    arguments: ClassVar = [
        (b"path", amp.Unicode()),
        (b"start", amp.Integer()),
        (b"stop", amp.Integer(optional=True)),
        *_LANE,
    ]
    response: ClassVar = [(b"size", Whole())]


class OpenWriter(_Command):
    """A stream lane for writing, at exactly the stored size. ``window``: the most bytes that the
    driver may hold unconfirmed.
    """

    commandName = b"OpenWriter"
    arguments: ClassVar = [
        (b"path", amp.Unicode()),
        (b"offset", amp.Integer()),
        (b"algorithms", amp.ListOf(amp.Unicode())),
        (b"states", amp.Unicode(optional=True)),
        *_LANE,
    ]
    response: ClassVar = [(b"writer", amp.Integer()), (b"window", Whole())]


class CloseWriter(_Command):
    """Answered when the lane has ended and all of it is stored; refused with the reason if the lane
    ended for one.
    """

    commandName = b"CloseWriter"
    arguments: ClassVar = [(b"writer", amp.Integer())]
    response: ClassVar = [
        (b"size", Whole()),
        (b"digests", amp.AmpList([(b"algorithm", amp.Unicode()), (b"encoded", amp.Unicode())])),
    ]


class AbandonWriter(_Command):
    """End a writer at once; what was confirmed stays."""

    commandName = b"AbandonWriter"
    arguments: ClassVar = [(b"writer", amp.Integer())]
    response: ClassVar = []


class Commit(_Command):
    """``record_path`` and ``record``: what is to be kept beside the destination (feature
    ``records``).
    """

    commandName = b"Commit"
    arguments: ClassVar = [
        (b"path", amp.Unicode()),
        (b"destination", amp.Unicode()),
        (b"size", amp.Integer()),
        (b"digest", amp.Unicode()),
        (b"record_path", amp.Unicode(optional=True)),
        (b"record", amp.String(optional=True)),
        (b"states", amp.Unicode(optional=True)),
    ]
    response: ClassVar = []


class Move(_Command):
    commandName = b"Move"
    arguments: ClassVar = [(b"source", amp.Unicode()), (b"destination", amp.Unicode())]
    response: ClassVar = []


class Delete(_Command):
    commandName = b"Delete"
    arguments: ClassVar = [(b"path", amp.Unicode()), (b"if_version", amp.Unicode(optional=True))]
    response: ClassVar = []


class List(_Command):
    """``kinds`` has one byte for each name: ``d`` a directory, ``f`` a file."""

    commandName = b"List"
    arguments: ClassVar = [
        (b"path", amp.Unicode()),
        (b"after", amp.Unicode()),
        (b"limit", amp.Integer()),
    ]
    response: ClassVar = [
        (b"names", amp.ListOf(amp.Unicode())),
        (b"kinds", amp.String()),
        (b"has_more", amp.Boolean()),
    ]


class Walk(_Command):
    commandName = b"Walk"
    arguments: ClassVar = [
        (b"path", amp.Unicode()),
        (b"after", amp.Unicode()),
        (b"skip_subtree", amp.Boolean()),
        (b"limit", amp.Integer()),
    ]
    response: ClassVar = [(b"entries", amp.AmpList(_ENTRY)), (b"has_more", amp.Boolean())]


class Sync(_Command):
    commandName = b"Sync"
    arguments: ClassVar = [(b"paths", amp.ListOf(amp.Unicode()))]
    response: ClassVar = []


class RedirectURL(_Command):
    commandName = b"RedirectURL"
    arguments: ClassVar = [
        (b"path", amp.Unicode()),
        (b"method", amp.Unicode()),
        (b"expires_in", amp.Integer()),
        (b"client", amp.Unicode(optional=True)),
    ]
    response: ClassVar = [(b"url", amp.Unicode(optional=True))]
