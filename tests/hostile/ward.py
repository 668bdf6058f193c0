# SPDX-License-Identifier: Apache-2.0
"""The server under trial: started as a user would, watched from outside."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..functional.servers import Registry
from ..web.content import EMPTY_CONFIG, OCI_MANIFEST, digest_of, manifest
from .rows import HELD, SESSION, TOKEN, UPLOAD_ID, get, send, showing
from .wire import PATIENCE, Wire

LAYER = bytes(range(256)) * 16

#: What the repository ``a`` has: an image of one layer under the tag ``latest``.
IMAGE = manifest(LAYER)


class Ward:
    """One server with the image, and what can be seen of it.

    Args:
        configuration: beyond the default; without a guard the image is pushed before it holds.
        guard: who asks its clients who they are; None: nobody does.

    Attributes:
        own: the header line of somebody who may do everything.
    """

    def __init__(self, directory, configuration, guard=None):
        self.guard = guard
        self.own = ""
        self.server = Registry(directory)
        if configuration and not guard:
            with self.server:
                self._push_image()
            self.server = Registry(directory)
        self.server.reconfigure(configuration)
        if guard:
            self.server.reconfigure(guard.configure(self.server.directory, self.server.address))
            self.own = guard.show()
        self.server.start()
        if guard or not configuration:
            self._push_image()
        self._log_read = 0
        self._start_parsers()
        self._essential = {self.server.process.pid, self.server.driver()}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stop()

    @property
    def port(self):
        """On which it is talked to without TLS."""
        return self.server.port

    @property
    def settings(self):
        """The configuration that it was started by."""
        return self.server.document

    def _push_image(self):
        for blob in (EMPTY_CONFIG, LAYER):
            target = f"/v2/a/blobs/uploads/?digest={digest_of(blob)}"
            assert self.ask(send("POST", target, blob)).status == 201
        pushed = send("PUT", "/v2/a/manifests/latest", IMAGE, f"Content-Type: {OCI_MANIFEST}")
        assert self.ask(pushed).status == 201

    def _start_parsers(self):
        """Large manifests are parsed by processes that start when they are first needed."""
        large = send("PUT", "/v2/a/manifests/x", b" " * 4_000_000, f"Content-Type: {OCI_MANIFEST}")
        with ThreadPoolExecutor(4) as threads:
            assert {reply.status for reply in threads.map(self.ask, [large] * 4)} <= {400, 405}

    # --- requests

    def wire(self, **options):
        """A new connection."""
        return Wire(self.port, **options)

    def ask(self, request, who=None):
        """One request on a connection of its own; the answer is held to what all must keep.

        Args:
            who: the header line of who asks; None: somebody who may do everything.
        """
        with self.wire() as wire:
            wire.send(showing(self.own if who is None else who, request))
            to_head = request.startswith(b"HEAD ")
            reply = wire.reply(to_head=to_head)
        problems = self.problems(reply, to_head=to_head)
        assert not problems, (request[:100], problems)
        return reply

    def problems(self, reply, *, to_head=False):
        """What is wrong with an answer, whatever it answers."""
        challenge = reply.headers.get("www-authenticate", "")
        allowed = self.guard.challenges if self.guard else ()
        found = reply.problems(to_head=to_head)
        if (reply.status == 401) != any(map(challenge.startswith, allowed)):
            found.append(f"{reply.status} with the challenge {challenge!r}")
        return found

    def session(self, held=HELD, repository="a", who=None):
        """The target of a new upload session."""
        reply = self.ask(send("POST", f"/v2/{repository}/blobs/uploads/"), who)
        assert reply.status == 202, reply
        if held:
            reply = self.ask(send("PATCH", reply.headers["location"], held), who)
            assert reply.status == 202, reply
        return reply.headers["location"]

    def held(self, target):
        """How many bytes a session holds; None if there is none."""
        reply = self.ask(get(target))
        if reply.status == 404:
            return None
        assert reply.status == 204, reply
        stop = int(reply.headers["range"].partition("-")[2])
        # A session without bytes says 0-0, as one with a single byte does.
        return stop + 1 if stop else self._single(target)

    def _single(self, target):
        data = self.server.root / "docker/registry/v2/repositories"
        name, _, rest = target.removeprefix("/v2/").partition("/blobs/uploads/")
        path = data / name / "_uploads" / rest.partition("?")[0] / "data"
        return path.stat().st_size if path.exists() else 0

    def cancel(self, target):
        """End a session if it is there."""
        reply = self.ask(get(target))
        if reply.status == 204:
            assert self.ask(send("DELETE", reply.headers["location"])).status == 204

    def has(self, target):
        """Whether there is something."""
        return self.ask(get(target)).status == 200

    # --- what it looks like from outside

    def is_alive(self):
        """Whether it answers, and with the server and the driver that it began with."""
        assert self.ask(get("/v2/")).status == 200
        return self._essential == {self.server.process.pid, self.server.driver()}

    def store(self):
        """Path -> digest of the content, of all that is stored; what is on its way out is not."""
        found = {}
        for directory, below, names in os.walk(self.server.root):
            below[:] = [name for name in below if name != ".txregistry-trash"]
            for path in (Path(directory, name) for name in names):
                with contextlib.suppress(FileNotFoundError):
                    found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
        return found

    def descriptors(self):
        """How many all processes hold."""
        return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in self.server.tree())

    def descriptors_settled(self, wanted):
        """How many they hold once what is closed in the background is closed."""
        deadline = time.monotonic() + PATIENCE
        while (count := self.descriptors()) > wanted and time.monotonic() < deadline:
            time.sleep(0.05)
        return count

    def resident(self):
        """Bytes of memory of all processes."""
        pages = (Path(f"/proc/{pid}/statm").read_text().split()[1] for pid in self.server.tree())
        return sum(map(int, pages)) * os.sysconf("SC_PAGE_SIZE")

    def complaints(self):
        """What the log has, since the last call, that no input may cause."""
        text = self.server.log.read_text(errors="replace")
        fresh, self._log_read = text[self._log_read :], len(text)
        signs = ("Traceback", "Unhandled", "incident", "never retrieved")
        return [line for line in fresh.splitlines() if any(sign in line for sign in signs)]


class Wards:
    """One ward for each configuration that is asked for. Use as a context.

    Args:
        directory: below which each has its own.
    """

    def __init__(self, directory):
        self._directory = Path(directory)
        self._wards = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stack.close()

    def of(self, configuration, guard=None):
        """The ward with this configuration; a busy machine has as few as possible at a time."""
        name = json.dumps(configuration, sort_keys=True) + (guard.name if guard else "")
        if name not in self._wards:
            self._stack.close()
            self._wards.clear()
            directory = self._directory / str(len(list(self._directory.iterdir())))
            self._wards[name] = self._stack.enter_context(Ward(directory, configuration, guard))
        return self._wards[name]


def fill_in(sent, target):
    """What a row sends, about the session at ``target``."""
    path, _, token = target.partition("?_state=")
    upload_id = path.rpartition("/")[2]
    for name, text in ((SESSION, target), (UPLOAD_ID, upload_id), (TOKEN, token)):
        sent = sent.replace(name, text.encode())
    return sent
