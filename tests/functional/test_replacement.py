# SPDX-License-Identifier: Apache-2.0
"""A driver that has served long enough is replaced by a fresh process under its clients."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os

import pytest

from .client import Client
from .servers import Registry, descendants
from .test_starting import PATIENCE, eventually

MIB = 1024 * 1024

#: Replaced at every opportunity.
RESTLESS = {"recycleoperations": 1, "recycleinterval": "1s", "pinginterval": "50ms"}


@pytest.fixture(params=[1, 2], ids=["one process", "two front ends"])
def registry(tmp_path, request):
    configuration = {"storage": {"supervision": RESTLESS}, "http": {"workers": request.param}}
    with Registry(tmp_path, configuration) as registry:
        yield registry


def replaced(registry, client, content):
    """Work with the registry until the present driver's process is another one, and gone."""
    before = registry.driver()

    def is_gone():
        client.push_blob("team/app", content, digest_of(content))
        assert client.get(f"/v2/team/app/blobs/{digest_of(content)}").body == content
        return before not in descendants(registry.process.pid)

    eventually(is_gone)


def digest_of(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_push_and_pull_go_on_while_the_driver_is_replaced(registry):
    """Both meet three processes of the driver; neither is answered anything but success."""
    client = Client(registry)
    large = os.urandom(24 * MIB)  # far more than buffers on the way hold
    client.push_blob("team/app", large, digest_of(large))
    with (
        contextlib.closing(Connection(registry)) as pull,
        contextlib.closing(Connection(registry)) as push,
    ):
        pull.request("GET", f"/v2/team/app/blobs/{digest_of(large)}")
        response = pull.getresponse()
        pulled = response.read(MIB)
        push.putrequest("PATCH", client.start_upload("team/app"))
        push.putheader("Content-Length", str(len(large)))
        push.endheaders()
        for number in range(3):
            push.send(large[number * 8 * MIB : (number + 1) * 8 * MIB])
            if number < 2:
                replaced(registry, client, b"small %d" % number)
                pulled += response.read(MIB)
        answer = push.getresponse()
        assert answer.status == 202, answer.read()
        other = answer.getheader("Location")
        assert client.finish_upload(other, digest_of(large)).status == 201
        assert pulled + response.read() == large
    log = registry.log.read_text()
    assert "is replaced by a fresh process (operations: " in log
    assert "it is now process" in log
    for trouble in ("after a driver's death", "could not be replaced", "at its work", "Traceback"):
        assert trouble not in log


class Connection(http.client.HTTPConnection):
    def __init__(self, registry):
        super().__init__("127.0.0.1", registry.port, timeout=PATIENCE)
