# SPDX-License-Identifier: Apache-2.0
"""Fixtures that hold every test to two promises: no descriptor stays open, no failure goes unseen.

Import both into a folder's ``conftest.py``.
"""

from __future__ import annotations

import contextlib
import gc
import os
from collections import Counter

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.logger import globalLogPublisher

#: Seconds that a slow machine may take to close what a test has let go of.
PATIENCE = 20.0


def open_descriptors():
    """How many descriptors of each kind this process has open: each file by its path, all sockets,
    all pipes.
    """
    found = Counter()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # the one that the directory was listed with
            found[os.readlink(f"/proc/self/fd/{name}").partition(":[")[0]] += 1
    return found


async def until(condition, what="what is waited for"):
    """Turn the reactor until ``condition()`` holds."""
    deadline = reactor.seconds() + PATIENCE
    while not condition():
        assert reactor.seconds() < deadline, f"{what} did not come"
        await deferLater(reactor, 0.001)


async def turns(count=5):
    """A few turns of the reactor."""
    for _ in range(count):
        await deferLater(reactor, 0)


@pytest.fixture(autouse=True)
def failures():
    """Failures that were logged; a test that expects some takes them out of this list."""
    found = []

    def observe(event):
        if event.get("log_failure") is not None:
            found.append(event["log_failure"])

    globalLogPublisher.addObserver(observe)
    yield found
    gc.collect()  # a Deferred that nobody waits for logs its failure when it goes
    globalLogPublisher.removeObserver(observe)
    assert not found


@pytest_twisted.async_yield_fixture(autouse=True)
async def census():
    """Every descriptor that a test opens is closed by its end, whatever went wrong in it."""
    gc.collect()
    before = open_descriptors()
    yield
    deadline = reactor.seconds() + PATIENCE
    while (left := open_descriptors() - before) and reactor.seconds() < deadline:
        await deferLater(reactor, 0.005)
    assert not left
