# SPDX-License-Identifier: Apache-2.0
"""Clients that do what clients do, in random order, and write down what they were told.

A patron has two repositories of its own. What it asks for next depends on what it was answered, by
the journal alone, so it goes on after any fault. An answer that does not come, or a 5xx, leaves the
outcome open, and is a problem only where the journal says that nothing is wrong; any other answer
than the expected is one always.
"""

from __future__ import annotations

import http.client
import json
import threading
from dataclasses import dataclass
from urllib.parse import urlsplit

from .journal import Session

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
ACCEPT = {"Accept": f"{MANIFEST}, {INDEX}"}
OCTETS = {"Content-Type": "application/octet-stream"}

#: What says that it is worth to come again.
PASSING = (429, 503, 507)

#: Sizes of blobs: tiny, about as large as the registry still holds in memory, and larger.
SIZES = ((1, 2_000), (60_000, 70_000), (100_000, 400_000))


class Unanswered(Exception):
    """Whether the request was done is not known."""


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self):
        return json.loads(self.body)


class _Watched:
    """A file whose lines are watched for one that the end of the file has cut."""

    def __init__(self, file):
        self.file = file
        self.is_cut = False

    def readline(self, *arguments):
        line = self.file.readline(*arguments)
        self.is_cut = self.is_cut or not line.endswith(b"\n")
        return line

    def __getattr__(self, name):
        return getattr(self.file, name)


class WholeResponse(http.client.HTTPResponse):
    """One whose head must be whole: Python takes what came before the end of a connection for all."""

    def begin(self):
        watched = self.fp = _Watched(self.fp)
        super().begin()
        if self.fp is watched:
            self.fp = watched.file
        if watched.is_cut:
            raise http.client.IncompleteRead(b"")


class Line:
    """One connection to a registry at a time, kept while it works."""

    def __init__(self, port, timeout=60):
        self.port = port
        self.timeout = timeout
        self._connection = None

    def request(self, method, path, body=None, headers=None):
        """Send a request and read the whole answer.

        Raises:
            OSError, HTTPException: there is none, or not all of it.
        """
        if self._connection is None:
            self._connection = http.client.HTTPConnection(
                "127.0.0.1", self.port, timeout=self.timeout
            )
            self._connection.response_class = WholeResponse
        try:
            self._connection.request(method, path, body=body, headers=headers or {})
            response = self._connection.getresponse()
            answer = Answer(response.status, response.headers, response.read())
        except BaseException:
            self.close()
            raise
        if response.will_close:
            self.close()
        return answer

    def get(self, path):
        return self.request("GET", path, headers=ACCEPT)

    def all_tags(self, repository):
        """Every tag, page by page; a repository that is not there has none."""
        tags, path = [], f"/v2/{repository}/tags/list?n=50"
        while path:
            answer = self.get(path)
            if answer.status == 404:
                return tags
            assert answer.status == 200, answer
            tags += answer.json()["tags"]
            link = answer.headers.get("Link", "")
            path = here(link[1 : link.index(">")]) if link else None
        return tags

    def close(self):
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def here(location):
    """A Location without the server's name."""
    parts = urlsplit(location)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


class Patron:
    """One client.

    Args:
        line: to the registry.
        name: begins the names of its repositories.
        choice: a ``random.Random``.
        sizes: ranges from which those of blobs are drawn.
        salt: begins each blob, so that the same choices make other content.
    """

    def __init__(self, line, journal, name, choice, *, sizes=SIZES, salt=b""):
        self.line = line
        self.journal = journal
        self.repositories = (f"{name}/app", f"{name}/app/deep")
        self.choice = choice
        self.sizes = sizes
        self.salt = salt
        self.errors = 0

    def run(self, stop, *, is_patient=False):
        """Ask for one thing after the other until ``stop`` is set.

        Args:
            is_patient: repeat what was not answered until it is; else give up there.
        """
        try:
            while not stop.is_set():
                operation = self._choose()
                while not self._try(operation):
                    if not is_patient or stop.wait(0.05):
                        return
        finally:
            self.line.close()

    def _try(self, operation):
        try:
            operation()
        except Unanswered:
            self.errors += 1
            return False
        return True

    def _choose(self):
        """One operation, with all that it needs decided, so that it can be repeated."""
        kinds = {
            self.push_image: 6,
            self.retag: 2,
            self.delete_tag: 2,
            self.delete_manifest: 1,
            self.delete_blob: 1,
            self.mount: 1,
            self.push_referrer: 1,
            self.push_index: 1,
            self.begin_upload: 2,
            self.resume_upload: 2,
            self.pull: 3,
        }
        operation = None
        while operation is None:
            make = self.choice.choices(list(kinds), list(kinds.values()))[0]
            operation = make(self.choice.choice(self.repositories))
        return operation

    # Operations. Each returns what does it, or None if it makes no sense now.

    def push_image(self, repository, *, is_tagged=None):
        blobs = [self._content() for _ in range(self.choice.randint(2, 4))]
        tag = self._tag()
        by_tag = self.choice.random() < 0.8 if is_tagged is None else is_tagged
        manifest = self._manifest(blobs[0], blobs[1:])
        ways = [
            self.choice.choice((self._push_at_once, self._push, self._push_in_chunks))
            for _ in blobs
        ]

        def push():
            for way, blob in zip(ways, blobs, strict=True):
                way(repository, blob)
            self._put_manifest(repository, manifest, tag if by_tag else None)

        return push

    def retag(self, repository):
        present = self.journal.surely("manifest", repository)
        if not present:
            return None
        (digest,), _ = self.choice.choice(present)
        tag = self._tag()
        return lambda: self._put_manifest(repository, self.journal.sent[digest], tag)

    def delete_tag(self, repository):
        present = self.journal.surely("tag", repository)
        if not present:
            return None
        (tag,), _ = self.choice.choice(present)
        path, effects = f"/v2/{repository}/manifests/{tag}", {("tag", repository, tag): None}
        return Deletion(self, path, effects)

    def delete_manifest(self, repository):
        """Only one that no index lists and nothing refers to."""
        held = {digest for one in self._manifests(repository) for digest in _children(one)}
        held |= {subject for subject, _ in self.journal.maybe("referrer", repository)}
        present = [
            key[0] for key, _ in self.journal.surely("manifest", repository) if key[0] not in held
        ]
        if not present:
            return None
        digest = self.choice.choice(present)
        effects = {("manifest", repository, digest): None}
        for (tag,), value in self.journal.surely("tag", repository):
            if value == digest:
                effects["tag", repository, tag] = None
        for subject, referrer in self.journal.maybe("referrer", repository):
            if referrer == digest:
                effects["referrer", repository, subject, referrer] = None
        return Deletion(self, f"/v2/{repository}/manifests/{digest}", effects)

    def delete_blob(self, repository):
        """Only one that no manifest needs."""
        held = {digest for one in self._manifests(repository) for digest in _blobs(one)}
        present = [
            key[0] for key, _ in self.journal.surely("blob", repository) if key[0] not in held
        ]
        if not present:
            return None
        digest = self.choice.choice(present)
        return Deletion(
            self, f"/v2/{repository}/blobs/{digest}", {("blob", repository, digest): None}
        )

    def mount(self, repository):
        (other,) = (one for one in self.repositories if one != repository)
        present = self.journal.surely("blob", other)
        if not present:
            return None
        (digest,), _ = self.choice.choice(present)

        def mount():
            with self.journal.attempt({("blob", repository, digest): True}) as attempt:
                self._ask(
                    "POST", f"/v2/{repository}/blobs/uploads/?mount={digest}&from={other}", (201,)
                )
                attempt.acknowledged()

        return mount

    def push_referrer(self, repository):
        present = self.journal.surely("manifest", repository)
        if not present:
            return None
        (subject,), _ = self.choice.choice(present)
        blob = self._content()
        manifest = self._manifest(blob, [blob], subject=subject)

        def push():
            self._push(repository, blob)
            self._put_manifest(repository, manifest, None)

        return push

    def push_index(self, repository):
        images = [key[0] for key, _ in self.journal.surely("manifest", repository)]
        if len(images) < 2:
            return None
        listed = [
            {"mediaType": MANIFEST, "digest": digest, "size": len(self.journal.sent[digest])}
            for digest in self.choice.sample(images, 2)
        ]
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}
        tag = self._tag()
        return lambda: self._put_manifest(repository, json.dumps(index).encode(), tag)

    def begin_upload(self, repository):
        """An upload that is left for later."""
        blob = self._content()

        def begin():
            session = self._begin(repository, blob)
            self._send(session, len(blob) // 2)

        return begin

    def resume_upload(self, repository):
        """Go on with an upload where the server says that it is."""
        waiting = [one for one in self.journal.sessions.values() if one.repository == repository]
        if not waiting:
            return None
        session = self.choice.choice(waiting)

        def resume():
            if self._find(session):
                self._send(session, len(session.data))
                self._close(session)

        return resume

    def pull(self, repository):
        tags = self.journal.maybe("tag", repository)
        if not tags:
            return None
        (tag,) = self.choice.choice(tags)

        def pull():
            answer = self._ask(
                "GET", f"/v2/{repository}/manifests/{tag}", (200, 404), headers=ACCEPT
            )
            value = answer.headers["Docker-Content-Digest"] if answer.status == 200 else None
            if value not in self.journal.values(("tag", repository, tag)):
                self.journal.problem(f"tag {repository}:{tag} was served as {value}")
            elif value is not None and self.journal.sent[value] != answer.body:
                self.journal.problem(f"tag {repository}:{tag} was served with other bytes")

        return pull

    # Steps.

    def _push_at_once(self, repository, blob):
        digest = self.journal.note(blob)
        with self.journal.attempt({("blob", repository, digest): True}) as attempt:
            self._ask(
                "POST", f"/v2/{repository}/blobs/uploads/?digest={digest}", (201,), blob, OCTETS
            )
            attempt.acknowledged()

    def _push(self, repository, blob):
        self._close(self._begin(repository, blob))

    def _push_in_chunks(self, repository, blob):
        session = self._begin(repository, blob)
        for stop in sorted({len(blob) // 3, len(blob) * 2 // 3}):
            self._send(session, stop)
        self._close(session)

    def _begin(self, repository, blob):
        answer = self._ask("POST", f"/v2/{repository}/blobs/uploads/", (202,), b"")
        location = here(answer.headers["Location"])
        session = Session(repository, location.partition("?")[0].rpartition("/")[2], location, blob)
        self.journal.note(blob)
        self.journal.began(session)
        return self.journal.sessions[session.id]

    def _send(self, session, stop):
        """Send what is not held yet up to ``stop`` and let the server say that it has that."""
        if stop <= session.held:
            return
        part = session.data[session.held : stop]
        self.journal.sending(session, stop)
        span = {"Content-Range": f"{session.held}-{stop - 1}"}
        answer = self._ask("PATCH", session.location, (202,), part, OCTETS | span)
        if answer.headers["Range"] != f"0-{stop - 1}":
            self.journal.problem(f"{stop} bytes were sent, {answer.headers['Range']} was told")
        self.journal.told(session, stop)
        session.location = here(answer.headers["Location"])

    def _close(self, session):
        digest, part = session.digest, session.data[session.held :]
        with self.journal.attempt({("blob", session.repository, digest): True}) as attempt:
            self.journal.sending(session, len(session.data), is_closing=True)
            self._ask("PUT", f"{session.location}&digest={digest}", (201,), part, OCTETS)
            attempt.acknowledged()
            self.journal.over(session)

    def _find(self, session):
        """Ask where the session is; False if it is over, as it may be."""
        answer = self._ask("GET", session.location, (204, 404))
        if answer.status == 404:
            self._check_over(session)
            return False
        last = int(answer.headers["Range"].partition("-")[2])
        offset = last + 1 if last else 0  # "0-0" is said of an empty one
        if offset == 0 and session.held == 1:
            offset = 1
        if not session.held <= offset <= max(session.sent, 1):
            expected = f"{session.held}..{session.sent}"
            self.journal.problem(f"session {session.id} is at {offset}, not {expected}")
        self.journal.told(session, offset)
        session.location = here(answer.headers["Location"])
        return True

    def _check_over(self, session):
        self.journal.over(session)
        path = f"/v2/{session.repository}/blobs/{session.digest}"
        if not session.is_closing:
            self.journal.problem(
                f"session {session.id} is gone, with {session.held} acknowledged bytes"
            )
            return
        with self.journal.attempt({("blob", session.repository, session.digest): True}) as attempt:
            if self._ask("HEAD", path, (200, 404)).status == 200:
                attempt.acknowledged()
            else:
                self.journal.problem(f"session {session.id} is gone and became nothing")

    def _put_manifest(self, repository, data, tag):
        digest = self.journal.note(data)
        effects = {("manifest", repository, digest): True}
        if tag:
            effects["tag", repository, tag] = digest
        document = json.loads(data)
        if "subject" in document:
            effects["referrer", repository, document["subject"]["digest"], digest] = True
        with self.journal.attempt(effects) as attempt:
            headers = {"Content-Type": document["mediaType"]}
            self._ask("PUT", f"/v2/{repository}/manifests/{tag or digest}", (201,), data, headers)
            attempt.acknowledged()

    def _ask(self, method, path, expected, body=None, headers=None):
        try:
            answer = self.line.request(method, path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            if not self.journal.is_in_trouble:
                self.journal.problem(f"{method} {path} was not answered: {error!r}")
            raise Unanswered(str(error)) from error
        if self.journal.is_dark:
            raise Unanswered("nobody can answer without power")
        if answer.status in expected:
            return answer
        if answer.status in PASSING and "Retry-After" not in answer.headers:
            self.journal.problem(
                f"{method} {path} was answered {answer.status} without Retry-After"
            )
        if answer.status < 500 or not self.journal.is_in_trouble:
            self.journal.problem(
                f"{method} {path} was answered {answer.status} {answer.body[:300]!r}"
            )
        raise Unanswered(str(answer.status))

    # What things are made of.

    def _tag(self):
        return f"t{self.choice.randrange(8)}"

    def _content(self):
        low, high = self.choice.choice(self.sizes)
        data = self.choice.randbytes(self.choice.randint(low, high))
        return self.salt + data[len(self.salt) :]

    def _manifest(self, config, layers, subject=None):
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._descriptor(config, CONFIG),
            "layers": [self._descriptor(layer, LAYER) for layer in layers],
        }
        if subject is not None:
            size = len(self.journal.sent[subject])
            document["subject"] = {"mediaType": MANIFEST, "digest": subject, "size": size}
        return json.dumps(document).encode()

    def _descriptor(self, data, media_type):
        return {"mediaType": media_type, "digest": self.journal.note(data), "size": len(data)}

    def _manifests(self, repository):
        return [
            json.loads(self.journal.sent[key[0]])
            for key in self.journal.maybe("manifest", repository)
        ]


class Deletion:
    """A DELETE; repeated after a lost answer it may find that it was done."""

    def __init__(self, patron, path, effects):
        self._patron = patron
        self._path = path
        self._effects = effects
        self._is_repeated = False

    def __call__(self):
        expected = (202, 404) if self._is_repeated else (202,)
        self._is_repeated = True
        with self._patron.journal.attempt(self._effects) as attempt:
            self._patron._ask("DELETE", self._path, expected)
            attempt.acknowledged()


def _blobs(document):
    return [one["digest"] for one in (document.get("config"), *document.get("layers", ())) if one]


def _children(document):
    return [one["digest"] for one in document.get("manifests", ())]


class Crowd:
    """Several patrons at once, each in a thread.

    Args:
        patrons: what they know stays with them from one run to the next.
    """

    def __init__(self, patrons):
        self.patrons = patrons
        self.stop = threading.Event()
        self._threads = []

    def start(self, *, is_patient=False):
        self.stop.clear()
        self._threads = [
            threading.Thread(
                target=patron.run, args=(self.stop,), kwargs={"is_patient": is_patient}
            )
            for patron in self.patrons
        ]
        for thread in self._threads:
            thread.start()

    def join(self, timeout=120):
        """Let them end what they are at.

        Raises:
            AssertionError: one does not end.
        """
        self.stop.set()
        for thread in self._threads:
            thread.join(timeout)
            assert not thread.is_alive(), "a client still waits for its answer"
