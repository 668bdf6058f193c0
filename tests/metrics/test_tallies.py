# SPDX-License-Identifier: Apache-2.0
"""Plain numbers by labels."""

import pytest

from txregistry.metrics.tallies import Counts, Histogram


def test_counts_add_up_by_labels():
    counts = Counts()
    counts.add(("a",))
    counts.add(("a",), 2)
    counts.add(("b",))
    assert counts.values == {("a",): 3, ("b",): 1}


@pytest.mark.parametrize(
    ("value", "bucket"), [(0, 0), (1, 0), (1.1, 1), (2, 1), (4, 2), (4.1, 3), (1e9, 3)]
)
def test_value_is_in_the_bucket_whose_end_it_does_not_exceed(value, bucket):
    histogram = Histogram((1, 2, 4))
    histogram.observe(("a",), value)
    expected = [0] * 4
    expected[bucket] = 1
    assert histogram.series["a",].counts == expected
    assert histogram.series["a",].total == value
