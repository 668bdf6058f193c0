# SPDX-License-Identifier: Apache-2.0
"""``txregistry check`` and ``txregistry uploads``: what is said to them, and what they make of
it.
"""

from __future__ import annotations

import io
import itertools
import json
import re

import pytest

from tests.registry.world import NOW, World, done
from txregistry import cli, maintenance
from txregistry.config import ExternalDriver, NamedDriver, load_text
from txregistry.maintenance import CheckWishes
from txregistry.oci.names import RepositoryName
from txregistry.process.spec import StartError
from txregistry.storage.errors import Unavailable


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "registry.yml"
    path.write_text(f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {tmp_path}}}}}\n")
    return path


@pytest.fixture
def run(capsys, monkeypatch):
    monkeypatch.delenv("REGISTRY_CONFIGURATION_PATH", raising=False)

    def run_one(*arguments):
        try:
            status = cli.main(list(map(str, arguments)))
        except SystemExit as end:
            status = end.code
        return status, *capsys.readouterr()

    return run_one


class CommandLineTests:
    @pytest.fixture
    def called(self, monkeypatch):
        calls = []
        monkeypatch.setattr(
            cli, "run_check", lambda configuration, wishes, out, err: calls.append(wishes) or 0
        )
        for name in ("run_uploads_list", "run_uploads_purge"):
            monkeypatch.setattr(
                cli,
                name,
                lambda *arguments, name=name, **options: (
                    calls.append((name, arguments[1:-1], options)) or 0
                ),
            )
        return calls

    def test_wishes_of_a_check(self, run, called, file):
        assert run("check", "--config", file)[0] == 0
        flags = ["--read-data", "--sparse", "--strict", "--repair", "--json"]
        assert (
            run("check", "--config", file, *flags, "--ignore", "temp", "--ignore", "foreign")[0]
            == 0
        )
        assert called == [
            CheckWishes(),
            CheckWishes(
                read_data=True,
                sparse=True,
                strict=True,
                repair=True,
                is_json=True,
                ignored=frozenset({"temp", "foreign"}),
            ),
        ]

    def test_uploads(self, run, called, file):
        run("uploads", "list", "--json", "--config", file)
        run("uploads", "purge", "--config", file)
        run("uploads", "purge", "--older-than", "90m", "--dry-run", "--json", "--config", file)
        assert called == [
            ("run_uploads_list", (), {"is_json": True}),
            ("run_uploads_purge", (168 * 3600.0,), {"dry_run": False, "is_json": False}),
            ("run_uploads_purge", (5400.0,), {"dry_run": True, "is_json": True}),
        ]

    def test_short_configured_age_is_raised(self, run, called, file):
        """The registry itself may purge earlier, since it knows what is in use."""
        text = file.read_text().replace("}}", "}, maintenance: {uploadpurging: {age: 1m}}}")
        file.write_text(text)
        assert run("uploads", "purge", "--config", file)[0] == 0
        assert called[0][1] == (600.0,)

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("24", "--older-than: '24' is not a duration; write one such as 24h or 90m"),
            (
                "-1h",
                "--older-than: an upload that was idle for -1h may be in use; give 10m or more",
            ),
            (
                "9m59s",
                "--older-than: an upload that was idle for 599s may be in use; give 10m or more",
            ),
        ],
    )
    def test_wrong_ages_are_refused(self, run, called, file, text, sentence):
        arguments = ("uploads", "purge", "--config", file, f"--older-than={text}")
        assert run(*arguments) == (1, "", f"txregistry: {sentence}\n")
        assert called == []

    @pytest.mark.parametrize(
        "arguments",
        [
            ("check", "--ignore", "nonsense"),
            ("uploads",),
            ("check", "--bogus"),
            ("uploads", "purge", "x"),
        ],
    )
    def test_wrong_command_line_is_status_2(self, run, called, arguments):
        assert run(*arguments)[:2] == (2, "")

    def test_wrong_configuration_of_a_check_is_status_2(self, run, called, tmp_path):
        """1 means that the check was made and found something."""
        status, out, err = run("check", "--config", tmp_path / "nowhere")
        assert (status, out, err.count("\n"), called) == (2, "", 1, [])


class Opened:
    """A driver in this process in the place of one that is opened."""

    def __init__(self, world):
        self.driver = world.driver


class Reactor:
    def __init__(self, world):
        self.world = world

    def seconds(self):
        return self.world.now

    def callLater(self, seconds, function, *arguments):
        function(*arguments)

    def getThreadPool(self):
        return self

    def callInThreadWithCallback(self, on_result, function, *arguments, **options):
        on_result(True, function(*arguments, **options))

    def callFromThread(self, function, *arguments):
        function(*arguments)


class RunTests:
    @pytest.fixture
    def world(self):
        return World()

    @pytest.fixture
    def storages(self, monkeypatch, world):
        """Run the work over the world's driver; remembers which storage was asked for."""
        asked = []

        def run_with_driver(storage, work):
            asked.append(storage)
            return done(work(Opened(world), Reactor(world)))

        monkeypatch.setattr(maintenance, "run_with_driver", run_with_driver)
        return asked

    @pytest.fixture
    def configuration(self, file):
        return load_text(file.read_text(), {})

    def check(self, configuration, **wishes):
        out, err = io.StringIO(), io.StringIO()
        status = maintenance.run_check(configuration, CheckWishes(**wishes), out, err)
        return status, out.getvalue(), err.getvalue()

    def test_healthy_storage(self, world, storages, configuration, capsys):
        done(world.image())
        status, out, err = self.check(configuration, read_data=True)
        assert status == 0
        assert out.endswith("found: 0 errors, 0 warnings\nclean\n")
        assert err == capsys.readouterr().err == ""
        assert storages == [configuration.storage]

    def test_damage_and_its_repair(self, world, storages, configuration):
        world.put("APP/readme", b"?")
        assert self.check(configuration)[0] == 0
        assert self.check(configuration, strict=True)[0] == 1
        assert self.check(configuration, strict=True, ignored=frozenset({"foreign"}))[0] == 0
        status, out, _ = self.check(configuration, strict=True, repair=True, is_json=True)
        assert (status, json.loads(out)["repairs"]) == (1, 1)
        assert self.check(configuration, strict=True)[0] == 0

    def test_repair_asks_for_the_storage_alone(self, storages, configuration, file):
        """Where the driver can do that; others are asked as they are."""
        self.check(configuration, repair=True)
        assert storages[0].driver == NamedDriver(
            "filesystem", {**configuration.storage.driver.options, "lock": "exclusive"}
        )
        text = "version: 0.1\nstorage: {external: {command: [/opt/d], options: {a: 1}}}\n"
        self.check(load_text(text, {}), repair=True)
        assert storages[1].driver == ExternalDriver(("/opt/d",), "", {"a": 1})

    def test_what_the_configuration_says_counts(self, world, storages, configuration, monkeypatch):
        """Sparse indexes that a registry takes are no error, nor are uploads that it would not
        purge yet.
        """
        seen = []

        async def check(driver, reporter, *, options, **_):
            seen.append(options)
            raise Unavailable

        monkeypatch.setattr(maintenance, "check", check)
        purging = "maintenance: {uploadpurging: {age: 2h, interval: 1h}}"
        text = f"version: 0.1\nstorage: {{inmemory: , {purging}}}\nvalidation: {{disabled: true}}\n"
        for one in (configuration, load_text(text, {})):
            with pytest.raises(Unavailable):
                self.check(one)
        assert [options.allow_sparse for options in seen] == [False, True]
        assert [options.upload_age for options in seen] == [192 * 3600.0, 3 * 3600.0]

    def test_unfinished_check_says_why(self, world, storages, configuration, capsys):
        done(world.image())
        world.driver.fail("^walk", Unavailable("away"))
        assert self.check(configuration)[0] == 2
        assert (
            capsys.readouterr().err
            == "txregistry: the check could not be finished: storage failed: away\n"
        )

    def test_interruption_is_told(self, configuration, monkeypatch, capsys):
        monkeypatch.setattr(maintenance, "run_with_driver", lambda *_: None)
        assert self.check(configuration)[0] == 2
        assert capsys.readouterr().err == "txregistry: the check was interrupted\n"
        assert maintenance.run_uploads_list(configuration, io.StringIO()) == 1

    def test_directory_that_is_not_there_is_not_made(self, configuration, file, capsys):
        """A check in the wrong place finds no healthy tree."""
        missing = file.parent / "missing"
        text = f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {missing}}}}}\n"
        assert self.check(load_text(text, {}))[0] == 2
        assert "there is no directory" in capsys.readouterr().err
        assert not missing.exists()
        with pytest.raises(StartError):
            maintenance.run_uploads_list(load_text(text, {}), io.StringIO())

    def test_uploads_are_listed_and_purged(self, world, storages, configuration):
        done(world.registry.uploads.start(RepositoryName("old")))
        world.now = NOW + 7200
        done(world.registry.uploads.start(RepositoryName("new")))
        out = io.StringIO()
        assert maintenance.run_uploads_list(configuration, out) == 0
        assert out.getvalue().endswith("2 uploads that hold 0 bytes\n")
        for dry_run, removed in ((True, 1), (False, 1), (False, 0)):
            out = io.StringIO()
            assert (
                maintenance.run_uploads_purge(
                    configuration, 3600, out, dry_run=dry_run, is_json=True
                )
                == 0
            )
            document = json.loads(out.getvalue())
            assert document["removed"] == len(document["uploads"]) == removed
            assert {one["repository"] for one in document["uploads"]} <= {"old"}
            assert document["dry_run"] is dry_run

    def test_purge_that_fails_in_part_is_status_1(self, world, storages, configuration):
        done(world.registry.uploads.start(RepositoryName("old")))
        world.now = NOW + 7200
        world.driver.fail("^delete", Unavailable("away"))
        assert maintenance.run_uploads_purge(configuration, 3600, io.StringIO()) == 1

    def test_storage_that_fails_is_one_sentence(self, world, storages, configuration, capsys):
        world.driver.fail("^list", Unavailable("away"))
        assert maintenance.run_uploads_list(configuration, io.StringIO()) == 1
        assert capsys.readouterr().err == "txregistry: storage failed: away\n"

    def test_progress_is_shown_on_a_terminal_and_makes_way(self, world, storages, configuration):
        """The bar is gone before a finding is written, and in the end."""

        class Terminal(io.StringIO):
            def isatty(self):
                return True

        done(world.image())
        world.put("APP/readme", b"?")
        out, err = io.StringIO(), Terminal()
        assert maintenance.run_check(configuration, CheckWishes(), out, err) == 0
        assert re.search(r"\] blobs: \d, about \d+%", err.getvalue())
        assert err.getvalue().endswith("\r\x1b[K")

    def test_progress_without_a_terminal_is_for_who_asks(
        self, world, storages, configuration, monkeypatch
    ):
        """Else a job that went well says nothing on standard error, however long it took."""
        done(world.image())
        ticks = itertools.count(0, 100)
        monkeypatch.setattr(maintenance.time, "monotonic", lambda: float(next(ticks)))
        for wishes, expected in (
            (CheckWishes(), ""),
            (CheckWishes(progress=True), r"blobs: \d+.*\n(.*\n)*"),
        ):
            err = io.StringIO()
            assert maintenance.run_check(configuration, wishes, io.StringIO(), err) == 0
            assert re.fullmatch(expected, err.getvalue())
