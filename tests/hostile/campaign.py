# SPDX-License-Identifier: Apache-2.0
"""Tries groups of the table, and keeps what came of them.

``python -m tests.hostile.campaign`` is the long form: the whole table and many neighbors of its
rows. It ends with status 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import platform
import random
import sys
import tempfile
from pathlib import Path

from .bad_inputs import GROUPS
from .elsewhere import ELSEWHERE, NOT_THERE
from .guarded_inputs import guarded
from .neighbors import CONFIGURATION, neighbors, try_neighbors
from .tallies import TALLIES
from .trial import Tally, Trial, table, total
from .ward import Wards

#: Between these lines of the page are the figures.
BEGIN, END = "<!-- figures: make badinputs -->\n", "<!-- end of figures -->\n"


def try_group(group, wards):
    """Try all rows of a group; returns the tally."""
    trial = Trial(wards.of(group.configuration, group.guard), group.name)
    TALLIES.append(trial.tally)
    with trial:
        if group.is_slow:
            trial.try_together(group.rows)
        else:
            for row in group.rows:
                trial.try_row(row)
    return trial.tally


def try_all(count, seed):
    """Try the table and ``count`` neighbors."""
    with tempfile.TemporaryDirectory() as directory, Wards(directory) as wards:
        for group in (*GROUPS, *guarded()):
            print(*try_group(group, wards).cells(), flush=True)
        trial = Trial(wards.of(CONFIGURATION), "neighbors")
        TALLIES.append(trial.tally)
        with trial:
            try_neighbors(trial, neighbors(count, random.Random(seed)))


def figures(tallies):
    """The table as the documentation has it."""
    rows = [Tally.COLUMNS, *(tally.cells() for tally in (*tallies, total(tallies)))]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|---|" + "--:|" * (len(Tally.COLUMNS) - 1))
    machine = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return "\n".join([*lines, "", f"Measured on {machine}.", "", *_elsewhere(), ""])


def _elsewhere():
    """What the table names and other tests try, as the documentation has it."""
    return [
        "| class | tried elsewhere | by |",
        "|---|---|---|",
        *(
            f"| {row} | {what} | {', '.join(f'`{file}`' for file in files)} |"
            for row, (what, files) in ELSEWHERE.items()
        ),
        "",
        f"Not tried, since there are no pull-through caches: {', '.join(NOT_THERE)}.",
    ]


def write_page(path, tallies):
    """Put the figures into the page."""
    text = path.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    path.write_text(f"{before}{BEGIN}\n{figures(tallies)}\n{END}{after}")


def main(arguments):
    parser = argparse.ArgumentParser(prog="python -m tests.hostile.campaign", description=__doc__)
    parser.add_argument("--neighbors", type=int, default=10_000, help="how many are tried")
    parser.add_argument("--seed", type=int, default=1, help="by which they are chosen")
    parser.add_argument(
        "--page", type=Path, help="put the figures into this page of the documentation"
    )
    options = parser.parse_args(arguments)
    try_all(options.neighbors, options.seed)
    print("\n".join(table(TALLIES)))
    wrong = [line for tally in TALLIES for line in tally.wrong]
    print("\n".join(wrong), file=sys.stderr)
    if options.page is not None and not wrong:
        write_page(options.page, TALLIES)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
