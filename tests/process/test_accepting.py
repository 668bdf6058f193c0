# SPDX-License-Identifier: Apache-2.0
"""A listening socket that was handed over is used and left as it was."""

from __future__ import annotations

import errno
import os
import socket

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from txregistry.process.accepting import PAUSE, Acceptor

from ..census import turns, until


class Counting(Protocol):
    def connectionMade(self):
        self.factory.made.append(self)


@pytest.fixture
def factory():
    factory = Factory.forProtocol(Counting)
    factory.noisy = False
    factory.made = []
    yield factory
    for made in factory.made:
        made.transport.abortConnection()


@pytest.fixture
def listener(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(tmp_path / "s"))
        os.chmod(tmp_path / "s", 0o600)
        listener.listen(1024)
        yield listener


class Dialer:
    """Blocking clients, which only wait for the backlog."""

    def __init__(self, path):
        self.path = path
        self.clients = []

    def dial(self, count=1):
        for _ in range(count):
            client = socket.socket(socket.AF_UNIX)
            client.connect(self.path)
            self.clients.append(client)

    def close(self):
        for client in self.clients:
            client.close()


@pytest.fixture
def dialer(listener):
    dialer = Dialer(listener.getsockname())
    yield dialer
    dialer.close()


class AcceptorTests:
    @pytest_twisted.ensureDeferred
    async def test_burst_is_taken_whole(self, listener, dialer, factory):
        """Many front ends that connect at once are all served, those of before the start too."""
        dialer.dial(150)
        acceptor = Acceptor(reactor, listener.dup(), factory)
        acceptor.start()
        dialer.dial(150)
        await until(lambda: len(factory.made) == 300)
        acceptor.stop()

    @pytest_twisted.ensureDeferred
    async def test_socket_is_as_before_when_it_ends(self, listener, dialer, factory, tmp_path):
        """The path, its mode and the backlog are the registry's: the next run of a driver finds
        them.
        """
        acceptor = Acceptor(reactor, listener.dup(), factory)
        acceptor.start()
        acceptor.stop()
        acceptor.stop()
        assert acceptor.fileno() == -1
        assert os.stat(tmp_path / "s").st_mode & 0o777 == 0o600
        dialer.dial(200)
        again = Acceptor(reactor, listener.dup(), factory)
        again.start()
        await until(lambda: len(factory.made) == 200)
        again.connectionLost(Failure(Exception("the reactor ends")))
        dialer.dial(1)

    @pytest_twisted.ensureDeferred
    async def test_stop_from_within_a_connection_holds(self, listener, dialer, factory):
        """Nothing more is taken after the stop, though it waits."""
        acceptor = Acceptor(reactor, listener.dup(), factory)
        factory.made = _Stopping(acceptor)
        dialer.dial(3)
        acceptor.start()
        await until(lambda: len(factory.made) == 1)
        await turns()
        assert len(factory.made) == 1

    @pytest_twisted.ensureDeferred
    async def test_want_of_descriptors_is_waited_out(self, factory):
        """A process that can open no more files goes on serving, and accepts again later."""
        watched = []
        clock = Clock()
        clock.addReader, clock.removeReader = watched.append, watched.remove
        acceptor = Acceptor(
            clock, _Failing([errno.EMFILE, errno.ECONNABORTED, errno.EMFILE]), factory
        )
        acceptor.start()
        acceptor.doRead()
        assert watched == []
        clock.advance(PAUSE)
        assert watched == [acceptor]
        acceptor.doRead()  # a client that left: no reason to wait
        assert watched == [acceptor]
        acceptor.doRead()
        assert watched == []
        clock.removeReader = lambda reader: None
        acceptor.stop()
        assert clock.getDelayedCalls() == []

    @pytest_twisted.ensureDeferred
    async def test_connection_that_can_not_be_kept_is_dropped(self, listener, dialer, factory):
        """One that fails costs no other."""
        failing = _Failing([errno.EMFILE])

        class Reactor:
            addReader, removeReader = reactor.addReader, reactor.removeReader
            tries = 0

            def adoptStreamConnection(self, *arguments):
                self.tries += 1
                if self.tries == 1:
                    failing.accept()
                return reactor.adoptStreamConnection(*arguments)

        acceptor = Acceptor(Reactor(), listener.dup(), factory)
        acceptor.start()
        dialer.dial(2)
        await until(lambda: len(factory.made) == 1)
        assert dialer.clients[0].recv(1) == b""
        acceptor.stop()


class _Stopping(list):
    def __init__(self, acceptor):
        self._acceptor = acceptor

    def append(self, made):
        super().append(made)
        self._acceptor.stop()


class _Failing:
    """A listener that accepts nothing."""

    def __init__(self, errors):
        self._errors = errors

    def setblocking(self, flag):
        pass

    def accept(self):
        number = self._errors.pop(0)
        raise OSError(number, os.strerror(number))

    def fileno(self):
        return -1

    def close(self):
        pass
