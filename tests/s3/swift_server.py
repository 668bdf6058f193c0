# SPDX-License-Identifier: Apache-2.0
"""OpenStack Swift with its S3 interface, all four servers in one process::

    python -m tests.s3.swift_server DIRECTORY PORT

It speaks S3 with signatures checked, and Swift's own API with ``tempauth``; user ``test:tester``,
key ``testing``. What it stores lies in DIRECTORY, whose file system needs extended attributes.

A server is given minutes where Swift gives half a second: on a machine that is busy one waits for
another, which is no failure, and what a listing was not told in time it would never be told.
"""

from __future__ import annotations

import sys
from pathlib import Path

import eventlet

eventlet.monkey_patch()

from eventlet import wsgi  # noqa: E402  # after the patch
from swift.common.ring import RingBuilder  # noqa: E402
from swift.common.wsgi import loadapp  # noqa: E402

_SERVERS = ("account", "container", "object")

_BACKEND = """
[DEFAULT]
swift_dir = {etc}
devices = {devices}
mount_check = false
disable_fallocate = true
fallocate_reserve = 0
conn_timeout = 60
node_timeout = 120
container_update_timeout = 120
log_level = ERROR
workers = 0
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
"""

_PROXY = """
[DEFAULT]
swift_dir = {etc}
log_level = ERROR
workers = 0
[pipeline:main]
pipeline = catch_errors cache listing_formats bulk tempurl s3api tempauth copy slo dlo
  versioned_writes proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
conn_timeout = 60
node_timeout = 120
recoverable_node_timeout = 120
error_suppression_limit = 1000000
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:cache]
paste.filter_factory = tests.s3.swift_server:remember_tokens
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:tempurl]
use = egg:swift#tempurl
[filter:s3api]
use = egg:swift#s3api
s3_acl = false
location = us-east-1
allow_multipart_uploads = true
min_segment_size = 5242880
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin .reseller_admin
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
[filter:versioned_writes]
use = egg:swift#versioned_writes
"""

_SWIFT = """
[swift-hash]
swift_hash_path_suffix = tests
swift_hash_path_prefix = tests
[storage-policy:0]
name = default
default = yes
"""


class Tokens:
    """What Swift takes for memcached: keeps the tokens of logins, and what is known of accounts and
    containers, which whoever changes them takes out. It forgets all else at once, so that no answer
    is older than its question.
    """

    def __init__(self) -> None:
        self._kept: dict[str, object] = {}

    def get(self, key: str, **_: object) -> object:
        return self._kept.get(key)

    def set(self, key: str, value: object, **_: object) -> None:
        if "/user/" in key or "/token/" in key or key.startswith(("account/", "container/")):
            self._kept[key] = value

    def delete(self, key: str, **_: object) -> None:
        self._kept.pop(key, None)


def remember_tokens(global_conf: object, **_: object) -> object:
    """The filter that gives it to all others."""
    tokens = Tokens()

    def wrap(app):
        def call(environ, start_response):
            environ["swift.cache"] = tokens
            return app(environ, start_response)

        return call

    return wrap


def main() -> None:
    directory, port = Path(sys.argv[1]).absolute(), int(sys.argv[2])
    etc, devices = directory / "etc", directory / "devices"
    for made in (etc, devices / "d0"):
        made.mkdir(parents=True, exist_ok=True)
    (etc / "swift.conf").write_text(_SWIFT)
    set_up_paths(etc)
    sockets = {name: eventlet.listen(("127.0.0.1", 0)) for name in _SERVERS}
    for name, listener in sockets.items():
        make_ring(etc, name, listener.getsockname()[1])
        (etc / f"{name}.conf").write_text(_BACKEND.format(name=name, etc=etc, devices=devices))
    (etc / "proxy.conf").write_text(_PROXY.format(etc=etc))
    for name, listener in sockets.items():
        eventlet.spawn(serve, listener, etc / f"{name}.conf")
    serve(eventlet.listen(("127.0.0.1", port)), etc / "proxy.conf")


def set_up_paths(etc: Path) -> None:
    """Let Swift read our swift.conf, and not /etc/swift."""
    from swift.common import utils  # noqa: PLC0415  # it looks for the file at once
    from swift.common.storage_policy import reload_storage_policies  # noqa: PLC0415

    utils.SWIFT_CONF_FILE = str(etc / "swift.conf")
    utils.config.SWIFT_CONF_FILE = utils.SWIFT_CONF_FILE
    utils.validate_hash_conf()
    reload_storage_policies()


def make_ring(etc: Path, name: str, port: int) -> None:
    builder = RingBuilder(1, 1, 0)
    builder.add_dev(
        {
            "id": 0,
            "region": 1,
            "zone": 1,
            "weight": 1,
            "ip": "127.0.0.1",
            "port": port,
            "device": "d0",
        }
    )
    builder.rebalance()
    builder.get_ring().save(str(etc / f"{name}.ring.gz"))


def serve(listener: object, configuration: Path) -> None:
    app = loadapp(str(configuration), global_conf={"log_name": configuration.stem})
    with open("/dev/null", "w") as silence:
        wsgi.server(listener, app, silence, keepalive=True, socket_timeout=60)


if __name__ == "__main__":
    main()
