# SPDX-License-Identifier: Apache-2.0
"""The filesystem driver, killed before each of its changes to the disk in turn, and opened again.

A child process runs one operation and exits without any cleaning up before its n-th change, for
n = 1, 2, 3 ... until it gets through. After each death another driver opens the root: what was
there is there, or what was asked for is, never a half of either; and the operation can be repeated.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import pytest

from txregistry.driver import Missing, StorageError, Store
from txregistry_drivers.filesystem import create

from .test_filesystem import put, stage

_CHANGES = (
    "mkdir",
    "pwrite",
    "ftruncate",
    "fsync",
    "fdatasync",
    "link",
    "rename",
    "unlink",
    "rmdir",
    "utime",
)

_DIED = 3


def replace(store: Store) -> None:
    put(store, "/tag/current/link", b"new")


def create_below_new_directories(store: Store) -> None:
    put(store, "/new/deep/er/link", b"new", if_absent=True)


def publish(store: Store) -> None:
    store.publish("/u/data", "/blobs/ab/data", 100_000)


def publish_recorded(store: Store) -> None:
    store.publish_recorded("/u/data", "/blobs/ab/data", 100_000, "/blobs/ab/size", b"100000")


def publish_over_a_broken_one(store: Store) -> None:
    store.publish("/u/data", "/broken/data", 100_000)


def go_on_after_publishing(store: Store) -> None:
    appender = store.append("/published/data", 9)
    appender.append(memoryview(b" and more"))
    appender.sync()
    appender.close()


def delete_directory(store: Store) -> None:
    store.delete("/tag", if_version=None)


def move_over_directory(store: Store) -> None:
    store.move("/tag", "/other")


def prepare(store: Store) -> None:
    put(store, "/tag/current/link", b"old")
    put(store, "/tag/index/link", b"old")
    put(store, "/other/file", b"other")
    put(store, "/broken/data", b"broken")
    stage(store, "/u/data", b"x" * 100_000)
    stage(store, "/published/data", b"published")
    store.publish("/published/data", "/blob", 9)


def look(store: Store) -> dict[str, bytes]:
    """Everything that can be read, by path."""
    found, directories = {}, ["/"]
    while directories:
        directory = directories.pop()
        for child in store.list(directory, "", 100).children:
            path = f"{directory.rstrip('/')}/{child.name}"
            if child.is_directory:
                directories.append(path)
            else:
                found[path] = store.get(path).data
    return found


def run_and_die(root: str, operation: Callable[[Store], None], point: int) -> bool:
    """Run the operation in a child that dies before its ``point``-th change; whether it got
    through.
    """
    child = os.fork()
    if child == 0:
        try:
            store = create({"rootdirectory": root})
            left = [point]

            def mortal(call):
                def wrapped(*arguments, **options):
                    left[0] -= 1
                    if not left[0]:
                        os._exit(_DIED)
                    return call(*arguments, **options)

                return wrapped

            for name in _CHANGES:
                setattr(os, name, mortal(getattr(os, name)))
            operation(store)
            os._exit(0)
        except BaseException as err:
            print(f"in the child: {err!r}", file=sys.stderr)
            os._exit(1)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, _DIED)
    return code == 0


OPERATIONS = (
    replace,
    create_below_new_directories,
    publish,
    publish_recorded,
    publish_over_a_broken_one,
    go_on_after_publishing,
    delete_directory,
    move_over_directory,
)

#: What may be seen after a death beside all of the old and all of the new: what is missing or
#: added.
BETWEEN = {
    # The upload has its own copy before the first byte is added to it.
    "go_on_after_publishing": lambda old, new, seen: (
        seen["/published/data"] in (b"published", new["/published/data"])
    ),
    # The record comes first.
    "publish_recorded": lambda old, new, seen: seen == old | {"/blobs/ab/size": b"100000"},
    # What is in the way goes first, then comes the rename: for an instant neither is there.
    "move_over_directory": lambda old, new, seen: seen.items() <= old.items(),
}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.__name__)
def test_death_at_any_point_leaves_old_or_new(operation, tmp_path):
    """No acknowledged write is lost and no half is seen, whenever the driver is killed."""
    whole = create({"rootdirectory": os.fspath(tmp_path / "whole")})
    prepare(whole)
    old = look(whole)
    operation(whole)
    new = look(whole)
    whole.close()
    assert old != new
    point, got_through = 0, False
    while not got_through:
        point += 1
        root = os.fspath(tmp_path / f"point-{point}")
        store = create({"rootdirectory": root})
        prepare(store)
        store.close()
        got_through = run_and_die(root, operation, point)
        store = create({"rootdirectory": root})
        seen = look(store)
        between = BETWEEN.get(operation.__name__, lambda old, new, seen: False)
        assert seen in (old, new) or between(old, new, seen), f"killed before change {point}"
        if got_through:
            assert seen == new
        elif seen == old:
            operation(store)
            assert look(store) == new
        store.close()
    assert point > 2


def test_death_of_the_first_start_is_no_obstacle(tmp_path):
    """A root whose making was cut short is made by the next start."""
    root, point = os.fspath(tmp_path / "root"), 0

    def start_again(store: Store) -> None:
        create({"rootdirectory": root}).close()

    while not run_and_die(root, start_again, point := point + 1):
        store = create({"rootdirectory": root})
        with pytest.raises((Missing, StorageError)):
            store.get("/nothing")
        assert look(store) == {}
        store.close()
