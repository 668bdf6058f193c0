# SPDX-License-Identifier: Apache-2.0
"""Every case of the suite, in the order in which they build on one another.

Room: storage.
"""

from txregistry.storage.suite import commits, contents, readings, states, trees, writers
from txregistry.storage.suite.case import Case

CASES: tuple[Case, ...] = (
    *trees.CASES,
    *contents.CASES,
    *readings.CASES,
    *writers.CASES,
    *states.CASES,
    *commits.CASES,
)
