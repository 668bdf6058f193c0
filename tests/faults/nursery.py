# SPDX-License-Identifier: Apache-2.0
"""A program that was imported, forked for each of its runs: see ``warm``.

    nursery.py SOCKET MODULE IMPORT...

On each connection: the number of arguments, these, and the environment, all of it in one message
between zeros, with the descriptors from 0 on; back go the run's process id, and its status when it
has ended. A run whose connection is closed is killed.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import runpy
import selectors
import signal
import socket
import sys

#: Bytes of a request.
_MOST = 1 << 20

#: Descriptors of one, at most.
_DESCRIPTORS = 8

#: No descriptor of the nursery's own is higher.
_HIGHEST = 1 << 12


class Nursery:
    """Waits for requests, for the ends of runs, and for that of descriptor 0."""

    def __init__(self, path):
        self._selector = selectors.DefaultSelector()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(path)
        self._listener.listen(64)
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(0, selectors.EVENT_READ, lambda _: sys.exit())
        self._runs = {}

    def serve(self):
        """Until this process is a run: returns its arguments then."""
        while True:
            for key, _ in self._selector.select():
                arguments = key.data(key.fileobj)
                if arguments is not None:
                    return arguments

    def _accept(self, listener):
        line, _ = listener.accept()
        data, descriptors, _, _ = socket.recv_fds(line, _MOST, _DESCRIPTORS)
        if not data:
            line.close()
            return None
        count, *words = data.decode().split("\0")
        pid = os.fork()
        if not pid:
            line.close()
            self._forget()
            _become(words[int(count) :], descriptors)
            return words[: int(count)]
        for descriptor in descriptors:
            os.close(descriptor)
        with contextlib.suppress(OSError):
            line.send(str(pid).encode())
        run = os.pidfd_open(pid)
        self._runs[run] = (pid, line)
        self._runs[line] = (pid, run)
        self._selector.register(run, selectors.EVENT_READ, self._ended)
        self._selector.register(line, selectors.EVENT_READ, self._left)
        return None

    def _forget(self):
        """A fork has none of this; the numbers of these descriptors will be other ones'."""
        self._selector.close()
        self._listener.close()
        for one in self._runs:
            if isinstance(one, socket.socket):
                one.close()

    def _ended(self, run):
        pid, line = self._runs.pop(run)
        _, status = os.waitpid(pid, 0)
        self._selector.unregister(run)
        os.close(run)
        if self._runs.pop(line, None) is not None:
            self._selector.unregister(line)
            with contextlib.suppress(OSError):  # whoever started it is gone
                line.send(str(status).encode())
            line.close()

    def _left(self, line):
        if line not in self._runs:  # it has ended at the same instant
            return
        pid, _ = self._runs.pop(line)
        self._selector.unregister(line)
        line.close()
        os.kill(pid, signal.SIGKILL)


def _become(environment, descriptors):
    """Make this process what a start would have made."""
    highest = max([*descriptors, len(descriptors)]) + 1
    spare = [os.dup2(one, highest + place) for place, one in enumerate(descriptors)]
    for place, one in enumerate(spare):
        os.dup2(one, place)
    os.closerange(len(descriptors), _HIGHEST)
    os.environ.clear()
    os.environ.update(word.split("=", 1) for word in environment)
    if "LISTEN_FDS" in os.environ:
        os.environ["LISTEN_PID"] = str(os.getpid())
    # One that an import has made shares its descriptors with every run.
    sys.modules.pop("twisted.internet.reactor", None)
    internet = sys.modules.get("twisted.internet")
    if hasattr(internet, "reactor"):
        del internet.reactor


def main(path, module, *imports):
    for name in imports:
        importlib.import_module(name)
    nursery = Nursery(path)
    os.write(1, b"ready\n")
    sys.argv[1:] = nursery.serve()
    sys.modules.pop(module, None)
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
