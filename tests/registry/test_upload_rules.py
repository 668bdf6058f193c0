# SPDX-License-Identifier: Apache-2.0
"""The rules of uploads: the table in the module, row by row, and what must hold for any request."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txregistry.oci.errors import Code
from txregistry.oci.ranges import Span
from txregistry.registry.upload_rules import Accept, Claim, Refuse, judge

ROWS = [
    # token's offset, span, length, held, limit, decision
    (0, None, None, None, None, Refuse(Code.BLOB_UPLOAD_UNKNOWN, None, may_be_done=True)),
    (5, Span(5, 9), 4, None, None, Refuse(Code.BLOB_UPLOAD_UNKNOWN, None, may_be_done=True)),
    # Content-Range starts elsewhere
    (5, Span(6, 9), 3, 5, None, Refuse(Code.RANGE_INVALID, 5)),
    (5, Span(4, 9), 5, 5, None, Refuse(Code.RANGE_INVALID, 5)),
    (0, Span(0, 9), 9, 5, None, Refuse(Code.RANGE_INVALID, 5)),
    # its length is another
    (5, Span(5, 9), 3, 5, None, Refuse(Code.SIZE_INVALID, 5)),
    (5, Span(5, 9), 5, 5, None, Refuse(Code.SIZE_INVALID, 5)),
    (5, Span(5, 9), 0, 5, None, Refuse(Code.SIZE_INVALID, 5)),
    # Content-Range decides, whatever the token says
    (5, Span(5, 9), 4, 5, None, Accept(5, 4, None)),
    (0, Span(5, 9), 4, 5, None, Accept(5, 4, None)),
    (5, Span(5, 9), None, 5, None, Accept(5, 4, None)),
    # without it the token does
    (5, None, 4, 5, None, Accept(5, 4, None)),
    (5, None, None, 5, None, Accept(5, None, None)),
    (5, None, 0, 5, None, Accept(5, 0, None)),
    (4, None, 4, 5, None, Refuse(Code.RANGE_INVALID, 5)),
    (6, None, 4, 5, None, Refuse(Code.RANGE_INVALID, 5)),
    (4, None, None, 5, None, Refuse(Code.RANGE_INVALID, 5)),
    # all of it is held already
    (0, None, 5, 5, None, Refuse(Code.RANGE_INVALID, 5, may_be_done=True)),
    (2, None, 3, 5, None, Refuse(Code.RANGE_INVALID, 5, may_be_done=True)),
    # the limit
    (5, None, 5, 5, 10, Accept(5, 5, 5)),
    (5, None, 6, 5, 10, Refuse(Code.SIZE_INVALID, 5, is_too_large=True)),
    (5, Span(5, 11), None, 5, 10, Refuse(Code.SIZE_INVALID, 5, is_too_large=True)),
    (5, None, None, 5, 10, Accept(5, None, 5)),
    (15, None, None, 15, 10, Accept(15, None, 0)),
]

sizes = st.integers(0, 20)
spans = st.none() | st.builds(
    lambda start, length: Span(start, start + length), sizes, st.integers(1, 20)
)


class JudgeTests:
    @pytest.mark.parametrize("offset, span, length, held, limit, decision", ROWS)
    def test_row(self, offset, span, length, held, limit, decision):
        assert judge(Claim(offset, span, length), held, limit) == decision

    @given(sizes, spans, st.none() | sizes, st.none() | sizes, st.none() | sizes)
    def test_only_the_end_of_what_is_held_is_written_to(self, offset, span, length, held, limit):
        """Whatever a client says, bytes are appended where the last ones end, and nowhere else."""
        decision = judge(Claim(offset, span, length), held, limit)
        if isinstance(decision, Refuse):
            assert decision.offset == held
        else:
            assert decision.start == held
            assert span is None or (span.start, span.length) == (held, decision.length)
            assert span is not None or offset == held
            if limit is not None and decision.length:
                assert held + decision.length <= limit
