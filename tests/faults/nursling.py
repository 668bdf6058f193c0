# SPDX-License-Identifier: Apache-2.0
"""Started in the place of a program that is kept warm: see ``warm``. It imports next to nothing.

nursling.py SOCKET ARGUMENT...
"""

import os
import signal
import socket
import sys


def main(path, *arguments):
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.connect(path)
    environment = [f"{name}={value}" for name, value in os.environ.items()]
    words = "\0".join([str(len(arguments)), *arguments, *environment])
    socket.send_fds(line, [words.encode()], [0, 1, 2, 3, 4])
    pid = int(line.recv(64))
    signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGTERM))
    status = int(line.recv(64) or signal.SIGKILL)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main(*sys.argv[1:])
