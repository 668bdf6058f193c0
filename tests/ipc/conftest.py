# SPDX-License-Identifier: Apache-2.0
"""Every test of this folder leaves no descriptor open and no failure unseen."""

from __future__ import annotations

import pytest

from ..census import census, failures

__all__ = ["census", "failures"]


def pytest_collection_modifyitems(items):
    """What is only closed by the garbage collector was leaked."""
    for item in items:
        if "tests/ipc/" in item.nodeid:
            item.add_marker(
                pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
            )
