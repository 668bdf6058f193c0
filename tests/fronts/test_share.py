# SPDX-License-Identifier: Apache-2.0
"""What one of several front ends is told of a configuration."""

import pickle

import pytest

from txregistry.config import load_text
from txregistry.fronts import Assignment, Entry, share_of
from txregistry.fronts.share import part

TEXT = """
version: 0.1
storage:
  s3: {bucket: b, region: r, secretkey: driver-secret, durability: manifest}
  exclusive: true
  supervision: {replaybudget: 1001, operations: 100, queue: 7}
  uploads: {sessions: 10, sessionsperclient: 5}
middleware:
  storage:
    - name: redirect
      options: {baseurl: "https://middleware-secret.example/"}
http:
  addr: 127.0.0.1:5000
  workers: 3
  secret: token-secret
  listeners: ["http://127.0.0.1:5001"]
  debug: {addr: "127.0.0.1:5002", prometheus: {enabled: true}}
  limits: {connections: 100, requests: 7, connectionsperaddress: 9}
auth:
  htpasswd: {realm: r, path: /p}
  failures: {peraddress: 30, peruser: 0}
log: {fields: {site: here, process: theirs}}
health: {storagedriver: {enabled: true}, closeonfailure: true, file: [{file: /x}]}
notifications:
  endpoints:
    - name: one
      url: "https://user:url-secret@receiver.example/"
      secret: signing-secret
      headers: {Authorization: [header-secret]}
      ignore: {actions: [pull]}
"""


@pytest.fixture
def share():
    return share_of(load_text(TEXT, {}, installed={"s3"}), 3, 2)


class ShareTests:
    @pytest.mark.parametrize(
        ("size", "count", "each"), [(0, 4, 0), (1, 4, 1), (8, 4, 2), (9, 4, 3), (2000, 1, 2000)]
    )
    def test_part_is_rounded_up_and_nothing_stays_nothing(self, size, count, each):
        assert part(size, count) == each

    def test_bounds_for_all_are_divided_and_those_of_one_client_are_not(self, share):
        limits, told = share.http.limits, share.storage.supervision
        assert (limits.connections, limits.requests, limits.connections_per_address) == (34, 3, 9)
        assert (told.replay_budget, told.operations, told.queue) == (334, 34, 3)
        assert share.storage.uploads.sessions == 10
        assert share.storage.uploads.sessions_per_client == 5

    def test_guessing_of_passwords_gets_no_cheaper(self, share):
        assert (share.auth.failures.per_address, share.auth.failures.per_user) == (10, 0)

    def test_what_has_one_owner_is_not_for_it(self, share):
        assert share.http.workers == 1
        assert share.http.listeners == ()
        assert share.http.debug.address is None
        assert share.http.debug.prometheus.enabled
        assert not share.upload_purging.enabled
        assert not share.health.storage_driver.enabled
        assert share.health.file == ()
        assert share.health.close_on_failure

    def test_nothing_of_the_storage_is_believed(self, share):
        """Others write to it."""
        assert share.storage.exclusive is False

    def test_secrets_that_it_does_not_use_are_not_in_it(self, share):
        written = Assignment(2, share, "s3", "/x", (), None, {}, "i").written()
        for secret in (b"driver", b"middleware", b"url", b"signing", b"header"):
            assert secret + b"-secret" not in written
        assert b"token-secret" in written
        assert share.storage.driver.options == {"durability": "manifest"}
        assert share.notifications.endpoints[0].ignore.actions == ("pull",)

    def test_its_lines_are_told_apart(self, share):
        assert share.log.fields == {"site": "here", "process": "front-2"}


class AssignmentTests:
    def test_it_arrives_as_it_was_written(self, share, tmp_path):
        told = Assignment(2, share, "s3", "/x", (Entry(5, "plain"),), b"key", {"a": []}, "id")
        (tmp_path / "file").write_bytes(told.written())
        with (tmp_path / "file").open("rb") as file:
            assert Assignment.loaded(file) == told

    def test_anything_else_is_our_fault(self, tmp_path):
        (tmp_path / "file").write_bytes(pickle.dumps("other"))
        with (tmp_path / "file").open("rb") as file, pytest.raises(AssertionError):
            Assignment.loaded(file)

    def test_its_secret_is_not_shown(self, share):
        assert "key-of-tokens" not in repr(
            Assignment(1, share, "s3", "/x", (), b"key-of-tokens", {}, "id")
        )
