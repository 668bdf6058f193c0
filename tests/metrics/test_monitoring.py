# SPDX-License-Identifier: Apache-2.0
"""The dashboard and the alert rules that come with the documents ask for metrics that there are."""

import json
import re
from pathlib import Path

import pytest
import yaml

from txregistry.metrics import FAMILIES, Kind

FOLDER = Path(__file__).resolve().parent.parent.parent / "docs" / "operate" / "monitoring"

RULES = yaml.safe_load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))

ALERTS = {rule["alert"]: rule["expr"] for group in RULES["groups"] for rule in group["rules"]}
PANELS = {
    f"{panel['title']} {target['refId']}": target["expr"]
    for panel in DASHBOARD["panels"]
    for target in panel.get("targets", ())
}
QUERIES = {**ALERTS, **PANELS}

#: name{matchers}
SELECTOR = re.compile(r"\b((?:registry|process)_\w+)(?:\{([^}]*)\})?")
GROUPING = re.compile(r"\bby \(([^)]*)\)")
PARTS = ("_bucket", "_count", "_sum")

#: What prometheus itself adds to every sample, and what it may have of the process.
TARGET = {"instance", "job"}
PROCESS = {"process_resident_memory_bytes", "process_open_fds", "process_max_fds"}


def exposed():
    """Name of each series -> its labels."""
    series = {name: set() for name in PROCESS}
    for family in FAMILIES.values():
        if family.kind is Kind.HISTOGRAM:
            series |= {family.exposed + part: {*family.labels, "le"} for part in PARTS}
        else:
            series[family.exposed] = set(family.labels)
    return series


SERIES = exposed()


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_query_asks_for_what_is_exposed(query):
    """Whoever copies them sees numbers, with the labels that they have."""
    found = SELECTOR.findall(query)
    assert found
    labels = set(TARGET)
    for name, matchers in found:
        assert name in SERIES, name
        labels |= SERIES[name]
        named = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)
        assert set(named) <= SERIES[name] | TARGET, (name, named)
    for group in GROUPING.findall(query):
        assert {label.strip() for label in group.split(",")} <= labels, group


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_query_is_balanced_and_rates_are_of_counters(query):
    for opening, closing in ("()", "{}", "[]"):
        assert query.count(opening) == query.count(closing)
    for name in re.findall(r"(?:rate|increase)\((\w+)", query):
        assert name.endswith(("_total", *PARTS)), name


def test_alerts_say_what_is_wrong():
    for group in RULES["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"]["summary"] and rule["labels"]["severity"]


def test_every_metric_of_ours_is_looked_at_by_one_of_them():
    """What nobody looks at need not be counted; what is left out is named here."""
    text = "\n".join(QUERIES.values())
    unseen = {family.exposed for family in FAMILIES.values() if family.exposed not in text}
    assert unseen == {
        "registry_build_info",
        "registry_driver_breaker_open",
        "registry_driver_moved_bytes_total",
        "registry_driver_open_descriptors",
        "registry_front_ends",
        "registry_notifications_events_total",
    }


def test_panels_have_places_of_their_own():
    places = [tuple(panel["gridPos"].values()) for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)
