# SPDX-License-Identifier: Apache-2.0
"""What a driver writes, as it gets into our log."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogLevel, formatEvent, globalLogPublisher
from twisted.python.failure import Failure

from txregistry.process.hosting import leveled
from txregistry.process.words import LINE_LIMIT, LINES_LIMIT, Words


@pytest.fixture
def logged():
    """Levels and sentences of the log."""
    found = []

    def observe(event):
        found.append((event["log_level"], formatEvent(event)))

    globalLogPublisher.addObserver(observe)
    yield found
    globalLogPublisher.removeObserver(observe)


def test_level_of_a_line_is_the_drivers(logged):
    """An operator who looks at errors alone sees those of the driver too."""
    words = Words("d", Clock())
    words.take(2, b"<3>no disk\n<4>hot\n<6>fine\n<7>detail\n<0>end\nplain\n<8>no level\n<3>\n")
    assert logged == [
        (LogLevel.error, "[d] no disk"),
        (LogLevel.warn, "[d] hot"),
        (LogLevel.info, "[d] fine"),
        (LogLevel.debug, "[d] detail"),
        (LogLevel.critical, "[d] end"),
        (LogLevel.info, "[d] plain"),
        (LogLevel.info, "[d] <8>no level"),
    ]
    assert words.last[-1] == "<8>no level"


def test_two_outputs_do_not_mix(logged):
    """Half a line of one waits for its end, whatever the other says; the last one needs none."""
    words = Words("d", Clock())
    words.take(1, b"on")
    words.take(2, b"other\nx")
    words.take(1, b"e\n")
    words.end()
    assert [sentence for _, sentence in logged] == ["[d] other", "[d] one", "[d] x"]


def test_endless_line_is_not_kept(logged):
    """Memory is bounded, whatever comes."""
    words = Words("d", Clock())
    words.take(1, b"x" * (LINE_LIMIT + 1))
    assert [len(sentence) for _, sentence in logged] == [LINE_LIMIT + len("[d] ")]
    words.end()
    assert len(logged) == 1


def test_driver_that_says_too_much_is_cut_short(logged):
    """What is left out is counted; the next second begins anew, and so does the end."""
    clock = Clock()
    words = Words("d", clock)
    clock.advance(1)
    words.take(1, b"line\n" * (LINES_LIMIT + 7))
    assert len(logged) == LINES_LIMIT
    clock.advance(1)
    words.take(1, b"next\n")
    assert logged[LINES_LIMIT:] == [
        (LogLevel.warn, "driver d says too much: 7 of its lines were left out"),
        (LogLevel.info, "[d] next"),
    ]
    words.take(1, b"line\n" * LINES_LIMIT)
    words.end()
    assert logged[-1][1] == "driver d says too much: 1 of its lines were left out"


def test_what_our_drivers_log_has_its_level():
    """A traceback is an error on each of its lines."""
    assert leveled({"log_format": "a {b}", "b": 1, "log_level": LogLevel.warn}) == "<4>a 1\n"
    assert leveled({"log_format": "fine", "log_level": LogLevel.info}) == "<6>fine\n"
    text = leveled(
        {
            "log_format": "it failed",
            "log_level": LogLevel.critical,
            "log_failure": Failure(ValueError("why")),
        }
    )
    lines = text.splitlines()
    assert len(lines) > 1 and all(line.startswith("<2>") for line in lines)
    assert lines[0] == "<2>it failed" and "why" in lines[-1]
