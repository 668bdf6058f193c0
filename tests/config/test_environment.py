# SPDX-License-Identifier: Apache-2.0
"""``REGISTRY_*`` variables: both spellings, lexical order, lists, free maps, and what nothing
answers to.
"""

import pytest

from txregistry.config import ExternalDriver, NamedDriver

from .reading import MINIMAL, read, read_keys, refusal_of_keys

EXTERNAL = (
    "version: 0.1\nstorage: {external: {command: [/d, -v], options: {Bucket: b, nested: {A: 1}}}}"
)


class OrderTests:
    def test_variable_wins_over_the_file(self):
        assert read_keys("http: {addr: ':1'}", {"REGISTRY_HTTP_ADDR": ":2"}).http.addr == ":2"

    def test_section_is_set_whole_and_then_in_part(self):
        """REGISTRY_HTTP comes before REGISTRY_HTTP_ADDR, whatever order the environment has."""
        environ = {"REGISTRY_HTTP_ADDR": ":2", "REGISTRY_HTTP": "{addr: ':1', prefix: /p/}"}
        http = read_keys("http: {secret: x}", environ).http
        assert (http.addr, http.prefix, http.secret) == (":2", "/p/", "")

    def test_numbers_count_as_numbers(self):
        """An argument 10 comes after an argument 2."""
        environ = {f"REGISTRY_STORAGE_EXTERNAL_COMMAND_{n}": f"a{n}" for n in range(12)}
        driver = read("version: 0.1\nstorage: {external: }", environ).storage.driver
        assert driver.command == tuple(f"a{n}" for n in range(12))


class ValueTests:
    def test_value_is_yaml(self):
        environ = {
            "REGISTRY_HTTP_HEADERS": "{X-A: [b]}",
            "REGISTRY_STORAGE_MAINTENANCE_READONLY": '{"enabled":true}',
            "REGISTRY_LOG_FIELDS_SERVICE": "'quoted'",
        }
        configuration = read_keys("", environ)
        assert configuration.http.headers == {"X-A": ("b",)}
        assert configuration.read_only
        assert configuration.log.fields == {"service": "quoted"}

    def test_nested_key_of_registry_3s_untyped_map_works(self):
        """registry:3 panics on this variable, or ignores it."""
        assert read_keys("", {"REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED": "true"}).read_only

    def test_empty_variable_is_the_default(self):
        """Compose files pass variables that nobody set."""
        assert (
            read_keys("http: {addr: ':1'}", {"REGISTRY_HTTP_ADDR": ""}).http.addr
            == "127.0.0.1:5000"
        )

    def test_value_that_is_no_yaml_is_refused_without_quoting_it(self):
        sentence = refusal_of_keys("", {"REGISTRY_HTTP_SECRET": "%hunter2"})
        assert sentence.startswith("environment variable REGISTRY_HTTP_SECRET: this is not YAML")
        assert "hunter2" not in sentence

    def test_value_of_the_wrong_kind_is_refused_with_the_variables_name(self):
        assert refusal_of_keys("", {"REGISTRY_HTTP_RELATIVEURLS": "maybe"}) == (
            "environment variable REGISTRY_HTTP_RELATIVEURLS: http.relativeurls wants true or false, "
            "not 'maybe'; "
            "correct it, or remove it for the default"
        )

    def test_case_of_the_name_does_not_matter(self):
        """Compose files spell header names as HTTP does."""
        environ = {"REGISTRY_HTTP_HEADERS_Access-Control-Allow-Origin": "['*']"}
        assert read_keys("", environ).http.headers == {"access-control-allow-origin": ("*",)}


class GoNameTests:
    @pytest.mark.parametrize(
        ("name", "value", "attribute"),
        [
            ("REGISTRY_HEALTH_FILECHECKERS_0_FILE", "/x", "file"),
            ("REGISTRY_HEALTH_FILE_0_FILE", "/x", "file"),
            ("REGISTRY_HEALTH_HTTPCHECKERS_0_URI", "http://x/", "http"),
            ("REGISTRY_HEALTH_HTTP_0_URI", "http://x/", "http"),
            ("REGISTRY_HEALTH_TCPCHECKERS_0_ADDR", "x:1", "tcp"),
            ("REGISTRY_HEALTH_TCP_0_ADDR", "x:1", "tcp"),
        ],
    )
    def test_both_spellings_reach_the_same_key(self, name, value, attribute):
        """registry:3 knows only its Go names; the file's names work too."""
        [check] = getattr(read_keys("", {name: value}).health, attribute)
        assert value in (
            getattr(check, "file", ""),
            getattr(check, "uri", ""),
            getattr(check, "addr", ""),
        )


class StorageTests:
    def test_driver_is_replaced_and_the_rest_of_the_section_stays(self):
        storage = read(
            "version: 0.1\nstorage: {filesystem: {rootdirectory: /a}, delete: {enabled: true}}",
            {"REGISTRY_STORAGE": "inmemory"},
        ).storage
        assert storage.driver == NamedDriver("inmemory", {})
        assert storage.delete.enabled

    def test_replacing_driver_takes_its_own_variables(self):
        environ = {
            "REGISTRY_STORAGE": "filesystem",
            "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": "/b",
        }
        driver = read("version: 0.1\nstorage: inmemory", environ).storage.driver
        assert driver.options["rootdirectory"] == "/b"

    def test_whole_section_can_be_given(self):
        storage = read_keys(
            "", {"REGISTRY_STORAGE": "{inmemory: , delete: {enabled: true}}"}
        ).storage
        assert (storage.driver.name, storage.delete.enabled) == ("inmemory", True)

    def test_parameter_of_another_driver_makes_two(self):
        assert refusal_of_keys("", {"REGISTRY_STORAGE_EXTERNAL_SOCKET": "/s"}) == (
            "registry.yml, line 3: storage names 2 drivers, filesystem and external; keep one; the variable "
            "REGISTRY_STORAGE=<driver> takes the place of those in the file"
        )

    def test_variable_reaches_into_the_bare_form(self):
        storage = read(
            "version: 0.1\nstorage: inmemory", {"REGISTRY_STORAGE_DELETE_ENABLED": "true"}
        ).storage
        assert (storage.driver.name, storage.delete.enabled) == ("inmemory", True)

    def test_options_keep_the_names_that_the_file_gave_them(self):
        environ = {
            "REGISTRY_STORAGE_EXTERNAL_OPTIONS_BUCKET": "c",
            "REGISTRY_STORAGE_EXTERNAL_OPTIONS_NESTED_A": "2",
            "REGISTRY_STORAGE_EXTERNAL_OPTIONS_NESTED_B_C": "3",
            "REGISTRY_STORAGE_EXTERNAL_COMMAND_1": "-q",
            "REGISTRY_STORAGE_EXTERNAL_COMMAND_2": "-x",
        }
        assert read(EXTERNAL, environ).storage.driver == ExternalDriver(
            ("/d", "-q", "-x"), "", {"Bucket": "c", "nested": {"A": 2, "b": {"c": 3}}}
        )

    def test_index_after_a_gap_is_refused(self):
        with pytest.raises(Exception, match="'4' is no index of a list of 2"):
            read(EXTERNAL, {"REGISTRY_STORAGE_EXTERNAL_COMMAND_4": "x"})

    def test_options_of_an_installed_driver_pass(self):
        environ = {"REGISTRY_STORAGE_SHELF_DEPTH_MAX": "3"}
        storage = read("version: 0.1\nstorage: shelf", environ, installed={"shelf"}).storage
        assert storage.driver == NamedDriver("shelf", {"depth": {"max": 3}})

    def test_driver_of_another_registry_is_refused(self):
        assert "there is no oss driver here" in refusal_of_keys(
            "", {"REGISTRY_STORAGE_OSS_BUCKET": "b"}
        )

    def test_scheme_that_variables_ask_for_in_part_is_refused(self):
        """The usual compose file with htpasswd, but for its realm, is not served to everybody."""
        environ = {"REGISTRY_AUTH": "htpasswd", "REGISTRY_AUTH_HTPASSWD_PATH": "/auth/htpasswd"}
        assert "auth.htpasswd.realm is missing" in refusal_of_keys("", environ)


class UnknownTests:
    @pytest.mark.parametrize(
        ("name", "near"),
        [
            ("REGISTRY_HTTP_ADRR", "REGISTRY_HTTP_ADDR"),
            ("REGISTRY_HTTP_SECRET_X", None),
            ("REGISTRY_STORAGE_DELTE_ENABLED", "REGISTRY_STORAGE_DELETE_ENABLED"),
            ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIR", "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY"),
            ("REGISTRY_LOGLEVEL_X", None),
            ("REGISTRY_PORT_5000_TCP_ADDR", "REGISTRY_HTTP_ADDR"),
            ("REGISTRY_VERSION", None),
            ("REGISTRY_STORAGE_EXTERNAL_COMMAND_X", None),
            ("REGISTRY_", None),
        ],
    )
    def test_variable_of_no_key_is_warned_of_and_ignored(self, name, near):
        """Container platforms inject such variables; the start must not depend on them."""
        configuration = read(MINIMAL, {name: "tcp://10.0.0.1:5000"})
        expected = f"environment variable {name} names no known key and is ignored"
        assert configuration.warnings[0].startswith(expected)
        assert near is None or configuration.warnings[0] == f"{expected}; the nearest is {near}"

    def test_variables_of_others_are_left_alone(self):
        assert (
            read(MINIMAL, {"REGISTRYX": "1", "PATH": "/bin", "registry_http_addr": "x"}).warnings
            == ()
        )
