# SPDX-License-Identifier: Apache-2.0
"""``txregistry driver test``, as the author of a driver uses it."""

import os
import re
import subprocess
import sys

import pytest

#: Seconds for a whole suite on a busy machine.
PATIENCE = 300

FORGETFUL = """\
from txregistry.driver import MemoryStore, main

class ForgetfulStore(MemoryStore):
    def put(self, path, data, *, if_absent, if_version):
        return super().put(path, data, if_absent=False, if_version=None)

main(lambda options: ForgetfulStore(), "forgetful")
"""

MISTAKEN = """\
from txregistry.driver import MemoryStore, main

class MistakenStore(MemoryStore):
    has_redirects = True

    def redirect_url(self, path, method, expires_in):
        print("asked for a redirect", flush=True)
        return 1 / 0

main(lambda options: MistakenStore(), "mistaken")
"""


def driver_test(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "txregistry.cli", "driver", "test", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def closing_line(done):
    return re.fullmatch(
        r"(\d+) passed, (\d+) failed, (\d+) not offered", done.stdout.splitlines()[-1]
    )


class DriverTestTests:
    def test_good_driver_passes_and_its_storage_is_as_before(self, tmp_path):
        (tmp_path / "precious").write_text("x")
        done = driver_test("filesystem", "--option", f"rootdirectory={tmp_path}")
        assert done.returncode == 0, done.stdout + done.stderr
        passed, failed, _ = map(int, closing_line(done).groups())
        assert passed > 50
        assert failed == 0
        assert [name for name in sorted(os.listdir(tmp_path)) if not name.startswith(".")] == [
            "precious"
        ]

    def test_what_a_driver_lacks_is_not_counted_as_passed(self):
        """The memory driver forgets everything when it is killed: those cases are listed apart."""
        done = driver_test("memory", "--only", "upload")
        assert done.returncode == 0, done.stdout + done.stderr
        assert (
            "not offered  an upload survives the driver: the driver forgets everything"
            in done.stdout
        )
        passed, failed, lacking = map(int, closing_line(done).groups())
        assert (passed > 0, failed, lacking > 0) == (True, 0, True)

    def test_broken_promise_is_named(self, tmp_path):
        program = tmp_path / "driver.py"
        program.write_text(FORGETFUL)
        done = driver_test("--only", "put if", "--command", sys.executable, program)
        assert done.returncode == 1
        assert re.search(r"^FAILED .*\n +promised: ", done.stdout, re.MULTILINE)
        assert int(closing_line(done)[2]) > 0

    def test_what_the_driver_writes_is_shown(self, tmp_path):
        """The traceback of a mistake, and what its author prints, go to standard error."""
        program = tmp_path / "driver.py"
        program.write_text(MISTAKEN)
        done = driver_test("--only", "redirect", "--command", sys.executable, program)
        assert done.returncode == 1
        assert "unexpected Internal: ZeroDivisionError" in done.stdout
        assert "[external] asked for a redirect\n" in done.stderr
        assert "Traceback" in done.stderr
        assert re.search(r"^\[external\] .* in redirect_url$", done.stderr, re.MULTILINE)
        assert "started again" not in done.stderr

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (
                ["--socket", "/nowhere/d.sock"],
                "the driver at /nowhere/d.sock does not answer; start it first",
            ),
            (["--command", "/nowhere/driver"], "/nowhere/driver"),
            (["filesystm"], "did you mean"),
            (
                ["filesystem", "--option", "rootdirectory=/dev/null"],
                "rootdirectory /dev/null is not a directory",
            ),
        ],
    )
    def test_driver_that_can_not_be_had_is_one_sentence(self, arguments, sentence):
        done = driver_test(*arguments)
        assert done.returncode == 1
        assert done.stderr.startswith("txregistry: ")
        assert sentence in done.stderr
        assert done.stderr.count("\n") == 1
        assert done.stdout == ""
