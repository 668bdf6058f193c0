# SPDX-License-Identifier: Apache-2.0
"""Requests that nobody thought of: neighbors of the table's rows, and heads of Hypothesis.

Both are the same in every run; the long form of the campaign takes more of them.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .neighbors import CONFIGURATION, answers, neighbors, try_neighbors
from .tallies import TALLIES
from .trial import Trial
from .ward import Ward

TEXT = st.one_of(
    st.sampled_from(
        ["", "a", "/", "..", "%2e", "v2", "_catalog", "uploads", "sha256:" + "0" * 64, "x" * 300]
    ),
    st.text(st.characters(max_codepoint=255, exclude_characters="\r\n"), max_size=12),
)
TARGETS = st.one_of(
    TEXT,
    st.lists(TEXT, max_size=6).map(lambda parts: "/v2/" + "/".join(parts)),
    st.tuples(
        st.sampled_from(["a", "a/b", "A", ""]),
        st.sampled_from(["manifests", "blobs", "blobs/uploads", "tags", "referrers"]),
        TEXT,
        TEXT,
    ).map(lambda parts: "/v2/{}/{}/{}?{}".format(*parts)),
)
NAMES = st.one_of(
    st.sampled_from(
        [
            *("Host", "Content-Length", "Transfer-Encoding", "Expect", "Range", "Content-Range"),
            *("Accept", "If-None-Match", "If-Match", "Content-Type", "Connection", "Upgrade"),
            *("Authorization", "X-Forwarded-For", "X-Request-Id", "Content-Encoding", "Origin"),
        ]
    ),
    TEXT,
)
VALUES = st.one_of(
    st.sampled_from(
        [
            *(
                "0",
                "5",
                "-1",
                "0x5",
                "chunked",
                "identity",
                "100-continue",
                "bytes=0-1",
                "0-4",
                "h",
            ),
            *("close", "keep-alive", "*/*", '"x"', 'W/"x"', "*", "gzip", "text/html", "Basic OnB3"),
            *("Bearer x.y.z", "application/vnd.oci.image.manifest.v1+json", "9" * 30, ","),
        ]
    ),
    TEXT,
)
LINES = st.tuples(NAMES, st.sampled_from([": ", ":", " : ", ""]), VALUES).map("".join)
METHODS = st.one_of(st.sampled_from(["GET", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"]), TEXT)
VERSIONS = st.one_of(st.sampled_from(["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0"]), TEXT)


@st.composite
def heads(draw):
    """A head, mostly one that is understood."""
    first = f"{draw(METHODS)} {draw(TARGETS)} {draw(VERSIONS)}"
    lines = draw(st.lists(LINES, max_size=5))
    if draw(st.booleans()):
        lines.insert(0, "Host: h")
    return ("\r\n".join([first, *lines]) + "\r\n\r\n").encode("latin-1")


@pytest.fixture(scope="module")
def ward(tmp_path_factory):
    with Ward(tmp_path_factory.mktemp("fuzz"), CONFIGURATION) as ward:
        yield ward


def test_neighbors_of_rows_break_nothing(ward):
    """Rows with something changed."""
    trial = Trial(ward, "neighbors")
    TALLIES.append(trial.tally)
    with trial:
        try_neighbors(trial, neighbors(320, random.Random(1)))
    assert trial.tally.tried == 320
    assert not trial.tally.wrong, "\n".join(trial.tally.wrong)


def test_heads_that_nobody_thought_of_break_nothing(ward):
    """Every answer is well-formed and none is a 5xx, and the server goes on."""
    tried = []

    @settings(
        max_examples=200,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(heads())
    def fuzz(head):
        tried.append(head)
        _, problems = answers(ward.port, head)
        assert not problems

    fuzz()
    assert len(tried) >= 200
    assert ward.is_alive()
    assert not ward.complaints()
