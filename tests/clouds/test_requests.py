# SPDX-License-Identifier: Apache-2.0
"""What a registry asks of each cloud is what the documentation says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ..functional.client import Client
from ..functional.servers import Registry
from ..hosts.relay import Relay
from ..s3.test_requests import BLOB, OPERATIONS, ROW, expect, prepare

PAGES = Path(__file__).parents[2] / "docs" / "drivers"

#: Where each driver is told its server's address.
ADDRESS = {"azure": "serviceurl", "gcs": "endpoint", "swift": "authurl"}

REQUEST_LINE = re.compile(rb"(?:GET|HEAD|PUT|POST|DELETE) [^ \r\n]+ HTTP/1\.1\r\n")


class Counting(Relay):
    """Knows how many requests have passed.

    Attributes:
        count: of them. What is pushed through it has no text that looks like one.
    """

    def __init__(self, port):
        super().__init__(port)
        self.count = 0

    def _pump(self, source, sink, number):
        super()._pump(_Tapped(source, self) if number is None else source, sink, number)


class _Tapped:
    """A client's socket whose requests are counted as they are read."""

    def __init__(self, source, counting):
        self._source = source
        self._counting = counting
        self._begun = b""
        self.shutdown = source.shutdown

    def recv(self, size):
        data = self._source.recv(size)
        text = self._begun + data
        self._counting.count += len(REQUEST_LINE.findall(text))
        self._begun = text[text.rfind(b"\n") + 1 :][-2000:]
        return data


def told(driver):
    """The table of a driver's page."""
    section = (PAGES / f"{driver}.md").read_text().partition("## Requests")[2].partition("\n## ")[0]
    return {name: int(count) for name, count in ROW.findall(section)}


@pytest.fixture(scope="module")
def served(server, tmp_path_factory):
    """A registry whose requests to its cloud are counted."""
    with Counting(server.port) as relay:
        options = server.options("requests")
        address = ADDRESS[server.driver]
        options[address] = options[address].replace(server.url, relay.url)
        storage = {server.driver: options, "redirect": {"disable": True}}
        with Registry(tmp_path_factory.mktemp("requests"), storage=storage) as registry:
            client = Client(registry)
            prepare(client)
            expect(200, client.get(BLOB))
            yield server.driver, relay, client


@pytest.mark.parametrize("server", ADDRESS, indirect=True)
def test_requests_are_those_of_the_page(served):
    """Row by row."""
    driver, relay, client = served
    found = {}
    for name in told(driver):
        before = relay.count
        OPERATIONS[name](client)
        found[name] = relay.count - before
    assert found and found == told(driver)
