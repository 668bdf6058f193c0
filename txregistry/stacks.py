# SPDX-License-Identifier: Apache-2.0
"""What every thread and every request is at, as text.

Must not know where the text goes. Frames are shown as files, lines and functions: no value of a
variable, so no secret.
"""

from __future__ import annotations

import faulthandler
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

from twisted.logger import Logger

from txregistry.errand import Errand

#: Requests that are listed at most. Arbitrary.
REQUEST_LIMIT = 500

_log = Logger()


def dump(errands: Iterable[Errand], interrupted: FrameType | None = None) -> str:
    """Return the requests that are being answered, then each thread's stack.

    Args:
        interrupted: what the main thread was at, if this is called in the midst of it.
    """
    running = list(errands)
    lines = [f"requests that are being answered: {len(running)}"]
    lines += [
        f"  {one.id} {one.method} {one.endpoint} {one.repository}"
        for one in running[:REQUEST_LIMIT]
    ]
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():
        is_main = ident == threading.main_thread().ident
        lines.append(f"thread {names.get(ident, ident)}")
        stack = traceback.format_stack(interrupted if is_main and interrupted else frame)
        lines += "".join(stack).splitlines()
    return "\n".join(lines) + "\n"


def dump_on_signal(show: Callable[[FrameType | None], str], reactor: Any) -> None:
    """Have SIGQUIT write what everything is at to the log, and go on.

    The interpreter's own handler writes the stacks to standard error first: it works even if
    nothing else does.

    Args:
        show: makes the text; given what the main thread was at.
    """

    def log(text: str) -> None:
        for line in text.splitlines():
            _log.info("{line}", line=line)

    def signalled(_: int, frame: FrameType | None) -> None:
        text = show(frame)
        reactor.callFromThread(log, text)  # not here: whatever logs may be what was interrupted

    signal.signal(signal.SIGQUIT, signalled)
    faulthandler.register(signal.SIGQUIT, file=2, all_threads=True, chain=True)
