# SPDX-License-Identifier: Apache-2.0
"""One server of each kind for all tests; each test has a bucket of its own."""

from __future__ import annotations

import uuid

import pytest

from txregistry_drivers.azure.opening import make_bucket
from txregistry_drivers.azure.options import read_options

from .azure_copying import Copying
from .servers import SERVERS, Azurite


@pytest.fixture(scope="session", params=SERVERS)
def server(request, tmp_path_factory):
    with SERVERS[request.param](tmp_path_factory.mktemp(request.param)) as server:
        yield server


@pytest.fixture
def bucket():
    """A name that no bucket has."""
    return f"bucket-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def azurite(tmp_path_factory):
    """For the tests of what is Azure's alone."""
    with Azurite(tmp_path_factory.mktemp("azurite")) as server:
        yield server


@pytest.fixture
def copying(azurite):
    with Copying(azurite) as proxy:
        yield proxy


@pytest.fixture
def options(azurite, copying, bucket):
    """Of an Azure driver."""
    return azurite.options(bucket, serviceurl=copying.service_url, retry_delay="1ms")


@pytest.fixture
def objects(options):
    """Azure's bucket, without a store over it."""
    bucket = make_bucket(read_options(options))
    yield bucket
    bucket.close()
