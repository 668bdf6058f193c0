# SPDX-License-Identifier: Apache-2.0
"""The key of upload tokens, from a storage that may be away."""

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from txregistry.process.spec import StartError
from txregistry.storage.errors import Unavailable
from txregistry.token_key import RETRY, TokenKey


class Storage:
    """Gives its answers in order, exceptions included."""

    def __init__(self, *answers):
        self.answers = list(answers)

    async def find(self):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def result_of(coroutine):
    """What comes of it at once."""
    found = []
    Deferred.fromCoroutine(coroutine).addBoth(found.append)
    return found[0]


def test_key_is_used_as_soon_as_it_is_found():
    used = []
    assert result_of(TokenKey(Storage(b"key").find, used.append).learn()) is True
    assert used == [b"key"]


def test_storage_that_is_away_is_asked_until_it_answers():
    used, clock = [], Clock()
    subject = TokenKey(Storage(Unavailable("a"), Unavailable("b"), b"key").find, used.append)
    assert result_of(subject.learn()) is False
    learning = Deferred.fromCoroutine(subject.learn_in_the_end(clock))
    clock.advance(RETRY)
    assert (used, learning.called) == ([], False)
    clock.advance(RETRY)
    assert (used, learning.called) == ([b"key"], True)
    assert clock.getDelayedCalls() == []


def test_hosts_that_can_not_agree_is_for_who_started():
    """No later attempt would help."""
    clock = Clock()
    subject = TokenKey(Storage(Unavailable("a"), StartError("set http.secret")).find, print)
    assert result_of(subject.learn()) is False
    learning = Deferred.fromCoroutine(subject.learn_in_the_end(clock))
    clock.advance(RETRY)
    with pytest.raises(StartError, match=r"set http\.secret"):
        learning.result.raiseException()
    learning.addErrback(lambda _: None)


def test_end_while_it_is_waited_for_leaves_nothing():
    clock = Clock()
    subject = TokenKey(Storage(Unavailable("a")).find, print)
    assert result_of(subject.learn()) is False
    learning = Deferred.fromCoroutine(subject.learn_in_the_end(clock))
    learning.addErrback(lambda _: None)
    learning.cancel()
    assert clock.getDelayedCalls() == []
