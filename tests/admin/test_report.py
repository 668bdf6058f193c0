# SPDX-License-Identifier: Apache-2.0
"""What a check's report looks like, and how its progress is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from txregistry.admin.check import KINDS, Orphans, Progress, Severity, Summary, Totals
from txregistry.admin.check.display import Display
from txregistry.admin.check.findings import FOREIGN, LINK_ALIAS, Finding, Write, movable
from txregistry.admin.check.report import JsonReport, TextReport, exit_status
from txregistry.admin.sizes import size_text

CORRUPT = movable(KINDS["blob-corrupt"], "/b/data", "is not what its digest says", "/b")
ALIAS = Finding(LINK_ALIAS, "/l", "holds another")
RECORD = Finding(KINDS["referrer-missing"], "/r", "is missing", Write("/r", b"{}"))
TOTALS = Totals(3, 2048, 5, 1, 4, 2, 1, 0)


def summary(*findings, **members):
    counts = {}
    for finding in findings:
        counts[finding.kind] = counts.get(finding.kind, 0) + 1
    return Summary(counts, TOTALS, members.pop("orphans", Orphans()), **members)


def written(report_class, findings, result, **options):
    lines = []
    report = report_class(lines.append)
    report.begin()
    for finding, where in findings:
        report.found(finding, where)
    report.end(result, **options)
    return lines


class TextTests:
    def test_findings_are_lines(self):
        result = summary(CORRUPT, ALIAS, repairable=1, orphans=Orphans(2, 1536))
        assert written(TextReport, [(CORRUPT, None), (ALIAS, None)], result) == [
            "error    blob-corrupt         /b/data: it is not what its digest says",
            "warning  link-alias           /l: it holds another",
            "checked: 3 blobs of 2.0 KiB (5 bytes read), 1 repository, 2 manifests, 1 tag, 4 links,"
            " 0 uploads",
            "in no repository: 2 blobs of 1.5 KiB",
            "found: 1 error, 1 warning: blob-corrupt 1, link-alias 1",
            "--repair would put 1 of these right, and delete nothing",
            "not clean",
        ]

    def test_repairs_are_told(self):
        result = summary(CORRUPT, RECORD, repairable=2, repairs=2, quarantine=("/q/1",))
        lines = written(TextReport, [(CORRUPT, "/q/1/b"), (RECORD, "/r")], result)
        assert lines[1] == " " * 30 + "moved to: /q/1/b"
        assert lines[3] == " " * 30 + "written again: /r"
        assert lines[-3:] == [
            "repaired: 2; check again to see what is left",
            "quarantine: /q/1",
            "not clean",
        ]

    @pytest.mark.parametrize(
        ("findings", "strict", "unfinished", "last", "status"),
        [
            ([], False, None, "clean", 0),
            ([ALIAS], False, None, "clean", 0),
            ([ALIAS], True, None, "not clean", 1),
            ([CORRUPT], False, None, "not clean", 1),
            ([], False, "storage failed", "found: 0 errors, 0 warnings", 2),
        ],
    )
    def test_verdict_is_the_status(self, findings, strict, unfinished, last, status):
        result = summary(*findings, unfinished=unfinished)
        assert written(TextReport, [], result, strict=strict)[-1] == last
        assert exit_status(result, strict=strict) == status


class JsonTests:
    @pytest.mark.parametrize("findings", [[], [CORRUPT], [CORRUPT, ALIAS, RECORD]])
    def test_document_is_whole(self, findings):
        """However many findings there are, none of which is held back until the end."""
        result = summary(*findings, repairable=2, quarantine=("/q",), repairs=1)
        lines = written(JsonReport, [(finding, None) for finding in findings], result)
        document = json.loads("\n".join(lines))
        assert [one["class"] for one in document["findings"]] == [one.kind.name for one in findings]
        assert document["schema"] == "txregistry.check/1"

    def test_members_are_as_documented(self):
        """A program that reads it goes on to work."""
        text = "\n".join(
            written(JsonReport, [(CORRUPT, "/q/b"), (RECORD, None)], summary(CORRUPT, RECORD))
        )
        assert json.loads(text) == {
            "schema": "txregistry.check/1",
            "findings": [
                {
                    "class": "blob-corrupt",
                    "severity": "error",
                    "path": "/b/data",
                    "explanation": "/b/data is not what its digest says.",
                    "repair": {"action": "move", "path": "/b"},
                    "repaired_to": "/q/b",
                },
                {
                    "class": "referrer-missing",
                    "severity": "warning",
                    "path": "/r",
                    "explanation": "/r is missing.",
                    "repair": {"action": "write", "path": "/r"},
                    "repaired_to": None,
                },
            ],
            "errors": 1,
            "warnings": 1,
            "counts": {"blob-corrupt": 1, "referrer-missing": 1},
            "checked": {
                "blobs": 3,
                "bytes": 2048,
                "bytes_read": 5,
                "repositories": 1,
                "links": 4,
                "manifests": 2,
                "tags": 1,
                "uploads": 0,
            },
            "orphans": {"blobs": 0, "bytes": 0},
            "repairable": 0,
            "repairs": 0,
            "quarantine": [],
            "strict": False,
            "unfinished": None,
            "clean": False,
        }

    def test_unfinished_check_is_not_clean(self):
        document = json.loads("\n".join(written(JsonReport, [], summary(unfinished="away"))))
        assert document["unfinished"] == "away"
        assert document["clean"] is False


class DisplayTests:
    @pytest.fixture
    def shown(self):
        return []

    def display(self, shown, *, is_terminal, is_wanted=False):
        self.now = 100.0
        return Display(shown.append, lambda: self.now, is_terminal=is_terminal, is_wanted=is_wanted)

    def test_bar_moves_and_makes_way(self, shown):
        display = self.display(shown, is_terminal=True)
        display.show(Progress("blobs", 500, 0.5))
        display.show(Progress("blobs", 501, 0.51))
        display.clear()
        display.clear()
        self.now += 0.2
        display.show(Progress("repositories", 7))
        assert shown == [
            "\r\x1b[K[###############...............] blobs: 500, about 50%",
            "\r\x1b[K",
            "\r\x1b[Krepositories: 7",
        ]

    def test_lines_come_now_and_then(self, shown):
        """Whatever reads a log is not flooded; a short check says nothing."""
        display = self.display(shown, is_terminal=False, is_wanted=True)
        display.show(Progress("blobs", 1, 0.01))
        for _ in range(30):
            self.now += 1
            display.show(Progress("blobs", 2, 0.25))
        display.clear()
        assert shown == ["blobs: 2, about 25%\n"] * 3

    def test_nothing_is_said_where_nobody_looks(self, shown):
        """A job's mail has what went wrong, not that it took long."""
        display = self.display(shown, is_terminal=False)
        for _ in range(30):
            self.now += 1
            display.show(Progress("blobs", 2, 0.25))
        assert shown == []


def test_sizes_are_read_by_people():
    sizes = [0, 1023, 1024, 1536, 5 * 2**30, 2**70]
    assert [size_text(size) for size in sizes] == [
        "0 bytes",
        "1023 bytes",
        "1.0 KiB",
        "1.5 KiB",
        "5.0 GiB",
        "1048576.0 PiB",
    ]


def test_every_class_is_documented():
    """With its severity, and in the words of the code."""
    text = (Path(__file__).parents[2] / "docs/operate/check.md").read_text(encoding="utf-8")
    for kind in KINDS.values():
        assert f"| `{kind.name}` | {kind.severity.value} | {kind.meaning} |" in text
    assert {kind.severity for kind in KINDS.values()} == set(Severity)
    assert FOREIGN in KINDS.values()
