# SPDX-License-Identifier: Apache-2.0
"""The checks of ``health`` that stand in lists."""

import pytest

from txregistry.config.health_settings import FileHealth, HttpHealth, TcpHealth

from .reading import read_keys, refusal_of_keys

#: registry:3's documented example, all keys.
ALL = """
health:
  storagedriver: {enabled: true, interval: 10s, threshold: 3}
  file:
    - {file: /path/to/checked/file, interval: 10s, threshold: 2}
  http:
    - uri: http://server.to.check/must/return/200
      headers: {Authorization: [Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==]}
      statuscode: 204
      timeout: 3s
      interval: 10s
      threshold: 3
  tcp:
    - {addr: "redis-server.domain.com:6379", timeout: 3s, interval: 10s, threshold: 3}
"""


def test_all_keys_are_read():
    health = read_keys(ALL).health
    assert health.file == (FileHealth("/path/to/checked/file", 10.0, 2),)
    assert health.http == (
        HttpHealth(
            "http://server.to.check/must/return/200",
            {"Authorization": ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",)},
            204,
            3.0,
            10.0,
            3,
        ),
    )
    assert health.tcp == (TcpHealth("redis-server.domain.com:6379", 3.0, 10.0, 3),)


def test_what_is_not_said_has_its_default():
    health = read_keys("health: {file: [{file: /x}], http: [{uri: 'https://x/'}]}").health
    assert health.file == (FileHealth("/x", 10.0, 0),)
    assert health.http == (HttpHealth("https://x/", {}, 200, 0.0, 10.0, 0),)


def test_headers_of_a_check_are_secret():
    assert "QWxhZGRpbjpvcGVuIHNlc2FtZQ" not in repr(read_keys(ALL))


@pytest.mark.parametrize("name", ["HTTPCHECKERS", "HTTP"])
def test_variables_set_them_by_either_name(name):
    health = read_keys("", {f"REGISTRY_HEALTH_{name}_0_URI": "http://x/"}).health
    assert health.http == (HttpHealth("http://x/"),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("file: [{interval: 1s}]", "health.file.0.file is missing"),
        ("file: [{file: /x, interval: 0}]", "health.file.0.interval wants a duration"),
        ("http: [{uri: 'ftp://x'}]", "health.http.0.uri is no http or https URL"),
        ("http: [{uri: x}]", "health.http.0.uri is no http or https URL"),
        ("http: [{uri: 'http://u:p@x/'}]", "health.http.0.uri names a user"),
        ("http: [{uri: 'http://x/', statuscode: 20}]", "health.http.0.statuscode wants"),
        ("tcp: [{addr: '5000'}]", "health.tcp.0.addr wants host:port"),
        ("tcp: [{addr: ':5000'}]", "health.tcp.0.addr wants a host too"),
        ("tcp: [{addrs: 'a:5000'}]", "did you mean health.tcp.addr?"),
        ("file: {file: /x}", "health.file wants a list of sections"),
    ],
)
def test_what_can_not_be_meant_is_refused(text, expected):
    assert expected in refusal_of_keys(f"health: {{{text}}}")
