# SPDX-License-Identifier: Apache-2.0
"""A confined process can't do what it was to give up; each case runs in a process of its own."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import textwrap

import pytest

from txregistry.process import isolation
from txregistry.process.isolation import MEASURES, landlock_abi

PROLOGUE = """
import json, os, socket, sys
from txregistry.process import isolation
from txregistry.process.isolation import confine
def attempt(work):
    try:
        work()
    except OSError as error:
        return error.errno
    return 0
"""


def confined(script, *arguments):
    """What a script prints as JSON, run in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", PROLOGUE + textwrap.dedent(script), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class ConfineTests:
    def test_every_measure_of_this_kernel_is_reached(self, tmp_path):
        """What the kernel has is used; the user is the registry's affair."""
        reached = confined(
            "print(json.dumps(confine([sys.argv[1]], needs_network=False)))", tmp_path
        )
        abi = landlock_abi()
        expected = ["no-new-privs", "limits"] + ["files"] * (abi >= 1) + ["network"] * (abi >= 4)
        assert reached == expected
        assert set(reached) < set(MEASURES)

    def test_what_is_allowed_of_proc_is_held_open(self, tmp_path):
        """The kernel may forget what it knows of /proc when memory is short; a driver that has lived
        for weeks still tells how much it takes.
        """
        assert landlock_abi() >= 1, "this kernel has no Landlock: the measure can't be tested here"
        held = confined(
            """
            confine([sys.argv[1]], needs_network=False)
            held = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
            print(json.dumps([path.replace(str(os.getpid()), "self") for path in held]))
            """,
            tmp_path,
        )
        assert {"/proc/self", "/proc/meminfo"} <= set(held)

    def test_files_elsewhere_are_out_of_reach(self, tmp_path):
        """The store's own directory is free; its neighbour can be neither read nor written."""
        assert landlock_abi() >= 1, "this kernel has no Landlock: the measure can't be tested here"
        own, other = tmp_path / "own", tmp_path / "other"
        own.mkdir()
        other.mkdir()
        (other / "secret").write_text("x")
        result = confined(
            """
            own, other = sys.argv[1:]
            confine([own], needs_network=False)
            import decimal  # modules that are imported late are still found
            print(json.dumps({
                "write own": attempt(lambda: open(own + "/a", "w").close()),
                "rename own": attempt(lambda: os.rename(own + "/a", own + "/b")),
                "truncate own": attempt(lambda: os.truncate(own + "/b", 0)),
                "link own": attempt(lambda: os.link(own + "/b", own + "/c")),
                "read other": attempt(lambda: open(other + "/secret").close()),
                "write other": attempt(lambda: open(other + "/a", "w").close()),
                "list other": attempt(lambda: os.listdir(other)),
                "write etc": attempt(lambda: open("/etc/txregistry-test", "w").close()),
            }))
            """,
            own,
            other,
        )
        assert {name: error for name, error in result.items() if "own" in name} == {
            "write own": 0,
            "rename own": 0,
            "truncate own": 0,
            "link own": 0,
        }
        assert {error for name, error in result.items() if "own" not in name} == {13}

    @pytest.mark.parametrize("needs_network", [True, False])
    def test_network_is_there_only_for_those_who_need_it(self, tmp_path, needs_network):
        """A file system driver that was taken over can't call home."""
        assert landlock_abi() >= 4, (
            "this kernel's Landlock can't confine TCP: the measure can't be tested here"
        )
        result = confined(
            """
            listener = socket.create_server(("127.0.0.1", 0))
            confine([sys.argv[1]], needs_network=sys.argv[2] == "True")
            address = listener.getsockname()
            print(json.dumps({
                "connect": attempt(lambda: socket.create_connection(address).close()),
                "listen": attempt(lambda: socket.create_server(("127.0.0.1", 0)).close()),
            }))
            """,
            tmp_path,
            needs_network,
        )
        assert result == (
            {"connect": 0, "listen": 0} if needs_network else {"connect": 13, "listen": 13}
        )

    def test_no_datagram_leaves(self, tmp_path):
        """Nothing is told to anybody by way of names, either: as root there is no network at all."""
        assert os.geteuid() == 0, "needs root: the measure can't be tested here"
        result = confined(
            """
            confine([sys.argv[1]], needs_network=False)
            datagrams = socket.socket(type=socket.SOCK_DGRAM)
            print(json.dumps({
                "send": attempt(lambda: datagrams.sendto(b"x", ("127.0.0.1", 53))),
                "interfaces": [name for _, name in socket.if_nameindex() if name != "lo"],
            }))
            """,
            tmp_path,
        )
        assert result == {"send": errno.ENETUNREACH, "interfaces": []}

    def test_other_processes_environments_are_out_of_reach(self, tmp_path):
        """The registry's may hold secrets; what a driver reads about itself is there."""
        assert landlock_abi() >= 1, "this kernel has no Landlock: the measure can't be tested here"
        result = confined(
            """
            confine([sys.argv[1]], needs_network=False)
            parent = os.getppid()
            print(json.dumps({
                "own": [
                    attempt(lambda: open("/proc/self/statm").close()),
                    attempt(lambda: os.listdir("/proc/self/fd")),
                ],
                "others": [
                    attempt(lambda: open(f"/proc/{parent}/environ").close()),
                    attempt(lambda: open(f"/proc/{parent}/cmdline").close()),
                    attempt(lambda: os.listdir("/proc/1")),
                ],
            }))
            """,
            tmp_path,
        )
        assert result == {"own": [0, 0], "others": [errno.EACCES] * 3}

    def test_sockets_and_descriptors_that_were_passed_still_work(self, tmp_path):
        """Lanes, and files that somebody else opened, are not paths."""
        (tmp_path / "outside").write_text("content")
        own = tmp_path / "own"
        own.mkdir()
        result = confined(
            """
            file = os.open(sys.argv[2], os.O_RDONLY)
            confine([sys.argv[1]], needs_network=False)
            one, other = socket.socketpair()
            one.send(os.pread(file, 100, 0))
            print(json.dumps(other.recv(100).decode()))
            """,
            own,
            tmp_path / "outside",
        )
        assert result == "content"

    def test_store_that_can_not_say_keeps_its_files(self, tmp_path):
        """Better a driver that works than one that is confined to nothing."""
        result = confined(
            """
            reached = confine(None, needs_network=True)
            open(sys.argv[1] + "/a", "w").close()
            print(json.dumps(reached))
            """,
            tmp_path,
        )
        assert result == ["no-new-privs", "limits"]


class Kernel:
    """A kernel that refuses what it is told to, in place of the one of this machine.

    Attributes:
        abi: of Landlock; 0 without it.
        refused: names of what fails; a namespace of its own does unless the process is root's.
    """

    def __init__(self, abi=4, refused=("namespace",)):
        self.abi = abi
        self.refused = refused
        self.rules = 0

    def unshare(self, kinds):
        assert kinds == isolation._CLONE_NEWNET
        return -1 if "namespace" in self.refused else 0

    def prctl(self, option, *_):
        names = {isolation._PR_SET_NO_NEW_PRIVS: "privs", isolation._PR_SET_DUMPABLE: "dumpable"}
        return -1 if names[option] in self.refused else 0

    def syscall(self, number, *arguments):
        if number.value == isolation._CREATE_RULESET:
            if arguments[0] is None:
                return self.abi or -1
            return -1 if "ruleset" in self.refused else os.open("/dev/null", os.O_RDONLY)
        if number.value == isolation._ADD_RULE:
            self.rules += 1
            return -1 if "rule" in self.refused else 0
        return -1 if "restrict" in self.refused else 0

    def setrlimit(self, *_):
        if "core" in self.refused:
            raise OSError("no")


class LesserKernelTests:
    """What can't be had is left out, and only what was had is told; ``isolation: required`` rests on
    it.
    """

    def confine(self, monkeypatch, kernel, writable=("/tmp",), needs_network=False):
        monkeypatch.setattr(isolation, "_libc", kernel)
        monkeypatch.setattr(isolation.resource, "setrlimit", kernel.setrlimit)
        held = []
        try:
            return isolation.confine(writable, needs_network=needs_network, hold=held.append)
        finally:
            for descriptor in held:
                os.close(descriptor)

    @pytest.mark.parametrize(
        ("kernel", "reached"),
        [
            (Kernel(), ("no-new-privs", "limits", "files", "network")),
            (Kernel(1), ("no-new-privs", "limits", "files")),
            (Kernel(0), ("no-new-privs", "limits")),
            (Kernel(refused=["namespace", "privs"]), ("limits", "files", "network")),
            (Kernel(refused=["namespace", "core"]), ("no-new-privs", "files", "network")),
            (Kernel(refused=["namespace", "dumpable"]), ("no-new-privs", "files", "network")),
            (Kernel(refused=["namespace", "ruleset"]), ("no-new-privs", "limits")),
            (Kernel(refused=["namespace", "rule"]), ("no-new-privs", "limits")),
            (Kernel(refused=["namespace", "restrict"]), ("no-new-privs", "limits")),
            (Kernel(0, ["namespace", "privs", "core"]), ()),
            (Kernel(0, []), ("no-new-privs", "limits", "network")),
            (Kernel(refused=["restrict"]), ("no-new-privs", "limits", "network")),
            (Kernel(refused=[]), ("no-new-privs", "limits", "files", "network")),
        ],
    )
    def test_only_what_took_effect_is_told(self, monkeypatch, kernel, reached):
        """And no descriptor of a ruleset stays open, whatever failed."""
        assert self.confine(monkeypatch, kernel) == reached

    def test_store_without_directories_may_still_lose_the_network(self, monkeypatch):
        """Its files stay free: no rule is about them."""
        kernel = Kernel()
        reached = self.confine(monkeypatch, kernel, None)
        assert reached == ("no-new-privs", "limits", "network")
        assert kernel.rules == 0

    def test_store_that_needs_the_network_keeps_it(self, monkeypatch):
        """Even where all could be had."""
        reached = self.confine(monkeypatch, Kernel(refused=[]), needs_network=True)
        assert reached == ("no-new-privs", "limits", "files")

    def test_own_user_is_told(self, monkeypatch):
        """As seen by the owner of the parent's process; without a parent nothing is claimed."""
        monkeypatch.setattr(isolation.os, "geteuid", lambda: 12345)
        assert self.confine(monkeypatch, Kernel(0))[-1] == "user"
        monkeypatch.setattr(isolation.os, "getppid", lambda: 0)
        assert self.confine(monkeypatch, Kernel(0)) == ("no-new-privs", "limits")
