# SPDX-License-Identifier: Apache-2.0
"""The table of digests behaves as a dictionary, in a fraction of the memory."""

from __future__ import annotations

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from txregistry.admin.check.digest_table import DigestTable
from txregistry.oci.digests import Digest

DIGESTS = [
    Digest.of(bytes([number]), algorithm)
    for algorithm in ("sha256", "sha512")
    for number in range(12)
]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(DIGESTS),
            st.integers(0, 2**64 - 1),
            st.integers(0, 3),
            st.sampled_from((1, 2)),
        )
    )
)
def test_table_is_a_dictionary(steps):
    """In whatever order digests come."""
    table, numbers, marks = DigestTable(), {}, {}
    for digest, number, set_, mark in steps:
        if number % 2:
            table.add(digest, number, set_)
            numbers[digest], marks[digest] = number, set_
        else:
            expected = digest in marks and not marks[digest] & mark
            assert table.mark(digest, mark) is expected
            if digest in marks:
                marks[digest] |= mark
    assert len(table) == len(numbers)
    for digest in DIGESTS:
        assert table.get(digest) == numbers.get(digest)
        assert (digest in table) is (digest in numbers)
        for mark in (1, 2, 3):
            assert table.is_marked(digest, mark) is bool(marks.get(digest, 0) & mark)
    for mark in (1, 2, 3):
        kept = [number for digest, number in numbers.items() if not marks[digest] & mark]
        assert table.unmarked(mark) == (len(kept), sum(kept))


def test_table_is_small():
    """A digest costs less than a tenth of what it does as objects, so that ten million fit."""
    count = 20_000
    tracemalloc.start()
    try:
        table = DigestTable()
        for number in range(count):
            table.add(Digest("sha256", f"{number:064x}"), number)
        assert tracemalloc.get_traced_memory()[0] < 64 * count
    finally:
        tracemalloc.stop()
    assert table.get(Digest("sha256", f"{777:064x}")) == 777
