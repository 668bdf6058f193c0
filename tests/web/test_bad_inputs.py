# SPDX-License-Identifier: Apache-2.0
"""The table of bad inputs, sent over raw sockets.

Common to every row: the answer is one of those expected and, if a refusal, an error document that
can be parsed; it never redirects; it tells nothing of us; the server still answers afterwards;
nothing is stored.
"""

import json

import pytest

from .bad_inputs import FRAMING, ROWS
from .content import EMPTY_CONFIG, push_blob


def ids(rows):
    """Ids that are unique and stay the same while rows are only added to a class."""
    seen = {}
    for name, *_ in rows:
        seen[name] = seen.get(name, 0) + 1
        yield f"{name}.{seen[name]}"


def everything(store):
    """All paths of a store."""
    found, waiting = [], ["/docker"]
    while waiting:
        path = waiting.pop()
        for child in store.list(path, "", 1000).children:
            found.append(f"{path}/{child.name}")
            if child.is_directory:
                waiting.append(found[-1])
    return sorted(found)


@pytest.mark.parametrize("row", ROWS, ids=ids(ROWS))
async def test_bad_input_gets_what_the_table_says(house, row):
    """One row."""
    _, sent, statuses = row
    await push_blob(house, "a", EMPTY_CONFIG)
    before = everything(house.store)
    client = await house.client()
    client.send(sent)
    reply = await client.reply()
    assert reply.status in statuses
    if reply.status >= 400:
        [error, *_] = json.loads(reply.body)["errors"]
        assert set(error) <= {"code", "message", "detail"} and error["code"].isupper()
        assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "location" not in reply.headers or reply.headers["location"].startswith("/v2/")
    for secret in ("Traceback", 'File "', "site-packages", "/docker/", "evil"):
        assert secret.encode() not in reply.body
    await client.close()
    assert (await house.ask("GET", "/v2/")).status == 200
    if reply.status != 202:
        assert everything(house.store) == before


@pytest.mark.parametrize(
    "row", refused := [row for row in FRAMING if row[2] == {400}], ids=ids(refused)
)
async def test_bad_framing_ends_the_connection(house, row):
    """What follows a request that can't be framed is never taken for another one."""
    client = await house.client()
    client.send(row[1] + b"GET /v2/ HTTP/1.1\r\nHost: h\r\n\r\n")
    reply = await client.reply()
    assert (reply.status, reply.headers["connection"]) == (400, "close")
    await client.ended()
    assert client.received == b""
