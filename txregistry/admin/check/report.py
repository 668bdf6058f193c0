# SPDX-License-Identifier: Apache-2.0
"""A check's report, as text for people and as one JSON document for programs.

Room: admin. Must not know the command line. Findings are written as they are found, so that a
report takes no memory, however much is wrong.

``docs/operate/check.md`` describes the document; members are only added to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from txregistry.admin.check.findings import Finding, Severity, Write
from txregistry.admin.check.run import Summary
from txregistry.admin.json_items import JsonItems
from txregistry.admin.sizes import count_text, size_text

#: Name and version of the document's form.
SCHEMA = "txregistry.check/1"


class TextReport:
    """The report for people.

    Args:
        write: takes a line.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def begin(self) -> None:
        """Nothing comes first."""

    def found(self, finding: Finding, repaired_to: str | None) -> None:
        """Write one finding: a line, and one more if something was done about it."""
        self._write(
            f"{finding.kind.severity.value:8} {finding.kind.name:20} {finding.path}: it {finding.why}"
        )
        if repaired_to is not None:
            done = "written again" if isinstance(finding.repair, Write) else "moved to"
            self._write(f"{'':29} {done}: {repaired_to}")

    def end(self, summary: Summary, *, strict: bool = False) -> None:
        """Write what came of it all."""
        for line in _totals(summary):
            self._write(line)
        if summary.repairs:
            self._write(f"repaired: {summary.repairs}; check again to see what is left")
        for directory in summary.quarantine:
            self._write(f"quarantine: {directory}")
        if summary.repairable and not summary.repairs:
            self._write(
                f"--repair would put {summary.repairable} of these right, and delete nothing"
            )
        if summary.unfinished is None:
            self._write("clean" if summary.is_clean(strict=strict) else "not clean")


class JsonReport:
    """The report for programs.

    Args:
        write: takes a line.
    """

    def __init__(self, write: Callable[[str], None]) -> None:
        self._items = JsonItems(write, SCHEMA, "findings")

    def begin(self) -> None:
        """Write what comes before the findings."""
        self._items.begin()

    def found(self, finding: Finding, repaired_to: str | None) -> None:
        """Write one finding."""
        self._items.add({**finding.to_json_object(), "repaired_to": repaired_to})

    def end(self, summary: Summary, *, strict: bool = False) -> None:
        """Write what came of it all."""
        self._items.end(summary_members(summary, strict=strict))


def summary_members(summary: Summary, *, strict: bool) -> Mapping[str, object]:
    """Return what the document has after its findings."""
    return {
        "errors": summary.count(Severity.ERROR),
        "warnings": summary.count(Severity.WARNING),
        "counts": {kind.name: number for kind, number in summary.counts.items()},
        "checked": attrs.asdict(summary.totals),
        "orphans": attrs.asdict(summary.orphans),
        "repairable": summary.repairable,
        "repairs": summary.repairs,
        "quarantine": list(summary.quarantine),
        "strict": strict,
        "unfinished": summary.unfinished,
        "clean": summary.unfinished is None and summary.is_clean(strict=strict),
    }


def exit_status(summary: Summary, *, strict: bool = False) -> int:
    """Return 0: clean, 1: problems found, 2: could not be finished."""
    if summary.unfinished is not None:
        return 2
    return 0 if summary.is_clean(strict=strict) else 1


def _totals(summary: Summary) -> list[str]:
    totals, orphans = summary.totals, summary.orphans
    lines = [
        f"checked: {count_text(totals.blobs, 'blob')} of {size_text(totals.bytes)} "
        f"({size_text(totals.bytes_read)} read), "
        f"{count_text(totals.repositories, 'repository', 'repositories')}, "
        f"{count_text(totals.manifests, 'manifest')}, {count_text(totals.tags, 'tag')}, "
        f"{count_text(totals.links, 'link')}, {count_text(totals.uploads, 'upload')}"
    ]
    if orphans.blobs:
        blobs = count_text(orphans.blobs, "blob")
        lines.append(f"in no repository: {blobs} of {size_text(orphans.bytes)}")
    counts = "".join(f", {kind.name} {number}" for kind, number in summary.counts.items())
    errors = count_text(summary.count(Severity.ERROR), "error")
    warnings = count_text(summary.count(Severity.WARNING), "warning")
    lines.append(f"found: {errors}, {warnings}{':' if counts else ''}{counts[1:]}")
    return lines
