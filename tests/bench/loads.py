# SPDX-License-Identifier: Apache-2.0
"""Many small requests at once: wrk, one thread, 32 connections.

Knows wrk's command line; what it counted comes back as JSON from ``counts.lua``, which runs once,
at its end.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from attrs import frozen

from .failures import BenchError

CONNECTIONS = 32
_COUNTS = Path(__file__).with_name("counts.lua")


@frozen
class Load:
    """What one run of wrk counted.

    Attributes:
        seconds: how long it really lasted.
        failed: answers with a status above 399, and connections that failed.
    """

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    failed: int

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def run_wrk(port: int, target: str, seconds: int, accept: str = "*/*") -> Load:
    """GET one target of a server on this host over and over.

    Raises:
        BenchError: wrk did not run.
    """
    command = [
        "wrk",
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{seconds}s",
        "--timeout",
        "10s",
        "-s",
        str(_COUNTS),
    ]
    command += ["-H", f"Accept: {accept}", f"http://127.0.0.1:{port}{target}"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + 30, check=True
        )
        counts = json.loads(done.stdout.splitlines()[-1])
    except subprocess.CalledProcessError as error:
        raise BenchError(f"wrk failed: {error.stderr.strip() or error.stdout.strip()}") from error
    except subprocess.TimeoutExpired as error:
        raise BenchError("wrk did not end 30 seconds after it should have") from error
    return Load(
        requests=counts["requests"],
        seconds=counts["duration_us"] / 1e6,
        p50_ms=counts["p50_us"] / 1e3,
        p99_ms=counts["p99_us"] / 1e3,
        failed=counts["failed"],
    )
