# SPDX-License-Identifier: Apache-2.0
"""One object of many: at most 32 are composed by one call, so larger numbers go by levels.

Driver: gcs. The objects between lie below one prefix, which is the note. GCS composes whole
objects, so what was cut is put together again first.

Source: Google's "Composite objects".
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Protocol

from txregistry.driver import Internal
from txregistry_drivers.objects import Piece

#: Objects that one call takes.
FAN_IN = 32

#: What a note says: the prefix of what goes. Anything else, least of all nothing, removes nothing.
NOTE = re.compile(r".+~/compose-[0-9a-f]{16}/")


class Calls(Protocol):
    """What a bucket does by one request each."""

    def compose_few(self, key: str, sources: Sequence[str]) -> None: ...

    def put(self, key: str, data: bytes, *, metadata: dict[str, str]) -> str: ...

    def copy(self, source: str, destination: str) -> None: ...

    def delete_below(self, prefix: str) -> None: ...


def compose(
    calls: Calls,
    threads: Executor,
    key: str,
    pieces: Sequence[Piece | bytes],
    note: Callable[[str], None],
) -> None:
    """Make ``key`` of ``pieces``; see ``Bucket.compose``."""
    whole = _joined(pieces)
    if len(whole) == 1 and isinstance(whole[0], str):
        calls.copy(whole[0], key)
        return
    prefix = f"{key}~/compose-{secrets.token_hex(8)}/"
    if len(whole) > FAN_IN or any(isinstance(piece, bytes) for piece in whole):
        note(prefix)
    names = [_named(calls, f"{prefix}bytes-{index}", piece) for index, piece in enumerate(whole)]
    level = 0
    while len(names) > FAN_IN:
        groups = [names[start : start + FAN_IN] for start in range(0, len(names), FAN_IN)]
        above = [f"{prefix}{level}-{index}" for index in range(len(groups))]
        list(threads.map(calls.compose_few, above, groups))
        names, level = above, level + 1
    calls.compose_few(key, names)
    calls.delete_below(prefix)


def _named(calls: Calls, name: str, piece: str | bytes) -> str:
    """The key of a piece; given bytes are put under ``name``."""
    if isinstance(piece, str):
        return piece
    calls.put(name, piece, metadata={})
    return name


def _joined(pieces: Sequence[Piece | bytes]) -> list[str | bytes]:
    """Keys of whole objects, and bytes; spans that follow one another are one."""
    result: list[str | bytes] = []
    reached = 0
    for piece in pieces:
        if isinstance(piece, bytes):
            result.append(piece)
        elif piece.start == 0:
            result.append(piece.key)
            reached = piece.stop
        elif result and result[-1] == piece.key and piece.start == reached:
            reached = piece.stop
        else:
            raise Internal("GCS composes whole objects only", path=piece.key)
    return result
