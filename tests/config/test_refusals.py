# SPDX-License-Identifier: Apache-2.0
"""Every sentence that refuses a configuration: what, where, and the way out."""

import re

import pytest

from txregistry.config import ConfigError
from txregistry.config.errors import MOST
from txregistry.config.foreign import FOREIGN, FOREIGN_DRIVERS, FOREIGN_VALUES, REDIS_TUNING
from txregistry.config.settings import known_paths

from .reading import read, read_keys, refusal, refusal_of_keys

#: What is added to a fine file (from its sixth line on), and the whole sentence.
SENTENCES = [
    (
        "http:\n  adr: :5000",
        "registry.yml, line 7: http.adr is not a known key; did you mean http.addr?",
    ),
    (
        "htpp: {addr: ':5000'}",
        "registry.yml, line 6: htpp is not a known key; did you mean http?",
    ),
    (
        "HTTP: {addr: ':5000'}",
        "registry.yml, line 6: HTTP is not a known key; remove it",
    ),
    (
        "http:\n  secret: x\n  drainTimeout: 5s",
        "registry.yml, line 8: http.drainTimeout is not a known key; did you mean http.draintimeout?",
    ),
    (
        "delete: {enabled: true}",
        "registry.yml, line 6: delete is not a known key; did you mean storage.delete?",
    ),
    (
        "uploadpurging: {enabled: false}",
        "registry.yml, line 6: uploadpurging is not a known key; did you mean "
        "storage.maintenance.uploadpurging?",
    ),
    (
        "zzz: 1",
        "registry.yml, line 6: zzz is not a known key; remove it",
    ),
    (
        "5000: x",
        "registry.yml, line 6: 5000 is not a known key; remove it",
    ),
    (
        "http: :5000",
        "registry.yml, line 6: http wants a section of keys, not ':5000'; put its keys below it, indented",
    ),
    (
        "log: [info]",
        "registry.yml, line 6: log wants a section of keys, not a list of 1; put its keys below it, indented",
    ),
    (
        "http:\n  relativeurls: maybe",
        "registry.yml, line 7: http.relativeurls wants true or false, not 'maybe'; correct it, or "
        "remove it for the "
        "default",
    ),
    (
        "http:\n  draintimeout: [5s]",
        'registry.yml, line 7: http.draintimeout wants a duration such as "90s" or "1h30m" (a bare number is '
        "nanoseconds), not a list of 1; correct it, or remove it for the default",
    ),
    (
        f"log: {{level: {'x' * 100}}}",
        f"registry.yml, line 6: log.level wants one of error, warn, info, debug, not '{'x' * 60}...'; "
        f"correct it, or "
        "remove it for the default",
    ),
    (
        "http: {addr: 5000}",
        "registry.yml, line 6: http.addr wants host:port, or :port for every interface (http.net is "
        "tcp), not '5000'; "
        "correct it, for example 127.0.0.1:5000",
    ),
    (
        "auth:\n  htpasswd:\n    realm: basic-realm",
        "registry.yml, line 7: auth.htpasswd.path is missing; add it",
    ),
    (
        "auth:\n  silly: {realm: r, service: s}\n  none:",
        "registry.yml, line 6: auth names 2 schemes, silly and none; keep one",
    ),
    (
        "auth:\n  failures: {peruser: 1}",
        "registry.yml, line 6: auth names no scheme, so nobody could log in; add one of none, "
        "silly, htpasswd, token",
    ),
    (
        "auth:\n  htpaswd: {realm: r, path: p}",
        "registry.yml, line 7: auth.htpaswd is not a known key; did you mean auth.htpasswd?",
    ),
    (
        "http:\n  tls:\n    certificate: /c",
        "registry.yml, line 8: http.tls.certificate needs http.tls.key too; add http.tls.key",
    ),
    (
        "http:\n  tls:\n    key: /k",
        "registry.yml, line 8: http.tls.key needs http.tls.certificate too; add http.tls.certificate",
    ),
    (
        "http:\n  tls:\n    certificate: /c\n    key: /k\n"
        "    clientauth: verify-client-cert-if-given",
        "registry.yml, line 10: http.tls.clientauth is verify-client-cert-if-given, and there is "
        "nothing to verify with; list certificates of authorities in http.tls.clientcas",
    ),
    (
        "http:\n  tls:\n    clientcas: [/ca]",
        "registry.yml, line 8: http.tls.clientcas has no effect without http.tls.certificate; add "
        "http.tls.certificate and http.tls.key",
    ),
    (
        "http:\n  tls:\n    certificate: /c\n    key: /k\n    minimumtls: tls1.3\n"
        "    ciphersuites: [TLS_RSA_WITH_AES_128_CBC_SHA]",
        "registry.yml, line 11: http.tls.ciphersuites names suites of TLS 1.2, which "
        "http.tls.minimumtls excludes; remove one of both",
    ),
    (
        "http:\n  tls:\n    certificate: /c\n    key: /k\n"
        "    ciphersuites: [TLS_AES_128_GCM_SHA256]",
        "registry.yml, line 10: http.tls.ciphersuites names no suite of TLS 1.2, which could then "
        "not be spoken; write http.tls.minimumtls: tls1.3, or add one",
    ),
    (
        "http:\n  tls:\n    minimumtls: tls1.1",
        "registry.yml, line 8: http.tls.minimumtls: tls1.1 is not supported; use tls1.2, since "
        "everything older is broken",
    ),
    (
        "http:\n  tls:\n    letsencrypt: {cachefile: /c, hosts: [r.example]}",
        "registry.yml, line 8: http.tls.letsencrypt is not supported; let an ACME client such as "
        "certbot keep the files of http.tls.certificate, answer its challenges by "
        "http.acme.webroot, and let it send SIGHUP after a renewal",
    ),
    (
        "http:\n  listeners: ['https://:443']",
        "registry.yml, line 7: http.listeners names an https:// address, and there is no "
        "certificate; add http.tls.certificate and http.tls.key, or write http://",
    ),
    (
        "http:\n  acme:\n    addr: ':80'",
        "registry.yml, line 8: http.acme.addr has nothing to serve without http.acme.webroot; add "
        "http.acme.webroot",
    ),
    (
        "http:\n  acme: {addr: '80', webroot: /w}",
        "registry.yml, line 7: http.acme.addr wants host:port, or :port for every interface, not "
        "'80'; correct it, for example :80",
    ),
    (
        "validation: {manifests: {indexes: {platforms: list}}}",
        "registry.yml, line 6: validation.manifests.indexes.platforms: list is not supported; "
        "use all or none",
    ),
]


@pytest.mark.parametrize(("text", "sentence"), SENTENCES)
def test_refusal_names_place_reason_and_remedy(text, sentence):
    """An operator who reads the sentence knows what to do without the source."""
    assert refusal_of_keys(text) == sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", 'registry.yml: the file is empty; begin with "version: 0.1" and a storage section'),
        (
            "# nothing",
            'registry.yml: the file is empty; begin with "version: 0.1" and a storage section',
        ),
        ("storage: inmemory", 'registry.yml, line 1: version is missing; write "version: 0.1"'),
        (
            "# first\nversion: 0.2\nstorage: inmemory",
            'registry.yml, line 2: version is not 0.1, the only one there is; write "version: 0.1"',
        ),
        (
            "version: [0.1]",
            'registry.yml, line 1: version is not 0.1, the only one there is; write "version: 0.1"',
        ),
        (
            "- version",
            'registry.yml, line 1: the file is not a mapping of keys; begin with "version: 0.1"',
        ),
        (
            "hello",
            'registry.yml, line 1: the file is not a mapping of keys; begin with "version: 0.1"',
        ),
    ],
)
def test_file_that_is_no_configuration_is_refused(text, sentence):
    """The first thing that is wrong with it, in one sentence."""
    assert refusal(text) == sentence


def test_version_in_quotes_is_taken():
    assert read("version: '0.1'\nstorage: inmemory").storage.driver.name == "inmemory"


#: Foreign keys -> a value that asks for something, and values that ask for nothing.
ASKING = {
    "compatibility": ("schema1: {enabled: true}", ["", "schema1: {enabled: false}"]),
    "http.h2c": ("enabled: true", ["enabled: false", ""]),
    "http.tls.letsencrypt": ("hosts: [r.example]", ["", "hosts: []"]),
    "log.hooks": (
        "[{type: mail, disabled: false}]",
        ["[]", "[{type: mail, disabled: true, levels: [panic]}]"],
    ),
    "log.reportcaller": ("true", ["false"]),
    "middleware.registry": ("[{name: x}]", ["[]", ""]),
    "middleware.repository": ("[{name: x}]", ["[]", ""]),
    "policy": ("repository: {classes: [image]}", ["repository: {classes: []}"]),
    "proxy": ("remoteurl: https://registry-1.docker.io", ["remoteurl: ''", ""]),
    **{f"redis.{name}": ("1", ["''"]) for name in REDIS_TUNING},
    "redis.addr": ("localhost:6379", ["", "''"]),
    "redis.mastername": ("main", ["''"]),
    "redis.sentinelusername": ("x", ["''"]),
    "redis.sentinelpassword": ("x", ["''"]),
    "redis.tls.certificate": ("/c", ["''"]),
    "redis.tls.key": ("/k", ["''"]),
    "redis.tls.rootcas": ("[/ca]", ["[]"]),
    "reporting": ("bugsnag: {apikey: x}", ["bugsnag: {apikey: ''}"]),
    "storage.cache.layerinfo": ("redis", ["inmemory"]),
    "validation.enabled": ("false", ["true"]),
    "validation.manifests.indexes.platformlist": ("[{os: linux}]", ["[]"]),
    "validation.manifests.urls": ("allow: ['^https?://x/']", ["{allow: [], deny: []}"]),
}


def with_foreign(path, value):
    """A file with one more key; ``value`` is written in flow style."""
    if value and value[0] not in "[{" and ": " in value:
        value = f"{{{value}}}"
    for part in reversed(path.split(".")[1:]):
        value = f"{{{part}: {value}}}"
    top = path.split(".")[0]
    if top == "storage":
        return f"version: 0.1\nstorage: {{inmemory: , {value[1:]}"
    return f"version: 0.1\nstorage: inmemory\n{top}: {value}"


def test_table_has_every_foreign_key():
    assert set(ASKING) == set(FOREIGN)


@pytest.mark.parametrize("path", ASKING)
class ForeignKeyTests:
    def test_key_that_asks_for_something_is_refused(self, path):
        """A feature that isn't there must not be switched on in silence."""
        sentence = refusal(with_foreign(path, ASKING[path][0]))
        assert f"{path} is not supported; {FOREIGN[path].remedy}" in sentence
        assert sentence.startswith("registry.yml, line ")

    def test_key_that_asks_for_nothing_is_let_through(self, path):
        """An empty or switched-off section changes nothing, so it needs no edit."""
        for value in ASKING[path][1]:
            read(with_foreign(path, value))

    def test_variable_that_asks_for_it_is_refused(self, path):
        """Nor is a feature asked for in vain by a variable."""
        name = "REGISTRY_" + path.upper().replace(".", "_")
        value = ASKING[path][0]
        value = f"{{{value}}}" if value[0] not in "[{" and ": " in value else value
        sentence = refusal("version: 0.1\nstorage: inmemory", {name: value})
        assert sentence.startswith(f"environment variable {name}: {path} is not supported; ")


@pytest.mark.parametrize(("path", "value"), FOREIGN_VALUES)
def test_foreign_value_of_a_known_key_is_refused(path, value):
    assert f"{path}: {value} is not supported; {FOREIGN_VALUES[path, value]}" in refusal(
        with_foreign(path, value)
    )


@pytest.mark.parametrize("driver", FOREIGN_DRIVERS)
def test_driver_of_another_registry_is_refused(driver):
    assert refusal(f"version: 0.1\nstorage: {{{driver}: {{bucket: b}}}}") == (
        f"registry.yml, line 2: storage.{driver}: there is no {driver} driver here; use s3 if the store "
        "speaks that, too, or storage.external with a driver program of your own"
    )


def test_cache_in_redis_needs_a_server():
    """Else every request would look for it in vain."""
    text = "version: 0.1\nstorage: {inmemory: , cache: {blobdescriptor: redis}}"
    assert refusal(text) == (
        "registry.yml, line 2: storage.cache.blobdescriptor is redis, and no server is named; "
        "add redis.addrs: [host:port], or write inmemory"
    )
    assert read(text + "\nredis: {addrs: [cache]}").redis.addrs[0].port == 6379


def test_middlewares_need_a_driver_that_is_started():
    """One on a socket has its options from elsewhere."""
    text = (
        "version: 0.1\nstorage: {external: {socket: /s}}\nmiddleware: {storage: [{name: rewrite}]}"
    )
    assert refusal(text).startswith(
        "registry.yml, line 3: middleware.storage can't be handed to a driver on a socket; give"
    )


def test_unwise_settings_are_warned_of():
    """What is allowed and probably not meant is said at the start."""
    assert read_keys("").warnings == ()
    assert "has no effect without http.host" in read_keys("http: {relativeurls: false}").warnings[0]
    assert read_keys("http: {relativeurls: false, host: 'https://r.example'}").warnings == ()
    assert "is spoken over TLS only" in read_keys("http: {http2: {disabled: false}}").warnings[0]
    tls = "tls: {certificate: /c, key: /k}"
    assert read_keys(f"http: {{http2: {{disabled: false}}, {tls}}}").warnings == ()
    external = read("version: 0.1\nstorage: {external: {command: [/d, --secret-key=hunter2]}}")
    assert "seems to hold a secret" in external.warnings[0]
    assert "hunter2" not in external.warnings[0]


def test_no_key_is_known_twice():
    """A key is ours or foreign, never both."""
    assert not set(FOREIGN) & set(known_paths())
    assert len(known_paths()) == len(set(known_paths()))


#: One mistake in each line from the third on.
MISTAKEN = """version: 0.1
storage:
  dleete: {enabled: true}
  redirect: {disable: perhaps}
  filesystem: {rootdir: /x}
http:
  adr: :5000
  draintimeout: soon
  limits:
    connections: 0
notifications:
  endpoints:
    - {name: one, urll: x}
    - {name: two, batch: 0}
log: {level: loud}
proxy: {remoteurl: "https://x"}
"""


def test_all_mistakes_are_told_at_once():
    """Who wrote ten of them need not start the registry ten times."""
    with pytest.raises(ConfigError) as caught:
        read(MISTAKEN)
    lines = [int(re.search(r", line (\d+): ", each)[1]) for each in caught.value.sentences]
    assert sorted(lines) == [3, 4, 5, 7, 8, 10, 13, 14, 15, 16]
    assert str(caught.value) == "\n".join(caught.value.sentences)


def test_contradictions_of_several_sections_are_told_at_once():
    text = """version: 0.1
storage: inmemory
http: {addr: "nowhere:x", tls: {certificate: x}}
health: {file: [{interval: 1s}], tcp: [{addr: x}]}
notifications: {endpoints: [{name: one}]}
auth: {htpasswd: {realm: x}}
"""
    with pytest.raises(ConfigError) as caught:
        read(text)
    keys = [re.search(r"line \d: ([a-z.0-9]+)", each)[1] for each in caught.value.sentences]
    assert keys == [
        "http.addr",
        "http.tls.certificate",
        "health.file.0.file",
        "health.tcp.0.addr",
        "notifications.endpoints.0",
        "auth.htpasswd.path",
    ]


def test_variables_that_are_no_yaml_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        read(
            "version: 0.1\nstorage: inmemory\n",
            {"REGISTRY_HTTP_ADDR": "[", "REGISTRY_LOG_LEVEL": "{"},
        )
    assert len(caught.value.sentences) == 2


def test_file_of_something_else_is_refused_in_few_words():
    """A thousand keys that nobody knows are not a thousand sentences."""
    text = "version: 0.1\nstorage: inmemory\n" + "".join(f"key{each}: 1\n" for each in range(1000))
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert len(caught.value.sentences) == MOST
