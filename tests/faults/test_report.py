# SPDX-License-Identifier: Apache-2.0
"""The published tables: how they are made, and that they were made so."""

from __future__ import annotations

import re

import pytest

from .report import BEGIN, COLUMNS, DOCUMENT, END, TITLES, merge, put, render

ROW = {
    "name": "cuts",
    "tried": 500,
    "lost": 0,
    "losses": [],
    "is broken on purpose": False,
    "seed": 1,
    "seconds": 60.0,
    "form": "long",
    "test": "tests/faults/test_power.py::test_x",
    "kernel": "6.1",
    "file system": "ext4 rw",
    "commit": "abc",
    "acknowledged": 10,
    "left behind": {"a": 1},
}


def test_runs_of_a_campaign_are_added_up():
    other = ROW | {"seed": 2, "lost": 1, "left behind": {"a": 2, "b": 3}, "commit": "def"}
    (row,) = merge([ROW, other])
    assert (row["tried"], row["lost"], row["acknowledged"]) == (1000, 1, 20)
    assert row["left behind"] == {"a": 3, "b": 3}
    assert (row["seed"], row["commit"], row["kernel"]) == ("1, 2", "abc; def", "6.1")


def test_losses_are_shown():
    """What was lost is published; what was lost on purpose is told from it."""
    text = render([ROW | {"lost": 2}, ROW | {"name": "broken", "is broken on purpose": True}])
    assert "| cuts | 500 | 498 | 2 | acknowledged: 10; left behind: 1 a; 1.0 minutes | 1 |" in text
    assert "| broken | 500 | 500 | 0 (the product is broken on purpose) |" in text


def test_only_what_is_between_the_markers_is_replaced():
    old = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert put(old, f"{BEGIN}\nnew\n{END}") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    with pytest.raises(SystemExit):
        put("no place", "new")


@pytest.fixture
def figures():
    text = DOCUMENT.read_text()
    assert text.count(BEGIN) == text.count(END) == 1
    return text.partition(BEGIN)[2].partition(END)[0]


def test_published_tables_have_the_form_of_the_generator(figures):
    """No table is made by hand, and each says how it can be had again."""
    titles = re.findall(r"^### (.*)$", figures, re.MULTILINE)
    commands = re.findall(r"^make faults CAMPAIGN=tests/faults/(\S+)$", figures, re.MULTILINE)
    assert titles == [TITLES[file] for file in commands]
    assert commands == [file for file in TITLES if file in commands]
    assert "test_power.py" in commands
    assert all((DOCUMENT.parents[1] / "tests" / "faults" / file).exists() for file in TITLES)
    rows = [line for line in figures.splitlines() if line.startswith("| ")]
    assert rows.count(f"| {' | '.join(COLUMNS)} |") == len(titles)
    for row in rows:
        assert re.fullmatch(
            r"\| (Run \| |[a-z ]+ \| `.+`|Campaign \| .*|.+ \| [\d,]+ \| [\d,]+ \| \d+( \(.*\))?"
            r" \| .*[\d.]+ minutes \| [\d, ]+) ?\|",
            row,
        )


def test_published_figures_are_of_the_long_form_and_of_no_place(figures):
    assert "| form | `long` |" in figures
    assert not re.search(r"(?<![\w.*/])/(tmp|home|root|work|var|dev)/", figures)
