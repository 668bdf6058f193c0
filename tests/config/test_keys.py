# SPDX-License-Identifier: Apache-2.0
"""Every key: its default, a value that it takes and how that is read, and values that it
refuses.
"""

from operator import attrgetter

import attrs
import pytest

from txregistry.config import Configuration, TcpAddress, UnixAddress, load_text
from txregistry.config.addresses import Entrance
from txregistry.config.middleware_settings import MiddlewareEntry
from txregistry.config.redis_settings import Server
from txregistry.config.root_settings import OtherEndpoint
from txregistry.config.rows import rows
from txregistry.config.settings import Storage
from txregistry.config.tls_settings import KeyPair

from .reading import read, read_keys, refusal_of_keys

HOUR = 3600.0

#: path -> (attribute, default, YAML value, value as read, YAML values that are refused)
KEYS = {
    "log.level": ("log.level", "info", "Debug", "debug", ["trace", "[info]", "{}"]),
    "log.formatter": ("log.formatter", "text", "json", "json", ["combined", "xml"]),
    "log.accesslog.formatter": (
        "log.access_log.formatter",
        "combined",
        "Logstash",
        "logstash",
        ["common", "[json]"],
    ),
    "log.fields": (
        "log.fields",
        {},
        "{service: r, n: [1]}",
        {"service": "r", "n": [1]},
        ["x", "[x]"],
    ),
    "log.accesslog.disabled": (
        "log.access_log.disabled",
        False,
        "true",
        True,
        ["1", "x", "[true]"],
    ),
    "http.addr": (
        "http.addr",
        "127.0.0.1:5000",
        "':5001'",
        ":5001",
        ["5000", "localhost", "[a]", "x:y"],
    ),
    "http.net": ("http.net", "tcp", "tcp", "tcp", ["udp", "tcp4"]),
    "http.listeners": (
        "http.listeners",
        (),
        "['http://[::1]:80', 'https://:443', 'unix:/run/r.sock']",
        (
            Entrance(TcpAddress("::1", 80), False),
            Entrance(TcpAddress("", 443), True),
            Entrance(UnixAddress("/run/r.sock"), False),
        ),
        ["':80'", "[]", "[':80']", "['http://x']", "['ftp://x:1']", "['unix:']", "['unix']"],
    ),
    "http.root.disabled": ("http.root.disabled", False, "true", True, ["x"]),
    "http.root.endpoints": (
        "http.root.endpoints",
        (),
        "[{version: v1, url: 'https://r.example/v1/', push: false}]",
        (OtherEndpoint("v1", "https://r.example/v1/", False),),
        [
            "x",
            "[x]",
            "[{version: v1, url: 'https://r.example/v1/'}]",
            "[{version: one, url: 'https://r.example/v1/', push: false}]",
            "[{version: v1, url: /v1/, push: false}]",
            "[{version: v1, url: 'https://r.example/v1/', push: maybe}]",
        ],
    ),
    "http.root.mirrors": (
        "http.root.mirrors",
        (),
        "['http://[::1]:5000/v2/']",
        ("http://[::1]:5000/v2/",),
        [
            "x",
            "['ftp://x/']",
            "['https://u:hunter2@x/']",
            "['https://x:0/']",
            "['https://x y/']",
            "['http://[x/']",
        ],
    ),
    "http.root.fallback": ("http.root.fallback", False, "true", True, ["x"]),
    "http.tls.certificate": ("http.tls.certificate", "", "/c", "/c", ["[x]"]),
    "http.tls.key": ("http.tls.key", "", "/k", "/k", ["[x]"]),
    "http.tls.additional": (
        "http.tls.additional",
        (),
        "[{certificate: /a, key: /b}]",
        (KeyPair("/a", "/b"),),
        ["x", "[]", "[x]", "[{certificate: /a}]", "[{certificate: /a, key: [b]}]"],
    ),
    "http.tls.clientcas": ("http.tls.client_cas", (), "[/ca]", ("/ca",), ["/ca", "[]"]),
    "http.tls.clientauth": (
        "http.tls.client_auth",
        "",
        "request-client-cert",
        "request-client-cert",
        ["always"],
    ),
    "http.tls.minimumtls": (
        "http.tls.minimum_tls",
        "tls1.2",
        "TLS1.3",
        "tls1.3",
        ["tls1.0", "tls1.1", "ssl3"],
    ),
    "http.tls.ciphersuites": (
        "http.tls.cipher_suites",
        (),
        "[TLS_RSA_WITH_AES_128_CBC_SHA, TLS_AES_128_GCM_SHA256]",
        ("TLS_RSA_WITH_AES_128_CBC_SHA", "TLS_AES_128_GCM_SHA256"),
        ["[TLS_RSA_WITH_RC4_128_SHA]", "[AES128-SHA]", "[]"],
    ),
    "http.http2.disabled": ("http.http2.disabled", True, "false", False, ["maybe", "0"]),
    "http.acme.webroot": ("http.acme.webroot", "", "/w", "/w", ["[x]"]),
    "http.acme.addr": ("http.acme.addr", "", "':80'", ":80", ["[x]", "80", "/a"]),
    "http.host": (
        "http.host",
        "",
        "https://registry.example:8443/",
        "https://registry.example:8443",
        ["registry.example", "ftp://x", "https://x/path", "https://u:p@x"],
    ),
    "http.prefix": (
        "http.prefix",
        "/",
        "reg/mirror",
        "/reg/mirror/",
        ["/a//b", "/../", "/a b/", "'/a?x'", "/%41/"],
    ),
    "http.secret": ("http.secret", "", "0123", "0123", ["[x]", "{a: b}"]),
    "http.relativeurls": ("http.relative_urls", True, "'false'", False, ["maybe", "0"]),
    "http.draintimeout": ("http.drain_timeout", 8.0, "1m30s", 90.0, ["-1s", "soon", "true", "1.5"]),
    "http.workers": ("http.workers", 1, "4", 4, ["0", "65", "two", "-1"]),
    "http.headers": (
        "http.headers",
        {},
        "{X-Content-Type-Options: [nosniff], X-A: b}",
        {"X-Content-Type-Options": ("nosniff",), "X-A": ("b",)},
        [
            *("x", "{'X Y': [a]}", "{X: []}", '{X: ["a\\r\\nSet-Cookie: b"]}', '{X: ["a\\tb"]}'),
            *("{Content-Length: ['5']}", "{transfer-encoding: [chunked]}"),
        ],
    ),
    "http.trustedproxies": (
        "http.trusted_proxies",
        (),
        "[10.0.0.1, '::1', unix]",
        ("10.0.0.1", "::1", "unix"),
        ["10.0.0.1", "[]", "[proxy.example]", "[10.0.0.0/8]", "[unix:/run/x]"],
    ),
    "storage.supervision.pinginterval": (
        "storage.supervision.ping_interval",
        1.0,
        "1s",
        1.0,
        ["0", "x"],
    ),
    "storage.supervision.pingmisses": ("storage.supervision.ping_misses", 3, "5", 5, ["0"]),
    "storage.supervision.terminateafter": (
        "storage.supervision.terminate_after",
        5.0,
        "0",
        0.0,
        ["-1s"],
    ),
    "storage.supervision.killafter": ("storage.supervision.kill_after", 2.0, "1s", 1.0, ["-1s"]),
    "storage.supervision.stuckafter": ("storage.supervision.stuck_after", 60.0, "1s", 1.0, ["0"]),
    "storage.supervision.starttimeout": (
        "storage.supervision.start_timeout",
        30.0,
        "1s",
        1.0,
        ["0"],
    ),
    "storage.supervision.endtimeout": ("storage.supervision.end_timeout", 20.0, "1s", 1.0, ["-1s"]),
    "storage.supervision.backoff": ("storage.supervision.backoff", 0.05, "1s", 1.0, ["0"]),
    "storage.supervision.backofflimit": (
        "storage.supervision.backoff_limit",
        30.0,
        "1s",
        1.0,
        ["0"],
    ),
    "storage.supervision.breakerdeaths": ("storage.supervision.breaker_deaths", 5, "9", 9, ["0"]),
    "storage.supervision.breakerwindow": (
        "storage.supervision.breaker_window",
        60.0,
        "1s",
        1.0,
        ["0"],
    ),
    "storage.supervision.patience": ("storage.supervision.patience", 30.0, "1s", 1.0, ["0"]),
    "storage.supervision.poisondeaths": ("storage.supervision.poison_deaths", 5, "9", 9, ["0"]),
    "storage.supervision.replaybudget": (
        "storage.supervision.replay_budget",
        256 * 1024 * 1024,
        "0",
        0,
        ["-1"],
    ),
    "storage.supervision.operations": ("storage.supervision.operations", 256, "9", 9, ["0"]),
    "storage.supervision.queue": ("storage.supervision.queue", 4096, "0", 0, ["-1"]),
    "storage.supervision.recycleresident": (
        *("storage.supervision.recycle_resident", 1 << 30, "0", 0, ["-1", "1.5"]),
    ),
    "storage.supervision.recycleoperations": (
        *("storage.supervision.recycle_operations", 0, "1000", 1000, ["-1"]),
    ),
    "storage.supervision.recycleinterval": (
        *("storage.supervision.recycle_interval", 600.0, "1h", 3600.0, ["0s", "0.9s"]),
    ),
    "storage.supervision.deadlines.operation": (
        "storage.supervision.deadlines.operation",
        30.0,
        "1s",
        1.0,
        ["0"],
    ),
    "storage.supervision.deadlines.page": (
        "storage.supervision.deadlines.page",
        60.0,
        "1s",
        1.0,
        ["0"],
    ),
    "storage.supervision.deadlines.durable": (
        "storage.supervision.deadlines.durable",
        60.0,
        "1s",
        1.0,
        ["0"],
    ),
    "storage.supervision.deadlines.commit": (
        "storage.supervision.deadlines.commit",
        60.0,
        "1s",
        1.0,
        ["0"],
    ),
    "storage.supervision.deadlines.commitrate": (
        "storage.supervision.deadlines.commit_rate",
        20_000_000,
        "9",
        9,
        ["0"],
    ),
    "storage.supervision.deadlines.close": (
        "storage.supervision.deadlines.close",
        300.0,
        "1s",
        1.0,
        ["0"],
    ),
    "http.limits.connections": (
        "http.limits.connections",
        2000,
        "5",
        5,
        ["0", "1.5", "many", "true"],
    ),
    "http.limits.connectionsperaddress": (
        "http.limits.connections_per_address",
        200,
        "5",
        5,
        ["0"],
    ),
    "http.limits.streams": ("http.limits.streams", 100, "5", 5, ["0"]),
    "http.limits.requests": ("http.limits.requests", 4000, "5", 5, ["0"]),
    "http.limits.requestsperconnection": (
        "http.limits.requests_per_connection",
        1000,
        "5",
        5,
        ["0"],
    ),
    "http.limits.headers": ("http.limits.headers", 100, "5", 5, ["0"]),
    "http.limits.headsize": ("http.limits.head_size", 16384, "2048", 2048, ["1023"]),
    "http.limits.firstbyte": ("http.limits.first_byte", 10.0, "1s", 1.0, ["0", "10"]),
    "http.limits.headtimeout": ("http.limits.head_timeout", 15.0, "1s", 1.0, ["0"]),
    "http.limits.idle": ("http.limits.idle", 60.0, "1s", 1.0, ["0"]),
    "http.limits.bodyrate": ("http.limits.body_rate", 1024, "0", 0, ["-1"]),
    "http.limits.bodywindow": ("http.limits.body_window", 30.0, "1s", 1.0, ["0"]),
    "http.limits.bodygrace": ("http.limits.body_grace", 30.0, "0", 0.0, ["-1s"]),
    "http.limits.writestall": ("http.limits.write_stall", 60.0, "1s", 1.0, ["0"]),
    "http.limits.drainsize": ("http.limits.drain_size", 8 * 1024 * 1024, "0", 0, ["-1"]),
    "http.limits.draintime": ("http.limits.drain_time", 10.0, "1s", 1.0, ["-1s"]),
    "http.limits.manifestsize": ("http.limits.manifest_size", 4 * 1024 * 1024, "5", 5, ["0"]),
    "http.limits.tagsperpush": ("http.limits.tags_per_push", 100, "0", 0, ["-1"]),
    "http.debug.addr": ("http.debug.addr", "", "':5001'", ":5001", ["[x]", "5001", "localhost"]),
    "http.debug.prometheus.enabled": ("http.debug.prometheus.enabled", False, "true", True, ["x"]),
    "http.debug.prometheus.path": (
        "http.debug.prometheus.path",
        "/metrics",
        "/m",
        "/m",
        ["[x]", "m", "/a//b", "'/a?b'", "/readyz"],
    ),
    "storage.exclusive": ("storage.exclusive", False, "true", True, ["x"]),
    "storage.isolation": ("storage.isolation", "preferred", "required", "required", ["on"]),
    "storage.user": ("storage.user", "", "registry-driver", "registry-driver", ["[]"]),
    "storage.group": ("storage.group", "", "registry", "registry", ["[]"]),
    "storage.bloblimit": ("storage.blob_limit", 0, "100", 100, ["-1", "1GiB"]),
    "storage.delete.enabled": ("storage.delete.enabled", False, "true", True, ["x"]),
    "storage.uploads.sessions": ("storage.uploads.sessions", 10_000, "5", 5, ["0", "x"]),
    "storage.uploads.sessionsperclient": (
        "storage.uploads.sessions_per_client",
        2_500,
        "5",
        5,
        ["0", "x"],
    ),
    "storage.uploads.bytes": ("storage.uploads.bytes", 0, "100", 100, ["-1", "1GiB"]),
    "storage.uploads.bytesperclient": (
        *("storage.uploads.bytes_per_client", 0, "100", 100, ["-1", "x"]),
    ),
    "storage.redirect.exempt.networks": (
        "storage.redirect.exempt.networks",
        (),
        "[10.0.0.0/8, '2001:db8::1']",
        ("10.0.0.0/8", "2001:db8::1/128"),
        ["[]", "10.0.0.0/8", "[10.0.0.1/8]", "[x]"],
    ),
    "storage.redirect.exempt.useragents": (
        "storage.redirect.exempt.user_agents",
        (),
        "[docker/1.9]",
        ("docker/1.9",),
        ["[]", "x"],
    ),
    "storage.redirect.disable": ("storage.redirect.disable", False, "true", True, ["x"]),
    "storage.maintenance.uploadpurging.enabled": (
        "upload_purging.enabled",
        True,
        "false",
        False,
        ["x"],
    ),
    "storage.maintenance.uploadpurging.age": (
        "upload_purging.age",
        168 * HOUR,
        "24h",
        24 * HOUR,
        ["168", "0", "x"],
    ),
    "storage.maintenance.uploadpurging.interval": (
        "upload_purging.interval",
        24 * HOUR,
        "1h",
        HOUR,
        ["24", "-1h"],
    ),
    "storage.maintenance.uploadpurging.dryrun": (
        "upload_purging.dry_run",
        False,
        "true",
        True,
        ["x"],
    ),
    "storage.maintenance.readonly.enabled": ("read_only", False, "true", True, ["x"]),
    "storage.cache.blobdescriptor": (
        "storage.cache.blob_descriptor",
        "inmemory",
        "InMemory",
        "inmemory",
        ["memcached"],
    ),
    "storage.cache.blobdescriptorsize": (
        "storage.cache.blob_descriptor_size",
        10_000,
        "0",
        0,
        ["-1", "x"],
    ),
    "storage.tag.concurrencylimit": ("storage.tag.concurrency_limit", None, "8", 8, ["0", "x"]),
    "tracing.endpoint": (
        "tracing.endpoint",
        "",
        "http://x:4318/v1/traces",
        "http://x:4318/v1/traces",
        ["[x]", "x:4318", "'http://u:p@x/'"],
    ),
    "tracing.ratio": ("tracing.ratio", 1.0, "0.25", 0.25, ["-1", "1.5", "x", "true"]),
    "tracing.service": ("tracing.service", "txregistry", "r1", "r1", ["[x]"]),
    "tracing.trust": ("tracing.trust", "proxies", "nobody", "nobody", ["clients"]),
    "health.closeonfailure": ("health.close_on_failure", False, "true", True, ["x"]),
    "health.storagedriver.enabled": ("health.storage_driver.enabled", False, "true", True, ["x"]),
    "health.storagedriver.interval": (
        "health.storage_driver.interval",
        10.0,
        "5s",
        5.0,
        ["x", "0"],
    ),
    "health.storagedriver.threshold": ("health.storage_driver.threshold", 0, "3", 3, ["-1"]),
    "middleware.storage": (
        "middleware.storage",
        (),
        "[{name: cloudfront, options: {duration: 90s, keypairid: K}}, {name: x, disabled: true},"
        " {name: rewrite}]",
        (
            MiddlewareEntry("cloudfront", {"duration": 90.0, "keypairid": "K"}),
            MiddlewareEntry("rewrite"),
        ),
        [
            "x",
            "{name: x}",
            "[x]",
            "[{}]",
            "[{name: x, option: {}}]",
            "[{name: x, options: [1]}]",
            "[{name: x, disabled: 1}]",
            "[{name: cloudfront, options: {duration: soon}}]",
        ],
    ),
    "redis.addrs": (
        "redis.addrs",
        (),
        "['[::1]']",
        (Server("::1", 6379),),
        ["localhost", "[]", "[a, b]", "['a:0']", "['a:65536']", "['a b']", "[{}]"],
    ),
    "redis.username": ("redis.username", "", "registry", "registry", ["[x]"]),
    "redis.password": ("redis.password", "", "s3", "s3", ["[x]"]),
    "redis.db": ("redis.db", 0, "3", 3, ["-1", "x"]),
    "redis.poolsize": ("redis.pool_size", 10, "3", 3, ["0", "1001"]),
    "redis.dialtimeout": ("redis.dial_timeout", 5.0, "2s", 2.0, ["0s", "x"]),
    "redis.tls.enabled": ("redis.tls.enabled", False, "true", True, ["x"]),
    "catalog.maxentries": ("catalog.max_entries", 1000, "50", 50, ["x"]),
    "tags.maxtags": ("tags.max_tags", 1000, "50", 50, ["-1", "x"]),
    "validation.disabled": ("validation.disabled", False, "true", True, ["x"]),
    "validation.manifests.indexes.platforms": (
        "validation.manifests.indexes.platforms",
        "all",
        "None",
        "none",
        ["list", "some"],
    ),
}

DRIVER = "version: 0.1\nstorage: {filesystem: {rootdirectory: /srv}"


#: Keys that mean nothing alone -> what stands beside them.
NEEDS = {
    "http.tls.certificate": {"key": "/k"},
    "http.tls.key": {"certificate": "/c"},
    "http.tls.additional": {"certificate": "/c", "key": "/k"},
    "http.tls.clientcas": {"certificate": "/c", "key": "/k"},
    "http.tls.clientauth": {"certificate": "/c", "key": "/k"},
    "http.tls.ciphersuites": {"certificate": "/c", "key": "/k"},
    "http.listeners": {"tls": "{certificate: /c, key: /k}"},
    "http.acme.addr": {"webroot": "/w"},
}


def as_yaml(path, value):
    """A file with one key beside its driver, and what the key needs."""
    top, *parts = path.split(".")
    text = value
    beside = NEEDS.get(path, {}) if value != "null" else {}
    for part in reversed(parts):
        more = "".join(f", {name}: {given}" for name, given in beside.items())
        text, beside = f"{{{part}: {text}{more}}}", {}
    if top == "storage":
        return f"{DRIVER[:-1]}}}, {text[1:]}"
    return f"{DRIVER}}}\n{top}: {text}"


def leaves(shape, above=""):
    for name, row in rows(shape).items():
        below = row.metadata.get("section") or row.metadata.get("sections")
        if below is not None:
            yield from leaves(below, f"{above}{name}.")
        else:
            yield above + name


def test_table_has_every_key():
    """No key without a test; those that stand in lists, and those of ``auth``, which need each
    other, have tests of their own.
    """
    keys = {*leaves(Configuration), *leaves(Storage, "storage.")}
    apart = (
        *("auth.", "notifications.", "tags.immutable."),
        *("health.file.", "health.http.", "health.tcp.", "tracing.headers"),
    )
    assert set(KEYS) == {key for key in keys if not key.startswith(apart)}


@pytest.mark.parametrize("path", KEYS)
class KeyTests:
    def test_absent_key_has_its_default(self, path):
        attribute, default, *_ = KEYS[path]
        value = attrgetter(attribute)(read_keys(""))
        assert default is None or value == default

    def test_value_is_read(self, path):
        attribute, _, text, expected, _ = KEYS[path]
        value = attrgetter(attribute)(read(as_yaml(path, text)))
        assert value == expected
        assert type(value) is type(expected)

    def test_key_without_a_value_has_its_default(self, path):
        """``key:`` with nothing after it."""
        attribute, default, *_ = KEYS[path]
        value = attrgetter(attribute)(read(as_yaml(path, "null")))
        assert default is None or value == default

    def test_wrong_value_is_refused_with_the_path_of_the_key(self, path):
        for text in KEYS[path][4]:
            with pytest.raises(Exception, match=f"registry.yml, line [23]: {path}[: ]"):
                read(as_yaml(path, text))

    def test_variable_sets_it(self, path):
        """REGISTRY_ and the path in upper case."""
        attribute, _, text, expected, _ = KEYS[path]
        above = path.rpartition(".")[0]
        given = {f"{above}.{name}": value for name, value in NEEDS.get(path, {}).items()}
        given[path] = text
        environ = {
            "REGISTRY_" + name.upper().replace(".", "_"): value for name, value in given.items()
        }
        configuration = read_keys("", environ)
        assert attrgetter(attribute)(configuration) == expected
        assert not [warning for warning in configuration.warnings if "REGISTRY_" in warning]

    def test_section_of_the_key_refuses_others(self, path):
        """A misspelt neighbor is refused, and the right key named."""
        above, _, name = path.rpartition(".")
        wrong = f"{above}.{name}x"
        with pytest.raises(
            Exception, match=f"line [23]: {wrong} is n.* known key; did you mean {path}"
        ):
            read(as_yaml(wrong, "1"))


def test_unix_socket_is_an_address():
    http = read_keys("http: {net: unix, addr: /run/registry.sock}").http
    assert str(http.address) == "unix:/run/registry.sock"


@pytest.mark.parametrize(
    ("text", "prefix"), [("/", "/"), ("''", "/"), ("/a/", "/a/"), ("a", "/a/"), ("/v2/", "/v2/")]
)
def test_prefix_begins_and_ends_with_a_slash(text, prefix):
    assert read_keys(f"http: {{prefix: {text}}}").prefix == prefix


@pytest.mark.parametrize("number", ["0", "-5"])
def test_catalog_without_a_maximum_has_the_default(number):
    """As in registry:3: zero and less mean 1000."""
    assert read_keys(f"catalog: {{maxentries: {number}}}").catalog.max_entries == 1000


def test_maxtags_of_zero_is_the_default():
    assert read_keys("tags: {maxtags: 0}").tags.max_tags == 1000


def test_old_name_of_the_log_level_is_taken():
    assert read_keys("loglevel: warn").log.level == "warn"
    assert read_keys("loglevel: warn\nlog: {level: debug}").log.level == "debug"
    assert read_keys("", {"REGISTRY_LOGLEVEL": "error"}).log.level == "error"
    assert "log.level wants one of" in refusal_of_keys("loglevel: loud")


def test_partial_purging_section_keeps_the_other_defaults():
    """registry:3 panics on this file; here what is missing has its default."""
    purging = read(
        "version: 0.1\nstorage: {inmemory: , maintenance: {uploadpurging: {age: 1h}}}"
    ).upload_purging
    assert (purging.enabled, purging.age, purging.interval, purging.dry_run) == (
        True,
        HOUR,
        24 * HOUR,
        False,
    )


def test_secrets_are_masked():
    """A configuration may be logged."""
    configuration = load_text(
        "version: 0.1\nstorage: {external: {command: [/d], options: {secretkey: hunter2}}}\nhttp: "
        "{secret: hunter3}",
        {},
    )
    assert configuration.http.secret == "hunter3"
    assert "hunter" not in repr(configuration)
    assert "hunter" not in repr(read_keys("", {"REGISTRY_HTTP_SECRET": "hunter4"}))


@pytest.mark.parametrize("value", ["[hunter2]", "{hunter2: x}"])
def test_refusal_of_a_secret_does_not_quote_it(value):
    assert "hunter2" not in refusal_of_keys(f"http: {{secret: {value}}}")


def test_configuration_can_not_be_changed():
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        read_keys("").http.addr = "x"
