# SPDX-License-Identifier: Apache-2.0
"""The figures of campaigns -> the tables of ``docs/reliability.md``.

    python -m tests.faults.report FILE...

``FILE`` is what ``FAULTS_RESULTS`` named; several runs of one campaign are added up. What stands in
the document between the two markers is replaced, everything else is left alone.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from .campaign import told

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"

BEGIN = "<!-- figures: made by python -m tests.faults.report, not by hand -->"
END = "<!-- end of the figures -->"

#: Test file -> title of its table, in the order of the document.
TITLES = {
    "test_power.py": "Power cuts",
    "test_calls.py": "Every call of the driver, struck in turn",
    "test_states.py": "Every state that a power cut could leave, and the order of syncs",
    "test_kills.py": "kill -9, again and again, under load",
    "test_full_disk.py": "Disks that fill up",
    "test_links.py": "Slow and broken links",
    "test_model.py": "Everything against a model",
    "test_simulation.py": "Simulated hours",
    "test_slow_uploads.py": "Very many slow uploads",
}

COLUMNS = ("Campaign", "Tried", "Survived", "Lost", "Besides", "Seed")

#: What a row has besides a campaign's own notes.
_KEYS = (
    *("name", "tried", "lost", "losses", "is broken on purpose", "seed", "seconds", "form"),
    *("share", "test", "kernel", "file system", "commit"),
)


def merge(rows):
    """One row for each campaign: what is counted is added up, everything else listed."""
    merged = {}
    for row in rows:
        known = merged.setdefault((row["test"], row["name"]), {})
        for key, value in row.items():
            known[key] = value if key not in known else _added(key, known[key], value)
    return list(merged.values())


def _added(key, one, other):
    if isinstance(one, dict):
        return {name: one.get(name, 0) + other.get(name, 0) for name in (one | other)}
    if isinstance(one, list):
        return one + other
    if key == "seed":
        return one if str(other) in str(one).split(", ") else f"{one}, {other}"
    if isinstance(one, (int, float)) and not isinstance(one, bool):
        return one + other
    return one if one == other else f"{one}; {other}"


def render(rows):
    """The tables, as Markdown."""
    rows = merge(rows)
    lines = [BEGIN, "", *_conditions(rows)]
    for file, title in TITLES.items():
        mine = [row for row in rows if f"/{file}::" in row["test"]]
        if mine:
            lines += ["", f"### {title}", "", *_table(mine), "", *_again(file)]
    return "\n".join([*lines, "", END])


def _conditions(rows):
    """Under what everything was run."""
    lines = ["| Run | |", "|---|---|"]
    for key in ("commit", "kernel", "file system", "form"):
        values = sorted({value for row in rows for value in str(row[key]).split("; ")})
        lines.append(f"| {key} | {', '.join(f'`{value}`' for value in values)} |")
    return lines


def _table(rows):
    lines = [_line(COLUMNS), "|---|---:|---:|---:|---|---|"]
    for row in rows:
        lost = str(row["lost"])
        if row.get("is broken on purpose"):
            lost += " (the product is broken on purpose)"
        notes = [f"{key}: {told(value)}" for key, value in row.items() if key not in _KEYS]
        notes.append(f"{row['seconds'] / 60:.1f} minutes")
        counts = (f"{row['tried']:,}", f"{row['tried'] - row['lost']:,}", lost)
        lines.append(_line((row["name"], *counts, "; ".join(notes), str(row["seed"]))))
    return lines


def _line(cells):
    return f"| {' | '.join(cell.replace('|', '/').replace('*', '&#42;') for cell in cells)} |"


def _again(file):
    return ["```sh", f"make faults CAMPAIGN=tests/faults/{file}", "```"]


def put(document, tables):
    """A document with other tables."""
    before, _, rest = document.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise SystemExit(f"{DOCUMENT} has no place for figures: {BEGIN} ... {END}")
    return before + tables + after


def read(paths):
    """The rows of result files."""
    return [json.loads(line) for path in paths for line in Path(path).read_text().splitlines()]


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit("usage: python -m tests.faults.report FILE...")
    DOCUMENT.write_text(put(DOCUMENT.read_text(), render(read(sys.argv[1:]))))
