# SPDX-License-Identifier: Apache-2.0
"""The table of what was tried, at the end of a run."""

from __future__ import annotations

from .tallies import TALLIES
from .trial import table


def pytest_terminal_summary(terminalreporter):
    if TALLIES:
        terminalreporter.section("bad inputs")
        for line in table(TALLIES):
            terminalreporter.line(line)
