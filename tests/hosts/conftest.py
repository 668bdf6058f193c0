# SPDX-License-Identifier: Apache-2.0
"""One S3 for all tests; registries on buckets of it."""

from __future__ import annotations

import contextlib
import uuid

import pytest

from ..functional.servers import Registry
from ..s3.servers import Moto
from . import PART


@pytest.fixture(scope="session")
def moto(tmp_path_factory):
    with Moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


@contextlib.contextmanager
def hosts_on(s3, directory, count, options=(), **sections):
    """So many registries, started at once on a bucket that is empty, with no secret configured."""
    driver = s3.options(f"bucket-{uuid.uuid4().hex[:12]}", **{"chunksize": PART, **dict(options)})
    storage = {"s3": driver, "redirect": {"disable": True}, "delete": {"enabled": True}}
    hosts = [Registry(directory / f"host-{number}", storage=storage) for number in range(count)]
    try:
        for host in hosts:
            host.reconfigure({"http": {"secret": ""}})
            host.reconfigure(sections)
            host.launch()
        for host in hosts:
            host.wait_ready()
        yield hosts
    finally:
        for host in hosts:
            host.stop()


@pytest.fixture(scope="module")
def pair(moto, tmp_path_factory):
    with hosts_on(moto, tmp_path_factory.mktemp("pair"), 2) as hosts:
        yield hosts


@pytest.fixture
def host(moto, tmp_path):
    with hosts_on(moto, tmp_path, 1) as [host]:
        yield host
