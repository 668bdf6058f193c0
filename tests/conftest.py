# SPDX-License-Identifier: Apache-2.0
"""What holds for the whole run."""

from __future__ import annotations

import gc
import signal

import pytest
from hypothesis import HealthCheck, settings
from twisted.logger import formatEvent, globalLogPublisher

# Examples go by count and not by time: the machine may be busy. Where CI is set Hypothesis takes the
# same ones each time.
settings.register_profile("counted", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("counted")


# A shell lets what it runs in the background ignore this signal, and so would all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish():
    """What was imported and collected stays to the end: 400,000 objects that no collection of what a
    test left behind has to look at again, and some fixtures collect twice a test.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def logged():
    """Sentences of the log."""
    found = []

    def observe(event):
        found.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)
