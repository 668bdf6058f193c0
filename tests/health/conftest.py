# SPDX-License-Identifier: Apache-2.0
"""What the room logs."""

import pytest
from twisted.logger import globalLogPublisher


@pytest.fixture
def logged():
    """Events of the room, as they were logged."""
    found = []

    def observe(event):
        if event.get("log_namespace", "").startswith("txregistry.health"):
            found.append(event)

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)
