# SPDX-License-Identifier: Apache-2.0
"""The lines of all campaigns, together at the end of a run."""

from __future__ import annotations

from .campaign import LINES


def pytest_terminal_summary(terminalreporter):
    if LINES:
        terminalreporter.section("faults")
        for line in LINES:
            terminalreporter.line(line)
