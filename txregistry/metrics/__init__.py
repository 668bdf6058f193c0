# SPDX-License-Identifier: Apache-2.0
"""What is counted while the registry serves, and how it is told to a collector.

Room: metrics. Must not know routes, nor how a driver is reached.

``tallies``   plain numbers by labels: what the hot path touches, well under a microsecond each
``families``  every metric there is: its name, kind, labels and meaning
``requests``  counts of answered requests
``measured``  a driver that is timed
``samples``   what is true now: the driver's state, queues, windows, pools of processes
``numbers``   all of it as one value, and those of several processes added up
``exposing``  all of it as text, made when a collector asks

Nothing is registered globally, so that two registries in one process do not add up.
"""

from txregistry.metrics.exposing import Exposition
from txregistry.metrics.families import FAMILIES, Family, Kind
from txregistry.metrics.measured import Actions, MeasuredDriver
from txregistry.metrics.numbers import Numbers, Together
from txregistry.metrics.requests import Requests, handler_of
from txregistry.metrics.samples import (
    Pool,
    Sample,
    cache_samples,
    driver_samples,
    pool_samples,
    queue_samples,
)

__all__ = [
    "FAMILIES",
    "Actions",
    "Exposition",
    "Family",
    "Kind",
    "MeasuredDriver",
    "Numbers",
    "Pool",
    "Requests",
    "Sample",
    "Together",
    "cache_samples",
    "driver_samples",
    "handler_of",
    "pool_samples",
    "queue_samples",
]
