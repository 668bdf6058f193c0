# SPDX-License-Identifier: Apache-2.0
"""One server that all tests share that need no other, and a repository of its own for each of
them.
"""

from __future__ import annotations

import uuid

import pytest

from .client import Client
from .repository import Repository
from .servers import Registry


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A server with deletes enabled, else as it comes."""
    with Registry(tmp_path_factory.mktemp("shared")) as server:
        yield server


@pytest.fixture
def client(server):
    return Client(server)


@pytest.fixture
def repository(client):
    """A repository that nobody has used."""
    return Repository(client, f"suite/{uuid.uuid4().hex[:12]}")
