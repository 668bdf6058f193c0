# SPDX-License-Identifier: Apache-2.0
"""Stores and threads whose every step a test decides or sees."""

from __future__ import annotations

from collections import deque

from twisted.internet.defer import Deferred

from txregistry.storage.memory import MemoryStore


class Threads:
    """A ``run`` whose calls happen one by one, when the test says so; as many may be waiting as
    like.
    """

    def __init__(self):
        self.waiting = deque()

    def __call__(self, work):
        done = Deferred()
        self.waiting.append((work, done))
        return done

    def step(self):
        """Let the oldest waiting call happen and answer."""
        work, done = self.waiting.popleft()
        try:
            result = work()
        except Exception as err:
            result, outcome = err, done.errback
        else:
            outcome = done.callback
        if not done.called:
            outcome(result)

    def run_all(self):
        while self.waiting:
            self.step()


class RecordingStore(MemoryStore):
    """A memory store that notes what changes it, and fails where a test says so.

    Attributes:
        events: (method, path) of each change, in order.
        faults: method -> exception that it raises next time; "append" means Appender.append.
    """

    def __init__(self):
        super().__init__()
        self.events = []
        self.faults = {}
        self.appenders = []

    def _note(self, method, path):
        self.events.append((method, path))
        fault = self.faults.pop(method, None)
        if fault is not None:
            raise fault

    def put(self, path, data, *, if_absent, if_version):
        self._note("put", path)
        return super().put(path, data, if_absent=if_absent, if_version=if_version)

    def open(self, path, start):
        self._note("open", path)
        return super().open(path, start)

    def append(self, path, offset):
        appender = RecordingAppender(self, path, super().append(path, offset))
        self.appenders.append(appender)
        return appender

    def publish(self, path, destination, size):
        self._note("publish", destination)
        super().publish(path, destination, size)

    def delete(self, path, *, if_version):
        self._note("delete", path)
        super().delete(path, if_version=if_version)

    def move(self, source, destination):
        self._note("move", source)
        super().move(source, destination)

    def close(self):
        self._note("close", "")


class RecordingAppender:
    def __init__(self, store, path, appender):
        self._store = store
        self._path = path
        self._appender = appender
        self.is_closed = False

    def append(self, data):
        self._store._note("append", self._path)
        return self._appender.append(data)

    def sync(self):
        self._store._note("sync", self._path)
        return self._appender.sync()

    def close(self):
        if not self.is_closed:
            self.is_closed = True
            self._store._note("free", self._path)
        return self._appender.close()
