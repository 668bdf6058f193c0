# SPDX-License-Identifier: Apache-2.0
"""What ends a bench early."""

from __future__ import annotations


class BenchError(Exception):
    """The bench can't go on; one sentence that names the thing and the way out."""
