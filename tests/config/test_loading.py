# SPDX-License-Identifier: Apache-2.0
"""Files, stock files, and no file at all."""

import os

import pytest

from txregistry.config import ConfigError, NamedDriver, load, load_text
from txregistry.config.loading import installed_drivers

from .reading import MINIMAL
from .stock import DEBIAN, PASSWORDS, REGISTRY_2, REGISTRY_3


@pytest.fixture
def in_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(directory, text, mode=0o600):
    path = directory / "registry.yml"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


class StockFileTests:
    """Whoever takes over from another registry keeps the file."""

    @pytest.mark.parametrize(
        ("text", "root"),
        [
            (REGISTRY_2, "/var/lib/registry"),
            (REGISTRY_3, "/var/lib/registry"),
            (DEBIAN, "/var/lib/docker-registry"),
        ],
    )
    def test_stock_file_is_taken_as_it_is(self, text, root):
        configuration = load_text(text, {})
        assert configuration.storage.driver.options["rootdirectory"] == root
        assert configuration.http.addr == ":5000"
        assert configuration.http.headers == {"X-Content-Type-Options": ("nosniff",)}
        assert configuration.log.fields["service"] == "registry"
        assert configuration.health.storage_driver.threshold == 3

    def test_stock_file_of_registry_3_keeps_its_settings(self):
        configuration = load_text(REGISTRY_3, {})
        assert configuration.delete_enabled
        assert not configuration.upload_purging.enabled
        assert configuration.storage.tag.concurrency_limit == 8
        assert configuration.log.level == "debug"
        assert configuration.http.debug.addr == ":5001"
        assert configuration.http.debug.prometheus.enabled
        assert configuration.health.storage_driver.threshold == 3
        # Its debug port is on all interfaces, which Docker hides from others and a host does not.
        [warning] = configuration.warnings
        assert warning.startswith("http.debug.addr is :5001: ") and "127.0.0.1:5001" in warning

    @pytest.mark.parametrize(
        ("addr", "is_warned_of"),
        [
            (":5001", True),
            ("0.0.0.0:5001", True),
            ("[::]:5001", True),
            ("127.0.0.1:5001", False),
            ("[::1]:5001", False),
            ("10.0.0.7:5001", False),
        ],
    )
    def test_debug_port_that_everybody_reaches_is_warned_of(self, addr, is_warned_of):
        text = f"version: 0.1\nstorage: inmemory\nhttp: {{debug: {{addr: '{addr}'}}}}"
        warnings = load_text(text, {}).warnings
        assert [warning.split()[0] for warning in warnings] == (
            ["http.debug.addr"] if is_warned_of else []
        )

    def test_stock_file_that_asks_for_passwords_is_taken(self):
        """Debian's file as installed."""
        auth = load_text(DEBIAN + PASSWORDS, {}).auth
        assert auth.scheme == "htpasswd"
        assert (auth.htpasswd.realm, auth.htpasswd.path) == ("basic-realm", "/etc/docker/registry")


class NoFileTests:
    def test_nothing_configured_stores_below_the_working_directory(self, in_directory):
        configuration = load(None, {})
        assert configuration.storage.driver == NamedDriver(
            "filesystem",
            {
                "rootdirectory": str(in_directory / "registry-data"),
                "maxthreads": 100,
                "durability": "strict",
            },
        )
        assert str(configuration.http.address) == "127.0.0.1:5000"
        assert configuration.source == "built-in defaults"
        assert configuration.warnings == ()

    def test_variables_apply_without_a_file(self, in_directory):
        configuration = load(
            None, {"REGISTRY_HTTP_ADDR": ":1", "REGISTRY_STORAGE_DELETE_ENABLED": "true"}
        )
        assert configuration.http.addr == ":1"
        assert configuration.delete_enabled
        assert configuration.storage.driver.name == "filesystem"

    def test_variables_choose_the_driver_without_a_file(self, in_directory):
        assert load(None, {"REGISTRY_STORAGE": "inmemory"}).storage.driver == NamedDriver(
            "inmemory", {}
        )
        environ = {"REGISTRY_STORAGE_FILESYSTEM_MAXTHREADS": "7"}
        options = load(None, environ).storage.driver.options
        assert (options["rootdirectory"], options["maxthreads"]) == ("/var/lib/registry", 7)

    def test_option_of_the_command_line_wins(self, in_directory):
        assert load(None, {"REGISTRY_HTTP_ADDR": ":1"}, addr=":2").http.addr == ":2"
        with pytest.raises(ConfigError, match=r"--addr: http\.addr wants host:port"):
            load(None, {}, addr="nonsense")


class FileTests:
    def test_file_is_read_and_named(self, tmp_path):
        path = written(tmp_path, MINIMAL)
        configuration = load(path, {})
        assert configuration.source == path
        assert configuration.storage.driver.options["rootdirectory"] == "/srv/registry"

    def test_variable_names_the_file(self, tmp_path):
        path = written(tmp_path, MINIMAL)
        assert load(None, {"REGISTRY_CONFIGURATION_PATH": path}).source == path
        assert load(path, {"REGISTRY_CONFIGURATION_PATH": "/nowhere"}).source == path

    @pytest.mark.parametrize("name", ["missing.yml", "."])
    def test_file_that_can_not_be_read_is_refused(self, tmp_path, name):
        path = os.path.join(tmp_path, name)
        with pytest.raises(
            ConfigError, match=r"the file can't be read \(.+\); name a file that this user may read"
        ):
            load(path, {})

    @pytest.mark.parametrize(
        "text",
        [
            MINIMAL + "http: {secret: hunter2}",
            MINIMAL + "redis: {addrs: [r], password: hunter2}",
            MINIMAL + "tracing: {endpoint: 'http://c/', headers: {Authorization: [hunter2]}}",
            MINIMAL + "health: {http: [{uri: 'http://c/', headers: {Authorization: [hunter2]}}]}",
            MINIMAL + "notifications: {endpoints: [{name: a, url: 'http://me:hunter2@c/'}]}",
            "version: 0.1\nstorage: {external: {command: [/d], options: {secretkey: hunter2}}}",
        ],
    )
    def test_secret_that_everybody_may_read_is_warned_of(self, tmp_path, text):
        assert load(written(tmp_path, text), {}).warnings == ()
        path = written(tmp_path, text, 0o644)
        assert load(path, {}).warnings == (
            f"{path} holds a secret and everybody on this host may read it; chmod o-r it",
        )

    def test_file_without_a_secret_may_be_read_by_everybody(self, tmp_path):
        text = MINIMAL + "notifications: {endpoints: [{name: a, url: 'http://c/', batch: 2}]}"
        assert load(written(tmp_path, text, 0o644), {}).warnings == ()

    def test_file_without_end_is_refused(self):
        with pytest.raises(ConfigError, match="/dev/zero: the file is larger than 1 MiB; name a"):
            load("/dev/zero", {})


def test_shipped_drivers_are_always_known():
    assert {"filesystem", "inmemory", "memory"} <= installed_drivers()
