# SPDX-License-Identifier: Apache-2.0
"""Writes a JSON document whose first member is a list that may be long, an item at a time.

Room: admin. Must not know what the items are::

    {"schema": "txregistry.check/1",
     "findings": [
      {...},
      {...}
     ],
     "errors": 2, ...
    }
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping


class JsonItems:
    """One document.

    Args:
        write: takes a line.
        schema: name and version of the document's form.
        name: of the list.
    """

    def __init__(self, write: Callable[[str], None], schema: str, name: str) -> None:
        self._write = write
        self._schema = schema
        self._name = name
        #: The last item: it is not yet known whether a comma follows.
        self._waiting = ""

    def begin(self) -> None:
        """Write what comes before the items."""
        self._write(f'{{"schema": {json.dumps(self._schema)},\n {json.dumps(self._name)}: [')

    def add(self, item: Mapping[str, object]) -> None:
        """Take an item."""
        if self._waiting:
            self._write(f"  {self._waiting},")
        self._waiting = json.dumps(item)

    def end(self, members: Mapping[str, object]) -> None:
        """Write what comes after the items."""
        if self._waiting:
            self._write(f"  {self._waiting}")
        rest = "".join(
            f",\n {json.dumps(key)}: {json.dumps(value)}" for key, value in members.items()
        )
        self._write(f" ]{rest}\n}}")
