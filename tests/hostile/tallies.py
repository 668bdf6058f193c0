# SPDX-License-Identifier: Apache-2.0
"""What came of all groups of this run, for the table at its end."""

from __future__ import annotations

TALLIES = []
