# SPDX-License-Identifier: Apache-2.0
"""Everything that a storage driver's author needs, and the only module that a driver imports.

Write a class with the methods of :class:`Store` (blocking calls, run in threads, many at once), a
function that makes one of its options, and::

    from txregistry.driver import main

    main(create)

That is a program which the registry starts, or attaches to. What it does not have to care about:
AMP, sockets, descriptors, digests and their saved states, fencing, paging of walks, the checking of
paths. ``docs/drivers/write-a-driver.md`` builds one step by step; ``txregistry driver test`` says
whether it keeps the contract.
"""

from __future__ import annotations

from txregistry.process.hosting import main
from txregistry.storage.contract import (
    CONTENT_LIMIT,
    Appender,
    Child,
    Content,
    Entry,
    FileContent,
    Listing,
    Store,
    StreamContent,
)
from txregistry.storage.errors import (
    BadOptions,
    Changed,
    Closed,
    Corrupt,
    Denied,
    Exists,
    Fenced,
    Internal,
    InvalidOffset,
    InvalidPath,
    Mismatch,
    Missing,
    NoSpace,
    ReadOnly,
    StorageError,
    SyncFailed,
    Throttled,
    TooLarge,
    Unavailable,
    Unsupported,
    WrongOffset,
)
from txregistry.storage.memory import MemoryStore
from txregistry.storage.options import (
    check_option_names,
    choice_option,
    flag_option,
    seconds_option,
    text_option,
    texts_option,
    whole_option,
)

__all__ = [
    "CONTENT_LIMIT",
    "Appender",
    "BadOptions",
    "Changed",
    "Child",
    "Closed",
    "Content",
    "Corrupt",
    "Denied",
    "Entry",
    "Exists",
    "Fenced",
    "FileContent",
    "Internal",
    "InvalidOffset",
    "InvalidPath",
    "Listing",
    "MemoryStore",
    "Mismatch",
    "Missing",
    "NoSpace",
    "ReadOnly",
    "StorageError",
    "Store",
    "StreamContent",
    "SyncFailed",
    "Throttled",
    "TooLarge",
    "Unavailable",
    "Unsupported",
    "WrongOffset",
    "check_option_names",
    "choice_option",
    "flag_option",
    "main",
    "seconds_option",
    "text_option",
    "texts_option",
    "whole_option",
]
