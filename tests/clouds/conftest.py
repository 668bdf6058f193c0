# SPDX-License-Identifier: Apache-2.0
"""One server of each kind for all tests; each test has a bucket of its own."""

from __future__ import annotations

import uuid

import pytest

from .servers import SERVERS


@pytest.fixture(scope="session", params=SERVERS)
def server(request, tmp_path_factory):
    with SERVERS[request.param](tmp_path_factory.mktemp(request.param)) as server:
        yield server


@pytest.fixture
def bucket():
    """A name that no bucket has."""
    return f"bucket-{uuid.uuid4().hex[:12]}"
