# SPDX-License-Identifier: Apache-2.0
"""The contract suite: what every storage driver promises, tried on it.

Cases are asynchronous functions over a :class:`~txregistry.storage.contract.Driver`, so the same
suite runs over a driver in this process, over one behind the protocol, and over a real driver
process. The command ``txregistry driver test`` runs it; in a test runner, call :func:`run_case` for
each of ``CASES``.
"""

from txregistry.storage.suite.case import Broken, Case, Environment, NotOffered
from txregistry.storage.suite.promises import CASES
from txregistry.storage.suite.runner import (
    Outcome,
    Summary,
    Verdict,
    leftovers,
    run_case,
    run_suite,
)

__all__ = [
    "CASES",
    "Broken",
    "Case",
    "Environment",
    "NotOffered",
    "Outcome",
    "Summary",
    "Verdict",
    "leftovers",
    "run_case",
    "run_suite",
]
