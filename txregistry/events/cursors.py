# SPDX-License-Identifier: Apache-2.0
"""How far each endpoint has been told of the queue, kept over restarts.

Room: events. A cursor may be behind the truth, since events are delivered at least once; it is
never ahead. A file that can't be read counts as none: everything that is still there is delivered
again. Everything here blocks::

    <directory>/cursors.json      {"cursors": {"<endpoint>": [<segment>, <offset>], ...}}
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

from txregistry.events.segments import Position

_NAME = "cursors.json"


def load_cursors(directory: str) -> dict[str, Position] | None:
    """Return the cursors by endpoint; None if there are none that can be read.

    Raises:
        OSError: the file is there and can't be opened.
    """
    try:
        with open(os.path.join(directory, _NAME), "rb") as file:
            text = file.read()
    except FileNotFoundError:
        return None
    try:
        cursors = json.loads(text)["cursors"]
        return {
            str(name): Position(int(segment), int(offset))
            for name, (segment, offset) in cursors.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def save_cursors(directory: str, cursors: Mapping[str, Position]) -> None:
    """Keep the cursors.

    Not synced: after a loss of power older ones are found, or none.

    Raises:
        OSError: those that were kept before are still there.
    """
    places = {name: [place.segment, place.offset] for name, place in cursors.items()}
    path = os.path.join(directory, _NAME)
    with open(path + ".new", "w", encoding="ascii") as file:
        json.dump({"cursors": places}, file)
    os.replace(path + ".new", path)
