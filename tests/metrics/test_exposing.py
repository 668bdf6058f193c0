# SPDX-License-Identifier: Apache-2.0
"""What a collector gets, and that the documents say the same."""

import re
from pathlib import Path
from types import SimpleNamespace

import attrs
import pytest
from prometheus_client.parser import text_string_to_metric_families

from txregistry.events.counts import EndpointCounts, QueueCounts
from txregistry.metrics import (
    FAMILIES,
    Actions,
    Exposition,
    Kind,
    Requests,
    Sample,
    cache_samples,
    driver_samples,
    queue_samples,
)
from txregistry.process.status import DriverStatus, Pong, State, Windows

from .test_requests import record

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENT = (ROOT / "docs" / "operate" / "monitoring.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(registry_\w+)` \| (\w+) \| ([^|]+) \| ([^|]+) \|$", re.MULTILINE)

PONG = Pong(3, 1500, 77, 10_000, 20, "no-space")
STATUS = DriverStatus(
    **{
        **{field.name: 0 for field in attrs.fields(DriverStatus)},
        "name": "filesystem",
        "state": State.READY,
        "reason": "",
        "version": "1",
        "isolation": (),
        "pid": 5,
        "deaths": 2,
        "greetings": 3,
        "is_breaker_open": False,
        "pong": PONG,
        "windows": Windows(5, 10, 1),
        "replaced": {},
    }
)


def exposed(present=(), requests=None, actions=None, accept=""):
    exposition = Exposition(
        requests or Requests(), actions or Actions("filesystem"), lambda: list(present)
    )
    return exposition.render(accept)


def families(*arguments, **words):
    text = exposed(*arguments, **words)[1].decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def values(family):
    return {
        (sample.name, *sample.labels.values()): sample.value
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


class ExpositionTests:
    def test_every_metric_is_there_from_the_start(self):
        """Alerts on a metric that is not there yet would never fire."""
        found = families()
        assert set(FAMILIES) <= set(found)
        for name, family in FAMILIES.items():
            assert (found[name].type, found[name].documentation) == (
                family.kind.value,
                family.meaning,
            )

    def test_process_tells_of_itself(self):
        assert {"process_resident_memory_bytes", "python_info"} <= set(families())

    def test_histogram_counts_up_to_each_end(self):
        requests = Requests()
        for duration in (0.001, 0.002, 0.3, 99):
            requests.ended(record(duration=duration))
        family = families(requests=requests)["registry_http_request_duration_seconds"]
        buckets = {
            sample.labels["le"]: sample.value
            for sample in family.samples
            if sample.name.endswith("_bucket")
        }
        assert (buckets["0.001"], buckets["0.0025"], buckets["0.25"]) == (1, 2, 2)
        assert (buckets["0.5"], buckets["60"], buckets["+Inf"]) == (3, 3, 4)
        sums = values(family)
        assert sums["registry_http_request_duration_seconds_count", "tags", "get"] == 4
        assert sums["registry_http_request_duration_seconds_sum", "tags", "get"] == 99.303

    @pytest.mark.parametrize(
        ("accept", "content_type"),
        [
            ("", "text/plain; version=0.0.4"),
            ("*/*", "text/plain; version=0.0.4"),
            ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text"),
            ("text/plain\x00;;version=x,,", "text/plain"),
        ],
    )
    def test_form_is_the_collectors(self, accept, content_type):
        assert exposed(accept=accept)[0].startswith(content_type)

    def test_undeclared_metric_is_our_fault(self):
        with pytest.raises(KeyError):
            exposed([Sample("registry_unheard_of", (), 1)])

    def test_label_that_is_hostile_stays_in_its_place(self):
        text = exposed([Sample("registry_health_failing", ('a"} 1\n', "file"), 1)])[1].decode()
        assert 'registry_health_failing{check="a\\"} 1\\n",kind="file"} 1.0' in text


class SampleTests:
    def test_driver_says_how_it_is(self):
        found = families(driver_samples(STATUS))
        assert values(found["registry_driver_up"]) == {("registry_driver_up", "filesystem"): 1}
        states = values(found["registry_driver_state"])
        assert [key[2] for key, value in states.items() if value] == ["ready"]
        assert len(states) == len(State)
        assert values(found["registry_driver_deaths"]) == {
            ("registry_driver_deaths_total", "filesystem"): 2
        }
        replaced = attrs.evolve(STATUS, replaced={"resident": 3, "operations": 0})
        assert values(families(driver_samples(replaced))["registry_driver_replacements"]) == {
            ("registry_driver_replacements_total", "filesystem", "resident"): 3,
            ("registry_driver_replacements_total", "filesystem", "operations"): 0,
        }
        storage = values(found["registry_driver_storage_state"])
        assert [key[2] for key, value in storage.items() if value] == ["no-space"]
        [oldest] = values(found["registry_driver_oldest_operation_seconds"]).values()
        assert oldest == 1.5

    def test_driver_that_is_away_says_nothing_of_itself(self):
        away = attrs.evolve(STATUS, state=State.RESTARTING, reason="it restarts", pong=None)
        found = families(driver_samples(away))
        assert list(values(found["registry_driver_up"]).values()) == [0]
        assert values(found["registry_driver_operations"]) == {}

    def test_drivers_own_words_are_no_labels(self):
        """A driver that is not ours may say anything."""
        odd = attrs.evolve(STATUS, pong=attrs.evolve(PONG, storage="a" * 10_000))
        storage = values(families(driver_samples(odd))["registry_driver_storage_state"])
        assert [key[2] for key, value in storage.items() if value] == ["other"]

    def test_driver_that_tells_little_is_enough(self):
        silent = Pong(0, 0, 0, None, None, None)
        found = families(driver_samples(attrs.evolve(STATUS, pong=silent)))
        for name in ("resident_bytes", "open_descriptors", "storage_state"):
            assert values(found[f"registry_driver_{name}"]) == {}

    def test_queue_says_what_waits_and_what_was_given_up(self):
        endpoint = EndpointCounts("hook", "http://x/", queued=9, delivered=4, failures=2)
        endpoint.statuses["500"] = 2
        endpoint.dropped_for_age = 1
        endpoint.waiting = 5
        endpoint.waiting_bytes, endpoint.waiting_since = 100, 50.0
        found = families(queue_samples(QueueCounts(9, 3, 1), [endpoint], 60.0))
        events = values(found["registry_notifications_events"])
        name = "registry_notifications_events_total"
        assert events == {
            (name, "hook", "Events"): 9,
            (name, "hook", "Successes"): 4,
            (name, "hook", "Failures"): 2,
        }
        assert list(values(found["registry_notifications_oldest_seconds"]).values()) == [10]
        assert list(values(found["registry_notifications_pending_total"]).values()) == [5]
        dropped = values(found["registry_notifications_dropped"])
        assert dropped["registry_notifications_dropped_total", "hook", "age"] == 1
        assert sum(values(found["registry_notifications_unqueued"]).values()) == 4

    def test_caches_say_what_they_are_good_for(self):
        manifests = SimpleNamespace(size=700, hits=3, misses=1)
        redis = SimpleNamespace(requests=9, hits=4, errors=2)
        found = families(cache_samples({"manifests": manifests}, redis))
        name = "registry_storage_cache"
        assert values(found[f"{name}_requests"]) == {
            (f"{name}_requests_total", "manifests"): 4,
            (f"{name}_requests_total", "redis"): 9,
        }
        assert list(values(found[f"{name}_hits"]).values()) == [3, 4]
        assert values(found[f"{name}_errors"]) == {(f"{name}_errors_total", "redis"): 2}
        assert values(found[f"{name}_bytes"]) == {(f"{name}_bytes", "manifests"): 700}

    def test_host_without_redis_says_nothing_of_it(self):
        found = families(cache_samples({}, None))
        assert values(found["registry_storage_cache_requests"]) == {}

    def test_commands_and_redis_are_timed(self):
        actions = Actions("filesystem")
        actions.answered("Stat", 0.0002)
        actions.redis_took("Get", 0.003)
        found = families(actions=actions)
        commands = values(found["registry_driver_command_seconds"])
        assert commands["registry_driver_command_seconds_count", "Stat", "filesystem"] == 1
        redis = values(found["registry_storage_cache_redis_seconds"])
        assert redis["registry_storage_cache_redis_seconds_sum", "Get"] == 0.003


class DocumentTests:
    def test_every_metric_is_described_once(self):
        described = [match[1] for match in ROW.finditer(DOCUMENT)]
        assert sorted(described) == sorted(family.exposed for family in FAMILIES.values())

    @pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
    def test_description_has_its_kind_and_labels(self, family):
        kind, labels = next(
            (match[2], match[3]) for match in ROW.finditer(DOCUMENT) if match[1] == family.exposed
        )
        assert kind == family.kind.value
        assert re.findall(r"`(\w+)`", labels) == list(family.labels)

    def test_kinds_are_few(self):
        assert {family.kind for family in FAMILIES.values()} == set(Kind)
