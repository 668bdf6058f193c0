# SPDX-License-Identifier: Apache-2.0
"""Whether this host may be sent requests, and why not.

Room: health. Must not know HTTP as it is served, nor drivers: what is looked at is handed in as a
function or a probe.

``board``    what is known: conditions that are asked when somebody looks, checks that run by
             themselves
``checks``   one check: a probe, how often, and how many failures in a row count
``probes``   what can be probed: the storage, a file, a URL, a port
"""

from txregistry.health.board import Board, Problem
from txregistry.health.checks import PROBE_TIMEOUT, Check, Probe, Unhealthy
from txregistry.health.probes import probe_file, probe_http, probe_storage, probe_tcp, shown

__all__ = [
    "PROBE_TIMEOUT",
    "Board",
    "Check",
    "Probe",
    "Problem",
    "Unhealthy",
    "probe_file",
    "probe_http",
    "probe_storage",
    "probe_tcp",
    "shown",
]
