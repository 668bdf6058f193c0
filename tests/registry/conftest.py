# SPDX-License-Identifier: Apache-2.0
"""The world that most tests begin with."""

import pytest

from .world import World


@pytest.fixture
def world() -> World:
    """An empty registry, and everything that a test may want to look at."""
    return World()
