# SPDX-License-Identifier: Apache-2.0
"""What is said of a collector that can't be reached: when that begins, and when it ends.

Room: tracing. OpenTelemetry's own words go to standard error in a form of their own, again and
again, and quote the collector's URL, which may hold a key.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from twisted.logger import Logger

log = Logger()


class ToldExporter(SpanExporter):
    """An exporter whose failures are told in our log, and not each of them. It is used by one
    thread.

    Args:
        exporter: does the work.
    """

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._is_failing = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send spans, or drop them."""
        result = self._exporter.export(spans)
        is_failing = result is not SpanExportResult.SUCCESS
        if is_failing and not self._is_failing:
            log.warn("traces do not reach tracing.endpoint: spans are dropped until they do")
        if self._is_failing and not is_failing:
            log.info("traces reach tracing.endpoint again")
        self._is_failing = is_failing
        return result

    def shutdown(self) -> None:
        """Send nothing any more."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what waits in the exporter itself."""
        return self._exporter.force_flush(timeout_millis)


def hush() -> None:
    """Keep from standard error what OpenTelemetry says by itself."""
    logging.getLogger("opentelemetry").propagate = False
    logging.getLogger("opentelemetry").addHandler(logging.NullHandler())
