# SPDX-License-Identifier: Apache-2.0
"""The table of bad inputs, on real servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from .bad_inputs import GROUPS
from .campaign import try_group
from .elsewhere import ELSEWHERE, NOT_THERE, PUBLISHED
from .guarded_inputs import guarded
from .ward import Wards


@pytest.fixture(scope="module")
def wards(tmp_path_factory):
    with Wards(tmp_path_factory.mktemp("hostile")) as wards:
        yield wards


ROOT = Path(__file__).resolve().parents[2]

#: Of the rows that are tried again by others, the short form takes one in so many.
STEP = 12


@pytest.mark.parametrize("group", (*GROUPS, *guarded(STEP)), ids=lambda group: group.name)
def test_bad_inputs_get_what_the_table_says(wards, group):
    """Every answer is right; nothing breaks, grows, leaks or is stored."""
    tally = try_group(group, wards)
    assert tally.tried
    assert not tally.wrong, "\n".join(tally.wrong)


def test_each_class_of_the_published_table_is_tried():
    """Here, by other tests that are there, or not at all since there is nothing to try it with."""
    here = {row.id for group in (*GROUPS, *guarded(STEP)) for row in group.rows}
    assert set(PUBLISHED) - here - {*ELSEWHERE} == {*NOT_THERE}
    files = {file for _, files in ELSEWHERE.values() for file in files}
    assert not [file for file in files if not (ROOT / file).exists()]
