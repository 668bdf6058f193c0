# SPDX-License-Identifier: Apache-2.0
"""Refusals as answers: a row per code, and what is unexpected."""

import json

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, globalLogPublisher

from txregistry.errand import Errand
from txregistry.oci.errors import Code, OciError, several
from txregistry.registry.body import BodyCut
from txregistry.storage.errors import Missing, NoSpace, Unavailable
from txregistry.web.faults import STATUSES, Faults, refusal, status_of
from txregistry.web.outlets import ClientGone

# Written out again, from the specification and what registry:3 answers.
EXPECTED = {
    "BLOB_UNKNOWN": 404,
    "BLOB_UPLOAD_INVALID": 404,
    "BLOB_UPLOAD_UNKNOWN": 404,
    "DIGEST_INVALID": 400,
    "MANIFEST_BLOB_UNKNOWN": 400,
    "MANIFEST_INVALID": 400,
    "MANIFEST_UNKNOWN": 404,
    "MANIFEST_UNVERIFIED": 400,
    "NAME_INVALID": 400,
    "NAME_UNKNOWN": 404,
    "SIZE_INVALID": 400,
    "UNAUTHORIZED": 401,
    "DENIED": 403,
    "UNSUPPORTED": 405,
    "TOOMANYREQUESTS": 429,
    "PAGINATION_NUMBER_INVALID": 400,
    "RANGE_INVALID": 416,
    "TAG_INVALID": 400,
    "UNAVAILABLE": 503,
    "UNKNOWN": 500,
}


@pytest.fixture
def logged():
    """Warnings that were logged."""
    events = []

    def observe(event):
        if event["log_level"] is LogLevel.warn:
            events.append(event)

    globalLogPublisher.addObserver(observe)
    yield events
    globalLogPublisher.removeObserver(observe)


class Asked:
    """A request to be answered."""

    method = b"GET"
    path = b"/v2/a/tags/list"

    def __init__(self, status=0):
        self.status = status
        self.events = []
        self.errand = Errand("1")

    def abort(self):
        self.events.append("abort")


def run(request, error, faults=None):
    """What is sent when the work on ``request`` raises ``error``."""

    async def work():
        raise error

    sent = []
    faults = faults or Faults(lambda: 0.0)
    Deferred.fromCoroutine(faults.guarded(work(), request, sent.append))
    return sent


def test_every_code_has_a_status():
    """No refusal can end as a KeyError."""
    assert set(STATUSES) == set(Code)


@pytest.mark.parametrize("code", list(Code), ids=lambda code: code.value)
def test_code_is_answered_with_its_status_and_json(code):
    """Each code has the status that clients know, and a body that they can parse."""
    answer = refusal(OciError(code, "why"))
    assert answer.status == EXPECTED[code.value]
    assert ("Content-Type", "application/json") in answer.headers
    assert json.loads(answer.body)["errors"] == [
        {"code": code.value, "message": code.message, "detail": "why"}
    ]


def test_too_large_is_413_whatever_its_code():
    """A size over a limit has a status of its own."""
    assert status_of(OciError(Code.MANIFEST_INVALID, too_large=True)) == 413


def test_malformed_is_400_whatever_its_code():
    """A schema 1 manifest is the client's fault, not a missing feature."""
    assert status_of(OciError(Code.UNSUPPORTED, malformed=True)) == 400


def test_status_is_that_of_the_first_error():
    """Several missing blobs are one answer."""
    error = several([OciError(Code.MANIFEST_BLOB_UNKNOWN, "a"), OciError(Code.UNKNOWN, "b")])
    answer = refusal(error)
    assert answer.status == 400
    assert [row["detail"] for row in json.loads(answer.body)["errors"]] == ["a", "b"]


@pytest.mark.parametrize(
    "code, asked, told",
    [
        (Code.UNAVAILABLE, 30, "30"),
        (Code.UNAVAILABLE, None, "1"),
        (Code.TOOMANYREQUESTS, 0, "1"),
    ],
)
def test_later_says_when(code, asked, told):
    """503 and 429 always carry Retry-After."""
    assert ("Retry-After", told) in refusal(OciError(code, retry_after=asked)).headers


def test_refusal_is_sent_and_not_logged(failures):
    """Expected refusals are nobody's incident."""
    [answer] = run(Asked(), OciError(Code.BLOB_UNKNOWN))
    assert answer.status == 404
    assert failures == []


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("secret path"), OciError(Code.UNKNOWN, "driver's words")]
)
def test_unexpected_is_500_with_an_incident(failures, error):
    """The client gets a number, the log the traceback."""
    [answer] = run(Asked(), error)
    assert answer.status == 500
    [row] = json.loads(answer.body)["errors"]
    assert row["code"] == "UNKNOWN"
    number = row["detail"]["incident"]
    assert list(row["detail"]) == ["incident"]
    event = failures.pop()
    assert event["incident"] == number
    assert event["log_failure"].value is error


def test_after_the_head_everything_breaks_the_connection(failures):
    """A client never takes a part for the whole, nor finds an error in the middle of a blob."""
    request = Asked(status=200)
    assert run(request, OciError(Code.UNAVAILABLE)) == []
    assert request.events == ["abort"]
    assert failures.pop()["log_format"].startswith("answer broken off")


def test_storage_that_is_lost_on_the_way_is_no_fault(failures, logged):
    """Each download that it breaks off has a line in the log, and no traceback."""
    request = Asked(status=200)
    assert run(request, Unavailable("the driver was lost")) == []
    assert request.events == ["abort"]
    assert (failures, [event["reason"] for event in logged]) == (
        [],
        ["Unavailable: the driver was lost"],
    )


@pytest.mark.parametrize("error", [BodyCut("x"), ClientGone(), CancelledError()])
def test_nobody_left_is_not_answered(failures, error):
    """A client that went away is neither told nor logged."""
    request = Asked()
    assert run(request, error) == []
    assert request.events == ["abort"]
    assert failures == []


def test_trouble_with_storage_is_logged_now_and_then(logged):
    """An operator learns why clients get 503, without a line for each of them."""
    clock = Clock()
    faults = Faults(clock.seconds)
    for _ in range(20):
        for cause in (NoSpace("the disk is full"), Unavailable("the driver is gone")):
            error = OciError(Code.UNAVAILABLE)
            error.__cause__ = cause
            [answer] = run(Asked(), error, faults)
            assert answer.status == 503 and b"disk" not in answer.body
        clock.advance(1)
    assert [event["reason"] for event in logged] == [
        "NoSpace: the disk is full",
        "Unavailable: the driver is gone",
    ] * 2


def test_what_is_not_there_is_no_trouble(logged):
    """404 has a cause in storage, too, and is nobody's concern."""
    error = OciError(Code.BLOB_UNKNOWN)
    error.__cause__ = Missing()
    run(Asked(), error)
    assert logged == []
