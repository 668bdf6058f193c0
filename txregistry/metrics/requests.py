# SPDX-License-Identifier: Apache-2.0
"""Counts of answered requests.

Room: metrics. Told of each request as the access log is.
"""

from __future__ import annotations

from txregistry.metrics.tallies import Counts, Histogram
from txregistry.web.settings import AccessRecord

#: Seconds. prometheus' defaults, with two below for what is answered from memory and one above for
#: what is large.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)

#: Bytes: from a tag's answer to a layer.
SIZES = (256.0, 1024.0, 16_384.0, 262_144.0, 4_194_304.0, 67_108_864.0, 1_073_741_824.0)

#: Our endpoints as registry:3 calls its handlers; the others have their own names.
HANDLERS = {
    "uploads": "blob_upload",
    "upload": "blob_upload_chunk",
    "nowhere": "none",
    "": "malformed",
}

_METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"})

#: (endpoint, method, status) -> what it was for an upload's session.
_STEPS = {
    ("uploads", "POST", 202): ("started",),
    ("upload", "PUT", 201): ("finished",),
    ("upload", "DELETE", 204): ("cancelled",),
}


def handler_of(endpoint: str) -> str:
    """Return the value of the label ``handler``."""
    return HANDLERS.get(endpoint, endpoint)


class Requests:
    """Counts; one for each registry."""

    def __init__(self) -> None:
        self.answered = Counts()
        self.refusals = Counts()
        self.steps = Counts()
        self.durations = Histogram(SECONDS)
        self.request_sizes = Histogram(SIZES)
        self.response_sizes = Histogram(SIZES)
        # What one request's labels are was thought out once.
        self._labels: dict[tuple[str, str, int], tuple[tuple[str, str, str], tuple[str, str]]] = {}

    def ended(self, record: AccessRecord) -> None:
        """Count a request."""
        asked = (record.endpoint, record.method, record.status)
        labels = self._labels.get(asked)
        if labels is None:
            labels = self._labels_of(*asked)
        answered, shape = labels
        self.answered.add(answered)
        self.durations.observe(shape, record.duration)
        size_label = shape[:1]
        self.request_sizes.observe(size_label, record.received)
        self.response_sizes.observe(size_label, record.sent)
        if record.error:
            self.refusals.add((record.error,))
        step = _STEPS.get(asked)
        if step is not None:
            self.steps.add(step)

    def _labels_of(
        self, endpoint: str, method: str, status: int
    ) -> tuple[tuple[str, str, str], tuple[str, str]]:
        handler = handler_of(endpoint)
        known = method.lower() if method in _METHODS else "other"
        labels = (handler, str(status or 499), known), (handler, known)
        if method in _METHODS:  # else a client could make it grow without end
            self._labels[endpoint, method, status] = labels
        return labels
