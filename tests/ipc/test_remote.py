# SPDX-License-Identifier: Apache-2.0
"""What a caller is told when an answer was lost, when content is large, and when a driver makes no
sense.
"""

from __future__ import annotations

import os
import struct

import pytest
import pytest_twisted

from txregistry.ipc import remote
from txregistry.ipc.commands import INLINE_LIMIT
from txregistry.storage.contract import CONTENT_LIMIT, Content
from txregistry.storage.errors import (
    Changed,
    Exists,
    Internal,
    Missing,
    NoSpace,
    ReadOnly,
    StorageError,
    TooLarge,
    Unavailable,
)
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.memory import MemoryStore

from .loopback import Loopback, RawLoopback, over

LARGE = b"x" * (INLINE_LIMIT + 1)


class House:
    """A driver whose connection may end during a call.

    Attributes:
        after: called when it is done; then its answer is lost. None for a call that is answered.
        is_carried_out: whether the call whose answer is lost is.
        refusal: what every call that is answered gets, if not None.
        looks: outcomes of the next reads, in place of what is stored.
    """

    def __init__(self):
        self.store = MemoryStore()
        self.loopback = Loopback(lambda run: Forgetful(self, run))
        self.driver = over(self.loopback)
        self.after = None
        self.is_carried_out = True
        self.refusal = None
        self.looks = []

    def put(self, path, data):
        return self.store.put(path, data, if_absent=False, if_version=None)

    def lose_answer(self, *, is_carried_out=True, then=lambda: None):
        """Have the connection end during the next call; ``then`` is what others do meanwhile."""
        self.is_carried_out, self.after = is_carried_out, then

    async def go_through(self, call, *arguments, **more):
        if self.after is None:
            if self.refusal is not None:
                raise self.refusal
            return await call(*arguments, **more)
        after, self.after = self.after, None
        try:
            return await call(*arguments, **more) if self.is_carried_out else None
        finally:
            after()
            self.loopback.drop()


class Forgetful(HostedDriver):
    def __init__(self, house, run):
        super().__init__(house.store, run=run)
        self._house = house

    async def stat(self, path):
        return await self._house.go_through(super().stat, path)

    async def put(self, path, data, **more):
        return await self._house.go_through(super().put, path, data, **more)

    async def move(self, source, destination):
        return await self._house.go_through(super().move, source, destination)

    async def delete(self, path, **more):
        return await self._house.go_through(super().delete, path, **more)

    async def get(self, path):
        (found,) = await self.get_several((path,))
        if isinstance(found, StorageError):
            raise found
        return found

    async def get_several(self, paths):
        return self._house.looks.pop(0) if self._house.looks else await super().get_several(paths)


@pytest_twisted.async_yield_fixture
async def house():
    house = House()
    yield house
    await house.loopback.end()


async def refusal_of(call):
    with pytest.raises(StorageError) as caught:
        await call
    return caught.value


class LookTests:
    @pytest_twisted.ensureDeferred
    async def test_refusal_at_a_repetition_is_a_refusal(self, house):
        """A caller does not learn how often it was asked."""
        house.put("/a", b"x")
        house.lose_answer(then=lambda: house.store.delete("/a", if_version=None))
        assert type(await refusal_of(house.driver.stat("/a"))) is Missing


class PutTests:
    @pytest.mark.parametrize("data", [b"mine", LARGE])
    @pytest_twisted.ensureDeferred
    async def test_first_attempt_whose_answer_was_lost_counts(self, house, data):
        """What is refused because it is there is there by ourselves: the version is that of it."""
        house.lose_answer()
        version = await house.driver.put("/a", data, if_absent=True)
        assert (await house.driver.get("/a")) == Content(data, version)

    @pytest_twisted.ensureDeferred
    async def test_first_attempt_to_replace_counts(self, house):
        house.lose_answer()
        before = house.put("/a", b"old")
        version = await house.driver.put("/a", b"new", if_version=before)
        assert (await house.driver.get("/a")) == Content(b"new", version)

    @pytest.mark.parametrize("theirs", [b"theirs", LARGE])
    @pytest_twisted.ensureDeferred
    async def test_what_another_put_there_is_not_ours(self, house, theirs):
        """The condition did not hold."""
        house.lose_answer(is_carried_out=False, then=lambda: house.put("/a", theirs))
        assert type(await refusal_of(house.driver.put("/a", b"mine", if_absent=True))) is Exists
        assert (await house.driver.get("/a")).data == theirs

    @pytest_twisted.ensureDeferred
    async def test_what_another_removed_is_not_ours(self, house):
        before = house.put("/a", b"old")
        house.lose_answer(
            is_carried_out=False, then=lambda: house.store.delete("/a", if_version=None)
        )
        refusal = await refusal_of(house.driver.put("/a", b"new", if_version=before))
        assert type(refusal) in (Changed, Missing)

    @pytest_twisted.ensureDeferred
    async def test_what_can_not_be_looked_at_is_not_known(self, house):
        """Neither yes nor no: the client is told to try again."""
        house.looks = [[Unavailable("the backend is away")]]
        house.lose_answer()
        refusal = await refusal_of(house.driver.put("/a", b"mine", if_absent=True))
        assert type(refusal) is Unavailable

    @pytest_twisted.ensureDeferred
    async def test_full_disk_at_a_repetition_is_told_as_such(self, house):
        house.refusal = NoSpace("full")
        house.lose_answer(is_carried_out=False)
        assert type(await refusal_of(house.driver.put("/a", b"mine", if_absent=True))) is NoSpace


class MoveTests:
    @pytest_twisted.ensureDeferred
    async def test_first_attempt_whose_answer_was_lost_counts(self, house):
        """There is nothing to move any more, because it was moved."""
        house.put("/a", b"x")
        house.lose_answer()
        await house.driver.move("/a", "/b")
        assert (await house.driver.get("/b")).data == b"x"

    @pytest_twisted.ensureDeferred
    async def test_what_is_in_neither_place_is_missing(self, house):
        house.put("/a", b"x")
        house.lose_answer(
            is_carried_out=False, then=lambda: house.store.delete("/a", if_version=None)
        )
        refusal = await refusal_of(house.driver.move("/a", "/b"))
        assert (type(refusal), refusal.path) == (Missing, "/a")

    @pytest_twisted.ensureDeferred
    async def test_other_refusal_at_a_repetition_is_told_as_such(self, house):
        house.refusal = ReadOnly("read only")
        house.lose_answer(is_carried_out=False)
        assert type(await refusal_of(house.driver.move("/a", "/b"))) is ReadOnly


class DeleteTests:
    @pytest_twisted.ensureDeferred
    async def test_first_attempt_whose_answer_was_lost_counts(self, house):
        house.put("/a", b"x")
        house.lose_answer()
        await house.driver.delete("/a")
        assert type(await refusal_of(house.driver.delete("/a"))) is Missing

    @pytest_twisted.ensureDeferred
    async def test_other_refusal_at_a_repetition_is_told_as_such(self, house):
        """What was replaced meanwhile is still there."""
        before = house.put("/a", b"x")
        house.lose_answer(is_carried_out=False, then=lambda: house.put("/a", b"y"))
        refusal = await refusal_of(house.driver.delete("/a", if_version=before))
        assert type(refusal) is Changed
        assert (await house.driver.get("/a")).data == b"y"


class LargeContentTests:
    """Content that does not fit a box comes by a lane."""

    @pytest_twisted.ensureDeferred
    async def test_several_may_be_large(self, house):
        """Each has its own outcome, in the order asked."""
        version = house.put("/large", LARGE)
        house.put("/small", b"x")
        large, nothing, wrong, small = await house.driver.get_several(
            ("/large", "/none", "no path", "/small")
        )
        assert large == Content(LARGE, version)
        assert small.data == b"x"
        assert [type(nothing).__name__, type(wrong).__name__] == ["Missing", "InvalidPath"]

    @pytest_twisted.ensureDeferred
    async def test_one_of_several_that_vanishes_is_missing(self, house):
        """Removed between its size and its bytes; the others are answered."""
        house.put("/small", b"x")
        house.put("/large", LARGE)
        seen = await HostedDriver(house.store, run=_inline).get_several(("/large", "/small"))
        house.store.delete("/large", if_version=None)
        house.looks = [seen]
        large, small = await house.driver.get_several(("/large", "/small"))
        assert (type(large), small.data) == (Missing, b"x")

    @pytest.mark.parametrize("data", [LARGE + b"y", b"y", b"y" * len(LARGE)])
    @pytest_twisted.ensureDeferred
    async def test_content_that_is_replaced_meanwhile_is_read_again(self, house, data):
        """The bytes are all old or all new, and the version is theirs."""
        house.put("/a", LARGE)
        stat = HostedDriver.stat
        versions = []

        async def replacing(driver, path):
            found = await stat(driver, path)
            if not versions:
                versions.append(house.put("/a", data))
            return found

        Forgetful.stat, original = replacing, Forgetful.stat
        try:
            assert await house.driver.get("/a") == Content(data, versions[0])
        finally:
            Forgetful.stat = original

    @pytest_twisted.ensureDeferred
    async def test_content_that_never_rests_is_unavailable(self, house, monkeypatch):
        """A reader does not go on for ever."""
        monkeypatch.setattr(remote, "LOOKS", 3)
        house.put("/a", LARGE)
        stat = HostedDriver.stat

        async def replacing(driver, path):
            house.put("/a", LARGE)
            return await stat(driver, path)

        monkeypatch.setattr(Forgetful, "stat", replacing)
        refusal = await refusal_of(house.driver.get("/a"))
        assert (type(refusal), "replaced again and again" in refusal.message) == (Unavailable, True)

    @pytest_twisted.ensureDeferred
    async def test_content_beyond_the_limit_is_not_read(self):
        """A driver that announces more than a registry reads at once does not fill its memory."""
        loopback = RawLoopback(
            lambda driver, box: driver.answer(box, size=b"%d" % (CONTENT_LIMIT + 1), version=b"1")
        )
        refusal = await refusal_of(over(loopback).get("/a"))
        assert type(refusal) is TooLarge
        await loopback.end()

    @pytest_twisted.ensureDeferred
    async def test_large_put_that_is_refused_at_once_sends_no_more(self):
        """The driver closes the lane before it has read everything; its refusal is what counts."""

        def refuse(driver, box):
            os.close(driver.take(box))
            driver.refuse(box, b"NoSpace")

        loopback = RawLoopback(refuse)
        refusal = await refusal_of(over(loopback).put("/a", b"x" * CONTENT_LIMIT))
        assert type(refusal) is NoSpace
        await loopback.end()


async def _inline(work):
    return work()


def _names(*names):
    return b"".join(struct.pack(">H", len(name)) + name for name in names)


class NonsenseTests:
    """A page that leads nowhere costs its request, and is not asked for again and again."""

    @pytest.mark.parametrize(
        ("names", "kinds", "has_more"),
        [
            ((b"a", b"b"), b"f", b"False"),
            ((b"b", b"a"), b"ff", b"False"),
            ((b"a", b"a"), b"ff", b"False"),
            ((), b"", b"True"),
        ],
    )
    @pytest_twisted.ensureDeferred
    async def test_listing_that_makes_no_sense_is_the_drivers_fault(self, names, kinds, has_more):
        loopback = RawLoopback(
            lambda driver, box: driver.answer(
                box, names=_names(*names), kinds=kinds, has_more=has_more
            )
        )
        assert type(await refusal_of(over(loopback).list("/"))) is Internal
        assert loopback.connections == 1
        await loopback.end()

    @pytest_twisted.ensureDeferred
    async def test_walk_that_does_not_go_on_is_the_drivers_fault(self):
        loopback = RawLoopback(
            lambda driver, box: driver.answer(box, entries=b"", has_more=b"True")
        )
        assert type(await refusal_of(over(loopback).walk("/", after="/b"))) is Internal
        await loopback.end()


class RedirectTests:
    @pytest_twisted.ensureDeferred
    async def test_driver_without_redirects_is_not_asked(self):
        """A driver of an earlier time does not know the command."""
        asked = []
        loopback = RawLoopback(lambda driver, box: asked.append(box))
        assert await over(loopback).redirect_url("/a", "GET", 60) is None
        assert asked == []
        await loopback.end()

    @pytest_twisted.ensureDeferred
    async def test_redirect_is_for_the_client_that_asks(self):
        """A store may bind its URL to an address."""

        class Redirecting(HostedDriver):
            def __init__(self, store, run):
                super().__init__(store, run=run)
                self.has_redirects = True

            async def redirect_url(self, path, method, expires_in, *, client=""):
                return f"https://example.com{path}?{method}&{expires_in}&{client}"

        loopback = Loopback(lambda run: Redirecting(MemoryStore(), run))
        driver = over(loopback)
        assert await driver.redirect_url("/a", "GET", 60, client="::1") == (
            "https://example.com/a?GET&60&::1"
        )
        assert await driver.redirect_url("/a", "HEAD", 5) == "https://example.com/a?HEAD&5&"
        await loopback.end()
