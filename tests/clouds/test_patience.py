# SPDX-License-Identifier: Apache-2.0
"""A server that asks for patience says for how long; the registry's clients are told."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from azure.core.exceptions import HttpResponseError
from google.api_core.exceptions import RetryError, TooManyRequests
from swiftclient.exceptions import ClientException

from txregistry.driver import Throttled
from txregistry_drivers.azure import refusals as azure
from txregistry_drivers.gcs import refusals as gcs
from txregistry_drivers.objects.refusals import patience
from txregistry_drivers.swift import refusals as swift

LATER = {"Retry-After": "7"}
ANSWER = SimpleNamespace(status_code=429, reason="busy", headers=LATER)


@pytest.mark.parametrize(
    ("module", "error"),
    [
        (azure, HttpResponseError(response=ANSWER)),
        (gcs, TooManyRequests("busy", response=ANSWER)),
        (gcs, RetryError("busy", TooManyRequests("busy", response=ANSWER))),
        (swift, ClientException("busy", http_status=498, http_response_headers=LATER)),
    ],
)
def test_what_the_server_says_is_passed_on(module, error):
    refused = module.refusal(error, "key", "a look")
    assert (type(refused), refused.retry_after) == (Throttled, 7.0)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7", 7), ("99999", 3600), ("Fri, 31 Dec 2027 23:59:59 GMT", 1), ("-1", 1), ("\u0664", 1)],
)
def test_what_makes_no_sense_is_a_second(text, seconds):
    """And more than an hour is one."""
    assert patience({"retry-after": text}) == seconds
    assert patience({}) == 1
