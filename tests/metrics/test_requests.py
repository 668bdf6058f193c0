# SPDX-License-Identifier: Apache-2.0
"""What is counted of requests, whatever clients send."""

import pytest

from txregistry.metrics import Requests
from txregistry.web import AccessRecord
from txregistry.web.routes import make_rows


def record(**changes):
    values = {
        "client": "192.0.2.7",
        "method": "GET",
        "target": "/v2/a/tags/list",
        "status": 200,
        "sent": 12,
        "received": 3,
        "duration": 0.02,
        "user_agent": "u",
        "referer": "",
        "is_complete": True,
        "endpoint": "tags",
    }
    return AccessRecord(**{**values, **changes})


def test_request_is_counted_in_every_family():
    requests = Requests()
    for _ in range(2):
        requests.ended(record())
    assert requests.answered.values == {("tags", "200", "get"): 2}
    assert requests.durations.series["tags", "get"].total == pytest.approx(0.04)
    assert requests.request_sizes.series["tags",].total == 6
    assert requests.response_sizes.series["tags",].total == 24
    assert requests.refusals.values == {}
    assert requests.steps.values == {}


@pytest.mark.parametrize(
    ("endpoint", "handler"),
    [
        ("base", "base"),
        ("manifest", "manifest"),
        ("catalog", "catalog"),
        ("tags", "tags"),
        ("blob", "blob"),
        ("uploads", "blob_upload"),
        ("upload", "blob_upload_chunk"),
        ("nowhere", "none"),
        ("", "malformed"),
    ],
)
def test_handlers_have_the_names_of_registry_3(endpoint, handler):
    requests = Requests()
    requests.ended(record(endpoint=endpoint))
    assert requests.answered.values == {(handler, "200", "get"): 1}


def test_client_that_left_is_499():
    requests = Requests()
    requests.ended(record(status=0))
    assert requests.answered.values == {("tags", "499", "get"): 1}


def test_refusal_is_counted_by_its_code():
    requests = Requests()
    requests.ended(record(status=404, error="NAME_UNKNOWN"))
    assert requests.refusals.values == {("NAME_UNKNOWN",): 1}


@pytest.mark.parametrize(
    ("endpoint", "method", "status", "step"),
    [
        ("uploads", "POST", 202, "started"),
        ("upload", "PUT", 201, "finished"),
        ("upload", "DELETE", 204, "cancelled"),
        ("upload", "PUT", 400, None),
        ("manifest", "PUT", 201, None),
    ],
)
def test_steps_of_uploads_are_counted(endpoint, method, status, step):
    requests = Requests()
    requests.ended(record(endpoint=endpoint, method=method, status=status))
    assert requests.steps.values == ({(step,): 1} if step else {})


def test_hostile_clients_make_no_labels():
    """Nobody makes a collector's memory grow by inventing methods."""
    requests = Requests()
    for number in range(1000):
        requests.ended(record(method=f"M{number}", target=f"/v2/r{number}/tags/list"))
    assert requests.answered.values == {("tags", "200", "other"): 1000}
    assert len(requests._labels) == 0


def test_every_endpoint_is_a_name():
    """A route's name is a label's value as it is."""
    assert all(row.endpoint.isidentifier() for row in make_rows("/"))
