# SPDX-License-Identifier: Apache-2.0
"""Addresses to listen on."""

import pytest

from txregistry.config import TcpAddress, UnixAddress
from txregistry.config.addresses import parse_address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (":5000", "", 5000),
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("localhost:65535", "localhost", 65535),
        ("registry.example:80", "registry.example", 80),
        ("[::1]:5000", "::1", 5000),
        ("[fe80::1%eth0]:5000", "fe80::1%eth0", 5000),
    ],
)
def test_tcp_address_of_go_is_read(text, host, port):
    """host:port as Go's net.Listen takes it, and it prints as it was written."""
    address = parse_address("tcp", text)
    assert address == TcpAddress(host, port)
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5000",
        "localhost",
        "localhost:",
        ":http",
        "::1:5000",
        "[::1]",
        "host:65536",
        "host:-1",
        "a b:1",
        "/x:1",
        ":1\n",
    ],
)
def test_other_text_is_no_tcp_address(text):
    """A port without a colon, a name without a port, a service's name: refused."""
    with pytest.raises(ValueError, match="host:port"):
        parse_address("tcp", text)


def test_path_is_a_unix_address():
    """With net: unix the address is a path."""
    assert parse_address("unix", "/run/registry.sock") == UnixAddress("/run/registry.sock")
    assert str(UnixAddress("/run/registry.sock")) == "unix:/run/registry.sock"


@pytest.mark.parametrize("path", ["", "/a\0b", "/" + "x" * 107])
def test_path_that_no_socket_can_have_is_refused(path):
    """Linux takes 107 bytes and no NUL."""
    with pytest.raises(ValueError, match="at most 107 bytes"):
        parse_address("unix", path)
