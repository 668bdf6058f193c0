# SPDX-License-Identifier: Apache-2.0
"""Bodies on their way into an upload."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError

from txregistry.oci.errors import Code, OciError
from txregistry.registry.body import BodyCut, hold, is_empty
from txregistry.registry.intake import Intake
from txregistry.storage.errors import Fenced, NoSpace, Unavailable

from .world import END, Bytes, Fed, cut, done, started

DATA = "APP/_uploads/id/data"


@pytest.fixture
def intake(world):
    def make(body, most=None):
        return Intake(body, lambda: world.driver.open_writer(world.path(DATA), 0), most)

    return make


class IntakeTests:
    def test_all_of_a_body_is_stored(self, world, intake):
        taking = intake(Bytes(b"ab", b"cd"))
        done(taking.run())
        assert world.get(DATA) == b"abcd"
        assert taking.received == 4 and not taking.has_excess
        assert [call.split()[0] for call in world.calls] == [
            "open_writer",
            "write",
            "write",
            "close",
        ]

    def test_nobody_is_fenced_for_nothing(self, world, intake):
        """The writer is claimed when the first byte is there."""
        done(intake(Bytes()).run())
        body = Fed()
        task = started(intake(body).run())
        assert world.calls == []
        body.feed(END)
        assert task.called and world.calls == []

    def test_what_arrived_is_stored_when_the_client_goes(self, world, intake):
        with pytest.raises(BodyCut):
            done(intake(cut(b"ab", b"cd")).run())
        assert world.get(DATA) == b"abcd"
        assert world.calls[-1] == f"close {DATA}"

    def test_client_that_sent_nothing(self, world, intake):
        with pytest.raises(BodyCut):
            done(intake(cut()).run())
        assert world.calls == []

    def test_what_arrived_is_stored_when_the_body_is_refused(self, world, intake):
        with pytest.raises(OciError):
            done(intake(Bytes(b"ab", cut=OciError(Code.SIZE_INVALID))).run())
        assert world.get(DATA) == b"ab"

    def test_excess_is_not_taken(self, world, intake):
        body = Bytes(b"ab", b"cd", b"ef")
        taking = intake(body, 3)
        done(taking.run())
        assert taking.has_excess and taking.received == 2 and body.pulls == 2
        assert world.get(DATA) == b"ab"

    def test_stop_while_it_waits_for_the_client(self, world, intake):
        body = Fed()
        taking = intake(body)
        task = started(taking.run())
        body.feed(b"ab")
        taking.stop()
        assert task.result.check(CancelledError)
        task.addErrback(lambda _: None)
        assert world.get(DATA) == b"ab" and world.calls[-1] == f"close {DATA}"

    @pytest.mark.parametrize("ending", [None, END, BodyCut("gone")])
    @pytest.mark.parametrize("moment", ["open_writer", "write", "close"])
    def test_stop_while_it_waits_for_the_driver(self, world, intake, moment, ending):
        """What has arrived when the client goes is stored, though nobody asked for it yet."""
        gate = world.driver.hold(moment)
        body = Fed()
        body.feed(b"ab")
        taking = intake(body)
        task = started(taking.run())
        if moment == "close":
            body.feed(END)
            taking.stop()
        else:
            taking.stop()
            body.feed(b"cd", b"ef", *([ending] if ending else []))
        assert not task.called
        gate.callback(None)
        assert task.called
        task.addErrback(lambda _: None)
        assert world.get(DATA) == (b"ab" if moment == "close" else b"abcdef")
        assert world.calls[-1] == f"close {DATA}"

    @pytest.mark.parametrize("error", [NoSpace(), Fenced(), Unavailable()])
    def test_writer_is_abandoned_when_it_fails(self, world, intake, error):
        world.driver.fail("^write", error)
        with pytest.raises(type(error)):
            done(intake(Bytes(b"ab")).run())
        assert world.calls[-1] == f"abandon {DATA}"

    def test_failing_to_abandon_hides_nothing(self, world, intake):
        world.driver.fail("^write", NoSpace())
        world.driver.fail("^abandon", Unavailable())
        with pytest.raises(NoSpace):
            done(intake(Bytes(b"ab")).run())

    def test_failing_to_open(self, world, intake):
        world.driver.fail("^open_writer", Unavailable())
        with pytest.raises(Unavailable):
            done(intake(Bytes(b"ab")).run())
        assert len(world.calls) == 1

    def test_failing_to_close(self, world, intake):
        """No success for bytes that may not be stored."""
        world.driver.fail("^close", Unavailable())
        with pytest.raises(Unavailable):
            done(intake(Bytes(b"ab")).run())

    def test_failing_to_close_a_body_that_was_cut(self, world, intake):
        world.driver.fail("^close", Unavailable())
        with pytest.raises(BodyCut):
            done(intake(cut(b"ab")).run())


class HoldTests:
    def test_whole_body_is_held(self):
        held = done(hold(Bytes(b"ab", b"cd")))
        assert held.data == b"abcd" and held.is_complete and held.length == 4

    @pytest.mark.parametrize("failure", [BodyCut("gone"), CancelledError()])
    def test_failure_is_held(self, failure):
        """A held body is as good as the one that it was, to whoever reads it."""
        held = done(hold(Bytes(b"ab", length=4, cut=failure)))
        assert held.data == b"ab" and held.failure is failure and not held.is_complete
        seen = []

        async def read():
            async for chunk in held:
                seen.append(chunk)

        with pytest.raises(type(failure)):
            done(read())
        assert seen == [b"ab"]

    @pytest.mark.parametrize("length", [1, 3])
    def test_length_that_differs_is_not_complete(self, length):
        assert not done(hold(Bytes(b"ab", length=length))).is_complete

    @pytest.mark.parametrize(
        "body, expected",
        [(None, True), (Bytes(), True), (Bytes(length=None), False), (Bytes(b"a"), False)],
    )
    def test_emptiness_is_told_by_the_length(self, body, expected):
        assert is_empty(body) is expected
