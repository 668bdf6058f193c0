# SPDX-License-Identifier: Apache-2.0
"""Neighbors of rows: the same bytes with something changed, whose right answer nobody wrote down.

What holds for them is that every answer is well-formed, none is a 5xx, and nothing breaks, grows,
leaks, or is stored by what was refused.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from .bad_inputs import GROUPS, HURRY
from .rows import Row
from .ward import fill_in
from .wire import Wire

#: Deadlines are short, because changed requests are often not whole.
CONFIGURATION = {"http": {"limits": HURRY}}

#: Neighbors that are tried at the same time.
WIDTH = 32

#: Sent behind each: whatever it waits for, this ends it, and then the connection.
FILLER = b"0\r\n\r\n" + b"x" * 300 + b"\r\n\0\r\n\r\n"

_PIECES = (
    *(b"\0", b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b"/", b"%", b"%00", b"..", b"\xff", b'"'),
    *(b"\r\n\r\n", b",", b";", b"-", b"+", b"0", b"9" * 25, b"{", b"[", b"?", b"&", b"=", b"#"),
    *(b"A" * 300, b"\r\nContent-Length: 3", b"\r\nTransfer-Encoding: chunked", b"\xe2\x80\xae"),
    *(b"\r\nHost: evil", b"\r\nExpect: 100-continue", b"\r\nConnection: close", b"sha256:"),
)


def change(sent, choice):
    """The bytes with one to three things changed, mostly in the head."""
    for _ in range(choice.randint(1, 3)):
        head = sent.find(b"\r\n\r\n") + 4
        end = len(sent) if head < 4 or choice.random() < 0.2 else head
        start = choice.randrange(end + 1)
        stop = min(start + choice.choice((0, 0, 1, 1, 2, 8, 64)), len(sent))
        piece = choice.choice(
            (*_PIECES, b"", b"", sent[start:stop] * 2, sent[start:stop].swapcase())
        )
        sent = sent[:start] + piece + sent[stop:]
    return sent


def neighbors(count, choice):
    """So many, each of a row that is chosen."""
    rows = [row for group in GROUPS for row in group.rows if isinstance(row, Row)]
    rows = [row for row in rows if len(row.sent) < 100_000 and not row.sent.startswith(b"HEAD")]
    for _ in range(count):
        row = choice.choice(rows)
        yield Row(row.id, change(row.sent, choice), frozenset())


def answers(port, sent):
    """Send something, and what ends it; returns the answers, and what is wrong with them."""
    with Wire(port) as wire:
        wire.send(sent + FILLER)
        replies = wire.replies()
    found = []
    for reply in replies:
        if reply.status >= 200:
            found += reply.problems()
        if reply.status >= 500:
            found.append(f"answered {reply.status} {reply.body[:200]!r}")
    return replies, found


def try_neighbors(trial, rows):
    """Try rows, many at a time."""
    rows = list(rows)

    def send(row):
        sent = fill_in(row.sent, trial.ward.session()) if row.has_session else row.sent
        try:
            return answers(trial.ward.port, sent)
        except (AssertionError, OSError, ValueError, KeyError) as error:
            return [], [f"{type(error).__name__}: {error}"]

    with ThreadPoolExecutor(WIDTH) as threads:
        for start in range(0, len(rows), WIDTH):
            batch = rows[start : start + WIDTH]
            results = list(threads.map(send, batch))
            statuses = {reply.status for replies, _ in results for reply in replies}
            # What one stores can't be told from what another does at the same time.
            is_changed = bool(statuses & {201, 202, 204}) or any(row.has_session for row in batch)
            for row, (replies, problems) in zip(batch, results, strict=True):
                trial.tally.failed += sum(reply.status >= 500 for reply in replies)
                trial.judge(row, problems, changes=is_changed)
