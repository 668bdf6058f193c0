# SPDX-License-Identifier: Apache-2.0
"""One server of each kind for all tests; each test has a bucket of its own."""

from __future__ import annotations

import uuid

import pytest

from .servers import Moto, Swift


@pytest.fixture(scope="session")
def moto(tmp_path_factory):
    with Moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture(scope="session")
def swift(tmp_path_factory):
    with Swift(tmp_path_factory.mktemp("swift")) as server:
        yield server


@pytest.fixture
def bucket():
    """A name that no bucket has."""
    return f"bucket-{uuid.uuid4().hex[:12]}"
