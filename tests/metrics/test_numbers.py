# SPDX-License-Identifier: Apache-2.0
"""What several processes have counted makes one answer."""

import json

from txregistry.metrics import FAMILIES, Actions, Kind, Numbers, Requests, Sample, Together
from txregistry.metrics import numbers as module
from txregistry.metrics.exposing import Exposition
from txregistry.metrics.numbers import added

ANSWERED = ("blob", "200", "get")


def counted(times, *samples):
    """The numbers of a process that answered so many requests."""
    requests, actions = Requests(), Actions("d")
    for _ in range(times):
        requests.answered.add(ANSWERED)
        requests.durations.observe(("blob", "get"), 0.002)
    return Numbers.of(requests, actions, samples)


def value(numbers, name, labels=()):
    return numbers.plain[name][labels]


class AddedTests:
    def test_counters_and_histograms_add_up(self):
        total = added(counted(1), [counted(2), counted(3)])
        assert value(total, "registry_http_requests", ANSWERED) == 6
        tally = total.histograms["registry_http_request_duration_seconds"]["blob", "get"]
        assert sum(tally.counts) == 6
        assert round(tally.total, 6) == 0.012

    def test_gauges_of_which_each_has_a_part_add_up(self):
        parts = [counted(0, Sample("registry_http_connections", (), n)) for n in (3, 4)]
        assert value(added(counted(0), parts), "registry_http_connections") == 7

    def test_largest_holds_of_what_each_knows_as_a_whole(self):
        parts = [counted(0, Sample("registry_upload_sessions_open", (), n)) for n in (3, 4)]
        assert value(added(counted(0), parts), "registry_upload_sessions_open") == 4

    def test_main_process_alone_speaks_of_what_it_owns(self):
        """A front end has not started the driver, and does not know how the queue is."""
        main = counted(
            0, Sample("registry_driver_deaths", ("d",), 2), Sample("registry_ready", (), 1)
        )
        front = counted(
            0, Sample("registry_driver_deaths", ("d",), 5), Sample("registry_ready", (), 0)
        )
        total = added(main, [front])
        assert value(total, "registry_driver_deaths", ("d",)) == 2
        assert value(total, "registry_ready") == 1

    def test_every_metric_that_is_named_exists(self):
        for names in (module._PARTS, module._WHOLES):
            assert {FAMILIES[name].kind for name in names} == {Kind.GAUGE}
        assert {FAMILIES[name].kind for name in module._OF_MAIN} == {Kind.COUNTER}

    def test_numbers_arrive_as_they_were_told(self):
        numbers = counted(2, Sample("registry_http_connections", (), 1))
        assert Numbers.from_json(json.loads(json.dumps(numbers.to_json()))) == numbers


class TogetherTests:
    def test_sum_never_goes_back(self):
        """Whoever draws rates of it would see an absurd peak."""
        together = Together()
        together.took(1, counted(5, Sample("registry_http_connections", (), 9)))
        together.took(2, counted(1, Sample("registry_http_connections", (), 1)))
        together.lost(1)
        together.lost(1)
        total = added(counted(0), together.all)
        assert value(total, "registry_http_requests", ANSWERED) == 6
        assert value(total, "registry_http_connections") == 1
        together.took(1, counted(2))
        total = added(counted(0), together.all)
        assert value(total, "registry_http_requests", ANSWERED) == 8

    def test_collector_is_told_the_sum(self):
        requests = Requests()
        requests.answered.add(ANSWERED)
        exposition = Exposition(requests, Actions("d"), tuple)
        line = 'registry_http_requests_total{code="200",handler="blob",method="get"} %s'
        assert line % "4.0" in exposition.render("", [counted(3)])[1].decode()
        assert line % "1.0" in exposition.render("")[1].decode()
