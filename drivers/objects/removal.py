# SPDX-License-Identifier: Apache-2.0
"""Removing and moving: one file with what belongs to it, or everything in a directory.

Drivers: objects. Neither is atomic for a directory: what is interrupted is to be done again, and then
goes on.
"""

from __future__ import annotations

from collections.abc import Iterator

from txregistry_drivers.objects.bucket import Bucket, Piece
from txregistry_drivers.objects.keys import hidden_below, is_note
from txregistry_drivers.objects.notes import compose_noted, undo_notes

_PAGE = 1000


def remove_below(bucket: Bucket, prefix: str) -> bool:
    """Remove every object whose key begins with ``prefix``, undoing what notes among them say;
    whether there was one.
    """
    found = False
    for keys in _pages(bucket, prefix):
        found = True
        undo_notes(bucket, [key for key in keys if is_note(key)])
        bucket.delete_many(keys)
    return found


def copy_below(bucket: Bucket, prefix: str, destination: str) -> None:
    """Copy every object whose key begins with ``prefix`` to a key that begins with
    ``destination``; not the notes, whose compositions are another's.
    """
    for keys in _pages(bucket, prefix):
        for key in keys:
            if not is_note(key):
                copy_object(bucket, key, destination + key[len(prefix) :])


def copy_object(bucket: Bucket, source: str, destination: str) -> None:
    """Copy one object, of any size.

    Raises:
        Missing: there is no source.
    """
    size = bucket.head(source).size
    if size <= bucket.capabilities.copy_limit:
        bucket.copy(source, destination)
    else:
        compose_noted(bucket, destination, [Piece(source, 0, size)], source)


def remove_file(bucket: Bucket, key: str, *, is_recorded: bool) -> None:
    """Remove a file's object, then what belongs to it."""
    bucket.delete(key)
    if is_recorded:
        remove_below(bucket, hidden_below(key))


def _pages(bucket: Bucket, prefix: str) -> Iterator[list[str]]:
    after, has_more = "", True
    while has_more:
        page = bucket.list(prefix, after=after, limit=_PAGE, is_deep=True)
        if page.objects:
            yield [one.key for one in page.objects]
        after = page.after
        has_more = bool(after)
