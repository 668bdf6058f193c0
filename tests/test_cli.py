# SPDX-License-Identifier: Apache-2.0
"""What is said to ``txregistry``, and what it says back: one sentence, and the status that goes
with it.
"""

import json

import bcrypt
import pytest

from txregistry import __version__, cli
from txregistry.config import ExternalDriver, NamedDriver
from txregistry.process.spec import StartError
from txregistry.storage.suite import CASES

from .tls.authority import Authority

GOOD = (
    "version: 0.1\nstorage: {filesystem: {rootdirectory: /srv/registry}}\nhttp: {addr: ':5000'}\n"
)


@pytest.fixture
def run(capsys, monkeypatch):
    """Run the command; returns status, standard output and standard error."""
    monkeypatch.setenv("PATH", "/bin")
    monkeypatch.delenv("REGISTRY_CONFIGURATION_PATH", raising=False)

    def run_one(*arguments):
        try:
            status = cli.main(arguments)
        except SystemExit as end:
            status = end.code
        out, err = capsys.readouterr()
        return status, out, err

    return run_one


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "registry.yml"
    path.write_text(GOOD)
    return path


def test_version_is_told(run):
    assert run("--version") == (0, f"txregistry {__version__}\n", "")


@pytest.mark.parametrize(
    "arguments", [(), ("bogus",), ("config",), ("driver",), ("serve", "--bogus")]
)
def test_wrong_command_line_is_status_2(run, arguments):
    status, out, err = run(*arguments)
    assert status == 2
    assert out == ""
    assert err.startswith("usage: txregistry")


class ConfigCheckTests:
    def test_good_file_is_summed_up(self, run, file):
        assert run("config", "check", str(file)) == (
            0,
            f"{file} is fine: listens on :5000, stores in filesystem /srv/registry\n",
            "",
        )

    def test_file_is_named_as_for_other_commands_too(self, run, file):
        named = run("config", "check", str(file))
        assert named == run("config", "check", "--config", str(file))
        assert run("config", "show", str(file)) == run("config", "show", "--config", str(file))

    def test_no_file(self, run):
        assert run("config", "check") == (
            1,
            "",
            "txregistry: no file is named; write txregistry config check FILE\n",
        )

    def test_warnings_are_told(self, run, file, monkeypatch):
        monkeypatch.setenv("REGISTRY_HTP_ADDR", "x")
        status, _, err = run("config", "check", str(file))
        assert status == 0
        assert err.startswith(
            "warning: environment variable REGISTRY_HTP_ADDR names no known key and is ignored"
        )

    def test_bad_file_is_refused(self, run, file):
        file.write_text(GOOD + "htpp: {}\n")
        assert run("config", "check", str(file)) == (
            1,
            "",
            f"txregistry: {file}, line 4: htpp is not a known key; did you mean http?\n",
        )


class ShowTests:
    def test_effective_configuration_is_shown_without_secrets(self, run, tmp_path):
        file = tmp_path / "r.yml"
        file.write_text(
            "version: 0.1\nstorage: inmemory\nhttp: {secret: hunter2, host: 'https://r.example'}"
        )
        file.chmod(0o600)
        status, said, error = run("config", "show", str(file))
        assert (status, error) == (0, "")
        assert said.startswith(f"# {file}\nversion: 0.1\n")
        assert "secret: '***'" in said
        assert "host: https://r.example" in said

    def test_warnings_go_beside_it(self, run, tmp_path):
        file = tmp_path / "r.yml"
        file.write_text("version: 0.1\nstorage: inmemory\nhttp: {relativeurls: false}")
        status, _, error = run("config", "show", str(file))
        assert status == 0
        assert error.startswith("warning: http.relativeurls")

    def test_schema_is_json(self, run):
        status, said, error = run("config", "schema")
        assert (status, error) == (0, "")
        assert json.loads(said)["title"] == "txregistry"


class CertificateTests:
    def test_certificates_are_checked_with_the_configuration(self, run, tmp_path):
        server = Authority(tmp_path / "ca").issue("server", "r.example")
        file = tmp_path / "r.yml"
        tls = f"certificate: {server.certificate}, key: {server.key}"
        file.write_text(f"version: 0.1\nstorage: inmemory\nhttp: {{tls: {{{tls}}}}}")
        status, _, error = run("config", "check", str(file))
        assert (status, error) == (0, "")
        server.key.chmod(0o644)
        status, _, error = run("config", "check", str(file))
        assert (status, error) == (
            0,
            f"warning: http.tls: everybody on this host may read the key of {server.certificate};"
            " chmod o-r it\n",
        )
        server.key.unlink()
        status, said, error = run("config", "check", str(file))
        assert (status, said) == (1, "")
        assert error.startswith(f"txregistry: http.tls.key: {server.key} can't be read")


class PasswordFileTests:
    def test_passwords_are_checked_with_the_configuration(self, run, tmp_path):
        """Debian's own file names a directory: that is told before the change-over, not at it."""
        file, passwords = tmp_path / "r.yml", tmp_path / "htpasswd"
        auth = f"htpasswd: {{realm: r, path: {passwords}}}"
        provider = '{issuer: https://ci.example, audience: r, claims: {sub: x}, name: "ci:{sub}"}'
        rules = "[{authenticated: true, actions: [pull]}]"
        auth = f"{{{auth}, oidc: [{provider}], access: {rules}}}"
        file.write_text(f"version: 0.1\nstorage: inmemory\nauth: {auth}")
        hashed = bcrypt.hashpw(b"wonder", bcrypt.gensalt(4)).decode()
        passwords.write_text(f"alice:{hashed}\n")
        passwords.chmod(0o644)
        status, _, error = run("config", "check", str(file))
        assert status == 0
        assert [line.partition(f"{passwords}")[0] for line in error.splitlines()] == [
            "warning: ",
            "warning: everybody on this host may read ",
        ]
        passwords.unlink()
        passwords.mkdir()
        status, said, error = run("config", "check", str(file))
        assert (status, said) == (1, "")
        assert error.startswith(f"txregistry: {passwords}")


class ServeTests:
    @pytest.fixture
    def served(self, monkeypatch):
        configurations = []

        def serve(configuration, reread):
            assert reread() == configuration
            configurations.append(configuration)
            return 0

        monkeypatch.setattr(cli, "serve", serve)
        return configurations

    def test_file_and_address_are_taken(self, run, served, file):
        for arguments in (["--config", str(file)], [str(file)]):
            assert run("serve", *arguments, "--addr", "127.0.0.1:7")[0] == 0
        assert [one.http.addr for one in served] == ["127.0.0.1:7"] * 2
        assert [one.source for one in served] == [str(file)] * 2

    def test_two_files_are_refused(self, run, served, file):
        assert run("serve", str(file), "--config", str(file)) == (
            1,
            "",
            "txregistry: two configuration files are named; name one\n",
        )

    def test_bad_configuration_is_refused_before_anything_starts(self, run, served):
        status, out, err = run("serve", "--addr", "nonsense")
        assert (status, out, served) == (1, "", [])
        assert err.startswith("txregistry: --addr: http.addr wants host:port")


class DriverTestTests:
    @pytest.fixture
    def tried(self):
        """Names of the cases."""
        return []

    @pytest.fixture
    def tested(self, monkeypatch, tried):
        drivers = []

        def run_driver_test(storage, say, *, cases, is_large):
            drivers.append(storage.driver)
            tried.extend(case.name for case in cases)
            return 0

        monkeypatch.setattr(cli, "run_driver_test", run_driver_test)
        return drivers

    def test_installed_driver_gets_its_options(self, run, tested, tmp_path):
        secrets = tmp_path / "options.yml"
        secrets.write_text("{secretkey: s, depth: 1}")
        arguments = [
            "--option",
            "depth=2",
            "--option",
            "name=a=b",
            "--option",
            "odd=[",
            "--options",
            str(secrets),
        ]
        assert run("driver", "test", "shelf", *arguments)[0] == 0
        options = {"secretkey": "s", "depth": 2, "name": "a=b", "odd": "["}
        assert tested == [NamedDriver("shelf", options)]

    def test_program_gets_all_that_follows(self, run, tested):
        assert (
            run(
                "driver",
                "test",
                "--option",
                "a=1",
                "--command",
                "/opt/d",
                "--flag",
                "--option",
                "x",
            )[0]
            == 0
        )
        assert tested == [ExternalDriver(("/opt/d", "--flag", "--option", "x"), "", {"a": 1})]

    def test_part_of_the_suite_is_tried(self, run, tested, tried):
        assert run("driver", "test", "shelf", "--only", "if version removes")[0] == 0
        assert tried == ["delete if version removes only that version"]

    def test_all_of_it_is_tried_otherwise(self, run, tested, tried):
        run("driver", "test", "shelf")
        assert tried == [case.name for case in CASES]

    def test_socket_is_attached_to(self, run, tested):
        assert run("driver", "test", "--socket", "/run/d.sock")[0] == 0
        assert tested == [ExternalDriver((), "/run/d.sock", {})]

    @pytest.mark.parametrize(
        ("arguments", "sentence"),
        [
            (
                [],
                "name one driver to test: NAME, --socket PATH, or --command PROGRAM [ARGUMENT ...]",
            ),
            (["shelf", "--socket", "/s"], "name one driver to test: "),
            (
                ["--socket", "/s", "--option", "a=b"],
                "a driver on a socket has its options already; remove ",
            ),
            (["shelf", "--only", "putt"], "--only: no promise has the words 'putt' in its name; "),
            (["shelf", "--option", "a"], "--option: 'a' has no value; write a=VALUE"),
            (
                ["shelf", "--options", "/nowhere"],
                "--options: /nowhere can't be read as YAML; correct it",
            ),
        ],
    )
    def test_wrong_arguments_are_refused(self, run, tested, arguments, sentence):
        status, out, err = run("driver", "test", *arguments)
        assert (status, out, tested) == (1, "", [])
        assert err.startswith(f"txregistry: {sentence}")

    @pytest.mark.parametrize("text", ["[a]", "a: [", "\xff"])
    def test_options_that_are_no_mapping_are_refused(self, run, tested, tmp_path, text):
        path = tmp_path / "options.yml"
        path.write_bytes(text.encode("latin-1"))
        assert run("driver", "test", "shelf", "--options", str(path))[0] == 1
        assert tested == []

    def test_driver_that_does_not_start_is_one_sentence(self, run, monkeypatch):
        def refuse(storage, say, *, cases, is_large):
            raise StartError("the driver is not there; install it")

        monkeypatch.setattr(cli, "run_driver_test", refuse)
        assert run("driver", "test", "shelf") == (
            1,
            "",
            "txregistry: the driver is not there; install it\n",
        )
