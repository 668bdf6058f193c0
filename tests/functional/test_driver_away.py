# SPDX-License-Identifier: Apache-2.0
"""What clients see of a driver that is not there, and of a server that is told to stop meanwhile."""

from __future__ import annotations

import hashlib
import sys
import threading
import time

import pytest

from .client import Client
from .servers import Registry

PATIENCE = 60.0

#: A driver over a real root that is killed before it is ready until a file is there, and whose
#: publishing notes that it has begun and takes its time.
PROGRAM = """
import os, signal, time
from txregistry.driver import main
from txregistry_drivers.filesystem import options as filesystem
from txregistry_drivers.filesystem.store import FilesystemStore
directory = {directory!r}
def slowly(method):
    def wrapped(self, path, destination, *rest):
        if os.path.exists(directory + "/slow"):
            open(directory + "/begun", "w").close()
            time.sleep(1)
        return method(self, path, destination, *rest)
    return wrapped
FilesystemStore.publish = slowly(FilesystemStore.publish)
FilesystemStore.publish_recorded = slowly(FilesystemStore.publish_recorded)
if os.path.exists(directory + "/down"):
    os.kill(os.getpid(), signal.SIGKILL)
main(filesystem.create)
"""


def eventually(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def registry(tmp_path):
    program = tmp_path / "driver.py"
    program.write_text(PROGRAM.format(directory=str(tmp_path)))
    server = Registry(
        tmp_path,
        storage={
            "external": {
                "command": [sys.executable, "-I", str(program)],
                "options": {"rootdirectory": str(tmp_path / "root")},
            },
            "supervision": {"backofflimit": "200ms"},
            "isolation": "off",
        },
        configuration={"http": {"draintimeout": "30s"}},
    )
    yield server
    if server.process is not None:
        server.stop()


class AwayTests:
    """The driver does not come up, for a reason that may pass."""

    def test_server_starts_says_so_and_heals(self, registry, tmp_path):
        """The version check is answered all the time, what needs storage is an honest 503."""
        (tmp_path / "down").touch()
        registry.start()
        client = Client(registry)
        eventually(lambda: "gets nowhere" in registry.log.read_text())
        refused = client.get("/v2/a/manifests/latest")
        assert refused.status == 503
        assert refused.codes == ["UNAVAILABLE"]
        assert int(refused.headers["Retry-After"]) >= 1
        assert client.post("/v2/a/blobs/uploads/").status == 503
        assert client.get("/v2/").status == 200
        (tmp_path / "down").unlink()
        eventually(lambda: client.get("/v2/a/manifests/latest").status == 404)
        location = client.start_upload("a")
        digest = f"sha256:{hashlib.sha256(b'x').hexdigest()}"
        client.finish_upload(location, digest, b"x")
        assert "Traceback" not in registry.log.read_text()


class DrainTests:
    """SIGTERM in the middle of work."""

    def test_commit_comes_to_its_end_and_sessions_stay(self, registry, tmp_path):
        """What is being committed is answered and stored; another upload goes on after the next
        start.
        """
        registry.start()
        client = Client(registry)
        data = b"committed while the server stops" * 100_000  # more than is put in one piece
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        kept = client.patch(client.start_upload("b"), b"12345")
        location = client.start_upload("a")
        (tmp_path / "slow").touch()
        answers = []

        def finish():
            answers.append(Client(registry).finish_upload(location, digest, data))

        thread = threading.Thread(target=finish)
        thread.start()
        eventually((tmp_path / "begun").exists)
        registry.process.terminate()
        thread.join(PATIENCE)
        assert [answer.status for answer in answers] == [201]
        assert registry.process.wait(PATIENCE) == 0
        (tmp_path / "slow").unlink()
        registry.start()
        client = Client(registry)
        assert client.get(f"/v2/a/blobs/{digest}").body == data
        status = client.get(kept)
        assert (status.status, status.headers["Range"]) == (204, "0-4")
        whole = f"sha256:{hashlib.sha256(b'1234567890').hexdigest()}"
        client.finish_upload(kept, whole, b"67890")
