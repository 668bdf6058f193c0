# SPDX-License-Identifier: Apache-2.0
"""Large manifests are parsed in a worker process with the same result."""

from __future__ import annotations

import json
import os

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, formatEvent, globalLogPublisher

from txregistry.oci.errors import Code, OciError
from txregistry.oci.manifests import parse_manifest
from txregistry.process import parsing
from txregistry.process.parsing import INLINE_LIMIT, ManifestParser

from ..census import until

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def document(padding: int) -> bytes:
    digest = "sha256:" + "a" * 64
    descriptor = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": digest,
        "size": 2,
    }
    layers = [{**descriptor, "mediaType": "application/vnd.oci.image.layer.v1.tar"}]
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor,
            "layers": layers,
            "annotations": {"padding": "x" * padding},
        }
    ).encode()


@pytest_twisted.async_yield_fixture
async def parser():
    parser = ManifestParser()
    yield parser
    await parser.stop()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("padding", [10, INLINE_LIMIT, 3_000_000])
async def test_any_size_gives_what_the_plain_parser_gives(parser, padding):
    """A large manifest is worth the same as a small one."""
    data = document(padding)
    assert await parser.parse(data, OCI_MANIFEST) == parse_manifest(data, OCI_MANIFEST)


@pytest_twisted.ensureDeferred
async def test_worker_that_works_is_no_error_in_the_log():
    """An operator's log names what went wrong; that a worker came and went did not."""
    events = []
    globalLogPublisher.addObserver(events.append)
    parser = ManifestParser()
    try:
        await parser.parse(document(INLINE_LIMIT), OCI_MANIFEST)
        await parser.stop()
    finally:
        globalLogPublisher.removeObserver(events.append)
    bad = [event for event in events if event.get("log_level", LogLevel.info) > LogLevel.info]
    assert [formatEvent(event) for event in bad] == []


@pytest_twisted.ensureDeferred
async def test_refusal_in_the_worker_reaches_the_caller(parser):
    """Deep nesting in a large document is a client's error with its reason, not a failure of
    ours.
    """
    data = document(INLINE_LIMIT)[:-1] + b', "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    with pytest.raises(OciError) as caught:
        await parser.parse(data, OCI_MANIFEST)
    with pytest.raises(OciError) as plain:
        parse_manifest(data, OCI_MANIFEST)
    assert caught.value.to_plain() == plain.value.to_plain()


@pytest_twisted.ensureDeferred
async def test_worker_that_dies_costs_its_manifest_only(parser, monkeypatch, tmp_path):
    """Its client is told to come back; the next manifest gets another worker."""
    stuck = tmp_path / "stuck"
    os.mkfifo(stuck)
    data = document(INLINE_LIMIT)
    with monkeypatch.context() as patched:
        patched.setattr(parsing, "_path", lambda descriptor: str(stuck))
        waiting = Deferred.fromCoroutine(parser.parse(data, OCI_MANIFEST))
        await until(lambda: parser._pool.busy, "the worker")
        assert (parser.working, parser.waiting, parser.refused) == (1, 0, 0)
    for worker in parser._pool.busy:
        worker.transport.signalProcess("KILL")
    with pytest.raises(OciError) as caught:
        await waiting
    assert (caught.value.code, caught.value.retry_after) == (Code.UNAVAILABLE, 5)
    assert await parser.parse(data, OCI_MANIFEST) == parse_manifest(data, OCI_MANIFEST)
    assert (parser.working, parser.waiting, parser.refused) == (0, 0, 1)
