# SPDX-License-Identifier: Apache-2.0
"""The lines of all campaigns, together at the end of a run; and what only the long form runs."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from .campaign import LINES, is_long
from .warm import front_program


@pytest.fixture(scope="package")
def front():
    """The front end's program, kept warm."""
    with contextlib.closing(front_program()) as program:
        yield program


def pytest_terminal_summary(terminalreporter):
    if LINES:
        terminalreporter.section("faults")
        for line in LINES:
            terminalreporter.line(line)


def pytest_collection_modifyitems(config, items):
    """What is marked ``slow`` here has no short form."""
    here = Path(__file__).parent
    if not is_long():
        left_out = [
            item
            for item in items
            if item.get_closest_marker("slow") and item.path.is_relative_to(here)
        ]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)
