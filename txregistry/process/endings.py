# SPDX-License-Identifier: Apache-2.0
"""How a process ended, in an operator's words.

Room: process. Twisted has long ones.
"""

from __future__ import annotations

import signal


def how_it_ended(end: BaseException | None) -> str:
    """The end of a process, in an operator's words.

    Args:
        end: as Twisted tells it.
    """
    number = getattr(end, "signal", None)
    if number is None:
        return f"exited with status {getattr(end, 'exitCode', None)}"
    try:
        name = signal.Signals(number).name
    except ValueError:  # a real-time signal
        name = "no name"
    return f"killed by signal {number} ({name})"
