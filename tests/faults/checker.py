# SPDX-License-Identifier: Apache-2.0
"""The product's own checker, over a tree that no registry is at work on; the oracle is the other
opinion.
"""

from __future__ import annotations

import os
from collections import Counter

from twisted.internet.defer import Deferred, succeed

from txregistry.admin.check import Options, Severity, check
from txregistry.oci.manifests import parse_manifest
from txregistry.storage.blocking import run_inline
from txregistry.storage.hosted import HostedDriver
from txregistry_drivers.filesystem import create

from .oracle import examine


class Findings:
    """What a check finds.

    Attributes:
        errors: one sentence each.
        warnings: class -> how many; what a crash may leave behind.
    """

    def __init__(self, root):
        self.errors = []
        self.warnings = Counter()
        driver = HostedDriver(create({"rootdirectory": os.fspath(root)}), run=run_inline)
        try:
            summary = _result_of(self._check(driver))
        finally:
            _result_of(driver.aclose())
        if summary.unfinished is not None:
            self.errors.append(f"the check could not be finished: {summary.unfinished}")

    def _check(self, driver):
        return check(
            driver,
            self,
            parse=_parse,
            compute=run_inline,
            now=lambda: 0.0,
            pause=lambda seconds: succeed(None),
            options=Options(read_data=True),
        )

    def found(self, finding, repaired_to):
        if finding.kind.severity is Severity.ERROR:
            self.errors.append(f"{finding.kind.name}: {finding.path} {finding.why}")
        else:
            self.warnings[finding.kind.name] += 1

    def progressed(self, progress):
        pass


def find_losses(journal, root, warnings):
    """What both opinions and the journal say of a tree that nobody is at work on.

    Args:
        warnings: a Counter of what was left behind.

    Returns:
        What is lost, comes from nowhere, or is broken: one sentence each.
    """
    problems = journal.settle(examine(root))
    findings = Findings(root)
    warnings.update(findings.warnings)
    return problems + findings.errors


async def _parse(data, content_type):
    return parse_manifest(data, content_type)


def _result_of(coroutine):
    """What a coroutine returns that waits for nothing."""
    outcome = []
    Deferred.fromCoroutine(coroutine).addBoth(outcome.append)
    assert outcome, "it waits for something"
    if isinstance(outcome[0], BaseException) or hasattr(outcome[0], "raiseException"):
        outcome[0].raiseException()
    return outcome[0]
