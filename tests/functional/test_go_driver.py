# SPDX-License-Identifier: Apache-2.0
"""A driver in another language, written from the protocol's document alone, keeps every promise."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .servers import START_TIMEOUT

SOURCE = Path(__file__).with_name("go_driver")

#: Seconds for the whole suite on a busy machine.
SUITE_TIMEOUT = 600.0


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The driver, built without a network and without anything but the toolchain."""
    directory = tmp_path_factory.mktemp("go")
    built = directory / "godriver"
    go = shutil.which("go")
    assert go, "go is not installed: apt-get install golang-go"
    environment = os.environ | {
        "GOCACHE": str(directory / "cache"),
        "GOPATH": str(directory / "path"),
        "GOFLAGS": "-buildvcs=false",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
    }
    result = subprocess.run(
        [go, "build", "-o", str(built), "."],
        cwd=SOURCE,
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return built


def driver_test(*arguments):
    """``txregistry driver test`` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "txregistry.cli", "driver", "test", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SUITE_TIMEOUT,
        check=False,
    )


def run_suite(*arguments):
    result = driver_test(*arguments)
    print(result.stdout)
    assert result.returncode == 0, result.stdout


def await_socket(path, process):
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.connect(str(path))
            return
        assert process.poll() is None, "the driver ended"
        assert time.monotonic() < deadline, "the driver does not listen"
        time.sleep(0.02)


class GoDriverTests:
    def test_it_passes_the_contract_suite_when_the_registry_starts_it(self, program, tmp_path):
        run_suite("--option", f"directory={tmp_path / 'storage'}", "--command", program)

    def test_it_passes_the_contract_suite_on_a_socket(self, program, tmp_path):
        options, path = tmp_path / "options.json", tmp_path / "driver.sock"
        options.write_text(json.dumps({"directory": str(tmp_path / "storage")}))
        driver = subprocess.Popen(
            [program, "--socket", path, "--options", options], stdin=subprocess.DEVNULL
        )
        try:
            await_socket(path, driver)
            run_suite("--socket", path)
            driver.send_signal(signal.SIGTERM)
            assert driver.wait(30) == 0
            assert not path.exists()
        finally:
            driver.kill()
            driver.wait()

    def test_an_option_that_it_does_not_know_is_told_to_the_operator(self, program, tmp_path):
        wrong = ["--option", f"directory={tmp_path}", "--option", "directroy=/"]
        result = driver_test(*wrong, "--command", program)
        assert result.returncode != 0
        assert '"directroy" is unknown' in result.stdout
        assert not any(tmp_path.iterdir()), "something is made with options that are refused"
