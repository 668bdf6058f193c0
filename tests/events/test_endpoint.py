# SPDX-License-Identifier: Apache-2.0
"""Receivers: what they want, how requests to them are signed, what their answers mean."""

import base64
import hmac

import pytest

from txregistry.events.retry import Reply, Step, judge, pause
from txregistry.events.signing import identity_of, key_of, sign

from .samples import endpoint


class FilterTests:
    @pytest.mark.parametrize(
        ("action", "media_type", "wanted"),
        [("push", "a/b", True), ("pull", "a/b", False), ("push", "x/y", False), ("push", "", True)],
    )
    def test_what_is_ignored_by_either_is_not_wanted(self, action, media_type, wanted):
        """Source: registry:3, ``ignore``."""
        one = endpoint(ignored_actions=frozenset({"pull"}), ignored_media_types=frozenset({"x/y"}))
        assert one.wants(action, media_type) is wanted


class SecrecyTests:
    def test_nothing_secret_is_shown(self):
        one = endpoint(
            url="https://user:hunter1@[::1]:8443/hunter0?token=hunter2#hunter3",
            headers={"Authorization": ("hunter4",)},
            secret="hunter5",
        )
        assert "hunter" not in repr(one)
        assert one.where == "https://[::1]:8443"


class SigningTests:
    def test_signature_is_that_of_the_standard(self):
        """Computed as Standard Webhooks describes it, by other means."""
        key = b"a key of some bytes"
        secret = "whsec_" + base64.b64encode(key).decode()
        headers = dict(sign(secret, "msg_1", 1614265330.9, b'{"test": 1}'))
        mac = hmac.new(key, b'msg_1.1614265330.{"test": 1}', "sha256").digest()
        assert headers == {
            "webhook-id": "msg_1",
            "webhook-timestamp": "1614265330",
            "webhook-signature": "v1," + base64.b64encode(mac).decode(),
        }

    @pytest.mark.parametrize(
        ("secret", "key"),
        [("whsec_aGVsbG8=", b"hello"), ("plain", b"plain"), ("whsec_!", b"whsec_!")],
    )
    def test_secret_is_base64_with_the_prefix_only(self, secret, key):
        assert key_of(secret) == key

    def test_message_of_other_events_has_another_id(self):
        """A receiver may drop what it has seen, and nothing else."""
        assert identity_of(["a"]) == "a"
        assert len({identity_of(ids) for ids in (["a"], ["a", "b"], ["a", "b", "c"])}) == 3
        assert identity_of(["a", "b"]) == identity_of(["a", "b"])


class JudgeTests:
    @pytest.mark.parametrize(
        ("status", "count", "refusals", "step"),
        [
            (200, 1, 0, Step.DELIVERED),
            (204, 5, 0, Step.DELIVERED),
            (302, 1, 0, Step.AGAIN),
            (400, 1, 1, Step.AGAIN),
            (400, 1, 3, Step.GIVE_UP),
            (413, 5, 9, Step.ALONE),
            (422, 1, 4, Step.GIVE_UP),
            (401, 1, 99, Step.AGAIN),
            (404, 1, 99, Step.AGAIN),
            (429, 1, 99, Step.AGAIN),
            (500, 5, 99, Step.AGAIN),
            (None, 1, 99, Step.AGAIN),
        ],
    )
    def test_rules(self, status, count, refusals, step):
        one = endpoint(threshold=3)
        assert judge(Reply(status), one, count=count, refusals=refusals) is step

    def test_refused_event_may_be_kept(self):
        one = endpoint(threshold=3, gives_up=False)
        assert judge(Reply(400), one, count=1, refusals=99) is Step.AGAIN


class PauseTests:
    @pytest.mark.parametrize(
        ("failures", "shortest", "longest"),
        [(1, 1.0, 2.0), (3, 1.0, 2.0), (4, 2.0, 4.0), (5, 4.0, 8.0), (99, 30.0, 60.0)],
    )
    def test_waits_grow_after_the_threshold(self, failures, shortest, longest):
        one = endpoint(threshold=3, backoff=2.0)
        waits = [
            pause(Reply(None), one, failures=failures, uniform=pick)
            for pick in (lambda low, high: low, lambda low, high: high)
        ]
        assert waits == [shortest, longest]

    def test_long_backoff_counts_more_than_our_longest(self):
        one = endpoint(backoff=300.0)
        assert pause(Reply(None), one, failures=99, uniform=max) == 300.0

    @pytest.mark.parametrize(("asked", "wait"), [(0.5, 1.0), (7.0, 7.0), (1e9, 3600.0)])
    def test_receiver_may_ask_for_a_longer_one(self, asked, wait):
        reply = Reply(429, retry_after=asked)
        assert pause(reply, endpoint(), failures=1, uniform=max) == wait
