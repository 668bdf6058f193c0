# SPDX-License-Identifier: Apache-2.0
"""A storage driver that keeps everything in one SQLite file.

``database`` has the file, its lock and what its errors mean, ``store`` the methods of the contract,
``streams`` what is open for longer than one call.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Mapping

from outside_driver.database import Database, refusal
from outside_driver.store import SqliteStore
from txregistry.driver import BadOptions, Corrupt, Store, check_option_names, text_option

#: Where a distribution's package would put it.
FILE = "/var/lib/txregistry/registry.sqlite"


def create(options: Mapping[str, object]) -> Store:
    """Open the store; its option is ``file``.

    Raises:
        BadOptions: the file can't be used.
        Unavailable: another process uses it; the registry is told to wait.
    """
    check_option_names(options, ("file",))
    file = text_option(options, "file", FILE)
    if not os.path.isabs(file):  # a driver's working directory is /
        raise BadOptions(f"file is to be an absolute path, not {file!r}")
    try:
        return SqliteStore(Database(file))
    except sqlite3.Error as error:
        reason = refusal(error)
        if reason.is_retryable:
            raise reason from error
        remedy = (
            "name another one"
            if isinstance(reason, Corrupt)
            else "its directory is to be there and to belong to the user that the driver runs as"
        )
        raise BadOptions(f"file {file} can't be used ({error}): {remedy}") from error
