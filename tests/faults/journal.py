# SPDX-License-Identifier: Apache-2.0
"""What clients were told, so what must be true of the registry.

Each thing that a registry can have is a key with the values that it may have now::

    ("blob", repository, digest)                True or None
    ("manifest", repository, digest)            True or None
    ("tag", repository, tag)                    a digest or None
    ("referrer", repository, subject, digest)   True or None

A request that is sent adds its value to the possible ones; its answer leaves that alone. A request
whose answer is lost leaves both. After a fault the registry is looked at: each key must have a
value that is possible, which is the only one from then on. Nobody asks for two changes of a key at
once.
"""

from __future__ import annotations

import hashlib
import threading
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class Session:
    """An upload that was begun and not known to be over.

    Attributes:
        data: all that it will become.
        held: the least that must be there, because the server said so.
        sent: the most that may be there.
        is_closing: its end was asked for, so it may be over.
    """

    repository: str
    id: str
    location: str
    data: bytes
    held: int = 0
    sent: int = 0
    is_closing: bool = False

    @property
    def digest(self):
        return digest_of(self.data)


def digest_of(data):
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


class Attempt:
    """A request and what it would change."""

    def __init__(self, effects):
        self.effects = effects
        self.is_acknowledged = False

    def acknowledged(self):
        """The whole answer has come and says that it is done."""
        self.is_acknowledged = True


class Journal:
    """Kept by clients, in the memory of a process that no fault touches.

    Args:
        clock: tells where in a recorded trace we are; given, the journal can be had :meth:`as_of`
            then.
    """

    def __init__(self, clock=None):
        self._clock = clock
        self._events = []
        self._lock = threading.Lock()
        self.possible = {}
        self.sent = {}
        self.sessions = {}
        self.problems = []
        self.acknowledged = 0
        #: Whether errors are to be expected now.
        self.is_in_trouble = False
        #: Whether the power has gone: a machine without power gives no answers, so they don't
        #: count.
        self.is_dark = False
        #: Sessions behind whose acknowledged bytes something was found that nobody sent.
        self.spoiled = []
        self._ghosts = set()

    def note(self, data):
        """Remember content that will be sent; returns its digest."""
        digest = digest_of(data)
        self.sent[digest] = data
        return digest

    @contextmanager
    def attempt(self, effects):
        """A span in which a request may or may not take effect."""
        attempt = Attempt(effects)
        self._event(Journal._attempted, effects)
        try:
            yield attempt
        finally:
            if attempt.is_acknowledged:
                self._event(Journal._done, effects)

    def _attempted(self, effects):
        for key, value in effects.items():
            self.possible[key] = self.possible.get(key, {None}) | {value}

    def _done(self, effects):
        self.acknowledged += 1
        self.possible.update((key, {value}) for key, value in effects.items())

    # Sessions: what a client was told of them.

    def began(self, session):
        self._event(Journal._began, session.repository, session.id, session.location, session.data)

    def _began(self, repository, id_, location, data):
        self.sessions[id_] = Session(repository, id_, location, data)

    def sending(self, session, stop, *, is_closing=False):
        """So much of it may be there from now on."""
        self._event(Journal._sending, session.id, stop, is_closing)

    def _sending(self, id_, stop, is_closing):
        session = self.sessions[id_]
        session.sent = max(session.sent, stop)
        session.is_closing |= is_closing

    def told(self, session, offset):
        """So much of it must be there from now on."""
        self._event(Journal._was_told, session.id, offset)

    def _was_told(self, id_, offset):
        self.sessions[id_].held = offset

    def over(self, session):
        self._event(Journal._over, session.id)

    def _over(self, id_):
        self.sessions.pop(id_, None)

    def _event(self, apply, *arguments):
        with self._lock:
            apply(self, *arguments)
            if self._clock is not None:
                self._events.append((self._clock(), apply, arguments))

    def as_of(self, position):
        """The journal as it was when the trace was so long; what was sent later is known all the
        same.
        """
        then = Journal()
        then.sent = self.sent
        for when, apply, arguments in self._events:
            if when > position:
                break
            apply(then, *arguments)
        return then

    def problem(self, text):
        """Something was seen that must not be."""
        self.problems.append(text)

    def take_problems(self):
        problems, self.problems = self.problems, []
        return problems

    def values(self, key):
        return self.possible.get(key, {None})

    def surely(self, kind, repository):
        """What certainly is in ``repository``: (rest of the key, value)."""
        with self._lock:
            return [
                (key[2:], next(iter(values)))
                for key, values in self.possible.items()
                if key[:2] == (kind, repository) and len(values) == 1 and None not in values
            ]

    def maybe(self, kind, repository):
        """What may be in ``repository``: the rest of each key."""
        with self._lock:
            return [
                key[2:]
                for key, values in self.possible.items()
                if key[:2] == (kind, repository) and values != {None}
            ]

    def repositories(self):
        with self._lock:
            return sorted({key[1] for key in self.possible})

    # After a fault.

    def settle(self, tree):
        """Hold a storage tree against what is possible; from then on what was found is what must
        be.

        Args:
            tree: of the oracle.

        Returns:
            What is lost, comes from nowhere, or is broken: one sentence each.
        """
        problems = [*self.take_problems(), *tree.errors]
        found = _found_in(tree)
        for key in found.keys() | self.possible.keys():
            problems += self._settle_key(key, found.get(key))
        for digest in tree.blobs:
            if digest not in self.sent:
                problems.append(f"blob {digest} was never sent")
        for repository, tag in (key for key, digest in tree.tags.items() if digest is None):
            if ("tag", repository, tag) not in self._ghosts:
                problems.append(f"tag {repository}:{tag} is listed and points at nothing")
        problems += self._settle_sessions(tree)
        return problems

    def _settle_key(self, key, value):
        values = self.values(key)
        if len(values) > 1 and value is None and key[0] == "tag":
            self._ghosts.add(
                key
            )  # its directory may have been made, by a request that nobody answered
        self.possible[key] = {value}
        if value in values:
            return []
        return [
            f"{' '.join(map(str, key))} is {_told(value)}, not {' or '.join(map(_told, values))}"
        ]

    def _settle_sessions(self, tree):
        problems = []
        for id_, session in list(self.sessions.items()):
            found = tree.uploads.get((session.repository, id_))
            if found is None:
                if not session.is_closing:
                    problems.append(
                        f"session {id_} is gone, with {session.held} acknowledged bytes"
                    )
                elif self.values(("blob", session.repository, session.digest)) != {True}:
                    problems.append(f"session {id_} is gone and became nothing")
                del self.sessions[id_]
            elif not session.held <= len(found) <= session.sent:
                expected = f"{session.held}..{session.sent}"
                problems.append(f"session {id_} holds {len(found)} bytes, not {expected}")
            elif found[: session.held] != session.data[: session.held]:
                problems.append(
                    f"session {id_} holds other bytes than the {session.held} acknowledged"
                )
            elif not session.data.startswith(found):
                # What was not acknowledged is not what was sent. Not every file system can help it.
                self.spoiled.append(session)
                del self.sessions[id_]
        return problems

    def check_over_http(self, client, keys=None, repositories=None):
        """Hold what a running registry answers against what is possible.

        Args:
            keys: those to look at; all, if none are given.
            repositories: those whose lists of tags to look at; all, if none are given.

        Returns:
            As :meth:`settle`.
        """
        problems = self.take_problems()
        for key in list(self.possible) if keys is None else keys:
            value, trouble = self._look(client, key)
            problems += trouble
            if not trouble and value not in self.values(key):
                values = " or ".join(map(_told, self.values(key)))
                problems.append(
                    f"{' '.join(map(str, key))} is served as {_told(value)}, not {values}"
                )
        for repository in self.repositories() if repositories is None else repositories:
            problems += self._check_tags(client, repository)
        return problems

    def _look(self, client, key):
        kind, repository, *rest = key
        if kind == "referrer":
            answer = client.get(f"/v2/{repository}/referrers/{rest[0]}")
            if answer.status != 200:
                return None, [f"referrers of {rest[0]} in {repository}: {answer.status}"]
            listed = [one["digest"] for one in answer.json()["manifests"]]
            trouble = ["a referrer is listed twice"] if len(listed) != len(set(listed)) else []
            return True if rest[1] in listed else None, trouble
        where = "blobs" if kind == "blob" else "manifests"
        answer = client.get(f"/v2/{repository}/{where}/{rest[0]}")
        if answer.status == 404:
            return None, []
        if answer.status != 200:
            return None, [f"{where} {rest[0]} of {repository}: {answer.status}"]
        digest = digest_of(answer.body)
        if digest not in self.sent or (kind != "tag" and digest != rest[0]):
            return None, [
                f"{where} {rest[0]} of {repository}: {len(answer.body)} bytes of {digest}"
            ]
        return digest if kind == "tag" else True, []

    def _check_tags(self, client, repository):
        listed = client.all_tags(repository)
        problems = (
            [] if len(listed) == len(set(listed)) else [f"a tag of {repository} is listed twice"]
        )
        surely = {tag for (tag,), _ in self.surely("tag", repository)}
        maybe = {tag for (tag,) in self.maybe("tag", repository)}
        ghosts = {key[2] for key in self._ghosts if key[1] == repository}
        if missing := surely - set(listed):
            problems.append(f"tags of {repository} are not listed: {sorted(missing)}")
        if unknown := set(listed) - maybe - ghosts:
            problems.append(f"tags of {repository} are listed and must not be: {sorted(unknown)}")
        return problems


def _found_in(tree):
    found = {("blob", *key): True for key in tree.layers}
    found |= {("manifest", *key): True for key in tree.manifests}
    found |= {("tag", *key): digest for key, digest in tree.tags.items() if digest is not None}
    found |= {
        ("referrer", repository, subject, referrer): True
        for repository, subject, referrer in tree.referrers
        if (repository, referrer) in tree.manifests
    }
    return found


def _told(value):
    return {None: "absent", True: "present"}.get(value, value)
