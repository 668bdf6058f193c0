# SPDX-License-Identifier: Apache-2.0
"""Small reads that go together are answered as if each had gone alone."""

from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from txregistry.errand import TRACED, TracedCall
from txregistry.ipc.batch import BATCH_LIMIT, PATHS_LIMIT, fitting
from txregistry.ipc.items import ItemList
from txregistry.storage.errors import Internal, Throttled
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.memory import MemoryStore

from .loopback import Loopback, RawDriver, RawLoopback, hosting, over


def filled(*paths):
    store = MemoryStore()
    for path in paths:
        store.put(path, path.encode(), if_absent=False, if_version=None)
    return store


def commands_of(loopback):
    """The names of the commands that a raw driver got, without hellos."""
    return [box[b"_command"] for box in loopback.responder.received[1:]]


class FittingTests:
    def test_as_many_paths_go_together_as_one_value_holds(self):
        """AMP's limit of a value is never met, however long paths are."""
        assert fitting(["/a", "/b"]) == 2
        assert fitting(["/" + "a" * 2000] * 100) == PATHS_LIMIT // 2003

    @pytest_twisted.ensureDeferred
    async def test_more_than_fit_are_asked_for_in_several_boxes(self):
        paths = [f"/{number:03}" + "a" * 1500 for number in range(BATCH_LIMIT)]
        loopback = Loopback(hosting(filled(*paths)))
        found = await over(loopback).get_several(paths)
        assert [content.data for content in found] == [path.encode() for path in paths]
        await loopback.end()


class RefusalTests:
    @pytest_twisted.ensureDeferred
    async def test_refusal_of_all_is_told_to_each(self):
        """A driver that is asked too often refuses the box; every read in it waits and comes
        again.
        """

        class Busy(HostedDriver):
            async def get_several(self, paths):
                raise Throttled("slowly", retry_after=3.0)

        loopback = Loopback(lambda run: Busy(filled("/a", "/b"), run=run))
        found = await over(loopback).get_several(("/a", "/b"))
        assert [(type(one), one.retry_after) for one in found] == [(Throttled, 3.0)] * 2
        await loopback.end()

    @pytest_twisted.ensureDeferred
    async def test_driver_that_can_not_do_several_is_asked_one_by_one(self):
        """The command is optional; a driver says in its hello whether it has it."""

        class Simple(RawDriver):
            def answer(self, request, **values):
                if request[b"_command"] == b"Hello":
                    values["features"] = b""
                super().answer(request, **values)

        class SimpleLoopback(RawLoopback):
            def make_responder(self):
                return Simple(self._script)

        loopback = SimpleLoopback(
            lambda driver, box: driver.answer(box, size=b"1", version=b"1", content=b"x")
        )
        found = await over(loopback).get_several(("/a", "/b"))
        assert [content.data for content in found] == [b"x", b"x"]
        assert commands_of(loopback) == [b"Get", b"Get"]
        await loopback.end()

    @pytest_twisted.ensureDeferred
    async def test_empty_answer_is_the_drivers_fault(self):
        """It is not asked for the same again for ever."""
        loopback = RawLoopback(lambda driver, box: driver.answer(box, items=b""))
        found = await over(loopback).get_several(("/a", "/b"))
        assert [type(one) for one in found] == [Internal] * 2
        assert commands_of(loopback) == [b"GetSeveral"]
        await loopback.end()

    @pytest.mark.parametrize(
        "item",
        [
            {},
            {b"version": b"1"},
            {b"content": b"x"},
            {b"content": b"x", b"version": b"\xff"},
            {b"size": b"-1", b"version": b"1"},
            {b"size": b"many", b"version": b"1"},
        ],
    )
    @pytest_twisted.ensureDeferred
    async def test_item_that_makes_no_sense_costs_itself_only(self, item):
        """The read beside it is answered, and the connection stays."""
        good = {b"size": b"1", b"version": b"1", b"content": b"x"}
        items = ItemList().toString([item, good])
        loopback = RawLoopback(lambda driver, box: driver.answer(box, items=items))
        bad, found = await over(loopback).get_several(("/a", "/b"))
        assert (type(bad), found.data) == (Internal, b"x")
        assert loopback.connections == 1
        await loopback.end()

    @pytest.mark.parametrize("cut", [1, 3, 8])
    @pytest_twisted.ensureDeferred
    async def test_answer_that_ends_in_the_middle_of_an_item_is_refused(self, cut):
        """Nothing of it is believed."""
        items = ItemList().toString([{b"size": b"1", b"version": b"1", b"content": b"x"}])[:-cut]
        loopback = RawLoopback(lambda driver, box: driver.answer(box, items=items))
        found = await over(loopback).get_several(("/a", "/b"))
        assert [type(one) for one in found] == [Internal] * 2
        await loopback.end()


class TraceTests:
    @pytest_twisted.ensureDeferred
    async def test_box_goes_with_the_first_trace_that_waits_for_it(self):
        """A read that is not traced does not take the trace from the one beside it."""
        loopback = Loopback(hosting(filled("/a", "/b", "/c")))
        driver = over(loopback)
        await driver.get("/a")
        seen = []
        dispatch = loopback.responder.dispatchCommand
        loopback.responder.dispatchCommand = lambda box: (
            seen.append(box.get(b"traceparent")),
            dispatch(box),
        )[1]
        reads = [Deferred.fromCoroutine(driver.get("/a"))]
        for path, trace in (("/b", "first"), ("/c", "second")):
            before = TRACED.set(TracedCall(trace))
            reads.append(Deferred.fromCoroutine(driver.get(path)))
            TRACED.reset(before)
        assert [(await read).data for read in reads] == [b"/a", b"/b", b"/c"]
        assert seen == [b"first"]
        await loopback.end()
