# SPDX-License-Identifier: Apache-2.0
"""The tree that most tests begin with."""

import pytest

from .trees import Tree


@pytest.fixture
def memory() -> Tree:
    """An empty tree over a memory store."""
    return Tree()
