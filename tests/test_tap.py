# SPDX-License-Identifier: Apache-2.0
"""``twistd registry``: options, and what becomes of the log."""

import io
import sys

import pytest
from twisted.application.app import ServerOptions
from twisted.application.service import Application, IService, IServiceMaker
from twisted.logger import ILogObserver, Logger, formatEvent, globalLogPublisher
from twisted.plugin import getPlugins
from twisted.python import usage

from txregistry import __version__, tap
from txregistry.process.spec import StartError

GOOD = "version: 0.1\nstorage: inmemory\nlog: {formatter: json}\n"


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.delenv("REGISTRY_CONFIGURATION_PATH", raising=False)
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "registry.yml"
    path.write_text(GOOD)
    return str(path)


@pytest.fixture(autouse=True)
def _hook(monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


def parse(*arguments, **twistd):
    options = tap.Options()
    if twistd:
        options.parent = ServerOptions()
        options.parent.update(
            {"logger": None, "syslog": False, "logfile": None, "nodaemon": False, **twistd}
        )
    options.parseOptions(arguments)
    return options


class OptionsTests:
    def test_file_is_read(self, file):
        assert parse("--config", file).configuration.source == file
        assert parse("-c", file, "--addr", ":7").configuration.http.addr == ":7"

    def test_nothing_is_the_built_in_defaults(self, file):
        assert parse().configuration.source == "built-in defaults"

    def test_bad_configuration_is_a_usage_error(self, file, tmp_path):
        (tmp_path / "registry.yml").write_text(GOOD + "htpp: {}")
        with pytest.raises(
            usage.UsageError, match="line 4: htpp is not a known key; did you mean http"
        ):
            parse("--config", file)

    def test_version_is_ours(self, capsys):
        with pytest.raises(SystemExit) as end:
            parse("--version")
        assert end.value.code == 0
        assert capsys.readouterr().out == f"txregistry {__version__}\n"

    @pytest.mark.parametrize(
        ("twistd", "name"),
        [
            ({"nodaemon": True}, "-"),
            ({}, "twistd.log"),
            ({"logfile": "/var/log/r.log"}, "/var/log/r.log"),
            ({"logfile": "-", "nodaemon": True}, "-"),
            ({"logger": "other"}, None),
            ({"syslog": True}, None),
        ],
    )
    def test_log_goes_where_twistd_was_told(self, file, twistd, name):
        assert parse("--config", file, **{"nodaemon": False, **twistd}).log_name == name

    def test_under_another_runner_the_log_is_the_runners(self, file):
        assert parse("--config", file).log_name is None


class MakeServiceTests:
    def test_service_is_made_without_starting_anything(self, file):
        service = tap.makeService(parse("--config", file))
        assert IService.providedBy(service)
        assert service.running == 0

    def test_application_logs_as_configured(self, file, capfd):
        service = tap.makeService(parse("--config", file, nodaemon=True))
        application = Application("registry")
        service.setServiceParent(application)
        Logger(observer=application.getComponent(ILogObserver)).info("hello")
        assert '"msg": "hello"' in capfd.readouterr().err

    def test_log_in_the_background_is_a_file(self, file, tmp_path):
        service = tap.makeService(parse("--config", file, logfile=str(tmp_path / "r.log")))
        Logger(observer=service.observer).info("hello")
        assert '"msg": "hello"' in (tmp_path / "r.log").read_text()

    def test_failed_start_is_one_sentence(self, file, capsys):
        """twistd would show a traceback."""
        seen = []
        sys.excepthook = lambda *error: seen.append(error)
        tap.makeService(parse("--config", file))
        sys.excepthook(StartError, StartError("the port is in use"), None)
        assert capsys.readouterr().err == "txregistry: the port is in use\n"
        other = (ValueError, ValueError("x"), None)
        sys.excepthook(*other)
        assert seen == [other]


def test_plugin_is_found():
    """One service maker named registry; nothing else of ours."""
    found = [plugin for plugin in getPlugins(IServiceMaker) if plugin.module == "txregistry.tap"]
    assert [plugin.tapname for plugin in found] == ["registry"]


class OutletTests:
    """Where the lines of front ends go."""

    def test_standard_error_is_theirs_to_write_to(self):
        assert tap._outlet("-", None) is None

    def test_log_file_is_written_by_the_process_that_rotates_it(self):
        file = io.StringIO()
        tap._outlet("twistd.log", file)(b'level=info msg="\xff"')
        assert file.getvalue() == 'level=info msg="\\xff"\n'

    def test_log_that_twistd_was_asked_for_has_them(self):
        logged = []
        globalLogPublisher.addObserver(logged.append)
        tap._outlet(None, None)(b"a line")
        globalLogPublisher.removeObserver(logged.append)
        assert [formatEvent(event) for event in logged] == ["a line"]
