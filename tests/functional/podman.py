# SPDX-License-Identifier: Apache-2.0
"""podman with a storage of its own, so that tests neither share images nor leave any."""

from __future__ import annotations

import subprocess
import tempfile

from .servers import need


class Podman:
    """Runs podman. Use as a context.

    Args:
        directory: where it may keep images.
    """

    def __init__(self, directory):
        # Its run root's path must be short.
        self._run_root = tempfile.TemporaryDirectory(prefix="podman-")
        self._storage = (
            *("--root", f"{directory}/root", "--runroot", self._run_root.name),
            *("--storage-driver", "vfs"),
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._run_root.cleanup()

    def __call__(self, *arguments, is_refused=False):
        """Run a command; it fails if that is expected, and only then. Returns what it says."""
        command = (need("podman"), *self._storage, *map(str, arguments))
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        said = f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        assert done.returncode == (125 if is_refused else 0), said
        return done.stdout + done.stderr if is_refused else done.stdout

    def take(self, layout):
        """Take the image ``latest`` of a layout; returns its id."""
        return self("pull", "--quiet", f"oci:{layout.directory}:latest").split()[-1]
