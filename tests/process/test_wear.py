# SPDX-License-Identifier: Apache-2.0
"""When a driver has served long enough."""

from __future__ import annotations

import pytest

from txregistry.process.supervision import Supervision
from txregistry.process.wear import OPERATIONS, RESIDENT, Wear

LIMITS = Supervision(recycle_resident=1000, recycle_operations=50, recycle_interval=10.0)


@pytest.mark.parametrize(
    ("resident", "operations", "expected"),
    [
        (1000, 49, None),
        (1001, 0, RESIDENT),
        (1001, 50, RESIDENT),
        (0, 50, OPERATIONS),
        (None, 49, None),
        (None, 51, OPERATIONS),
    ],
)
def test_bounds(resident, operations, expected):
    """Each bound by itself is a reason; a driver that does not tell its memory has none."""
    reason = Wear(LIMITS).reason(resident=resident, operations=operations, now=0.0)
    assert reason == expected


def test_bounds_that_are_not_set_are_no_reason():
    """Nothing is replaced that the operator has not bounded."""
    unbounded = Wear(Supervision(recycle_resident=0, recycle_operations=0))
    assert unbounded.reason(resident=2**50, operations=2**50, now=0.0) is None


def test_default_is_memory_that_no_driver_needs():
    """As it comes, a leak is noticed and work is not."""
    wear = Wear(Supervision())
    assert wear.reason(resident=2**30, operations=2**50, now=0.0) is None
    assert wear.reason(resident=2**30 + 1, operations=0, now=0.0) == RESIDENT


def test_replacements_keep_their_distance():
    """A driver that needs more than it may have is not replaced all day."""
    wear = Wear(LIMITS)
    wear.replaced(100.0)
    assert wear.reason(resident=1001, operations=0, now=109.9) is None
    assert wear.reason(resident=1001, operations=0, now=110.0) == RESIDENT


def test_bound_that_is_too_low_is_noticed():
    """A fresh process that is beyond it before it may be replaced will be so again."""
    wear = Wear(LIMITS)
    wear.replaced(100.0)
    assert not wear.is_in_vain
    wear.reason(resident=1000, operations=50, now=105.0)
    assert not wear.is_in_vain
    wear.reason(resident=1001, operations=0, now=106.0)
    wear.reason(resident=900, operations=0, now=109.0)
    assert wear.is_in_vain
    wear.replaced(110.0)
    assert not wear.is_in_vain


def test_growth_that_takes_longer_is_no_fault_of_the_bound():
    """That is what replacements are for."""
    wear = Wear(LIMITS)
    wear.replaced(100.0)
    wear.reason(resident=1000, operations=0, now=109.9)
    assert wear.reason(resident=1001, operations=0, now=500.0) == RESIDENT
    assert not wear.is_in_vain
