# SPDX-License-Identifier: Apache-2.0
"""Durations as Go writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from txregistry.config.durations import from_nanoseconds, parse_duration, render_duration


class ParseDurationTests:
    @pytest.mark.parametrize(
        ("text", "seconds"),
        [
            ("0", 0.0),
            ("+0", 0.0),
            ("10s", 10.0),
            ("168h", 604800.0),
            ("1h30m", 5400.0),
            ("1h30m10.5s", 5410.5),
            ("1.5s", 1.5),
            ("1.s", 1.0),
            (".5s", 0.5),
            ("100ms", 0.1),
            ("7us", 7e-6),
            ("7\u00b5s", 7e-6),
            ("7\u03bcs", 7e-6),
            ("1ns", 1e-9),
            ("-2m", -120.0),
            ("+2m", 120.0),
        ],
    )
    def test_form_of_go_is_read_as_seconds(self, text, seconds):
        """What Go's time.ParseDuration takes means the same here."""
        assert parse_duration(text) == seconds

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "10",
            "s",
            ".s",
            "10 s",
            "1d",
            "1w",
            "10S",
            "1h30",
            "--1s",
            "1e3s",
            "ten",
            "1s\n",
            "0s0",
        ],
    )
    def test_other_form_is_refused(self, text):
        """Anything else is refused, never guessed at."""
        with pytest.raises(ValueError, match="not a duration"):
            parse_duration(text)

    @given(st.integers(0, 10**6), st.integers(0, 59), st.integers(0, 59))
    def test_parts_add_up(self, hours, minutes, seconds):
        """Hours, minutes and seconds in one text are the sum of them."""
        assert (
            parse_duration(f"{hours}h{minutes}m{seconds}s") == hours * 3600 + minutes * 60 + seconds
        )


def test_bare_numbers_are_nanoseconds():
    """As in registry:3."""
    assert from_nanoseconds(1_500_000_000) == 1.5


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (90, "90s"), (120, "2m"), (7200, "2h"), (0.001, "0.001s")]
)
def test_message_shows_one_unit(seconds, text):
    """Messages name a duration in the largest unit that is whole."""
    assert render_duration(seconds) == text
