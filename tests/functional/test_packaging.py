# SPDX-License-Identifier: Apache-2.0
"""What users install: package, plugin, command and drivers, as a wheel and as an editable checkout.

Each way is tried in a virtual environment of its own that borrows this one's libraries, so that
nothing is downloaded; the checkout is a copy, so that building leaves nothing behind in it.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from txregistry import __version__

ROOT = Path(__file__).resolve().parent.parent.parent
SHIPPED = ("txregistry", "drivers", "twisted", "setup.py", "pyproject.toml", "README.md", "LICENSE")
TWISTD = "from twisted.scripts.twistd import run; run()"


class Environment:
    """A virtual environment with the package in it."""

    def __init__(self, directory, arguments):
        checkout = directory / "checkout"
        checkout.mkdir()
        for name in SHIPPED:
            source = ROOT / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "dropin.cache")
                shutil.copytree(source, checkout / name, ignore=ignored)
            else:
                shutil.copy(source, checkout / name)
        self.directory = directory / "venv"
        venv.create(self.directory, symlinks=True)
        self.python = self.directory / "bin" / "python"
        self.elsewhere = directory / "elsewhere"
        self.elsewhere.mkdir()
        self._borrow_libraries()
        pip = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            str(self.python),
            "--disable-pip-version-check",
        ]
        self.run(
            *pip,
            "install",
            "--no-deps",
            "--no-index",
            "--no-build-isolation",
            *arguments,
            cwd=checkout,
        )

    def _borrow_libraries(self):
        code = "import sysconfig; print(sysconfig.get_path('purelib'))"
        own = subprocess.run(
            [self.python, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        borrowed = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        Path(own, "borrowed.pth").write_text("\n".join(sorted(borrowed)) + "\n")

    def run(self, *command, cwd=None):
        """Run a command outside of any checkout; returns its standard output."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "REGISTRY_"))
        }
        done = subprocess.run(
            [str(part) for part in command],
            cwd=cwd or self.elsewhere,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{command}:\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
        return done.stdout


@pytest.fixture(scope="module", params=[["."], ["--editable", "."]], ids=["wheel", "editable"])
def environment(request, tmp_path_factory):
    return Environment(tmp_path_factory.mktemp("packaging"), request.param)


class InstalledTests:
    def test_command_is_there(self, environment):
        assert environment.run(environment.directory / "bin" / "txregistry", "--version") == (
            f"txregistry {__version__}\n"
        )

    def test_package_is_the_installed_one(self, environment):
        """Not the one of the environment that the libraries are borrowed from."""
        place = environment.run(
            environment.python, "-c", "import txregistry; print(txregistry.__file__)"
        )
        assert str(ROOT) + os.sep not in place

    def test_plugin_is_found_by_twistd(self, environment):
        assert "An OCI registry whose storage drivers" in environment.run(
            environment.python, "-c", TWISTD, "--help"
        )
        assert "--config" in environment.run(environment.python, "-c", TWISTD, "registry", "--help")

    @pytest.mark.parametrize("driver", ["filesystem", "memory"])
    def test_driver_can_be_imported_and_run_by_name(self, environment, driver):
        code = f"import importlib.util, txregistry_drivers.{driver} as driver; print(driver.create.__name__)"
        assert environment.run(environment.python, "-I", "-c", code) == "create\n"
        listing = (
            "from importlib.metadata import entry_points as e; print(*sorted(e(group='%s').names))"
        )
        found = listing % "txregistry.drivers"
        names = "azure filesystem gcs inmemory memory s3 s3aws swift\n"
        assert environment.run(environment.python, "-c", found) == names

    def test_types_are_shipped(self, environment):
        code = "import txregistry, txregistry_drivers as d; from pathlib import Path; " + (
            "print(all(Path(m.__file__).with_name('py.typed').exists() for m in (txregistry, d)))"
        )
        assert environment.run(environment.python, "-c", code) == "True\n"

    def test_twisted_is_not_hidden(self, environment):
        """Our plugin's folder is not a package of ours."""
        code = (
            "import twisted, twisted.plugins, twisted.internet; print(twisted.__file__ is not None)"
        )
        assert environment.run(environment.python, "-c", code) == "True\n"
