# SPDX-License-Identifier: Apache-2.0
"""``docs/drivers/write-a-driver.md`` says what is so: whoever follows it has a driver that
works.
"""

from __future__ import annotations

import configparser
import inspect
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from txregistry import driver
from txregistry.config import load_text
from txregistry.driver import StorageError, Store

from .images import Layout, check_layout
from .servers import Registry
from .test_clients import MIB, copy
from .test_go_driver import await_socket, driver_test
from .test_starting import PATIENCE

ROOT = Path(__file__).resolve().parent.parent.parent
GUIDE = (ROOT / "docs/drivers/write-a-driver.md").read_text(encoding="utf-8")
EXAMPLE = Path(__file__).with_name("outside_driver")

#: Why a driver that keeps everything in its memory is not asked for something.
NOT_OFFERED = {
    "the driver has no redirects",
    "reads are streams",
    "the driver forgets everything when it ends",
    "only with large data",
}

#: What only the half in front of a store raises.
NOT_RAISED = {"Closed", "Fenced", "Internal", "Unsupported"}


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)


def plain(text):
    """Without comments and docstrings, which are others in the guide."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(("#", '"""'))).strip()


@pytest.fixture
def program(tmp_path):
    """The driver that one gets by copying every piece of Python."""
    path = tmp_path / "dict_driver.py"
    path.write_text("".join(blocks("python")))
    return path


@pytest.fixture
def image(tmp_path):
    layout = Layout(tmp_path / "layout")
    layout.tag(layout.add_image([3 * MIB, 10, 0]), "latest")
    return layout


class SkeletonTests:
    def test_it_keeps_every_promise_but_that_of_remembering(self, program):
        report = driver_test("--command", sys.executable, program)
        print(report.stdout)
        assert report.returncode == 0, report.stdout
        assert (
            set(re.findall(r"^not offered  .*?: (.*)$", report.stdout, re.MULTILINE)) == NOT_OFFERED
        )

    def test_it_can_be_run_by_hand(self, program, tmp_path):
        socket = tmp_path / "dict.sock"
        process = subprocess.Popen(
            [sys.executable, program, "--socket", socket], stdin=subprocess.DEVNULL
        )
        try:
            await_socket(socket, process)
            report = driver_test("--only", "content", "--socket", socket)
            assert report.returncode == 0, report.stdout
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
            process.wait()

    def test_it_serves_a_registry(self, program, tmp_path, image):
        with Registry(
            tmp_path / "registry", storage={"external": {"command": [sys.executable, str(program)]}}
        ) as registry:
            copy(f"oci:{image.directory}:latest", f"docker://{registry.address}/team/app:latest")
            copy(f"docker://{registry.address}/team/app:latest", f"oci:{tmp_path}/pulled:latest")
            assert check_layout(tmp_path / "pulled") == image.blobs()

    def test_option_is_refused(self, program):
        report = driver_test("--option", "file=/x", "--command", sys.executable, program)
        assert report.returncode == 1
        assert "there is no option 'file'" in report.stdout


class GuideTests:
    def test_configurations_work(self):
        examples = blocks("yaml")
        assert len(examples) == 4
        for example in examples:
            assert load_text(example, {}, installed=["sqlite"]).warnings == ()

    def test_distribution_is_that_of_the_example(self):
        (project,) = blocks("toml")
        assert plain(project) == plain((EXAMPLE / "pyproject.toml").read_text())
        (program,) = blocks("py")
        assert plain(program) == plain((EXAMPLE / "outside_driver/__main__.py").read_text())

    def test_units_fit_the_configuration(self):
        socket, service = map(unit, blocks("ini"))
        path = socket["Socket"]["ListenStream"]
        assert any(
            load_text(example, {}, installed=["sqlite"]).storage.driver.describe()
            == f"the driver at {path}"
            for example in blocks("yaml")
        )
        options = re.search(r"--options (\S+)", service["Service"]["ExecStart"])[1]
        assert f"`{options}`" in GUIDE
        (document,) = map(json.loads, blocks("json"))
        assert Path(document["file"]).parent.name == service["Service"]["StateDirectory"]

    def test_every_method_is_described(self):
        for name, _ in inspect.getmembers(Store, inspect.isfunction):
            if not name.startswith("_"):
                assert re.search(rf"^\| `{name}\(", GUIDE, re.MULTILINE), name

    def test_every_refusal_is_described(self):
        for name in driver.__all__:
            kind = getattr(driver, name)
            if (
                isinstance(kind, type)
                and issubclass(kind, StorageError)
                and kind is not StorageError
            ):
                assert (f"`{name}" in GUIDE) != (name in NOT_RAISED), name

    def test_helpers_are_described(self):
        for name in driver.__all__:
            if name.endswith(("_option", "_names")):
                assert f"`{name}`" in GUIDE, name


def unit(text):
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read_string(text)
    return parser
