# SPDX-License-Identifier: Apache-2.0
"""A registry that this process serves itself, from its wiring to its end."""

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock

from txregistry.auth.asking import Everybody
from txregistry.authentication import Authentication
from txregistry.config import load_text
from txregistry.identify.schemes import Silly
from txregistry.own_front import OwnFront
from txregistry.process.parsing import ManifestParser
from txregistry.process.spec import StartError
from txregistry.storage.hosted import HostedDriver
from txregistry.storage.memory import MemoryStore
from txregistry.watching import Watch


def configured(text=""):
    return load_text(f"version: 0.1\nstorage: inmemory\n{text}", {})


SILLY = configured("auth: {silly: {realm: r, service: s}}")


class Ports:
    """Serves nobody; tells what it was to serve."""

    site = acme = None

    def __init__(self, events):
        self._events = events

    def serve(self, site, acme):
        self._events.append("ports")
        self.site, self.acme = site, acme


@pytest.fixture
def events():
    return []


@pytest.fixture
def ports(events):
    return Ports(events)


@pytest.fixture
def reactor():
    return MemoryReactorClock()


@pytest.fixture
def authentication(reactor):
    configuration = configured()
    return Authentication(configuration.auth, configuration.http, reactor)


@pytest.fixture
def front(events, ports, reactor, authentication):
    async def run_now(work):
        return work()

    configuration = configured()
    return OwnFront(
        configuration,
        reactor,
        driver=HostedDriver(MemoryStore(), run=run_now),
        ports=ports,
        watch=Watch(configuration, reactor),
        parser=ManifestParser(),
        authentication=authentication,
        observer=None,
        access_log=None,
        when_up=lambda: events.append("up"),
    )


def test_it_is_up_once_the_ports_are_served(front, events, ports):
    assert events == []
    front.serve()
    assert events == ["ports", "up"]
    assert (ports.site.settings.challenges_only, ports.acme.settings.challenges_only) == (
        False,
        True,
    )


def test_reload_changes_nothing_before_all_have_prepared(front, ports):
    front.serve()
    apply = front.prepare(SILLY)
    assert isinstance(ports.site.settings.identifying, Everybody)
    apply()
    assert isinstance(ports.site.settings.identifying, Silly)
    assert isinstance(ports.acme.settings.identifying, Silly)
    assert ports.acme.settings.challenges_only is True


def test_file_that_can_not_be_read_stops_a_reload(front, ports, tmp_path):
    front.serve()
    path = tmp_path / "absent"
    with pytest.raises(StartError, match=str(path)):
        front.prepare(configured(f"auth: {{htpasswd: {{realm: r, path: {path}}}}}"))
    assert isinstance(ports.site.settings.identifying, Everybody)


def test_collector_is_told_of_the_processes_that_compare_passwords_now(front, authentication):
    """A reload puts others in the place of those of the start."""

    def refused():
        return [each.value for each in front.samples() if each.name == "registry_pool_refused"]

    front.serve()
    authentication.hashing.refused = 5
    assert refused() == [5]
    front.prepare(SILLY)()
    assert refused() == [0]


def test_what_has_never_served_ends_at_once(front, reactor):
    """The start failed, or ended before storage was ready."""

    async def end():
        await front.drain(8.0)
        await front.stop()

    assert Deferred.fromCoroutine(end()).called
    assert reactor.getDelayedCalls() == []
