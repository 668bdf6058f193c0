# SPDX-License-Identifier: Apache-2.0
"""No name that a client sends makes a driver look anywhere but below its root: strace tells.

Every name, reference, digest and path of the table of bad inputs is sent while each call of the
driver's process that takes a path is written down.
"""

from __future__ import annotations

import http.client
import os
import random
import re
import socket

import pytest

from tests.faults.journal import Journal
from tests.faults.patrons import Line, Patron
from tests.faults.test_shim import tracing
from tests.functional.servers import Registry

from .inputs.paths import NAMES, PATHS

#: A call's argument that is a path, behind the directory that it is seen from (as ``-y`` shows it)
#: if there is one.
_PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"')

#: What it looks at to answer pings.
ITS_OWN = {"/proc/self/statm", "/proc/self/fd"}


def test_bad_names_reach_no_system_call(tmp_path):
    """What the driver looks at lies below its root, and is spelled without ``..``."""
    log = tmp_path / "strace.log"
    with Registry(tmp_path) as server:
        patron = Patron(Line(server.port), Journal(), "p", random.Random(7))
        patron.push_image("p/app")()  # whatever is loaded late is loaded
        with tracing(server.driver(), log, "%file"):
            for row in (*NAMES, *PATHS):
                assert status_of(server.port, row.sent) < 500, row
            patron.push_image("p/app/deep")()
        patron.line.close()
        assert not patron.journal.problems
    paths = paths_in(log.read_text()) - ITS_OWN
    root = os.path.realpath(server.root)
    assert {path for path in paths if ".." in path.split("/") or not is_below(root, path)} == set()
    assert any("/p/app/deep/" in path for path in paths), "nothing was traced"


def status_of(port, sent):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(sent)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.status


def is_below(root, path):
    return os.path.normpath(path) == root or os.path.normpath(path).startswith(root + "/")


def paths_in(log):
    """The paths that calls were given, from the top."""
    return {
        os.path.join(directory, path)
        for line in log.splitlines()
        for directory, path in _PATH.findall(line)
        if path  # else it is about a descriptor that is open already
    }


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('1 openat(AT_FDCWD</>, "/a/b", O_RDONLY) = 3</a/b>', ["/a/b"]),
        ('1 openat(5</root>, "../x", O_RDONLY <unfinished ...>', ["/root/../x"]),
        ('1 linkat(5</r>, "a", AT_FDCWD</>, "/etc/passwd", 0) = 0', ["/r/a", "/etc/passwd"]),
        ('1 stat("/etc/passwd", {st_mode=S_IFREG}) = 0', ["/etc/passwd"]),
        ("1 <... openat resumed>) = 3", []),
        ('1 newfstatat(5</r/a>, "", {}, AT_EMPTY_PATH) = 0', []),
    ],
)
def test_log_is_read(line, expected):
    assert paths_in(line) == set(expected)
