# SPDX-License-Identifier: Apache-2.0
"""Compositions, with a note of each for as long as it is not done.

Drivers: objects. A composition that a crash interrupts leaves something behind that no listing
shows (an unfinished multipart upload). Its note lies below the file that it belongs to: whoever
deletes that file, or the session that it is in, undoes what the note says. So nothing is ever looked
for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from itertools import pairwise

from txregistry.driver import Missing, StorageError
from txregistry_drivers.objects.bucket import Bucket, Capabilities, Piece
from txregistry_drivers.objects.conditions import new_token
from txregistry_drivers.objects.keys import UNDO, hidden_below
from txregistry_drivers.objects.reading import read_small


def compose_noted(bucket: Bucket, key: str, pieces: Sequence[Piece | bytes], owner: str) -> None:
    """Make an object of pieces, of any size.

    Args:
        owner: key of the file to which the note belongs.

    Raises:
        Missing: a source is not there.
    """
    note_key = f"{hidden_below(owner)}{UNDO}{new_token()}"
    is_noted = False

    def note(text: str) -> None:
        nonlocal is_noted
        bucket.put(note_key, text.encode("utf-8"), metadata={})
        is_noted = True

    try:
        bucket.compose(key, cut(pieces, bucket.capabilities), note)
    except BaseException:
        with contextlib.suppress(StorageError):  # the note stays, then
            if is_noted:
                undo_notes(bucket, [note_key])
                bucket.delete(note_key)
        raise
    if is_noted:
        bucket.delete(note_key)


def undo_notes(bucket: Bucket, keys: Iterable[str]) -> None:
    """Do what notes say; they stay, for their directory to go with them."""
    for key in keys:
        try:
            bucket.undo(read_small(bucket, key).decode("utf-8", "replace"))
        except Missing:  # somebody else did it
            continue


def cut(pieces: Sequence[Piece | bytes], limits: Capabilities) -> list[Piece | bytes]:
    """The same bytes in pieces that a composition may have."""
    total = sum(len(piece) if isinstance(piece, bytes) else piece.size for piece in pieces)
    room = max(1, limits.most_pieces - len(pieces))
    stretch = min(
        max(limits.good_piece, -(-total // room), limits.smallest_piece * 2), limits.copy_limit
    )
    result: list[Piece | bytes] = []
    for piece in pieces:
        if isinstance(piece, bytes) or piece.size <= stretch:
            result.append(piece)
            continue
        count = -(-piece.size // stretch)
        bounds = [piece.start + piece.size * index // count for index in range(count + 1)]
        result += [Piece(piece.key, start, stop) for start, stop in pairwise(bounds)]
    return result
