# SPDX-License-Identifier: Apache-2.0
"""The shim sees all that a driver does to the disk: strace, which sees everything, says the
same.
"""

from __future__ import annotations

import random
import re
import subprocess
import time
from collections import Counter

from tests.functional.servers import Registry, need

from .campaign import not_run
from .journal import Journal
from .patrons import Line, Patron
from .shim import Shim

#: What strace calls what the shim calls otherwise. Calls that change nothing are not compared.
NAMES = {
    "pwrite64": "write",
    "write": "write",
    "ftruncate": "truncate",
    "fsync": "sync",
    "fdatasync": "sync",
    "link": "link",
    "linkat": "link",
    "mkdir": "mkdir",
    "mkdirat": "mkdir",
    "rename": "rename",
    "renameat": "rename",
    "renameat2": "rename",
    "unlink": "unlink",
    "unlinkat": "unlink",
    "rmdir": "rmdir",
    "utimensat": "utime",
    "copy_file_range": "copy",
    # The shim knows none of these: a driver that begins to use one must be seen to.
    "writev": "writev",
    "pwritev": "pwritev",
    "pwritev2": "pwritev2",
    "sendfile": "sendfile",
    "splice": "splice",
    "truncate": "truncate by name",
    "fallocate": "fallocate",
    "symlinkat": "symlink",
    "symlink": "symlink",
    "mknodat": "mknod",
    "sync_file_range": "sync_file_range",
    "io_uring_enter": "io_uring",
}

CHANGES = ",".join(NAMES)

#: Seconds for strace to attach, and to write its last line.
PATIENCE = 20.0


def test_shim_misses_no_change(tmp_path):
    """For every kind of request, each change that the kernel was asked for was seen by the shim."""
    root = tmp_path / "root"
    shim = Shim(tmp_path, root)
    with Registry(tmp_path, storage=shim.storage()) as server:
        log = tmp_path / "strace.log"
        patron = Patron(Line(server.port), Journal(), "p", random.Random(7))
        patron.push_image("p/before")()  # the driver is up, and done with that
        with tracing(server.driver(), log):
            shim.start_trace()
            for name in (
                "push_image",
                "retag",
                "push_referrer",
                "begin_upload",
                "delete_tag",
                "push_image",
            ):
                getattr(patron, name)("p/app")()
            patron.mount("p/app/deep")()
            patron.line.close()
            wait_for_silence(shim)
            shim.stop_trace()
            assert not patron.journal.problems
        seen = Counter(
            name for _, name, result, _ in shim.trace() if result >= 0 and name in NAMES.values()
        )
    shim.close()
    told = Counter(changes_in(log.read_text(), str(root)))
    assert seen == told
    assert seen["sync"] > 10
    assert seen["write"] > 5


def changes_in(log, root):
    """The calls below ``root`` in a log of strace, by the shim's names.

    A call during which another thread's came is on two lines: "... <unfinished ...>" and "<... resumed>".
    """
    begun = {}
    for line in log.splitlines():
        pid, _, text = line.partition(" ")
        text = text.strip()
        if text.endswith("<unfinished ...>"):
            begun[pid] = text.removesuffix("<unfinished ...>")
            continue
        resumed = re.match(r"<\.\.\. \w+ resumed>(.*)", text)
        if resumed:
            text = begun.pop(pid, "") + resumed[1]
        call = re.match(r"(\w+)\((.*)\) += +(-?\d+)", text)
        if call and int(call[3]) >= 0 and root in call[2]:
            yield "rmdir" if "AT_REMOVEDIR" in call[2] else NAMES[call[1]]


class tracing:
    """strace on all threads of a process, while the context lasts.

    Args:
        names: of the calls.
    """

    def __init__(self, pid, log, names=CHANGES):
        command = [
            need("strace"),
            "-f",
            "-y",
            "-s",
            "0",
            "-o",
            log,
            "-e",
            f"trace={names}",
            "-p",
            str(pid),
        ]
        self.command = [str(part) for part in command]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stderr=subprocess.PIPE, text=True)
        told = self.process.stderr.readline()
        if "attached" not in told:
            self._end()
            not_run(f"needs to trace other processes ({told.strip()})")

    def __exit__(self, *_):
        self._end()

    def _end(self):
        self.process.terminate()
        self.process.communicate(timeout=PATIENCE)


def wait_for_silence(shim):
    """What an answer did not wait for is done, too."""
    deadline, position = time.monotonic() + PATIENCE, -1
    while position != shim.position():
        assert time.monotonic() < deadline
        position = shim.position()
        time.sleep(0.2)
