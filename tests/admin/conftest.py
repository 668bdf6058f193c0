# SPDX-License-Identifier: Apache-2.0
"""How Hypothesis runs in this room, and the tree that most tests begin with."""

import pytest
from hypothesis import HealthCheck, settings

from .trees import Tree

settings.register_profile("admin", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("admin")


@pytest.fixture
def memory() -> Tree:
    """An empty tree over a memory store."""
    return Tree()
