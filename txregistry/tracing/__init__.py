# SPDX-License-Identifier: Apache-2.0
"""Traces by OpenTelemetry, for those who ask for them (the extra ``otel``).

Room: tracing. Must not know routes, nor how a driver is reached.

    client's span  ->  GET blob  ->  storage Reader  ->  in the driver's process
      traceparent      ``spans``      ``driver``          as long as the driver says

The driver's process sends nothing anywhere: it has no network. It is told the trace with each
question (``traceparent``) and answers how long it took (``elapsed_us``); its span is made here.
"""

from txregistry.tracing.driver import TracedDriver
from txregistry.tracing.spans import Tracing, make_tracing

__all__ = ["TracedDriver", "Tracing", "make_tracing"]
