# SPDX-License-Identifier: Apache-2.0
"""Ending processes as a fault does: at once, and all of them."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

#: Seconds for a process that was killed to be gone.
GONE_TIMEOUT = 20.0


def end_all(server):
    """kill -9 of a server and of all that it started; back when they are gone."""
    known = set()
    deadline = time.monotonic() + GONE_TIMEOUT
    while True:
        known.update(server.tree())
        alive = [pid for pid in known if is_alive(pid)]
        if not alive:
            break
        assert time.monotonic() < deadline, "a process does not end"
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.002)
    server.process.wait()


def is_alive(pid):
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
