# SPDX-License-Identifier: Apache-2.0
"""Which lines and branches the tests go through, in the processes that they start too.

A plugin of pytest, for ``make coverage`` only. Drivers and workers run with an environment of their
own, without what stands in the working directory, and shut off from the file system; so nothing
that comes by a variable or is written at the end reaches them or gets out. Instead

    pytest     leaves a line in the site directory of this Python, for as long as it runs, which
               each Python that starts goes through
    a child    opens a file before anything else, and writes what was measured there at its end

A child that is killed says nothing. Run by the child this module is no plugin, and knows this file
only by its path.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import site
import sys
import tempfile
from pathlib import Path

import coverage

ROOT = Path(__file__).resolve().parent.parent

#: What a Python that starts goes through. A line that was left behind finds no process.
LINE = """\
import os, runpy, sys; os.path.exists('/proc/{pid}') and os.getpid() != {pid} and \
runpy.run_path({path!r})['begin']({results!r})
"""

#: Descriptors below this are left to the child: some tests look at them.
FIRST_DESCRIPTOR = 200


def measuring(**more):
    return coverage.Coverage(config_file=str(ROOT / "pyproject.toml"), **more)


def begin(results):
    """Measure this process from here to its end."""
    if coverage.Coverage.current() is not None:
        return  # a site directory may be gone through twice, by two names
    try:
        opened = os.open(os.path.join(results, str(os.getpid())), os.O_WRONLY | os.O_CREAT)
        out = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR)
        os.close(opened)
    except OSError:
        return  # somebody else's process, or one whose limits are tried
    measured = measuring(data_file=None, source=[str(ROOT / "txregistry"), str(ROOT / "drivers")])
    measured.set_option("run:disable_warnings", ["no-data-collected", "module-not-measured"])
    measured.start()
    atexit.register(_tell, measured, out, os.getpid())


def _tell(measured, out, pid):
    if os.getpid() == pid:  # and not a fork of it
        measured.stop()
        os.write(out, measured.get_data().dumps())


class Covering:
    """Measures pytest itself and what it starts."""

    def __init__(self):
        self._results = tempfile.mkdtemp(prefix="covering-")
        self._line = Path(site.getsitepackages()[0]) / f"txregistry-covering-{os.getpid()}.pth"
        line = LINE.format(pid=os.getpid(), path=os.path.abspath(__file__), results=self._results)
        self._line.write_text(line, encoding="utf-8")

    def pytest_unconfigure(self):
        self._line.unlink()
        own = coverage.Coverage.current()
        total = coverage.CoverageData(own.get_option("run:data_file"), suffix="children")
        total.erase()
        for result in Path(self._results).iterdir():
            dumped = result.read_bytes()
            if dumped:
                child = coverage.CoverageData(no_disk=True)
                child.loads(dumped)
                total.update(child)
        total.write()
        shutil.rmtree(self._results)


def pytest_configure(config):
    assert coverage.Coverage.current() is not None, "run pytest by coverage: see make coverage"
    assert sys.prefix != sys.base_prefix, "a line is left in the site directory: use a venv"
    config.pluginmanager.register(Covering())
