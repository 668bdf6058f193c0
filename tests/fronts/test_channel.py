# SPDX-License-Identifier: Apache-2.0
"""What the main process and a front end say to each other."""

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher

from txregistry.fronts import Channel, Gone


class Pair:
    """Two ends, and what each heard."""

    def __init__(self):
        self.heard = []
        self.later = Deferred()
        self.lost = 0
        self.one = Channel(lambda word, members: None, self._lose)
        self.other = Channel(self._hear, lambda: None)
        for end in (self.one, self.other):
            end.makeConnection(StringTransport())

    def _hear(self, word, members):
        self.heard.append((word, members))
        if word == "later":
            return self.later
        return {"twice": members["n"] * 2} if word == "double" else None

    def _lose(self):
        self.lost += 1

    def carry(self):
        for end, peer in ((self.one, self.other), (self.other, self.one)):
            data = end.transport.value()
            end.transport.clear()
            peer.dataReceived(data)


@pytest.fixture
def pair():
    return Pair()


def test_word_arrives_with_its_members(pair):
    pair.one.say("secret", secret="00ff")
    pair.one.say("ping")
    pair.carry()
    assert pair.heard == [("secret", {"secret": "00ff"}), ("ping", {})]


def test_each_question_gets_its_own_answer(pair):
    asked = [pair.one.ask("double", n=n) for n in (1, 2)]
    nothing = pair.one.ask("ping")
    pair.carry()
    assert [answer.result for answer in asked] == [{"twice": 2}, {"twice": 4}]
    assert nothing.result == {}


def test_answer_may_come_later(pair):
    answer = pair.one.ask("later")
    pair.carry()
    assert not answer.called
    pair.later.callback({"n": 1})
    pair.carry()
    assert answer.result == {"n": 1}


def test_answer_that_fails_is_logged_and_never_comes(pair):
    logged = []
    globalLogPublisher.addObserver(logged.append)
    answer = pair.one.ask("later")
    pair.carry()
    pair.later.errback(RuntimeError())
    pair.carry()
    globalLogPublisher.removeObserver(logged.append)
    assert not answer.called
    assert [event["log_failure"].type for event in logged] == [RuntimeError]


def test_answer_that_nobody_waits_for_is_let_go(pair):
    answer = pair.one.ask("double", n=1)
    answer.addErrback(lambda failure: failure.trap(CancelledError))
    answer.cancel()
    pair.carry()
    after = pair.one.ask("double", n=3)
    pair.carry()
    assert after.result == {"twice": 6}


def test_other_end_that_goes_answers_nothing(pair):
    failed = []
    asked = pair.one.ask("double", n=1)
    pair.one.connectionLost()
    late = pair.one.ask("double", n=2)
    for answer in (asked, late):
        answer.addErrback(lambda failure: failed.append(failure.type))
    pair.one.say("ping")
    assert failed == [Gone, Gone]
    assert pair.lost == 1


def test_channel_that_was_never_made_says_nothing():
    channel, failed = Channel(lambda word, members: None, lambda: None), []
    channel.say("ping")
    channel.close()
    channel.ask("ping").addErrback(lambda failure: failed.append(failure.type))
    assert failed == [Gone]
