# SPDX-License-Identifier: Apache-2.0
"""Checks a storage tree: is everything there that is promised, and nothing that should not be?

Room: admin. Must not know the command line. ``docs/operate/check.md`` says what is found.

``findings``     the classes, and what one finding is
``layout``       which names belong where;  ``area`` walks by it and tells of what is foreign
``inspection``   what all parts share; nothing is reported before a second look
``blobs`` ``links`` ``revisions`` ``references`` ``referrers`` ``tags`` ``sessions``   the parts
``repositories`` goes through them;  ``run`` does all of it in order, again if it repairs
``quarantine``   where repairs put things
``report``       the report as text and as JSON
"""

from txregistry.admin.check.findings import KINDS, Finding, Kind, Severity
from txregistry.admin.check.inspection import Options, Progress, Reporter, Totals
from txregistry.admin.check.run import Orphans, Summary, check

__all__ = [
    "KINDS",
    "Finding",
    "Kind",
    "Options",
    "Orphans",
    "Progress",
    "Reporter",
    "Severity",
    "Summary",
    "Totals",
    "check",
]
