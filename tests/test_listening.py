# SPDX-License-Identifier: Apache-2.0
"""Listening sockets: what is taken, and the sentence for each address that can't be had."""

import errno
import os
import socket

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from txregistry import listening
from txregistry.config import TcpAddress, UnixAddress
from txregistry.listening import ListenError, listen, take_over


class Adopter:
    """A reactor that takes sockets and remembers them."""

    def adoptStreamPort(self, fileDescriptor, addressFamily, factory) -> IListeningPort:
        self.adopted = socket.socket(fileno=os.dup(fileDescriptor))
        self.family = addressFamily
        return factory


@pytest.fixture
def opened():
    listeners = []

    def open_one(address):
        listeners.append(listen(address))
        return listeners[-1]

    yield open_one
    for listener in listeners:
        listener.close()


def port_of(listener):
    return int(listener.where.rpartition(":")[2])


class TcpTests:
    def test_free_port_is_found_and_named(self, opened):
        listener = opened(TcpAddress("127.0.0.1", 0))
        assert listener.where == f"http://127.0.0.1:{port_of(listener)}"
        assert port_of(listener) > 0

    def test_client_waits_until_somebody_serves(self, opened):
        """Between the bind and the driver's hello a client is not refused."""
        listener = opened(TcpAddress("127.0.0.1", 0))
        with socket.create_connection(("127.0.0.1", port_of(listener)), timeout=5) as client:
            client.sendall(b"early")
            adopter = Adopter()
            assert listener.serve(adopter, "factory") == "factory"
            with adopter.adopted as served:
                assert adopter.family == socket.AF_INET
                served.setblocking(True)
                connection, _ = served.accept()
                with connection:
                    assert connection.recv(5) == b"early"

    def test_empty_host_is_every_interface(self, opened):
        listener = opened(TcpAddress("", 0))
        socket.create_connection(("127.0.0.1", port_of(listener)), timeout=5).close()

    def test_host_without_ipv6_listens_on_ipv4(self, opened, monkeypatch):
        """In many containers "::" can't be bound."""
        bound = listening._bound

        def without_ipv6(family, where):
            if family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "no")
            return bound(family, where)

        monkeypatch.setattr(listening, "_bound", without_ipv6)
        assert opened(TcpAddress("", 0)).where.startswith("http://0.0.0.0:")

    def test_name_of_this_host_is_looked_up(self, opened):
        assert port_of(opened(TcpAddress("localhost", 0))) > 0

    def test_port_in_use_is_refused(self, opened):
        port = port_of(opened(TcpAddress("127.0.0.1", 0)))
        with pytest.raises(ListenError) as caught:
            listen(TcpAddress("127.0.0.1", port))
        assert str(caught.value) == (
            f"http.addr: 127.0.0.1:{port} is in use; stop the other program, or choose another address"
        )

    def test_port_in_use_on_any_interface_is_refused(self, opened):
        port = port_of(opened(TcpAddress("", 0)))
        with pytest.raises(ListenError, match=f":{port} is in use"):
            listen(TcpAddress("", port))

    def test_address_of_another_host_is_refused(self):
        with pytest.raises(
            ListenError, match=r"192\.0\.2\.1:5000 is not an address of this host; correct it"
        ):
            listen(TcpAddress("192.0.2.1", 5000))

    def test_name_that_nobody_has_is_refused(self):
        with pytest.raises(ListenError, match=r"the host 'nobody\.invalid' has no address"):
            listen(TcpAddress("nobody.invalid", 5000))

    @pytest.mark.parametrize(
        ("number", "sentence"),
        [
            (
                errno.EACCES,
                "this user may not listen on 127.0.0.1:80; choose a port above 1023, or another place",
            ),
            (
                errno.ENOBUFS,
                "can't listen on 127.0.0.1:80 (No buffer space available); choose another address",
            ),
        ],
    )
    def test_other_refusals_of_the_system_are_told(self, monkeypatch, number, sentence):
        def refuse(family, where):
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(listening, "_bound", refuse)
        with pytest.raises(ListenError) as caught:
            listen(TcpAddress("127.0.0.1", 80))
        assert str(caught.value) == f"http.addr: {sentence}"


class UnixTests:
    def test_socket_is_made_and_removed_with_the_listener(self, tmp_path):
        path = tmp_path / "r.sock"
        listener = listen(UnixAddress(str(path)))
        assert listener.where == f"unix:{path}"
        assert path.is_socket()
        listener.close()
        assert not path.exists()

    def test_socket_that_a_killed_server_left_is_replaced(self, tmp_path):
        path = tmp_path / "r.sock"
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))
        listen(UnixAddress(str(path))).close()

    def test_socket_that_is_served_is_refused(self, tmp_path, opened):
        path = tmp_path / "r.sock"
        opened(UnixAddress(str(path)))
        with pytest.raises(ListenError, match=r"r\.sock is in use; stop the other program"):
            listen(UnixAddress(str(path)))
        assert path.is_socket()

    def test_file_in_the_way_is_left_alone(self, tmp_path):
        path = tmp_path / "r.sock"
        path.write_text("precious")
        with pytest.raises(ListenError, match=r"r\.sock is in use"):
            listen(UnixAddress(str(path)))
        assert path.read_text() == "precious"

    def test_missing_directory_is_refused(self, tmp_path):
        with pytest.raises(ListenError, match=r"can't listen on .* \(No such file or directory\)"):
            listen(UnixAddress(str(tmp_path / "no" / "r.sock")))


class Reading:
    """A reactor of which one says when something is to be read."""

    def __init__(self):
        self.reading = []

    def addReader(self, reader):
        self.reading.append(reader)

    def removeReader(self, reader):
        self.reading.remove(reader)

    def removeWriter(self, writer):
        pass

    def addWriter(self, writer):
        pass


class Counting(Factory):
    """Counts connections, and wants none of them."""

    noisy = False
    count = 0

    def buildProtocol(self, addr):
        self.count += 1


class SharedTests:
    @pytest.mark.parametrize("kind", ["tcp", "unix"])
    def test_one_of_several_processes_takes_one_connection_at_a_time(self, kind, tmp_path):
        """A burst is not for whoever looks first."""
        path = str(tmp_path / "s")
        address = TcpAddress("127.0.0.1", 0) if kind == "tcp" else UnixAddress(path)
        main = listen(address)
        front = take_over(os.dup(main.descriptor), name="plain", is_shared=True)
        reactor, factory = Reading(), Counting()
        port = front.serve(reactor, factory)
        clients = [
            socket.create_connection(("127.0.0.1", port_of(main)), timeout=5)
            if kind == "tcp"
            else connected(path)
            for _ in range(3)
        ]
        for count in (1, 2, 3):
            [reader] = reactor.reading
            reader.doRead()
            assert factory.count == count
        port.connectionLost(Failure(ConnectionDone()))
        assert kind == "tcp" or os.path.exists(path)
        for client in clients:
            client.close()
        main.close()


def connected(path):
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    return client
