# SPDX-License-Identifier: Apache-2.0
"""Every test of this folder leaves no descriptor open and no failure unseen.

A module without a ``house`` of its own has an upload's.
"""

from __future__ import annotations

import pytest

from ..census import census, failures
from .uploading import house

__all__ = ["census", "failures", "house"]


def pytest_collection_modifyitems(items):
    """What is only closed by the garbage collector was leaked."""
    for item in items:
        if "tests/ipc/" in item.nodeid:
            item.add_marker(
                pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
            )
