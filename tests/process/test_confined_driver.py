# SPDX-License-Identifier: Apache-2.0
"""The filesystem driver confines itself when a registry starts it, and says how far."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.task import deferLater

from txregistry.process.child import ChildDriver
from txregistry.process.isolation import _has_own_user, landlock_abi
from txregistry.process.opening import OpenDriver
from txregistry.process.spec import DriverSpec, StartError, find_driver, user_ids
from txregistry.storage.errors import StorageError


def spec_for(root, **changes):
    return evolve(find_driver("filesystem", {"rootdirectory": str(root)}), **changes)


def measures():
    return (
        ["no-new-privs", "limits"]
        + ["files"] * (landlock_abi() >= 1)
        + ["network"] * (landlock_abi() >= 4)
    )


class ConfinedDriverTests:
    @pytest_twisted.ensureDeferred
    async def test_level_is_told_in_the_hello(self, tmp_path):
        """And everything that a driver does still works."""
        opened = OpenDriver(spec_for(tmp_path / "root"), reactor)
        try:
            assert (await opened.hello())["isolation"].split(",") == measures()
            writer = await opened.driver.open_writer(
                "/staged/data", 0, algorithms=("sha256",), states="/staged/states"
            )
            await writer.write(b"content")
            closing = await writer.close()
            digest = f"sha256:{closing.digests['sha256']}"
            await opened.driver.commit("/staged/data", "/blobs/data", size=7, digest=digest)
            await opened.driver.delete("/staged")
            assert (await opened.driver.get("/blobs/data")).data == b"content"
            status = Path(f"/proc/{opened.child.pid}/status").read_text()
            assert "NoNewPrivs:\t1" in status
        finally:
            await opened.stop()

    @pytest_twisted.ensureDeferred
    async def test_nothing_is_given_up_when_that_is_switched_off(self, tmp_path):
        opened = OpenDriver(spec_for(tmp_path / "root", isolation="off"), reactor)
        try:
            assert (await opened.hello())["isolation"] == "none"
            assert "NoNewPrivs:\t0" in Path(f"/proc/{opened.child.pid}/status").read_text()
        finally:
            await opened.stop()

    @pytest_twisted.ensureDeferred
    async def test_required_is_satisfied_by_everything(self, tmp_path):
        assert landlock_abi() >= 4, "this kernel can't do all: the measure can't be tested here"
        opened = OpenDriver(spec_for(tmp_path / "root", isolation="required"), reactor)
        try:
            assert "network" in (await opened.hello())["isolation"]
        finally:
            await opened.stop()

    @pytest_twisted.ensureDeferred
    async def test_parts_of_the_tree_may_be_mounted_by_links(self, tmp_path):
        """A repository or the blobs that an operator put on another disk stay within reach."""
        root, disk = tmp_path / "root", tmp_path / "disk"
        (disk / "sha256").mkdir(parents=True)
        (root / "docker/registry/v2").mkdir(parents=True)
        (root / "docker/registry/v2/blobs").symlink_to(disk)
        opened = OpenDriver(spec_for(root), reactor)
        try:
            await opened.hello()
            await opened.driver.put("/docker/registry/v2/blobs/sha256/ab/abc/data", b"x")
            assert (disk / "sha256/ab/abc/data").read_bytes() == b"x"
        finally:
            await opened.stop()

    @pytest_twisted.ensureDeferred
    async def test_link_to_elsewhere_leads_nowhere(self, tmp_path):
        """Whatever gets a link into the tree after the start reads nothing of the machine's with
        it.
        """
        assert landlock_abi() >= 1, "this kernel has no Landlock: the measure can't be tested here"
        secret = tmp_path / "secret"
        secret.write_text("x")
        opened = OpenDriver(spec_for(tmp_path / "root"), reactor)
        try:
            await opened.hello()
            await opened.driver.put("/a/b", b"")
            (tmp_path / "root/a/link").symlink_to(secret)
            with pytest.raises(StorageError):
                await opened.driver.get("/a/link")
        finally:
            await opened.stop()

    @pytest_twisted.ensureDeferred
    async def test_driver_under_a_user_of_its_own(self):
        """The program runs under the ids that were configured, with none of ours."""
        assert os.geteuid() == 0, "needs root: the measure can't be tested here"
        nobody = pwd.getpwnam("nobody")
        spec = DriverSpec(
            "sleeper", command=("/bin/sleep", "60"), user=nobody.pw_uid, group=nobody.pw_gid
        )
        child = ChildDriver(spec, reactor, reactor)
        child.bind()
        child.start()
        try:
            while Path(f"/proc/{child.pid}/comm").read_text() != "sleep\n":  # not there yet
                await deferLater(reactor, 0.01)
            status = Path(f"/proc/{child.pid}/status").read_text()
            ids = {
                line.split()[0]: set(line.split()[1:])
                for line in status.splitlines()
                if "id:" in line
            }
            assert ids["Uid:"] == {str(nobody.pw_uid)}
            assert ids["Gid:"] == {str(nobody.pw_gid)}
        finally:
            await child.stop()

    def test_own_user_is_told_from_the_registrys(self):
        """A process that became another user than its parent says so."""
        assert os.geteuid() == 0, "needs root: the measure can't be tested here"
        assert not _has_own_user() or os.stat(f"/proc/{os.getppid()}").st_uid != 0
        pid = os.fork()
        if pid == 0:
            os.setuid(pwd.getpwnam("nobody").pw_uid)
            os._exit(0 if _has_own_user() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


class UserIdsTests:
    def test_names_numbers_and_nothing(self):
        nobody = pwd.getpwnam("nobody")
        assert user_ids("", "") == (None, None)
        assert user_ids("nobody", "") == (nobody.pw_uid, nobody.pw_gid)
        assert user_ids("1234", "4321") == (1234, 4321)
        assert user_ids("1234", "") == (1234, 1234)

    @pytest.mark.parametrize(
        ("user", "group", "words"),
        [
            ("no-such", "", r"there is no user 'no-such'.*storage\.user"),
            ("nobody", "no-such", r"there is no group 'no-such'.*storage\.group"),
        ],
    )
    def test_unknown_ones_are_one_sentence(self, user, group, words):
        with pytest.raises(StartError, match=words):
            user_ids(user, group)

    def test_only_root_may_become_another(self, monkeypatch):
        """The sentence says both ways out; one's own ids need no right."""
        monkeypatch.setattr(os, "geteuid", lambda: 1234)
        monkeypatch.setattr(os, "getegid", lambda: 1234)
        with pytest.raises(StartError, match=r"need a start as root: remove them, or start"):
            user_ids("nobody", "")
        assert user_ids("1234", "") == (1234, 1234)


class FindTests:
    @pytest.mark.parametrize(
        ("name", "words"),
        [
            (
                "filesistem",
                r"no storage driver 'filesistem' \(installed: .*memory.*\); did you mean",
            ),
            ("x" * 9, r"no storage driver 'xxxxxxxxx' \(installed: .*filesystem.*\)$"),
        ],
    )
    def test_unknown_driver_is_told_with_those_there_are(self, name, words):
        """And with the one that was probably meant."""
        with pytest.raises(StartError, match=words):
            find_driver(name, {})
