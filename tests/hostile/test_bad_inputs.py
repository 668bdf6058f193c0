# SPDX-License-Identifier: Apache-2.0
"""The table of bad inputs, on real servers."""

from __future__ import annotations

import pytest

from .bad_inputs import GROUPS
from .campaign import try_group
from .ward import Wards


@pytest.fixture(scope="module")
def wards(tmp_path_factory):
    with Wards(tmp_path_factory.mktemp("hostile")) as wards:
        yield wards


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_bad_inputs_get_what_the_table_says(wards, group):
    """Every answer is right; nothing breaks, grows, leaks or is stored."""
    tally = try_group(group, wards)
    assert tally.tried
    assert not tally.wrong, "\n".join(tally.wrong)
