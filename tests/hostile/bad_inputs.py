# SPDX-License-Identifier: Apache-2.0
"""The table of bad inputs: what a hostile or broken client may send, and the answer that is right.

Every row is tried over a socket on a real server. What holds for all of them need not be said in a
row: a refusal is an error document, nothing redirects, no answer tells of our insides, the server
answers afterwards with the processes that it had, its log has no traceback, its store is as before,
and a group neither adds 32 MiB to its memory nor leaves a descriptor open.

To add rows: ``rows(id, statuses, request, ...)`` makes one for each request, ``plays(id, function,
variant, ...)`` one for each variant of something that takes more than one request (the functions
are in ``plays``). Put them into a group of ``inputs``, or make one here, with the configuration
that its server needs. A row is a class: add its neighbors. ``{session}``, ``{id}`` and ``{token}``
stand for a fresh upload session of the repository ``a`` that holds three bytes; ``a`` also has an
image under the tag ``latest``, and nobody else has anything.

Ids are those of the published table; a number once given to a class stays.
"""

from __future__ import annotations

from . import plays as act
from .inputs.framing import FRAMING
from .inputs.hosts import HOSTS
from .inputs.listings import LISTINGS
from .inputs.manifests import MANIFESTS
from .inputs.methods import DELETIONS, METHODS, NO_DELETES, READ_ONLY
from .inputs.paths import NAMES, PATHS
from .inputs.uploads import BLOB_LIMIT, UPLOAD_ROWS
from .rows import Group, plays

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
