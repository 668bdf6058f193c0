# SPDX-License-Identifier: Apache-2.0
"""What systemd passes, and what it is told."""

import os
import socket

import pytest
from twisted.internet.task import Clock

from txregistry.systemd import Passed, Systemd, unnamed_descriptors


class PassedTests:
    def test_descriptors_are_those_that_were_inherited_with_their_names(self, monkeypatch):
        closed = []
        monkeypatch.setattr(os, "set_inheritable", lambda *each: closed.append(each))
        environ = {"LISTEN_FDNAMES": "web:plain", "A": "b"}
        systemd = Systemd.taken_from(environ, 7, lambda: [3, 4])
        assert systemd.passed == (Passed(3, "web"), Passed(4, "plain"))
        assert closed == [(3, False), (4, False)]
        assert environ == {"A": "b"}

    def test_descriptors_need_no_names(self, monkeypatch):
        monkeypatch.setattr(os, "set_inheritable", lambda *each: None)
        assert Systemd.taken_from({}, 7, lambda: [3, 4]).passed == (Passed(3, ""), Passed(4, ""))

    @pytest.mark.parametrize(
        ("environ", "descriptors"),
        [
            (b"A=b\0LISTEN_FDS=2\0LISTEN_PID=7\0", [3, 4]),
            (b"LISTEN_FDS=2\0LISTEN_PID=8\0", []),
            (b"LISTEN_FDS=1\0LISTEN_PID=7\0LISTEN_FDNAMES=web\0", []),
            (b"LISTEN_FDS=many\0LISTEN_PID=7\0", []),
            (b"LISTEN_PID=7\0", []),
            (b"", []),
        ],
    )
    def test_those_without_names_are_the_starters_own(self, environ, descriptors):
        """systemd-socket-activate gives none, and Twisted forgets such."""
        assert unnamed_descriptors(environ, 7) == descriptors

    def test_without_systemd_there_is_nothing(self):
        assert Systemd.taken_from({}, 7) == Systemd()


class NotificationTests:
    @pytest.fixture(params=["path", "abstract"])
    def listening(self, request, tmp_path):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            name = f"txregistry-test-{os.getpid()}"
            path = str(tmp_path / "notify")
            listener.bind(path if request.param == "path" else f"\0{name}")
            listener.settimeout(30)
            yield listener, path if request.param == "path" else f"@{name}"

    def test_states_are_told(self, listening):
        listener, address = listening
        systemd = Systemd.taken_from({"NOTIFY_SOCKET": address}, 7)
        systemd.ready("listening on x")
        assert listener.recv(1000) == b"READY=1\nSTATUS=listening on x"
        systemd.reloading()
        assert listener.recv(1000).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        systemd.stopping()
        assert listener.recv(1000) == b"STOPPING=1"

    def test_signs_of_life_come_twice_in_the_time(self, listening):
        listener, address = listening
        environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "4000000", "WATCHDOG_PID": "7"}
        systemd = Systemd.taken_from(environ, 7)
        assert environ == {}
        clock = Clock()
        end = systemd.watch(clock)
        for _ in range(3):
            assert listener.recv(1000) == b"WATCHDOG=1"
            clock.advance(2)
        end()
        assert clock.getDelayedCalls() == []

    @pytest.mark.parametrize(
        "environ",
        [{}, {"WATCHDOG_USEC": "4000000", "WATCHDOG_PID": "8"}, {"WATCHDOG_USEC": "soon"}],
    )
    def test_nobody_who_watches_hears_nothing(self, environ):
        clock = Clock()
        Systemd.taken_from(environ, 7).watch(clock)()
        assert clock.getDelayedCalls() == []

    def test_nobody_who_listens_is_no_failure(self, tmp_path):
        Systemd.taken_from({}, 7).ready("x")
        Systemd.taken_from({"NOTIFY_SOCKET": str(tmp_path / "none")}, 7).ready("x")
