# SPDX-License-Identifier: Apache-2.0
"""How Hypothesis runs in this room, and the world that most tests begin with."""

import pytest
from hypothesis import HealthCheck, settings

from .world import World

settings.register_profile("memory", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("memory")


@pytest.fixture
def world() -> World:
    """An empty registry, and everything that a test may want to look at."""
    return World()
