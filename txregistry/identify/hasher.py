# SPDX-License-Identifier: Apache-2.0
"""The program that compares passwords with bcrypt hashes, one after another.

Room: identify. ``hashing`` starts it as a process of its own; it imports nothing of ours, so that
it is small and starts at once. It stands back for everything else that runs (``nice``), and ends
when what asks it does::

    asked     count, then so many texts: "1" or "0" (is the name known), password, hash, dummies
    answered  one byte: "1" or "0"

Numbers have four bytes, the highest first; before each text stands its length.
"""

from __future__ import annotations

import contextlib
import os
import struct
import sys
from collections.abc import Sequence
from typing import BinaryIO

import bcrypt

#: How far it stands back, as ``nice`` counts; and its session, which counts against everything that
#: runs on the host, so that logins would starve on a busy one if it were as far.
NICENESS, SESSION_NICENESS = 10, 3

#: bcrypt looks at no more; some versions cut, others raise.
PASSWORD_LIMIT = 72

_NUMBER = struct.Struct(">I")


def compare(password: bytes, stored: bytes, padding: Sequence[bytes], *, is_known: bool) -> bool:
    """Compare one password; blocks.

    Args:
        stored: the hash; a dummy for who is not known.
        padding: dummies that are hashed as well if the password is wrong.
        is_known: False: the answer is no, whatever the comparison says.

    Source: bcrypt. What is longer than it looks at, or holds a NUL, is wrong, and takes as long.
    """
    is_possible = len(password) <= PASSWORD_LIMIT and b"\0" not in password
    if not is_possible:
        password = password[:PASSWORD_LIMIT].replace(b"\0", b"-")
    if bcrypt.checkpw(password, stored) and is_possible and is_known:
        return True
    for each in padding:
        bcrypt.checkpw(password, each)
    return False


def spell(texts: Sequence[bytes]) -> bytes:
    """Return what asks for one comparison."""
    pieces = [_NUMBER.pack(len(texts))]
    for text in texts:
        pieces += (_NUMBER.pack(len(text)), text)
    return b"".join(pieces)


def serve(asked: BinaryIO, answers: BinaryIO) -> None:
    """Compare until nothing more is asked."""
    while head := asked.read(_NUMBER.size):
        [count] = _NUMBER.unpack(head)
        known, password, stored, *padding = (_read(asked) for _ in range(count))
        is_right = compare(password, stored, padding, is_known=known == b"1")
        answers.write(b"1" if is_right else b"0")
        answers.flush()


def _read(asked: BinaryIO) -> bytes:
    [length] = _NUMBER.unpack(asked.read(_NUMBER.size))
    return asked.read(length)


def stand_back() -> None:
    """Let everything else go first.

    Linux may share processors out by sessions before it looks at niceness (``autogroup``): in ours
    we would take from what the registry is given, however far we stand back.

    Source: sched(7), "The autogroup feature".
    """
    os.nice(NICENESS)
    with contextlib.suppress(OSError):
        os.setsid()
        with open("/proc/self/autogroup", "w", encoding="ascii") as file:
            file.write(str(SESSION_NICENESS))


if __name__ == "__main__":
    stand_back()
    serve(sys.stdin.buffer, sys.stdout.buffer)
