# SPDX-License-Identifier: Apache-2.0
"""The wiring: what a configuration becomes, and the order in which things start and stop."""

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.testing import MemoryReactorClock

from txregistry.config import load_text
from txregistry.process.spec import StartError
from txregistry.process.status import DriverStatus, State, Windows
from txregistry.service import RegistryService
from txregistry.storage.errors import Unavailable
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.memory import MemoryStore


def configured(text=""):
    return load_text(
        "version: 0.1\nhttp: {addr: '127.0.0.1:0'}\nstorage: {inmemory: , "
        + (text or "delete: ")
        + "}",
        {},
    )


class Opened:
    """A driver in this process, whose hello the test gives."""

    decides = True

    def __init__(self, events):
        async def run_now(work):
            return work()

        self._events = events
        self.driver = HostedDriver(MemoryStore(), run=run_now)
        self.greeting = Deferred()

    async def hello(self):
        self._events.append("hello")
        return await self.greeting

    async def decides_conditions(self):
        return self.decides

    def status(self):
        return DriverStatus(
            name="inmemory",
            state=State.READY,
            reason="",
            version="1",
            isolation=(),
            pid=None,
            deaths=0,
            greetings=1,
            is_breaker_open=False,
            retry_in=0.0,
            pong=None,
            windows=Windows(0, 1, 0),
        )

    def time_commands(self, told):
        self.told = told

    async def stop(self):
        self._events.append("driver stopped")


class Reactor(MemoryReactorClock):
    """Takes sockets, as the real one does."""

    site = None

    def adoptStreamPort(self, fileDescriptor, addressFamily, factory):
        self.site = factory
        return super().adoptStreamPort(fileDescriptor, addressFamily, factory)


@pytest.fixture
def events():
    return []


@pytest.fixture
def reactor():
    return Reactor()


@pytest.fixture
def make(events, reactor):
    services = []

    def make_one(configuration=None, opener=None):
        opened = Opened(events)
        service = RegistryService(
            configuration or configured(),
            reactor,
            when_failed=lambda sentence: events.append(f"failed: {sentence}"),
            announce=lambda sentence: events.append(sentence.split(" on ")[0]),
            opener=opener or (lambda storage, reactor: opened),
        )
        services.append(service)
        return service, opened

    yield make_one
    for service in services:
        if service.running:
            service.stopService()


class LifeTests:
    def test_serving_begins_after_the_drivers_hello(self, make, events, reactor):
        service, opened = make()
        service.startService()
        assert events == ["hello"]
        assert reactor.site is None
        opened.greeting.callback({})
        assert events == ["hello", "listening"]
        assert reactor.site.noisy is False

    def test_stop_ends_the_driver_last(self, make, events):
        service, opened = make()
        service.startService()
        opened.greeting.callback({})
        stopped = service.stopService()
        assert stopped.called
        assert events[-1] == "driver stopped"

    def test_stop_before_the_hello_gives_the_address_up(self, make, events):
        service, _ = make()
        service.startService()
        stopped = service.stopService()
        assert stopped.called
        assert events == ["hello", "driver stopped"]

    def test_stop_before_the_hello_is_no_start_without_a_driver(self, make, events, monkeypatch):
        """A driver that ends before its hello is served without; ours ends because all does."""
        service, opened = make()

        async def hello():
            try:
                return await opened.greeting
            except CancelledError:
                return {}

        monkeypatch.setattr(opened, "hello", hello)
        service.startService()
        stopped = service.stopService()
        assert stopped.called
        assert events == ["driver stopped"]

    def test_only_what_was_served_is_told_its_time_at_the_end(self, make, logged):
        """A start that failed has no requests in progress; its sentence is what is to be read."""
        refused, driver = make()
        refused.startService()
        driver.greeting.errback(StartError("the driver refuses; mend it"))
        refused.stopService()
        assert [sentence for sentence in logged if "stopping" in sentence] == []
        serving, driver = make()
        serving.startService()
        driver.greeting.callback({})
        serving.stopService()
        assert [sentence for sentence in logged if "stopping" in sentence] == [
            "stopping: requests in progress have 8 s"
        ]

    def test_refused_hello_is_told(self, make, events):
        service, opened = make()
        service.startService()
        opened.greeting.errback(StartError("the driver refuses; mend it"))
        assert events == ["hello", "failed: the driver refuses; mend it"]

    def test_storage_where_hosts_can_not_agree_needs_a_secret(self, make, events):
        """The sentence names the key."""
        service, opened = make()
        opened.decides = False
        service.startService()
        opened.greeting.callback({"protocol": 1})
        assert events[1].startswith("failed: http.secret is not set, and hosts can't agree")
        assert "listening" not in events

    def test_configured_secret_is_enough_there(self, make, events):
        text = "version: 0.1\nhttp: {addr: '127.0.0.1:0', secret: ours}\nstorage: inmemory"
        service, opened = make(load_text(text, {}))
        opened.decides = False
        service.startService()
        opened.greeting.callback({"protocol": 1})
        assert events == ["hello", "listening"]

    def test_fault_of_ours_is_told_too(self, make, events):
        """The process must not stay without serving."""
        service, opened = make()
        service.startService()
        opened.greeting.errback(ZeroDivisionError())
        assert events[1].startswith(
            "failed: the registry can't be started because of a fault of its own"
        )

    def test_driver_without_a_program_leaves_the_address_free(self, make):
        def refuse(storage, reactor):
            raise StartError("no such program")

        service, _ = make(opener=refuse)
        with pytest.raises(StartError, match="no such program"):
            service.startService()
        assert service._ports is None

    def test_address_that_can_not_be_had_is_an_error_of_the_start(self, make):
        service, _ = make(
            load_text("version: 0.1\nhttp: {addr: '192.0.2.1:1'}\nstorage: inmemory", {})
        )
        with pytest.raises(StartError, match=r"192\.0\.2\.1:1 is not an address of this host"):
            service.startService()

    def test_storage_that_does_not_answer_yet_is_served_and_asked_again(
        self, make, events, reactor, monkeypatch, logged
    ):
        """The token key lies in the storage; without it uploads wait, reads don't."""
        service, opened = make()
        real = opened.driver.get

        async def away(path):
            raise Unavailable("gone")

        monkeypatch.setattr(opened.driver, "get", away)
        service.startService()
        opened.greeting.callback({})
        assert events == ["hello", "listening"]
        reactor.pump([1.0] * 120)
        monkeypatch.setattr(opened.driver, "get", real)
        reactor.pump([1.0] * 120)
        assert service._starting.called
        told = [sentence for sentence in logged if "token key" in sentence]
        assert told == [
            "uploads are refused until the token key can be read: gone",
            "the token key is read: uploads are taken",
        ]  # and not each time that it was asked for


class PurgeTests:
    def uploads_are_purged(self, make, reactor, text):
        configuration = configured(text)
        service, opened = make(configuration)
        service.startService()
        opened.greeting.callback({})
        return bool(service._upkeep)

    @pytest.mark.parametrize(
        ("text", "purged"),
        [
            ("delete: ", True),
            ("maintenance: {uploadpurging: {enabled: false}}", False),
            ("maintenance: {readonly: {enabled: true}}", False),
        ],
    )
    def test_uploads_are_purged_unless_that_is_off_or_nothing_may_change(
        self, make, reactor, text, purged
    ):
        assert self.uploads_are_purged(make, reactor, text) is purged
