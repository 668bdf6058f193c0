# SPDX-License-Identifier: Apache-2.0
"""The four kinds of work of one turn against one server, and what is sampled around each.

A turn begins with an empty storage: it pushes what it will need, does the phases in order, and
compares what it pulled with what it pushed after the last clock has stopped.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable

from attrs import define, field, frozen

from .loads import run_wrk
from .processes import cpu_by_name, cpu_seconds, peaks_by_name, reset_peaks
from .servers import Server
from .wire import Connection, Content, digest_of

MANIFEST = "manifest"
BLOB = "blob"
PUSH = "push"
PULL = "pull"
PHASES = (MANIFEST, BLOB, PUSH, PULL)

_REPOSITORY = "bench/image"
_TAG = "latest"
_SMALL_SIZE = 4096
_LAYERS = 5  # makes a manifest of about 1 KiB
_WARM_UP = 100
_MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"


@frozen
class Work:
    """How much is asked of a server.

    Attributes:
        seconds: how long each wrk run lasts.
        size: bytes of the blob that is pushed and pulled.
        phases: those of ``PHASES`` that are wanted.
    """

    seconds: int
    size: int
    phases: tuple[str, ...]


@define
class Sample:
    """One phase of one turn.

    Attributes:
        figures: by name, as ``report`` knows them.
        cpu: user and system seconds by process.
        peaks: the highest resident size by process, in MiB.
        is_peak_reset: the peaks are of this phase alone, not of the time since the start.
    """

    figures: dict[str, float]
    cpu: dict[str, float] = field(factory=dict)
    peaks: dict[str, float] = field(factory=dict)
    is_peak_reset: bool = True


def take_turn(server: Server, work: Work) -> dict[str, Sample]:
    """Do all phases against a fresh server.

    Raises:
        BenchError: it did not do its part.
    """
    large = Content(work.size)
    target = f"/v2/{_REPOSITORY}/blobs/{large.digest}"
    samples: dict[str, Sample] = {}
    with Connection(server.port) as connection:
        small = _seed(connection)
    if MANIFEST in work.phases:
        tagged = f"/v2/{_REPOSITORY}/manifests/{_TAG}"
        samples[MANIFEST] = _small_gets(server, work, tagged, _MANIFEST_TYPE)
    if BLOB in work.phases:
        samples[BLOB] = _small_gets(server, work, f"/v2/{_REPOSITORY}/blobs/{small}", "*/*")
    if PUSH in work.phases or PULL in work.phases:
        pushed = _transfer(
            server, work.size, lambda connection: connection.push(_REPOSITORY, large)
        )
        if PUSH in work.phases:
            samples[PUSH] = pushed
        if PULL in work.phases:
            samples[PULL] = _transfer(
                server, work.size, lambda connection: connection.pull(target, work.size)
            )
        with Connection(server.port) as connection:
            connection.check(target, large)
    return samples


def _seed(connection: Connection) -> str:
    """Push a tagged image of small layers; returns the digest of one of them."""
    contents = [random.Random(number).randbytes(_SMALL_SIZE) for number in range(_LAYERS)]
    layers = [
        {
            "mediaType": _LAYER_TYPE,
            "digest": connection.put_blob(_REPOSITORY, content),
            "size": _SMALL_SIZE,
        }
        for content in contents
    ]
    config = connection.put_blob(_REPOSITORY, b"{}")
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST_TYPE,
        "config": {"mediaType": _CONFIG_TYPE, "digest": config, "size": 2},
        "layers": layers,
    }
    connection.ask(
        "PUT",
        f"/v2/{_REPOSITORY}/manifests/{_TAG}",
        201,
        json.dumps(manifest).encode(),
        content_type=_MANIFEST_TYPE,
    )
    return digest_of(contents[0])


def _small_gets(server: Server, work: Work, target: str, accept: str) -> Sample:
    with Connection(server.port) as connection:
        for _ in range(
            _WARM_UP
        ):  # wrk counts no redirect as a failure: here nothing but 200 passes
            connection.ask("GET", target, 200, accept=accept)

    def load() -> dict[str, float]:
        counted = run_wrk(server.port, target, work.seconds, accept)
        return {
            "rate": counted.rate,
            "p50_ms": counted.p50_ms,
            "p99_ms": counted.p99_ms,
            "failed": counted.failed,
            "requests": counted.requests,
        }

    sample = _sampled(server, load)
    sample.figures["cpu_us_per_request"] = sample.figures["cpu"] / sample.figures["requests"] * 1e6
    return sample


def _transfer(server: Server, size: int, move: Callable[[Connection], float]) -> Sample:
    with Connection(server.port) as connection:
        return _sampled(server, lambda: {"speed": size / move(connection) / 1e6})


def _sampled(server: Server, load: Callable[[], dict[str, float]]) -> Sample:
    """Run a load; add the processor time and the peak memory of the server meanwhile."""
    before = server.tree()
    is_peak_reset = reset_peaks(before)
    figures = load()
    after = server.tree()
    figures["cpu"] = cpu_seconds(after) - cpu_seconds(before)
    earlier = cpu_by_name(before)
    cpu = {name: seconds - earlier.get(name, 0.0) for name, seconds in cpu_by_name(after).items()}
    return Sample(figures, cpu, peaks_by_name(after), is_peak_reset)
